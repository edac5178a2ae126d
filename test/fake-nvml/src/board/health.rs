//! What wears out: ECC, rows and pages of memory.

use serde::Deserialize;

/// ECC mode, 0 or 1.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Ecc {
    pub current: u32,
    pub pending: u32,
}

/// Errors in the SRAM, as `nvmlEccSramErrorStatus_v1_t` has them; what is left out is 0.
#[derive(Deserialize, Clone, Copy, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct SramEcc {
    pub aggregate_parity: u64,
    pub aggregate_sec_ded: u64,
    pub aggregate_corrected: u64,
    pub volatile_parity: u64,
    pub volatile_sec_ded: u64,
    pub volatile_corrected: u64,
    pub l2: u64,
    pub sm: u64,
    pub pcie: u64,
    pub mcu: u64,
    pub other: u64,
    pub threshold_exceeded: u32,
}

/// How many banks have how many spare rows left.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RowHistogram {
    pub max: u32,
    pub high: u32,
    pub partial: u32,
    pub low: u32,
    pub none: u32,
}

/// What `nvmlDeviceGetRemappedRows` answers; field values 142 to 145 are listed apart.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct RemappedRows {
    pub corrected: u32,
    pub uncorrected: u32,
    pub pending: u32,
    pub failed: u32,
}

/// Addresses of retired pages, by cause.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RetiredPages {
    pub single_bit: Vec<u64>,
    pub double_bit: Vec<u64>,
}
