//! What is counted on a GPU: one row per count whose increase is a sign.

use super::input::Input;
use crate::sign::SignKind;

/// A count of a GPU.
pub(crate) struct GpuCounter {
    /// The sign that its increase is.
    pub(crate) kind: SignKind,
    /// Where it is read.
    pub(crate) input: Input,
    /// From which increase on it is a sign.
    pub(crate) least: f64,
    /// What was counted: one, and several.
    pub(crate) names: (&'static str, &'static str),
}

/// All of them.
#[rustfmt::skip]
pub(crate) static GPU_COUNTERS: [GpuCounter; 4] = [
    GpuCounter { kind: SignKind::EccUncorrected, input: Input::EccUncorrected, least: 1.0,  names: ("uncorrected memory error", "uncorrected memory errors") },
    GpuCounter { kind: SignKind::EccCorrected,   input: Input::EccCorrected,   least: 10.0, names: ("corrected memory error", "corrected memory errors") },
    GpuCounter { kind: SignKind::PcieDegraded,   input: Input::PcieReplays,    least: 10.0, names: ("packet sent again on PCIe", "packets sent again on PCIe") },
    GpuCounter { kind: SignKind::NvlinkErrors,   input: Input::NvlinkErrors,   least: 10.0, names: ("error on NVLinks", "errors on NVLinks") },
];
