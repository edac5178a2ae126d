//! The field table, and its lookups: by number, by name, and by part of a name.

mod group;
mod near;
mod row;
pub(crate) mod table;

use crate::watch::FieldId;

pub use group::Group;
pub(in crate::catalog) use row::mark;
pub use row::{Field, Level, ValueType};
pub use table::FIELDS;

/// The field with this number. Of the two rows that share number 112, the current one.
pub fn by_id(id: FieldId) -> Option<&'static Field> {
    let first = FIELDS.partition_point(|field| field.id < id);
    FIELDS.get(first).filter(|field| field.id == id)
}

/// The field with this name: the one of dcgm-exporter 4.8, of DCGM 4.6, of dcgm-exporter 4.9 or of
/// dcgm-exporter 1.x, in exactly that spelling.
///
/// Where 4.9 reads another unit than 4.8, its name leads to another field. The one name that two
/// of them give different meanings, `DCGM_FI_DEV_GPU_UTIL_RATIO`, means what 4.9 says: 0 to 1.
pub fn by_name(name: &str) -> Option<&'static Field> {
    FIELDS
        .iter()
        .find(|field| field.name == name)
        .or_else(|| FIELDS.iter().find(|field| field.canonical == Some(name)))
        .or_else(|| FIELDS.iter().find(|field| field.v1 == Some(name)))
}

/// The known name that is nearest to `name`, if it is almost the same.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    near::nearest(name, names())
}

/// The names of today that have a part almost the same as `part`.
pub fn names_like(part: &str) -> Vec<&'static str> {
    near::like(part, FIELDS.iter().map(|field| field.name))
}

/// Every name that [`by_name`] knows; those of today come first.
fn names() -> impl Iterator<Item = &'static str> + Clone {
    let current = FIELDS.iter().map(|field| field.name);
    let canonical = FIELDS.iter().filter_map(|field| field.canonical);
    let first_generation = FIELDS.iter().filter_map(|field| field.v1);
    current.chain(canonical).chain(first_generation)
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;
    use crate::field;
    use crate::watch::{Kind, Pace};

    fn is_legal(name: &str) -> bool {
        let mut chars = name.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    #[test]
    fn rows_are_in_order_of_number() {
        assert!(FIELDS.is_sorted_by_key(|field| field.id));
    }

    #[test]
    fn only_clock_event_reasons_have_two_rows_of_one_number() {
        let twice: Vec<_> =
            FIELDS.windows(2).filter(|pair| pair[0].id == pair[1].id).map(|p| p[1].name).collect();
        assert_eq!(twice, ["DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"]);
    }

    #[test]
    fn every_name_is_of_one_field() {
        let mut seen = HashSet::new();
        let twice: Vec<_> = names().filter(|name| !seen.insert(*name)).collect();
        assert_eq!(twice, ["DCGM_FI_DEV_CLOCKS_EVENT_REASONS"]);
    }

    #[test]
    fn every_name_is_a_legal_metric_name() {
        for name in names() {
            assert!(is_legal(name), "{name}");
        }
    }

    #[test]
    fn every_field_is_found_by_each_of_its_names_and_by_its_number() {
        for field in FIELDS {
            assert_eq!(by_name(field.name), Some(field));
            let canonical = field.canonical.map(|name| by_name(name).unwrap().id);
            assert_eq!(canonical.unwrap_or(field.id), field.id, "{}", field.name);
            assert_eq!(by_id(field.id).unwrap().id, field.id);
        }
        assert_eq!(by_id(FieldId(112)).unwrap().name, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS");
        assert_eq!(by_id(field::MAX_SM_CLOCK_OF_PSTATE), None);
        assert_eq!(by_id(FieldId(0)), None);
        assert_eq!(by_id(FieldId(u16::MAX)), None);
    }

    #[test]
    fn text_and_only_text_is_a_label() {
        for field in FIELDS {
            let text = field.value == ValueType::Text;
            assert_eq!(field.kind == Kind::Label, text, "{}", field.name);
            assert_eq!(field.unit == "text", text, "{}", field.name);
            assert!(!text || field.pace == Pace::Slow, "{}", field.name);
        }
    }

    #[test]
    fn every_unit_is_short() {
        for field in FIELDS {
            let unit = field.unit;
            assert!(!unit.is_empty() && unit.len() <= 12 && unit == unit.trim(), "{}", field.name);
        }
    }

    #[test]
    fn exporter_rows_have_their_prefixes_and_numbers() {
        for field in FIELDS {
            let prefixes = ["DCGM_EXP_", "heatsink_", "process_"];
            let own = prefixes.iter().any(|prefix| field.name.starts_with(prefix));
            assert_eq!(field.level == Level::Exporter, own, "{}", field.name);
            assert_eq!(field.id.0 > 9000, own, "{}", field.name);
            let is_derived = own && field.id != field::EXP_P2P_STATUS;
            assert_eq!(field::is_derived(field.id), is_derived, "{}", field.name);
        }
    }

    #[test]
    fn switch_and_cpu_rows_have_their_prefixes() {
        for field in FIELDS {
            let level = match field.name.strip_prefix("DCGM_FI_DEV_") {
                Some("NVSWITCH_DEVICE_UUID") => Some(Level::SwitchLink),
                Some(name) if name.starts_with("NVSWITCH_LINK_") => Some(Level::SwitchLink),
                Some(name) if name.starts_with("NVSWITCH_") => Some(Level::Switch),
                Some(name) if name.starts_with("CPU_UTIL_") => Some(Level::CpuCore),
                Some("CPU_CLOCK_CURRENT") => Some(Level::CpuCore),
                Some("SYSIO_POWER_UTIL_CURRENT" | "MODULE_POWER_UTIL_CURRENT") => Some(Level::Cpu),
                Some(name) if name.starts_with("CPU_") => Some(Level::Cpu),
                _ => None,
            };
            let found = Some(field.level).filter(|level| level.is_beside_gpus());
            assert_eq!(found, level, "{}", field.name);
        }
    }

    /// The page relies on it: their values are labels of parts that belong to no GPU.
    #[test]
    fn global_fields_are_versions() {
        let global = FIELDS.iter().filter(|field| field.level == Level::Global);
        let versions = [field::DRIVER_VERSION, field::NVML_VERSION, field::CUDA_DRIVER_VERSION];
        assert_eq!(global.map(|field| field.id).collect::<Vec<_>>(), versions);
    }

    #[test]
    fn rates_are_never_counters() {
        for field in FIELDS.iter().filter(|field| field.unit.ends_with("/s")) {
            assert_eq!(field.kind, Kind::Gauge, "{}", field.name);
        }
    }

    #[test]
    fn names_of_4_9_lead_to_the_units_of_4_9() {
        for (name, id, unit) in [
            ("DCGM_FI_DEV_GPU_UTIL_RATIO", 1613, "ratio"),
            ("DCGM_FI_DEV_FB_FREE_BYTES", 1626, "B"),
            ("DCGM_FI_DEV_SM_CLOCK_HERTZ", 1603, "Hz"),
            ("DCGM_FI_DEV_GPU_TEMP_CELSIUS", 150, "°C"),
        ] {
            let field = by_name(name).unwrap();
            assert_eq!((field.id, field.unit), (FieldId(id), unit), "{name}");
        }
    }

    #[test]
    fn names_that_are_not_served_are_not_known() {
        // The first is one of DCGM 4.7 that nothing here reads.
        for name in ["DCGM_FI_DEV_BAR1_USED_BYTES", "heatsink_gpu", "", "up"] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }

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
