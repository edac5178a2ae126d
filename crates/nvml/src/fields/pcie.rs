//! The PCIe link of a GPU.

use model::field;
use nvml_wrapper_sys::bindings as sys;

use crate::code::Code;
use crate::convert::int32;
use crate::device::Device;
use crate::entry;
use crate::row::{Call, Row, field_value, number, row};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    number!(nvmlDeviceGetPcieReplayCounter, PCIE_REPLAY_COUNTER, int32),
    number!(nvmlDeviceGetMaxPcieLinkGeneration, PCIE_MAX_LINK_GEN, int32),
    number!(nvmlDeviceGetMaxPcieLinkWidth, PCIE_MAX_LINK_WIDTH, int32),
    number!(nvmlDeviceGetCurrPcieLinkGeneration, PCIE_LINK_GEN, int32),
    number!(nvmlDeviceGetCurrPcieLinkWidth, PCIE_LINK_WIDTH, int32),
    field_value!(NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS, PCIE_COUNT_CORRECTABLE_ERRORS, entry::count),
    row(&[field::PCIE_TX_THROUGHPUT], Call::PcieThroughput(sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES)),
    row(&[field::PCIE_RX_THROUGHPUT], Call::PcieThroughput(sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES)),
];

/// PCIe traffic of the last 20 ms, KB/s. Takes those 20 ms.
pub(crate) fn throughput(gpu: &Device, direction: sys::nvmlPcieUtilCounter_t) -> Result<u32, Code> {
    gpu.number_of(direction, |nvml| &nvml.nvmlDeviceGetPcieThroughput)
}
