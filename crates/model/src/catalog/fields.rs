//! The field table and the three ways into it: by number, by name, by position.

mod first_generation;
mod group;
mod near;
mod table;

use crate::{FieldId, Kind, Pace, field};

pub use group::Group;
pub use table::FIELDS;

/// One field: something that can be read, and all that is known of it beforehand.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Field {
    /// DCGM's number. 9005, 9006 and those of heatsink's own families, from 9201 on, are numbers of
    /// this program.
    pub id: FieldId,
    /// The name that dcgm-exporter up to 4.8 gives it: the family's name on the page. A field in
    /// one of the base units that 4.9 brought has the name of 4.9.
    pub name: &'static str,
    /// The name that DCGM 4.6 gives it, where that is another one; dcgm-exporter 4.9 uses some of
    /// these.
    pub canonical: Option<&'static str>,
    /// The finest entity that it exists for.
    pub level: Level,
    /// What its values are.
    pub value: ValueType,
    /// The unit of its values, in short: `MHz`, `ratio`, `bitmask`. `raw` means that the hardware
    /// counts in a unit of its own; `1000 KiB/s` is what DCGM calls MB/s.
    pub unit: &'static str,
    /// How often it is worth reading.
    pub pace: Pace,
    /// Its type where a counters file of ours asks for it: what dcgm-exporter 4.8.3 ships, else
    /// counter for totals, label for text and gauge for the rest.
    pub kind: Kind,
    /// Of a family of heatsink's own, how many series it has of each GPU.
    series: Option<&'static str>,
}

impl Field {
    /// How many series it has of each GPU, in words: `1`, `1 per NVLink`, `1 per node`. Of what a
    /// GPU does not have there is none.
    pub fn series(&self) -> &'static str {
        match (self.series, self.kind, self.level) {
            (Some(series), ..) => series,
            (None, Kind::Label, _) => "a label",
            (None, _, Level::Link) => "1 per NVLink",
            (None, _, Level::Switch) => "1 per NVSwitch",
            (None, _, Level::SwitchLink) => "1 per NVLink of an NVSwitch",
            (None, _, Level::Cpu) => "1 per CPU",
            (None, _, Level::CpuCore) => "1 per CPU core",
            (None, ..) => match self.id {
                field::EXP_P2P_STATUS => "1 per other GPU",
                field::EXP_GPU_HEALTH_STATUS => "1 per subsystem",
                field::EXP_XID_ERRORS_COUNT | field::EXP_XID_ERRORS_TOTAL => "1 per code that came",
                field::EXP_CLOCK_EVENTS_COUNT | field::EXP_CLOCK_EVENTS_TOTAL => "9",
                _ => "1",
            },
        }
    }

    /// Whether its values only grow by nature. Pages that wait to be retired are typed a counter by
    /// custom, and become fewer.
    pub fn is_cumulative(&self) -> bool {
        self.kind == Kind::Counter && self.id != field::RETIRED_PENDING
    }

    /// What it is about.
    pub fn group(&self) -> Group {
        // A test says that every field has one.
        Group::of(self.id).unwrap_or(Group::Identity)
    }
}

/// What a field is a property of.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Level {
    /// The machine: one value for all GPUs.
    Global,
    /// A whole GPU; its instances share the value.
    Gpu,
    /// A GPU instance of a partitioned GPU.
    GpuInstance,
    /// A compute instance, and so each GPU instance too.
    ComputeInstance,
    /// One NVLink of a GPU.
    Link,
    /// The vGPU side of a GPU.
    Vgpu,
    /// An NVSwitch of the machine.
    Switch,
    /// One NVLink of an NVSwitch.
    SwitchLink,
    /// A CPU of the machine.
    Cpu,
    /// One core of a CPU.
    CpuCore,
    /// Nothing in the driver: this program derives it.
    Exporter,
}

impl Level {
    /// The word used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Global => "global",
            Self::Gpu => "gpu",
            Self::GpuInstance => "gpu_instance",
            Self::ComputeInstance => "compute_instance",
            Self::Link => "link",
            Self::Vgpu => "vgpu",
            Self::Switch => "switch",
            Self::SwitchLink => "switch_link",
            Self::Cpu => "cpu",
            Self::CpuCore => "cpu_core",
            Self::Exporter => "exporter",
        }
    }

    /// Whether it is of a part of the machine that belongs to no GPU.
    pub fn is_beside_gpus(self) -> bool {
        matches!(self, Self::Switch | Self::SwitchLink | Self::Cpu | Self::CpuCore)
    }
}

/// What the values of a field are.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ValueType {
    /// Whole numbers.
    Int,
    /// Real numbers.
    Float,
    /// Text, which can only be a label.
    Text,
}

impl ValueType {
    /// The word used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::Float => "float",
            Self::Text => "text",
        }
    }
}

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
        .or_else(|| first_generation::field(name).and_then(by_id))
}

/// The known name that `name` may have been meant for.
pub(crate) fn nearest(name: &str) -> Option<&'static str> {
    near::nearest(name, names())
}

/// The names of today that a part of a name, misspelt, may have been meant for.
pub fn names_like(part: &str) -> Vec<&'static str> {
    near::like(part, FIELDS.iter().map(|field| field.name))
}

/// Every name that [`by_name`] knows; those that a page of today shows come first.
fn names() -> impl Iterator<Item = &'static str> + Clone {
    let current = FIELDS.iter().map(|field| field.name);
    let canonical = FIELDS.iter().filter_map(|field| field.canonical);
    current.chain(canonical).chain(first_generation::names())
}

#[cfg(test)]
mod tests {
    use std::collections::HashSet;

    use super::*;

    fn is_legal(name: &str) -> bool {
        let mut chars = name.chars();
        chars.next().is_some_and(|c| c.is_ascii_alphabetic() || c == '_')
            && chars.all(|c| c.is_ascii_alphanumeric() || c == '_')
    }

    #[test]
    fn every_row_is_there_and_in_order_of_number() {
        assert_eq!(FIELDS.len(), 557);
        assert!(FIELDS.is_sorted_by_key(|field| field.id));
    }

    #[test]
    fn no_number_twice_but_for_the_old_name_of_clock_event_reasons() {
        let twice: Vec<_> =
            FIELDS.windows(2).filter(|pair| pair[0].id == pair[1].id).map(|p| p[1].name).collect();
        assert_eq!(twice, ["DCGM_FI_DEV_CLOCK_THROTTLE_REASONS"]);
    }

    #[test]
    fn no_name_means_two_fields() {
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
    fn every_unit_is_short_and_there() {
        for field in FIELDS {
            let unit = field.unit;
            assert!(!unit.is_empty() && unit.len() <= 12 && unit == unit.trim(), "{}", field.name);
        }
    }

    #[test]
    fn the_exporters_own_rows_are_those_named_so() {
        for field in FIELDS {
            let prefixes = ["DCGM_EXP_", "heatsink_", "process_"];
            let own = prefixes.iter().any(|prefix| field.name.starts_with(prefix));
            assert_eq!(field.level == Level::Exporter, own, "{}", field.name);
            assert_eq!(field.id.0 > 9000, own, "{}", field.name);
        }
    }

    #[test]
    fn switches_and_cpus_are_those_named_so() {
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

    /// The page knows these, too: their values are labels of what belongs to no GPU.
    #[test]
    fn of_the_machine_as_a_whole_there_are_versions() {
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
        for name in ["DCGM_FI_DEV_FAN_SPEED_RATIO", "heatsink_gpu", "", "up"] {
            assert_eq!(by_name(name), None, "{name}");
        }
    }

    #[test]
    fn every_const_is_the_number_that_the_table_gives_its_name() {
        for &(name, id) in field::ALL {
            let found: Vec<_> = FIELDS
                .iter()
                .filter(|field| {
                    let prefixes = ["DCGM_FI_DEV_", "DCGM_FI_", "DCGM_", "heatsink_", ""];
                    prefixes.iter().any(|prefix| {
                        let rest = field.name.strip_prefix(prefix);
                        rest.is_some_and(|rest| rest.to_uppercase() == name)
                    })
                })
                .map(|field| field.id)
                .collect();
            // Ours is read for what is derived from it, and cannot be asked for.
            let expected = if id == field::MAX_SM_CLOCK_OF_PSTATE { vec![] } else { vec![id] };
            assert_eq!(found, expected, "{name}");
        }
    }
}
