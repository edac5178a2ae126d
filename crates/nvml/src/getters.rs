//! The table of the driver's calls: which call answers which fields, and how.
//!
//! One row per call. Adding a field is adding a row here (and its conversion, if it has one).

use model::catalog::Level;
use model::{FieldId, Reading, Reason, Value, field};
use nvml_wrapper_sys::bindings as sys;

use crate::convert::{
    celsius, fabric_error, fabric_status, hertz, in_fabric, int, int32, link_status, margin,
    mebibytes, megahertz, percent, performance_state, ratio, text, unrepairable, used_ratio, uuid,
    watts, whole_watts,
};
use crate::{Code, Device};

/// The readings of one call, in the order of its fields.
pub(crate) type Answers = Vec<Reading>;

/// Makes a call.
pub(crate) type Read = fn(&Device, &mut Answers) -> Result<(), Code>;

/// A call and the fields that it answers.
pub(crate) struct Getter {
    /// NVML's function.
    pub(crate) call: &'static str,
    pub(crate) fields: &'static [FieldId],
    pub(crate) read: Read,
}

impl Getter {
    /// Whether instances of a partitioned GPU answer it too.
    pub(crate) fn is_for_instances(&self) -> bool {
        self.fields.iter().all(|field| is_of_instances(*field))
    }
}

/// Whether a field exists for instances of a partitioned GPU.
pub(crate) fn is_of_instances(field: FieldId) -> bool {
    model::catalog::by_id(field)
        .is_some_and(|row| matches!(row.level, Level::GpuInstance | Level::ComputeInstance))
}

/// A call that answers one field.
macro_rules! one {
    ($call:literal, $field:ident, |$gpu:ident| $reading:expr) => {
        Getter {
            call: $call,
            fields: &[field::$field],
            read: |$gpu, answers| {
                answers.push($reading);
                Ok(())
            },
        }
    };
}

/// A call that answers several.
macro_rules! many {
    ($call:literal, [$($field:ident),+ $(,)?], |$gpu:ident| $readings:expr) => {
        Getter {
            call: $call,
            fields: &[$(field::$field),+],
            read: |$gpu, answers| {
                answers.extend($readings);
                Ok(())
            },
        }
    };
}

/// Every call that is not a field value, a GPM metric, an error counter of a link, an event or a
/// PCIe sample.
#[rustfmt::skip]
pub(crate) static GETTERS: &[Getter] = &[
    // What the GPU is.
    one!("nvmlDeviceGetName", NAME, |gpu| text(gpu.name()?)),
    one!("nvmlDeviceGetBrand", BRAND, |gpu| text(gpu.brand()?)),
    one!("nvmlDeviceGetSerial", SERIAL, |gpu| text(gpu.serial()?)),
    one!("nvmlDeviceGetUUID", UUID, |gpu| text(gpu.uuid()?)),
    one!("nvmlDeviceGetMinorNumber", MINOR_NUMBER, |gpu| int32(gpu.minor_number()?)),
    one!("nvmlDeviceGetPciInfo", PCI_BUSID, |gpu| text(gpu.pci_bus_id()?)),
    one!("nvmlDeviceGetVbiosVersion", VBIOS_VERSION, |gpu| text(gpu.vbios_version()?)),
    one!("nvmlDeviceGetInforomVersion", OEM_INFOROM_VER,
        |gpu| text(gpu.inforom_version(sys::nvmlInforomObject_enum_NVML_INFOROM_OEM)?)),
    one!("nvmlDeviceGetInforomVersion", ECC_INFOROM_VER,
        |gpu| text(gpu.inforom_version(sys::nvmlInforomObject_enum_NVML_INFOROM_ECC)?)),
    one!("nvmlDeviceGetInforomVersion", POWER_INFOROM_VER,
        |gpu| text(gpu.inforom_version(sys::nvmlInforomObject_enum_NVML_INFOROM_POWER)?)),
    one!("nvmlDeviceGetInforomImageVersion", INFOROM_IMAGE_VER,
        |gpu| text(gpu.inforom_image_version()?)),
    one!("nvmlGpmQueryDeviceSupport", GPM_SUPPORT, |gpu| int(gpu.gpm_supported()?)),

    // How busy it is.
    many!("nvmlDeviceGetUtilizationRates",
        [GPU_UTIL, MEM_COPY_UTIL, GPU_UTIL_RATIO, MEMORY_UTIL_RATIO], |gpu| {
            let (kernel, memory) = gpu.utilization()?;
            [percent(kernel), percent(memory), ratio(kernel), ratio(memory)]
        }),
    many!("nvmlDeviceGetEncoderUtilization", [ENC_UTIL, ENC_UTIL_RATIO], |gpu| {
        let busy = gpu.encoder_utilization()?;
        [percent(busy), ratio(busy)]
    }),
    many!("nvmlDeviceGetDecoderUtilization", [DEC_UTIL, DEC_UTIL_RATIO], |gpu| {
        let busy = gpu.decoder_utilization()?;
        [percent(busy), ratio(busy)]
    }),

    // Memory.
    many!("nvmlDeviceGetMemoryInfo",
        [FB_TOTAL, FB_FREE, FB_USED, FB_RESERVED, FB_USED_PERCENT,
         FB_CAPACITY_BYTES, FB_FREE_BYTES, FB_USED_BYTES, FB_RESERVED_BYTES], |gpu| {
            let memory = gpu.memory()?;
            let reserved = memory.reserved.ok_or(Reason::NotSupported);
            [
                mebibytes(memory.total), mebibytes(memory.free), mebibytes(memory.used),
                reserved.and_then(mebibytes), used_ratio(&memory),
                int(memory.total), int(memory.free), int(memory.used), reserved.and_then(int),
            ]
        }),
    many!("nvmlDeviceGetBAR1MemoryInfo", [BAR1_TOTAL, BAR1_USED, BAR1_FREE], |gpu| {
        let (total, used, free) = gpu.bar1()?;
        [mebibytes(total), mebibytes(used), mebibytes(free)]
    }),

    // Heat.
    one!("nvmlDeviceGetTemperature", GPU_TEMP, |gpu| celsius(gpu.temperature()?)),
    one!("nvmlDeviceGetMarginTemperature", GPU_TEMP_LIMIT, |gpu| margin(gpu.temperature_margin()?)),
    one!("nvmlDeviceGetTemperatureThreshold", MEM_MAX_OP_TEMP, |gpu| celsius(gpu.temperature_threshold(
        sys::nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_MEM_MAX)?)),
    one!("nvmlDeviceGetTemperatureThreshold", GPU_MAX_OP_TEMP, |gpu| celsius(gpu.temperature_threshold(
        sys::nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_GPU_MAX)?)),
    one!("nvmlDeviceGetTemperatureThreshold", SLOWDOWN_TEMP, |gpu| celsius(gpu.temperature_threshold(
        sys::nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SLOWDOWN)?)),
    one!("nvmlDeviceGetTemperatureThreshold", SHUTDOWN_TEMP, |gpu| celsius(gpu.temperature_threshold(
        sys::nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SHUTDOWN)?)),
    one!("nvmlDeviceGetFanSpeed", FAN_SPEED, |gpu| int32(gpu.fan_percent()?)),

    // Power.
    one!("nvmlDeviceGetPowerUsage", POWER_USAGE, |gpu| watts(gpu.power_milliwatts()?)),
    one!("nvmlDeviceGetPowerManagementLimit", POWER_MGMT_LIMIT, |gpu| whole_watts(gpu.power_limit()?)),
    many!("nvmlDeviceGetPowerManagementLimitConstraints",
        [POWER_MGMT_LIMIT_MIN, POWER_MGMT_LIMIT_MAX], |gpu| {
            let (lowest, highest) = gpu.power_limit_range()?;
            [whole_watts(lowest), whole_watts(highest)]
        }),
    one!("nvmlDeviceGetPowerManagementDefaultLimit", POWER_MGMT_LIMIT_DEF,
        |gpu| whole_watts(gpu.default_power_limit()?)),
    one!("nvmlDeviceGetEnforcedPowerLimit", ENFORCED_POWER_LIMIT,
        |gpu| whole_watts(gpu.enforced_power_limit()?)),

    // Clocks.
    many!("nvmlDeviceGetClockInfo", [SM_CLOCK, SM_CLOCK_HERTZ], |gpu| {
        let clock = gpu.clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_SM)?;
        [megahertz(clock), hertz(clock)]
    }),
    many!("nvmlDeviceGetClockInfo", [MEM_CLOCK, MEMORY_CLOCK_HERTZ], |gpu| {
        let clock = gpu.clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_MEM)?;
        [megahertz(clock), hertz(clock)]
    }),
    one!("nvmlDeviceGetClockInfo", VIDEO_CLOCK,
        |gpu| megahertz(gpu.clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_VIDEO)?)),
    one!("nvmlDeviceGetApplicationsClock", APP_SM_CLOCK,
        |gpu| megahertz(gpu.application_clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_GRAPHICS)?)),
    one!("nvmlDeviceGetApplicationsClock", APP_MEM_CLOCK,
        |gpu| megahertz(gpu.application_clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_MEM)?)),
    one!("nvmlDeviceGetMaxClockInfo", MAX_SM_CLOCK,
        |gpu| megahertz(gpu.max_clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_SM)?)),
    one!("nvmlDeviceGetMaxClockInfo", MAX_MEM_CLOCK,
        |gpu| megahertz(gpu.max_clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_MEM)?)),
    one!("nvmlDeviceGetMaxClockInfo", MAX_VIDEO_CLOCK,
        |gpu| megahertz(gpu.max_clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_VIDEO)?)),
    one!("nvmlDeviceGetMinMaxClockOfPState", MAX_SM_CLOCK_OF_PSTATE,
        |gpu| megahertz(gpu.max_sm_clock_now()?)),
    one!("nvmlDeviceGetPerformanceState", PSTATE, |gpu| performance_state(gpu.performance_state()?)),
    one!("nvmlDeviceGetCurrentClocksEventReasons", CLOCKS_EVENT_REASONS,
        |gpu| int(gpu.clock_event_reasons()?)),

    // PCIe.
    one!("nvmlDeviceGetPcieReplayCounter", PCIE_REPLAY_COUNTER, |gpu| int32(gpu.pcie_replays()?)),
    one!("nvmlDeviceGetMaxPcieLinkGeneration", PCIE_MAX_LINK_GEN, |gpu| int32(gpu.max_pcie_generation()?)),
    one!("nvmlDeviceGetMaxPcieLinkWidth", PCIE_MAX_LINK_WIDTH, |gpu| int32(gpu.max_pcie_width()?)),
    one!("nvmlDeviceGetCurrPcieLinkGeneration", PCIE_LINK_GEN, |gpu| int32(gpu.pcie_generation()?)),
    one!("nvmlDeviceGetCurrPcieLinkWidth", PCIE_LINK_WIDTH, |gpu| int32(gpu.pcie_width()?)),

    // What is wrong with it.
    one!("nvmlDeviceGetSramEccErrorStatus", THRESHOLD_SRM, |gpu| int(gpu.sram_threshold_exceeded()?)),
    many!("nvmlDeviceGetRowRemapperHistogram",
        [BANKS_REMAP_ROWS_AVAIL_MAX, BANKS_REMAP_ROWS_AVAIL_HIGH, BANKS_REMAP_ROWS_AVAIL_PARTIAL,
         BANKS_REMAP_ROWS_AVAIL_LOW, BANKS_REMAP_ROWS_AVAIL_NONE],
        |gpu| gpu.remap_histogram()?.map(int32)),
    one!("nvmlDeviceGetRetiredPages", RETIRED_SBE, |gpu| int32(gpu.pages_retired_for_single_bits()?)),
    one!("nvmlDeviceGetUnrepairableMemoryFlag_v1", MEMORY_UNREPAIRABLE_FLAG,
        |gpu| unrepairable(gpu.unrepairable_memory()?)),

    // Fabric and licence.
    many!("nvmlDeviceGetGpuFabricInfoV",
        [FABRIC_MANAGER_STATUS, FABRIC_MANAGER_ERROR_CODE, FABRIC_CLUSTER_UUID, FABRIC_CLIQUE_ID,
         FABRIC_HEALTH_MASK, FABRIC_HEALTH_SUMMARY], |gpu| {
            let fabric = gpu.fabric()?;
            let known = |health: Option<u32>| health.map_or(Err(Reason::NotSupported), int32);
            [
                fabric_status(&fabric),
                fabric_error(&fabric),
                in_fabric(&fabric, || Ok(Value::Text(uuid(&fabric.cluster).into()))),
                in_fabric(&fabric, || int32(fabric.clique)),
                in_fabric(&fabric, || known(fabric.health_mask)),
                in_fabric(&fabric, || known(fabric.health_summary.map(u32::from))),
            ]
        }),
    one!("nvmlDeviceGetGridLicensableFeatures", VGPU_LICENSE_STATUS,
        |gpu| gpu.vgpu_licensed()?.map_or(Err(Reason::NoData), int)),
];

/// A field that is an error counter of one NVLink.
#[derive(Clone, Copy)]
pub(crate) struct LinkErrors {
    pub(crate) field: FieldId,
    /// Which link; `None` in rows for the link that the reading is of.
    pub(crate) link: Option<u32>,
    pub(crate) counter: sys::nvmlNvLinkErrorCounter_t,
}

/// NVML's function for them.
pub(crate) const LINK_ERRORS_CALL: &str = "nvmlDeviceGetNvLinkErrorCounter";

/// The kinds of errors, in the order of the field numbers.
const LINK_ERROR_KINDS: [sys::nvmlNvLinkErrorCounter_t; 4] = [
    sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_CRC_FLIT,
    sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_CRC_DATA,
    sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_REPLAY,
    sys::nvmlNvLinkErrorCounter_enum_NVML_NVLINK_ERROR_DL_RECOVERY,
];

/// The fields of links 12 and 15, by kind; the two links after each have the next numbers.
const LINK_ERROR_FIELDS: [[u16; 2]; 4] = [[406, 481], [416, 484], [426, 487], [436, 491]];

/// Errors of links 12 to 17, which are fields of the GPU.
pub(crate) static LINK_ERRORS: [LinkErrors; 24] = {
    let none = LinkErrors { field: FieldId(0), link: None, counter: 0 };
    let mut rows = [none; 24];
    let mut row = 0;
    while row < rows.len() {
        let (kind, place) = (row / 6, row % 6);
        rows[row] = LinkErrors {
            field: FieldId(LINK_ERROR_FIELDS[kind][place / 3] + (place % 3) as u16),
            link: Some(12 + place as u32),
            counter: LINK_ERROR_KINDS[kind],
        };
        row += 1;
    }
    rows
};

/// Errors of any link, which are fields of the link.
pub(crate) static ERRORS_OF_LINK: [LinkErrors; 4] = {
    let none = LinkErrors { field: FieldId(0), link: None, counter: 0 };
    let mut rows = [none; 4];
    let mut row = 0;
    while row < rows.len() {
        let field = FieldId(1525 + row as u16);
        rows[row] = LinkErrors { field, link: None, counter: LINK_ERROR_KINDS[row] };
        row += 1;
    }
    rows
};

/// The fields of the reader that samples PCIe traffic: (field, NVML's counter).
pub(crate) static PCIE_GETTERS: &[(FieldId, u32)] = &[
    (field::PCIE_TX_THROUGHPUT, sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES),
    (field::PCIE_RX_THROUGHPUT, sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES),
];

/// The state of the way from one GPU to another.
pub(crate) fn way(gpu: &Device, peer: &Device) -> Result<Reading, Code> {
    Ok(link_status(gpu.link_status_to(peer)?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn error_counters_of_links_have_the_numbers_of_the_field_table() {
        let name = |field| model::catalog::by_id(field).map_or("", |row| row.name);
        let kinds = ["CRC_FLIT", "CRC_DATA", "REPLAY", "RECOVERY"];
        for (place, row) in LINK_ERRORS.iter().enumerate() {
            let (kind, link) = (kinds[place / 6], 12 + place % 6);
            let expected = format!("DCGM_FI_DEV_NVLINK_{kind}_ERROR_COUNT_L{link}");
            assert_eq!(name(row.field), expected);
            assert_eq!(row.link, Some(link as u32));
        }
        for (row, kind) in ERRORS_OF_LINK.iter().zip(kinds) {
            let expected = format!("DCGM_FI_DEV_NVLINK_{kind}_ERROR_PER_LINK_TOTAL");
            assert_eq!(name(row.field), expected);
        }
    }

    #[test]
    fn instances_have_memory_and_names() {
        let calls: Vec<&str> =
            GETTERS.iter().filter(|getter| getter.is_for_instances()).map(|g| g.call).collect();
        assert_eq!(
            calls,
            [
                "nvmlDeviceGetName",
                "nvmlDeviceGetUUID",
                "nvmlDeviceGetMemoryInfo",
                "nvmlDeviceGetBAR1MemoryInfo"
            ]
        );
    }
}
