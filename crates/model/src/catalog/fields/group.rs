//! The groups of fields in tables for people.

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
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::catalog::FIELDS;

    #[test]
    fn every_group_has_fields() {
        for group in Group::ALL {
            assert!(FIELDS.iter().any(|field| field.group == group), "{group:?}");
        }
    }

    /// Where the name of a field says what it is about, its group says the same.
    #[test]
    fn names_and_units_agree_with_groups() {
        for field in FIELDS {
            let is = |groups: &[Group]| assert!(groups.contains(&field.group), "{}", field.name);
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
