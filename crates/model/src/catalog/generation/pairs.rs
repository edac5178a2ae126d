//! One row per name that 4.9 changed, in the order of the default set.

use crate::{FieldId, field as f};

/// What one row of the default set is called before and from 4.9 on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pair {
    /// Up to 4.8.
    pub v4_8: Name,
    /// From 4.9 on.
    pub v4_9: Name,
    /// What it is, in the words of the built-in sets, where the unit is not the same.
    pub help: Option<Help>,
}

/// A name and the field that it leads to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Name {
    /// The name of the family, or of the label.
    pub name: &'static str,
    /// What is read for it.
    pub field: FieldId,
}

/// The help texts of two units.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Help {
    /// In the unit of 4.8.
    pub v4_8: &'static str,
    /// In the unit of 4.9.
    pub v4_9: &'static str,
}

impl Pair {
    /// Whether one of the two has this name.
    pub fn has(&self, name: &str) -> bool {
        self.v4_8.name == name || self.v4_9.name == name
    }

    /// With another unit from 4.9 on.
    const fn said(self, v4_8: &'static str, v4_9: &'static str) -> Self {
        Self { help: Some(Help { v4_8, v4_9 }), ..self }
    }
}

const fn pair(
    before: &'static str,
    field_before: FieldId,
    after: &'static str,
    field_after: FieldId,
) -> Pair {
    let v4_8 = Name { name: before, field: field_before };
    let v4_9 = Name { name: after, field: field_after };
    Pair { v4_8, v4_9, help: None }
}

const fn alias(before: &'static str, after: &'static str, field: FieldId) -> Pair {
    pair(before, field, after, field)
}

/// All 23.
#[rustfmt::skip]
pub static PAIRS: [Pair; 23] = [
    pair("DCGM_FI_DEV_SM_CLOCK", f::SM_CLOCK, "DCGM_FI_DEV_SM_CLOCK_HERTZ", f::SM_CLOCK_HERTZ)
        .said("SM clock, in MHz", "SM clock, in Hz"),
    pair("DCGM_FI_DEV_MEM_CLOCK", f::MEM_CLOCK, "DCGM_FI_DEV_MEMORY_CLOCK_HERTZ", f::MEMORY_CLOCK_HERTZ)
        .said("Memory clock, in MHz", "Memory clock, in Hz"),
    alias("DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_DEV_MEMORY_TEMP_CELSIUS", f::MEMORY_TEMP),
    alias("DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_GPU_TEMP_CELSIUS", f::GPU_TEMP),
    alias("DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_BOARD_POWER_WATTS", f::POWER_USAGE),
    pair("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION", f::TOTAL_ENERGY_CONSUMPTION, "DCGM_FI_DEV_GPU_ENERGY_JOULES_TOTAL", f::GPU_ENERGY_JOULES_TOTAL)
        .said("Energy used since the driver was loaded, in millijoules", "Energy used since the driver was loaded, in joules"),
    alias("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "DCGM_FI_DEV_PCIE_REPLAY_TOTAL", f::PCIE_REPLAY_COUNTER),
    pair("DCGM_FI_DEV_GPU_UTIL", f::GPU_UTIL, "DCGM_FI_DEV_GPU_UTIL_RATIO", f::GPU_UTIL_RATIO)
        .said("Share of time in which at least one kernel ran, in percent", "Share of time in which at least one kernel ran, as a ratio"),
    pair("DCGM_FI_DEV_MEM_COPY_UTIL", f::MEM_COPY_UTIL, "DCGM_FI_DEV_MEMORY_UTIL_RATIO", f::MEMORY_UTIL_RATIO)
        .said("Share of time in which memory was read or written, in percent", "Share of time in which memory was read or written, as a ratio"),
    pair("DCGM_FI_DEV_ENC_UTIL", f::ENC_UTIL, "DCGM_FI_DEV_ENC_UTIL_RATIO", f::ENC_UTIL_RATIO)
        .said("Video encoder utilisation, in percent", "Video encoder utilisation, as a ratio"),
    pair("DCGM_FI_DEV_DEC_UTIL", f::DEC_UTIL, "DCGM_FI_DEV_DEC_UTIL_RATIO", f::DEC_UTIL_RATIO)
        .said("Video decoder utilisation, in percent", "Video decoder utilisation, as a ratio"),
    alias("DCGM_FI_DEV_XID_ERRORS", "DCGM_FI_DEV_XID_ERROR", f::XID_ERRORS),
    pair("DCGM_FI_DEV_FB_FREE", f::FB_FREE, "DCGM_FI_DEV_FB_FREE_BYTES", f::FB_FREE_BYTES)
        .said("Framebuffer memory left, in MiB", "Framebuffer memory left, in bytes"),
    pair("DCGM_FI_DEV_FB_USED", f::FB_USED, "DCGM_FI_DEV_FB_USED_BYTES", f::FB_USED_BYTES)
        .said("Framebuffer memory in use, in MiB", "Framebuffer memory in use, in bytes"),
    pair("DCGM_FI_DEV_FB_RESERVED", f::FB_RESERVED, "DCGM_FI_DEV_FB_RESERVED_BYTES", f::FB_RESERVED_BYTES)
        .said("Framebuffer memory kept by the driver, in MiB", "Framebuffer memory kept by the driver, in bytes"),
    pair("DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", f::NVLINK_BANDWIDTH_TOTAL, "DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", f::NVLINK_THROUGHPUT_BYTES_PER_SECOND)
        .said("NVLink traffic of all links, both ways, in units of 1000 KiB per second", "NVLink traffic of all links, both ways, in bytes per second"),
    alias("DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_UNCORRECTABLE_TOTAL", f::UNCORRECTABLE_REMAPPED_ROWS),
    alias("DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", "DCGM_FI_DEV_ROW_REMAP_CORRECTABLE_TOTAL", f::CORRECTABLE_REMAPPED_ROWS),
    alias("DCGM_FI_DEV_ROW_REMAP_FAILURE", "DCGM_FI_DEV_ROW_REMAP_FAILED", f::ROW_REMAP_FAILURE),
    alias("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "DCGM_FI_PROF_GR_ENGINE_UTIL_RATIO", f::PROF_GR_ENGINE_ACTIVE),
    alias("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "DCGM_FI_PROF_TENSOR_UTIL_RATIO", f::PROF_PIPE_TENSOR_ACTIVE),
    alias("DCGM_FI_PROF_DRAM_ACTIVE", "DCGM_FI_PROF_DRAM_UTIL_RATIO", f::PROF_DRAM_ACTIVE),
    alias("DCGM_FI_DRIVER_VERSION", "DCGM_FI_SYSTEM_DRIVER_VERSION", f::DRIVER_VERSION),
];
