//! The names of dcgm-exporter 1.x, which dashboards of that time still ask for.

use crate::FieldId;

use crate::field as f;

/// The field that dcgm-exporter 1.x called `name`.
pub(super) fn field(name: &str) -> Option<FieldId> {
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, field)| *field)
}

/// All of them.
pub(super) fn names() -> impl Iterator<Item = &'static str> + Clone {
    NAMES.iter().map(|(name, _)| *name)
}

#[rustfmt::skip]
static NAMES: &[(&str, FieldId)] = &[
    ("dcgm_sm_clock",                           f::SM_CLOCK),
    ("dcgm_memory_clock",                       f::MEM_CLOCK),
    ("dcgm_memory_temp",                        f::MEMORY_TEMP),
    ("dcgm_gpu_temp",                           f::GPU_TEMP),
    ("dcgm_power_usage",                        f::POWER_USAGE),
    ("dcgm_total_energy_consumption",           f::TOTAL_ENERGY_CONSUMPTION),
    ("dcgm_pcie_tx_throughput",                 f::PCIE_TX_THROUGHPUT),
    ("dcgm_pcie_rx_throughput",                 f::PCIE_RX_THROUGHPUT),
    ("dcgm_pcie_replay_counter",                f::PCIE_REPLAY_COUNTER),
    ("dcgm_gpu_utilization",                    f::GPU_UTIL),
    ("dcgm_mem_copy_utilization",               f::MEM_COPY_UTIL),
    ("dcgm_enc_utilization",                    f::ENC_UTIL),
    ("dcgm_dec_utilization",                    f::DEC_UTIL),
    ("dcgm_xid_errors",                         f::XID_ERRORS),
    ("dcgm_power_violation",                    f::POWER_VIOLATION),
    ("dcgm_thermal_violation",                  f::THERMAL_VIOLATION),
    ("dcgm_sync_boost_violation",               f::SYNC_BOOST_VIOLATION),
    ("dcgm_board_limit_violation",              f::BOARD_LIMIT_VIOLATION),
    ("dcgm_low_util_violation",                 f::LOW_UTIL_VIOLATION),
    ("dcgm_reliability_violation",              f::RELIABILITY_VIOLATION),
    ("dcgm_fb_free",                            f::FB_FREE),
    ("dcgm_fb_used",                            f::FB_USED),
    ("dcgm_ecc_sbe_volatile_total",             f::ECC_SBE_VOL_TOTAL),
    ("dcgm_ecc_dbe_volatile_total",             f::ECC_DBE_VOL_TOTAL),
    ("dcgm_ecc_sbe_aggregate_total",            f::ECC_SBE_AGG_TOTAL),
    ("dcgm_ecc_dbe_aggregate_total",            f::ECC_DBE_AGG_TOTAL),
    ("dcgm_retired_pages_sbe",                  f::RETIRED_SBE),
    ("dcgm_retired_pages_dbe",                  f::RETIRED_DBE),
    ("dcgm_retired_pages_pending",              f::RETIRED_PENDING),
    ("dcgm_nvlink_flit_crc_error_count_total",  f::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL),
    ("dcgm_nvlink_data_crc_error_count_total",  f::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL),
    ("dcgm_nvlink_replay_error_count_total",    f::NVLINK_REPLAY_ERROR_COUNT_TOTAL),
    ("dcgm_nvlink_recovery_error_count_total",  f::NVLINK_RECOVERY_ERROR_COUNT_TOTAL),
    ("dcgm_nvlink_bandwidth_total",             f::NVLINK_BANDWIDTH_TOTAL),
    ("dcgm_fi_prof_gr_engine_active",           f::PROF_GR_ENGINE_ACTIVE),
    ("dcgm_fi_prof_sm_active",                  f::PROF_SM_ACTIVE),
    ("dcgm_fi_prof_sm_occupancy",               f::PROF_SM_OCCUPANCY),
    ("dcgm_fi_prof_pipe_tensor_active",         f::PROF_PIPE_TENSOR_ACTIVE),
    ("dcgm_fi_prof_dram_active",                f::PROF_DRAM_ACTIVE),
    ("dcgm_fi_prof_pcie_tx_bytes",              f::PROF_PCIE_TX_BYTES),
    ("dcgm_fi_prof_pcie_rx_bytes",              f::PROF_PCIE_RX_BYTES),
];

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_name_is_lower_case_and_leads_to_a_field() {
        for (name, id) in NAMES {
            assert_eq!(*name, name.to_ascii_lowercase());
            assert_eq!(crate::catalog::by_name(name).unwrap().id, *id);
        }
    }
}
