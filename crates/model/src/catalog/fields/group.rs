//! What fields are about: one group each.

use std::ops::RangeInclusive;

use crate::FieldId;

/// What a field is about.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Group {
    /// Which device this is: names, numbers, versions, licences.
    Identity,
    /// Clocks, performance state, and why the clocks are what they are.
    Clocks,
    /// Temperatures, their thresholds, and the fan.
    Heat,
    /// Power, energy, and their limits.
    Power,
    /// Share of time in which something was busy.
    Use,
    /// How much memory there is, and is used.
    Memory,
    /// XIDs, ECC, repair of memory, health.
    Errors,
    /// The PCIe link.
    Pcie,
    /// NVLinks, the NVLink fabric, the ways to other GPUs, and the link to the CPU.
    Nvlink,
    /// Performance counters of the chip.
    Profiling,
    /// heatsink itself: its source, its configuration, its process.
    Heatsink,
}

impl Group {
    /// All groups, in the order of tables.
    pub const ALL: [Self; 11] = [
        Self::Heat,
        Self::Power,
        Self::Clocks,
        Self::Use,
        Self::Memory,
        Self::Errors,
        Self::Pcie,
        Self::Nvlink,
        Self::Profiling,
        Self::Identity,
        Self::Heatsink,
    ];

    /// The word used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Clocks => "clocks",
            Self::Heat => "heat",
            Self::Power => "power",
            Self::Use => "use",
            Self::Memory => "memory",
            Self::Errors => "errors",
            Self::Pcie => "pcie",
            Self::Nvlink => "nvlink",
            Self::Profiling => "profiling",
            Self::Heatsink => "heatsink",
        }
    }

    /// The group of the field with this number.
    pub(super) fn of(id: FieldId) -> Option<Self> {
        GROUPS.iter().find(|(ids, _)| ids.contains(&id.0)).map(|(_, group)| *group)
    }
}

/// Ranges of field numbers, ascending. DCGM numbers fields by what they are about, mostly.
#[rustfmt::skip]
const GROUPS: &[(RangeInclusive<u16>, Group)] = &[
    (   1..=57,   Group::Identity),
    (  64..=64,   Group::Nvlink),    // the ways to other GPUs
    (  80..=85,   Group::Identity),
    (  90..=93,   Group::Memory),
    (  94..=94,   Group::Profiling), // whether the driver can profile
    ( 100..=115,  Group::Clocks),
    ( 140..=153,  Group::Heat),
    ( 155..=157,  Group::Power),
    ( 158..=159,  Group::Heat),
    ( 160..=164,  Group::Power),
    ( 170..=175,  Group::Nvlink),    // the fabric
    ( 190..=190,  Group::Clocks),    // the performance state
    ( 191..=191,  Group::Heat),      // the fan
    ( 200..=202,  Group::Pcie),
    ( 203..=207,  Group::Use),
    ( 230..=230,  Group::Errors),    // XIDs
    ( 235..=238,  Group::Pcie),
    ( 240..=247,  Group::Clocks),    // time held back
    ( 250..=254,  Group::Memory),
    ( 285..=287,  Group::Nvlink),    // the link to the CPU
    ( 300..=396,  Group::Errors),
    ( 400..=499,  Group::Nvlink),
    ( 526..=526,  Group::Identity),
    ( 580..=592,  Group::Nvlink),
    ( 701..=707,  Group::Power),
    ( 780..=843,  Group::Nvlink),
    ( 856..=857,  Group::Errors),    // SXids
    ( 858..=860,  Group::Heat),
    ( 861..=862,  Group::Nvlink),
    ( 863..=863,  Group::Identity),
    ( 864..=864,  Group::Errors),    // a switch that has to be reset
    ( 865..=865,  Group::Nvlink),
    ( 866..=869,  Group::Identity),
    ( 870..=877,  Group::Nvlink),
    ( 878..=878,  Group::Identity),
    ( 879..=897,  Group::Nvlink),
    (1001..=1096, Group::Profiling),
    (1100..=1104, Group::Use),
    (1110..=1112, Group::Heat),
    (1120..=1120, Group::Clocks),
    (1130..=1133, Group::Power),
    (1140..=1141, Group::Identity),
    (1200..=1419, Group::Nvlink),
    (1420..=1424, Group::Clocks),    // time held back
    (1501..=1501, Group::Pcie),
    (1507..=1507, Group::Errors),
    (1508..=1509, Group::Nvlink),
    (1523..=1523, Group::Errors),    // what the driver asks for
    (1525..=1533, Group::Nvlink),
    (1603..=1604, Group::Clocks),
    (1611..=1611, Group::Power),
    (1613..=1616, Group::Use),
    (1625..=1628, Group::Memory),
    (1648..=1648, Group::Nvlink),
    (9001..=9001, Group::Errors),
    (9002..=9002, Group::Clocks),
    (9003..=9003, Group::Errors),
    (9004..=9004, Group::Nvlink),
    (9005..=9005, Group::Clocks),
    (9006..=9006, Group::Errors),
    (9201..=9203, Group::Heatsink),
    (9204..=9206, Group::Errors),    // whether GPUs answer
    (9207..=9211, Group::Heatsink),  // what reading costs, and what failed
    (9212..=9220, Group::Errors),    // XIDs and the kernel's log
    (9221..=9223, Group::Clocks),
    (9224..=9224, Group::Nvlink),
    (9225..=9230, Group::Heat),
    (9231..=9233, Group::Power),
    (9234..=9236, Group::Clocks),
    (9237..=9242, Group::Use),
    (9243..=9245, Group::Memory),
    (9246..=9253, Group::Heatsink),
];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::{FIELDS, by_id};

    #[test]
    fn ranges_ascend_and_begin_and_end_with_a_field() {
        assert!(GROUPS.is_sorted_by(|(one, _), (next, _)| one.end() < next.start()));
        for (ids, _) in GROUPS {
            assert!(by_id(FieldId(*ids.start())).is_some(), "{ids:?}");
            assert!(by_id(FieldId(*ids.end())).is_some(), "{ids:?}");
        }
    }

    #[test]
    fn every_field_has_a_group_and_every_group_fields() {
        for field in FIELDS {
            assert!(Group::of(field.id).is_some(), "{}", field.name);
        }
        for group in Group::ALL {
            assert!(FIELDS.iter().any(|field| field.group() == group), "{group:?}");
        }
    }

    /// Where the name of a field says what it is about, its group says the same.
    #[test]
    fn names_and_units_agree_with_groups() {
        for field in FIELDS {
            let is = |groups: &[Group]| assert!(groups.contains(&field.group()), "{}", field.name);
            let name = field.name;
            if name.starts_with("DCGM_FI_PROF_") {
                is(&[Group::Profiling, Group::Nvlink]);
            } else if name.contains("NVLINK") || name.contains("NVSWITCH_LINK") {
                is(&[Group::Nvlink]);
            }
            match field.unit {
                "°C" => is(&[Group::Heat]),
                "W" | "J" | "mJ" => is(&[Group::Power]),
                "MHz" | "kHz" | "Hz" | "ns" => is(&[Group::Clocks]),
                "MiB" => is(&[Group::Memory]),
                "text" => is(&[Group::Identity, Group::Nvlink]),
                _ => {}
            }
        }
    }
}
