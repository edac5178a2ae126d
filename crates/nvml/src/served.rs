//! What this crate can read, what it cannot and why, and since when drivers and GPUs have it.

use std::ops::RangeInclusive;

use model::FieldId;
use model::field;

use crate::field_table::{self, FIELD_VALUES_CALL, LINK_TABLE};
use crate::getters::{ERRORS_OF_LINK, GETTERS, LINK_ERRORS, LINK_ERRORS_CALL, PCIE_GETTERS};
use crate::gpm_table::{self, GPM_OF_LINK};
use crate::peers;
use crate::prm::{PRM_CALL, PRM_TABLE};

/// What serves `wanted` here: the name of the driver call, or `None` if nothing does.
pub fn served(wanted: FieldId) -> Option<&'static str> {
    if let Some(getter) = GETTERS.iter().find(|getter| getter.fields.contains(&wanted)) {
        return Some(getter.call);
    }
    if field_table::rows().chain(LINK_TABLE).any(|row| row.field == wanted) {
        return Some(FIELD_VALUES_CALL);
    }
    if gpm_table::rows().any(|row| row.field == wanted)
        || GPM_OF_LINK.iter().any(|(field, _)| *field == wanted)
    {
        return Some("nvmlGpmMetricsGet");
    }
    if LINK_ERRORS.iter().chain(&ERRORS_OF_LINK).any(|row| row.field == wanted) {
        return Some(LINK_ERRORS_CALL);
    }
    if PRM_TABLE.iter().any(|(field, _)| *field == wanted) {
        return Some(PRM_CALL);
    }
    if PCIE_GETTERS.iter().any(|(field, _)| *field == wanted) {
        return Some("nvmlDeviceGetPcieThroughput");
    }
    if peers::FIELDS.contains(&wanted) {
        return Some(peers::PEERS_CALL);
    }
    match wanted {
        field::DRIVER_VERSION => Some("nvmlSystemGetDriverVersion"),
        field::NVML_VERSION => Some("nvmlSystemGetNVMLVersion"),
        field::CUDA_DRIVER_VERSION => Some("nvmlSystemGetCudaDriverVersion"),
        field::XID_ERRORS => Some("nvmlEventSetWait"),
        _ => None,
    }
}

/// Fields that this crate does not read, and why.
pub const UNSERVED: &[(RangeInclusive<u16>, &str)] = &[
    (450..=450, "DCGM has the number and never writes a value"),
    (701..=824, ONLY_DCGM),
    (856..=878, ONLY_DCGM),
    (1100..=1141, ONLY_DCGM),
    (9001..=9003, "made from other fields"),
    (9005..=9006, "made from other fields"),
    (9201..=9253, "made by heatsink"),
];

const ONLY_DCGM: &str = "NVSwitches and CPUs are read through DCGM only";

/// Since which generation of GPUs, or which driver, a field is there; empty where nobody says so.
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
    use super::*;

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
        let mut fields: Vec<FieldId> = GETTERS.iter().flat_map(|g| g.fields).copied().collect();
        fields.extend(field_table::rows().chain(LINK_TABLE).map(|row| row.field));
        fields.extend(gpm_table::rows().map(|row| row.field));
        fields.extend(GPM_OF_LINK.iter().map(|(field, _)| *field));
        fields.extend(LINK_ERRORS.iter().chain(&ERRORS_OF_LINK).map(|row| row.field));
        fields.extend(PRM_TABLE.iter().map(|(field, _)| *field));
        fields.extend(PCIE_GETTERS.iter().map(|(field, _)| *field));
        let mut unique = fields.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), fields.len());
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
