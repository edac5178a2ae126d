//! The tables of what this crate reads, by subject: which call serves which fields, beside the code
//! that makes the call and converts its numbers. Adding a field is adding a row.
//!
//! Also: what it cannot read and why, and since when drivers and GPUs have it.

mod clocks;
mod fabric;
mod health;
pub(crate) mod identity;
pub(crate) mod links;
mod memory;
mod pcie;
mod power;
pub(crate) mod profiling;
pub(crate) mod thermal;
mod utilization;

use std::ops::RangeInclusive;

use model::FieldId;
use model::catalog::Level;

use crate::row::Row;

/// Every row.
pub(crate) fn rows() -> impl Iterator<Item = &'static Row> {
    [
        identity::ROWS,
        utilization::ROWS,
        memory::ROWS,
        thermal::ROWS,
        power::ROWS,
        clocks::ROWS,
        pcie::ROWS,
        health::ROWS,
        fabric::ROWS,
        links::ROWS,
        profiling::ROWS,
    ]
    .into_iter()
    .flatten()
}

/// The row that serves a field.
pub(crate) fn row_of(field: FieldId) -> Option<&'static Row> {
    rows().find(|row| row.fields.contains(field))
}

/// The name of the driver call that serves a field here, or `None` if nothing does.
pub fn served(field: FieldId) -> Option<&'static str> {
    row_of(field).map(|row| row.call.name())
}

/// Whether a field exists for instances of a partitioned GPU.
pub(crate) fn is_of_instances(field: FieldId) -> bool {
    model::catalog::by_id(field)
        .is_some_and(|row| matches!(row.level, Level::GpuInstance | Level::ComputeInstance))
}

/// Fields that this crate does not read, and why.
pub const UNSERVED: &[(RangeInclusive<u16>, &str)] = &[
    (450..=450, "DCGM has the number and never writes a value"),
    (701..=824, ONLY_DCGM),
    (856..=878, ONLY_DCGM),
    (1100..=1141, ONLY_DCGM),
    (9001..=9003, "made from other fields"),
    (9005..=9006, "made from other fields"),
    (9201..=9272, "made by heatsink"),
];

const ONLY_DCGM: &str = "NVSwitches and CPUs are read through DCGM only";

/// Since which generation of GPUs, or which driver, a field is there; empty where that is not known.
pub fn since(field: FieldId) -> &'static str {
    SINCE.iter().find(|(fields, _)| fields.contains(&field.0)).map_or("", |(_, since)| since)
}

const SINCE: &[(RangeInclusive<u16>, &str)] = &[
    (156..=156, "Volta"),
    (253..=253, "driver 510"),
    (393..=396, "Ampere"),
    (406..=408, "driver 520"),
    (416..=418, "driver 520"),
    (426..=428, "driver 520"),
    (436..=438, "driver 520"),
    (481..=489, "driver 520"),
    (491..=493, "driver 520"),
    (580..=592, "driver 595"),
    (1001..=1096, "Hopper"),
    (1200..=1219, "NVLink 5 (Blackwell)"),
    (1404..=1419, "NVLink 5 (Blackwell)"),
    (1509..=1509, "driver 595"),
    (1525..=1528, "driver 520"),
    (1532..=1533, "Hopper"),
    (1611..=1611, "Volta"),
    (1628..=1628, "driver 510"),
];

#[cfg(test)]
mod tests {
    use model::field;

    use super::*;
    use crate::row::Call;

    #[test]
    fn every_field_is_served_or_known_not_to_be() {
        for row in model::catalog::FIELDS {
            let unserved = UNSERVED.iter().any(|(fields, _)| fields.contains(&row.id.0));
            assert_ne!(served(row.id).is_some(), unserved, "{}", row.name);
            let mut whys = UNSERVED.iter().filter(|(fields, _)| fields.contains(&row.id.0));
            let only_dcgm = whys.any(|(_, why)| *why == ONLY_DCGM);
            assert_eq!(row.level.is_beside_gpus(), only_dcgm, "{}", row.name);
        }
        assert_eq!(served(field::MAX_SM_CLOCK_OF_PSTATE), Some("nvmlDeviceGetMinMaxClockOfPState"));
        assert_eq!(served(FieldId(0)), None);
    }

    #[test]
    fn every_field_is_answered_by_one_row_only() {
        let mut fields: Vec<FieldId> =
            rows().flat_map(|row| row.fields.iter().map(|(_, field)| field)).collect();
        let count = fields.len();
        fields.sort();
        fields.dedup();
        assert_eq!(fields.len(), count);
    }

    #[test]
    fn fields_of_links_are_those_of_the_catalogue() {
        for row in model::catalog::FIELDS {
            if let Some(of) = row_of(row.id) {
                assert_eq!(of.call.is_of_link(), row.level == Level::Link, "{}", row.name);
            }
        }
    }

    #[test]
    fn runs_have_the_numbers_of_nvmls_header() {
        let check = |field: u16, expected: &[(u32, u32)]| {
            let row = row_of(FieldId(field)).expect("a row");
            let (offset, _) = row.fields.iter().find(|(_, of)| of.0 == field).expect("the field");
            let Call::FieldValue(entries, _) = row.call else { panic!("{field}") };
            let found = entries.numbers(offset, 99, Some("550.1")).expect("numbers");
            assert_eq!(*found, *expected, "{field}");
        };
        #[rustfmt::skip]
        let of_gpu = [
            (240, 74), (247, 81), (287, 172), (405, 37), (415, 44), (425, 51), (435, 58),
            (456, 101), (462, 107), (468, 113), (474, 119), (300, 1), (311, 4), (393, 143),
            (394, 142), (395, 145), (396, 144), (1220, 160), (1420, 74), (1421, 76), (1424, 253),
            (1501, 173), (1523, 230),
        ];
        for (field, id) in of_gpu {
            check(field, &[(id, 0)]);
        }
        let all = u32::MAX;
        for (field, id) in [(1203, 204), (1204, 206), (1210, 212), (1213, 215), (1419, 250)] {
            check(field, &[(id, all)]);
        }
        for (field, id) in [(497, 163), (498, 162), (499, 161)] {
            check(field, &[(id, all)]);
        }
        for (field, link) in [(440, 0), (445, 5), (475, 6), (480, 11), (448, 14), (496, 17)] {
            check(field, &[(139, link), (138, link)]);
        }
        check(842, &[(138, 17)]);
        check(896, &[(139, 17)]);
        check(843, &[(138, all)]);
        check(1529, &[(139, 99), (138, 99)]);
    }

    #[test]
    fn since_is_said_of_fields_that_exist() {
        for (fields, _) in SINCE {
            assert!(model::catalog::by_id(FieldId(*fields.start())).is_some(), "{fields:?}");
            assert!(model::catalog::by_id(FieldId(*fields.end())).is_some(), "{fields:?}");
        }
        assert_eq!(since(FieldId(1004)), "Hopper");
        assert_eq!(since(FieldId(150)), "");
    }
}
