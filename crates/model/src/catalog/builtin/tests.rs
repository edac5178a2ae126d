//! The built-in sets, against the table and the shipped files.

use super::*;
use crate::catalog::counters::{self, Counters};
use crate::catalog::{ValueType, by_id};
use crate::field;

fn read(text: &str) -> Counters {
    counters::parse(text.as_bytes())
}

/// The watches of the set with all its comments uncommented.
fn with_comments(set: Set) -> Counters {
    read(&set.text().replace("# DCGM_", "DCGM_"))
}

/// `UPDATE_GOLDEN=1` writes the files that are shipped.
#[test]
fn the_shipped_files_are_up_to_date() {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../deploy/counters");
    for set in Set::LIST {
        let path = std::path::Path::new(folder).join(set.file_name());
        if std::env::var_os("UPDATE_GOLDEN").is_some_and(|value| value == "1") {
            std::fs::write(&path, set.text()).unwrap();
        }
        let shipped = std::fs::read_to_string(&path).unwrap();
        assert!(shipped == set.text(), "{} differs: UPDATE_GOLDEN=1 writes it", path.display());
    }
}

/// `all` and `machine` grow with the table.
#[test]
fn sets_that_are_chosen_row_by_row_have_this_many() {
    for (set, count) in [
        (Set::Health, 25),
        (Set::Default, 46),
        (Set::Minimal, 15),
        (Set::Monitoring, 34),
        (Set::FirstGeneration, 41),
    ] {
        assert_eq!(set.watches().len(), count, "{set:?}");
    }
}

#[test]
fn every_row_of_a_set_has_a_heading() {
    for set in Set::LIST {
        let rows = FIELDS.iter().filter(|field| set.reads(field)).count();
        assert_eq!(set.watches().len(), rows, "{set:?}");
    }
    let offered = FIELDS.iter().filter(|field| field.sets & mark::OFFERED != 0).count();
    let comments = Set::Default.text().lines().filter(|line| line.starts_with("# DCGM_")).count();
    assert_eq!(comments, offered);
}

/// The default set of dcgm-exporter 4.8.
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
fn the_file_of_a_set_reads_what_the_set_reads() {
    for set in Set::LIST {
        let counters = read(&set.text());
        assert_eq!((counters.watches, counters.skipped), (set.watches(), vec![]), "{set:?}");
        let counters = with_comments(set);
        assert_eq!(counters.skipped, []);
        for watch in counters.watches {
            let field = by_id(watch.field).unwrap();
            assert_eq!(watch.kind, field.kind, "{}", watch.name);
            assert_eq!(watch.pace, field.pace, "{}", watch.name);
            assert_eq!(watch.cumulative, field.is_cumulative(), "{}", watch.name);
        }
    }
}

#[test]
fn all_and_machine_have_every_field_with_a_name_of_4_8() {
    for (set, is_beside_gpus) in [(Set::All, false), (Set::Machine, true)] {
        let in_force: Vec<_> = set.watches().into_iter().map(|w| w.name).collect();
        let with_texts = with_comments(set).watches;
        let health = Set::Health.watches();
        for field in FIELDS {
            // Not included: second names of fields, and fields that only 4.9 has a name for.
            let other_name = field.name == "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS";
            let base_unit = (1600..9000).contains(&field.id.0);
            let is_health = health.iter().any(|watch| watch.field == field.id);
            let other_set = field.level.is_beside_gpus() != is_beside_gpus || is_health;
            let there = with_texts.iter().any(|watch| *watch.name == *field.name);
            assert_eq!(there, !other_name && !base_unit && !other_set, "{}", field.name);
            // Texts are comments, except the driver version.
            let text = field.value == ValueType::Text && field.id != field::DRIVER_VERSION;
            let read = in_force.iter().any(|name| **name == *field.name);
            assert_eq!(read, there && !text, "{}", field.name);
        }
    }
}

/// So that one can be added to the other.
#[test]
fn machine_shares_no_row_with_the_sets_of_gpus() {
    let machine = with_comments(Set::Machine).watches;
    for set in [Set::Default, Set::All, Set::Minimal, Set::Monitoring, Set::FirstGeneration] {
        for watch in with_comments(set).watches {
            let same = machine.iter().find(|other| other.field == watch.field);
            assert_eq!(same.map(|same| &same.name), None);
        }
    }
}

/// A row of the default set would be written twice, and be changed in one place only.
#[test]
fn monitoring_has_no_row_of_the_default_set() {
    let default = Set::Default.watches();
    for watch in with_comments(Set::Monitoring).watches {
        assert!(default.iter().all(|other| other.field != watch.field), "{}", watch.name);
    }
}

#[test]
fn a_help_text_says_the_unit() {
    let is_listed = |field: &&Field| Set::LIST.iter().any(|set| set.lists(field));
    for field in FIELDS.iter().filter(is_listed) {
        let help = field.help;
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
            "B" if field.kind == Kind::Gauge => &[" in bytes"],
            "info" => &["; "],
            "count" | "cycles" | "B" | "pages" | "rows" | "banks" | "links" => &["as a count"],
            _ => &[],
        };
        assert!(words.iter().all(|word| help.contains(word)), "{}: {help}", field.name);
    }
}

#[test]
fn the_default_file_has_the_families_that_dcgm_exporter_derives() {
    let default = with_comments(Set::Default).watches;
    for field in FIELDS.iter().filter(|field| field.name.starts_with("DCGM_EXP_")) {
        assert!(default.iter().any(|watch| watch.field == field.id), "{}", field.name);
    }
}

#[test]
fn the_default_set_has_all_of_dcgm_exporters() {
    let watches = Set::Default.watches();
    for name in UPSTREAM {
        assert!(watches.iter().any(|watch| &*watch.name == *name), "{name}");
    }
}

#[test]
fn energy_and_errors_are_counters_rates_are_gauges() {
    let watches = Set::Default.watches();
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
fn the_well_known_paths_have_a_set() {
    let at = |name: &str| Set::for_path(&format!("/etc/dcgm-exporter/{name}"));
    assert_eq!(at("default-counters.csv"), Some(Set::Default));
    assert_eq!(at("dcp-metrics-included.csv"), Some(Set::Default));
    assert_eq!(at("1.x-compatibility-metrics.csv"), Some(Set::FirstGeneration));
    assert_eq!(at("mine.csv"), None);
    assert_eq!(Set::for_path("default-counters.csv"), None);
}

#[test]
fn sets_have_names() {
    for (name, set) in [
        ("default", Set::Default),
        ("all", Set::All),
        ("minimal", Set::Minimal),
        ("machine", Set::Machine),
        ("monitoring", Set::Monitoring),
        ("1.x", Set::FirstGeneration),
    ] {
        assert_eq!(Set::by_name(name), Some(set));
        assert_eq!(Set::for_path(name), Some(set));
    }
    assert_eq!(Set::by_name("ALL"), None);
}
