//! The PCIe link of a GPU.

use model::{FieldId, Reading, field};
use nvml_wrapper_sys::bindings as sys;

use crate::code::Code;
use crate::convert::int32;
use crate::device::Device;
use crate::entry;
use crate::row::{Call, OrdinaryCall, Read, Row, field_value, number, row};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    number!(nvmlDeviceGetPcieReplayCounter, PCIE_REPLAY_COUNTER, int32),
    number!(nvmlDeviceGetMaxPcieLinkGeneration, PCIE_MAX_LINK_GEN, int32),
    number!(nvmlDeviceGetMaxPcieLinkWidth, PCIE_MAX_LINK_WIDTH, int32),
    number!(nvmlDeviceGetCurrPcieLinkGeneration, PCIE_LINK_GEN, int32),
    number!(nvmlDeviceGetCurrPcieLinkWidth, PCIE_LINK_WIDTH, int32),
    field_value!(NVML_FI_DEV_PCIE_COUNT_CORRECTABLE_ERRORS, PCIE_COUNT_CORRECTABLE_ERRORS, entry::count),
    throughput(&[field::PCIE_TX_THROUGHPUT], |gpu| {
        gpu.number_of(sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES, |nvml| &nvml.nvmlDeviceGetPcieThroughput).map(int32)
    }),
    throughput(&[field::PCIE_RX_THROUGHPUT], |gpu| {
        gpu.number_of(sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES, |nvml| &nvml.nvmlDeviceGetPcieThroughput).map(int32)
    }),
];

/// PCIe traffic of the last 20 ms in one direction, KB/s. The call takes those 20 ms.
const fn throughput(field: &'static [FieldId], read: fn(&Device) -> Result<Reading, Code>) -> Row {
    let name = "nvmlDeviceGetPcieThroughput";
    row(field, Call::Pcie(OrdinaryCall { name, read: Read::One(read) }))
}
