//! The counters files that come with the program.
//!
//! They name the same fields as the files that dcgm-exporter ships, and more; their help texts are
//! our own. A manifest that names one of the well-known paths gets the file that stands in for it.

/// What is read when nobody asks for anything else.
pub const DEFAULT: &str = include_str!("../counters/default.csv");

/// The names of dcgm-exporter 1.x.
pub const FIRST_GENERATION: &str = include_str!("../counters/1.x-compatibility.csv");

/// The counters file that stands in for a well-known path of dcgm-exporter, for when there is no
/// such file on this machine.
pub fn builtin_for(path: &str) -> Option<&'static str> {
    match path {
        "/etc/dcgm-exporter/default-counters.csv"
        | "/etc/dcgm-exporter/dcp-metrics-included.csv" => Some(DEFAULT),
        "/etc/dcgm-exporter/1.x-compatibility-metrics.csv" => Some(FIRST_GENERATION),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use model::Kind;

    use super::*;
    use crate::{by_id, counters};

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
        for (text, rows) in [(DEFAULT, 36), (FIRST_GENERATION, 41)] {
            let counters = counters::parse(text.as_bytes());
            assert_eq!(counters.skipped, []);
            assert_eq!(counters.watches.len(), rows);
            for watch in counters.watches {
                let field = by_id(watch.field).unwrap();
                assert_eq!(watch.kind, field.kind, "{}", watch.name);
                assert_eq!(watch.pace, field.pace, "{}", watch.name);
            }
        }
    }

    #[test]
    fn the_default_set_covers_the_incumbents() {
        let watches = counters::parse(DEFAULT.as_bytes()).watches;
        for name in UPSTREAM {
            assert!(watches.iter().any(|watch| &*watch.name == *name), "{name}");
        }
    }

    #[test]
    fn energy_and_errors_are_counters_rates_are_gauges() {
        let watches = counters::parse(DEFAULT.as_bytes()).watches;
        let counters: Vec<_> =
            watches.iter().filter(|w| w.kind == Kind::Counter).map(|w| &*w.name).collect();
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
}
