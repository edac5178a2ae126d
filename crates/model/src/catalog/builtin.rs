//! The counters files that come with the program.
//!
//! They name the same fields as the files that dcgm-exporter ships, and more; their help texts are
//! our own. A manifest that names one of the well-known paths gets the file that stands in for it.

/// What is read when nobody asks for anything else.
pub const DEFAULT: &str = include_str!("../../../../deploy/counters/default.csv");

/// Every field of GPUs that dcgm-exporter 4.8 has a name for. Texts, which lengthen every series,
/// are there as comments.
pub const ALL: &str = include_str!("../../../../deploy/counters/all.csv");

/// The few that say whether a GPU works, how hard, and whether it is well.
pub const MINIMAL: &str = include_str!("../../../../deploy/counters/minimal.csv");

/// Every field of what belongs to no GPU: NVSwitches, their NVLinks, CPUs and their cores. Beside
/// another set, since alone it says nothing of GPUs.
pub const MACHINE: &str = include_str!("../../../../deploy/counters/machine.csv");

/// What every page has, whatever is asked for: whether heatsink and each GPU answer, and what went
/// wrong.
pub const HEALTH: &str = include_str!("../../../../deploy/counters/health.csv");

/// What the shipped alert rules and dashboards look at beyond the default set. Beside that one.
pub const MONITORING: &str = include_str!("../../../../deploy/counters/monitoring.csv");

/// The names of dcgm-exporter 1.x.
pub const FIRST_GENERATION: &str =
    include_str!("../../../../deploy/counters/1.x-compatibility.csv");

/// The counters file with this name: `default`, `all`, `minimal`, `machine`, `monitoring` or
/// `1.x`.
pub fn by_name(name: &str) -> Option<&'static str> {
    match name {
        "default" => Some(DEFAULT),
        "all" => Some(ALL),
        "minimal" => Some(MINIMAL),
        "machine" => Some(MACHINE),
        "monitoring" => Some(MONITORING),
        "1.x" => Some(FIRST_GENERATION),
        _ => None,
    }
}

/// The counters file that stands in for a well-known path of dcgm-exporter, or that has this name,
/// for when there is no such file on this machine.
pub fn builtin_for(path: &str) -> Option<&'static str> {
    match path {
        "/etc/dcgm-exporter/default-counters.csv"
        | "/etc/dcgm-exporter/dcp-metrics-included.csv" => Some(DEFAULT),
        "/etc/dcgm-exporter/1.x-compatibility-metrics.csv" => Some(FIRST_GENERATION),
        name => by_name(name),
    }
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;

    use crate::{Kind, Watch};

    use super::*;
    use crate::catalog::counters::{self, Counters};
    use crate::catalog::{FIELDS, ValueType, by_id};
    use crate::field;

    /// With the number of rows in force.
    const FILES: [(&str, usize); 7] = [
        (HEALTH, 16),
        (DEFAULT, 46),
        (ALL, 426),
        (MINIMAL, 15),
        (MACHINE, 86),
        (MONITORING, 24),
        (FIRST_GENERATION, 41),
    ];

    fn read(text: &str) -> Counters {
        counters::parse(text.as_bytes())
    }

    /// The file with the rows that are there as comments, ready to be taken, in force.
    fn with_comments_taken(text: &str) -> String {
        text.replace("# DCGM_", "DCGM_")
    }

    /// What dcgm-exporter 4.8 reads by default.
    const UPSTREAM: &[&str] = &[
        "DCGM_FI_DRIVER_VERSION",
        "DCGM_FI_DEV_SM_CLOCK",
        "DCGM_FI_DEV_MEM_CLOCK",
        "DCGM_FI_DEV_MEMORY_TEMP",
        "DCGM_FI_DEV_GPU_TEMP",
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
        "DCGM_FI_DEV_GPU_UTIL",
        "DCGM_FI_DEV_MEM_COPY_UTIL",
        "DCGM_FI_DEV_ENC_UTIL",
        "DCGM_FI_DEV_DEC_UTIL",
        "DCGM_FI_DEV_XID_ERRORS",
        "DCGM_FI_DEV_FB_FREE",
        "DCGM_FI_DEV_FB_USED",
        "DCGM_FI_DEV_FB_RESERVED",
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "DCGM_FI_DEV_ROW_REMAP_FAILURE",
        "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL",
        "DCGM_FI_DEV_VGPU_LICENSE_STATUS",
        "DCGM_FI_PROF_GR_ENGINE_ACTIVE",
        "DCGM_FI_PROF_PIPE_TENSOR_ACTIVE",
        "DCGM_FI_PROF_DRAM_ACTIVE",
        "DCGM_FI_PROF_PCIE_TX_BYTES",
        "DCGM_FI_PROF_PCIE_RX_BYTES",
    ];

    #[test]
    fn every_row_is_read_and_typed_as_the_table_says() {
        for (text, rows) in FILES {
            assert_eq!(read(text).watches.len(), rows);
            for text in [text.to_owned(), with_comments_taken(text)] {
                let counters = read(&text);
                assert_eq!(counters.skipped, []);
                for watch in counters.watches {
                    let field = by_id(watch.field).unwrap();
                    assert_eq!(watch.kind, field.kind, "{}", watch.name);
                    assert_eq!(watch.pace, field.pace, "{}", watch.name);
                    assert_eq!(watch.cumulative, field.is_cumulative(), "{}", watch.name);
                }
            }
        }
    }

    #[test]
    fn all_and_machine_are_every_field_that_4_8_has_a_name_for() {
        for (set, is_beside_gpus) in [(ALL, false), (MACHINE, true)] {
            let in_force: Vec<_> = read(set).watches.into_iter().map(|w| w.name).collect();
            let with_texts = read(&with_comments_taken(set)).watches;
            for field in FIELDS {
                // Not there: the other name of a field that is, and what only 4.9 has a name for.
                let other_name = field.name == "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS";
                let base_unit = (1600..9000).contains(&field.id.0);
                let is_health = read(HEALTH).watches.iter().any(|watch| watch.field == field.id);
                let other_set = field.level.is_beside_gpus() != is_beside_gpus || is_health;
                let there = with_texts.iter().any(|watch| *watch.name == *field.name);
                assert_eq!(there, !other_name && !base_unit && !other_set, "{}", field.name);
                // Only there as a comment: texts, but for the one that everybody has.
                let text = field.value == ValueType::Text && field.id != field::DRIVER_VERSION;
                let read = in_force.iter().any(|name| **name == *field.name);
                assert_eq!(read, there && !text, "{}", field.name);
            }
        }
    }

    /// So that one can be added to the other.
    #[test]
    fn machine_shares_no_row_with_the_sets_of_gpus() {
        let machine = read(&with_comments_taken(MACHINE)).watches;
        for text in [DEFAULT, ALL, MINIMAL, MONITORING, FIRST_GENERATION] {
            for watch in read(&with_comments_taken(text)).watches {
                let twin = machine.iter().find(|other| other.field == watch.field);
                assert_eq!(twin.map(|twin| &twin.name), None);
            }
        }
    }

    /// A row of the default set would be written twice, and be changed in one place only.
    #[test]
    fn monitoring_has_no_row_that_is_read_anyway() {
        let default = read(DEFAULT).watches;
        for watch in read(&with_comments_taken(MONITORING)).watches {
            assert!(default.iter().all(|other| other.field != watch.field), "{}", watch.name);
        }
    }

    #[test]
    fn a_field_is_explained_in_the_same_words_everywhere() {
        let mut seen = HashMap::new();
        for text in [HEALTH, ALL, DEFAULT, MINIMAL, MACHINE, MONITORING] {
            for watch in read(&with_comments_taken(text)).watches {
                let help = seen.entry(watch.field).or_insert_with(|| watch.help.clone());
                assert_eq!(*help, watch.help, "{}", watch.name);
            }
        }
    }

    #[test]
    fn a_help_text_says_the_unit() {
        for watch in [HEALTH, ALL, MACHINE].into_iter().flat_map(|set| read(set).watches) {
            let (help, field) = (&*watch.help, by_id(watch.field).unwrap());
            let words: &[&str] = match field.unit {
                "MHz" => &[" in MHz"],
                "kHz" => &[" in kHz"],
                "mV" => &[" in millivolts"],
                "°C" => &[" in degrees Celsius"],
                "W" => &[" in watts"],
                "mJ" => &[" in millijoules"],
                "%" => &[" in percent"],
                "ratio" => &["as a ratio"],
                "ns" => &[" in nanoseconds"],
                "MiB" => &[" in MiB"],
                "KB/s" => &[" in KB per second"],
                "MB/s" => &[" in MB per second"],
                "B/s" => &[" in bytes per second"],
                "1000 KiB/s" => &[" in units of 1000 KiB per second"],
                "flag" => &["Whether ", " 0 or 1"],
                "bitmask" => &["as a bitmask"],
                "s" => &[" in seconds"],
                "Hz" => &[" in hertz"],
                "B" if watch.kind == Kind::Gauge => &[" in bytes"],
                "info" => &["; "],
                "count" | "cycles" | "B" | "pages" | "rows" | "banks" | "links" => &["as a count"],
                _ => &[],
            };
            assert!(words.iter().all(|word| help.contains(word)), "{}: {help}", watch.name);
        }
    }

    #[test]
    fn the_families_that_dcgm_exporter_derives_are_there_to_be_taken() {
        let default = read(&with_comments_taken(DEFAULT)).watches;
        for field in FIELDS.iter().filter(|field| field.name.starts_with("DCGM_EXP_")) {
            assert!(default.iter().any(|watch| watch.field == field.id), "{}", field.name);
        }
    }

    #[test]
    fn the_default_set_covers_the_incumbents() {
        let watches = read(DEFAULT).watches;
        for name in UPSTREAM {
            assert!(watches.iter().any(|watch| &*watch.name == *name), "{name}");
        }
    }

    #[test]
    fn energy_and_errors_are_counters_rates_are_gauges() {
        let watches = read(DEFAULT).watches;
        let is_counter = |watch: &&Watch| watch.kind == Kind::Counter;
        let of_dcgm = watches.iter().filter(|watch| watch.name.starts_with("DCGM_"));
        let counters: Vec<_> = of_dcgm.filter(is_counter).map(|watch| &*watch.name).collect();
        assert_eq!(
            counters,
            [
                "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
                "DCGM_FI_DEV_PCIE_REPLAY_COUNTER",
                "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL",
                "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL",
                "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
                "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
            ]
        );
    }

    #[test]
    fn the_well_known_paths_have_a_stand_in() {
        let at = |name: &str| builtin_for(&format!("/etc/dcgm-exporter/{name}"));
        assert_eq!(at("default-counters.csv"), Some(DEFAULT));
        assert_eq!(at("dcp-metrics-included.csv"), Some(DEFAULT));
        assert_eq!(at("1.x-compatibility-metrics.csv"), Some(FIRST_GENERATION));
        assert_eq!(at("mine.csv"), None);
        assert_eq!(builtin_for("default-counters.csv"), None);
    }

    #[test]
    fn a_name_will_do_without_a_file() {
        for (name, text) in [
            ("default", DEFAULT),
            ("all", ALL),
            ("minimal", MINIMAL),
            ("machine", MACHINE),
            ("monitoring", MONITORING),
            ("1.x", FIRST_GENERATION),
        ] {
            assert_eq!(by_name(name), Some(text));
            assert_eq!(builtin_for(name), Some(text));
        }
        assert_eq!(by_name("ALL"), None);
    }
}
