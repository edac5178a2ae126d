//! Which driver call answers which fields, and how raw numbers become readings.
//!
//! One row per call. Adding a field is adding a row here (and its conversion, if it has one).

use catalog::field;
use model::{FieldId, Reading, Reason, Value};
use nvml_wrapper_sys::bindings as sys;
use nvml_wrapper_sys::bindings::field_id as fi;

use crate::{Code, Device};

/// The readings of one call, in the order of its fields; the rest is unused.
pub(crate) type Answers = [Reading; 4];

const UNUSED: Reading = Err(Reason::NoData);

/// A call and the fields that it answers.
pub(crate) struct Getter {
    /// NVML's function.
    pub(crate) call: &'static str,
    pub(crate) fields: &'static [FieldId],
    pub(crate) read: fn(&Device) -> Result<Answers, Code>,
}

/// Every call that is not a field value, a GPM metric, an event or a PCIe sample.
pub(crate) static GETTERS: &[Getter] = &[
    Getter {
        call: "nvmlDeviceGetUtilizationRates",
        fields: &[field::GPU_UTIL, field::MEM_COPY_UTIL],
        read: |gpu| {
            let (kernel, memory) = gpu.utilization()?;
            Ok([percent(kernel), percent(memory), UNUSED, UNUSED])
        },
    },
    Getter {
        call: "nvmlDeviceGetEncoderUtilization",
        fields: &[field::ENC_UTIL],
        read: |gpu| one(percent(gpu.encoder_utilization()?)),
    },
    Getter {
        call: "nvmlDeviceGetDecoderUtilization",
        fields: &[field::DEC_UTIL],
        read: |gpu| one(percent(gpu.decoder_utilization()?)),
    },
    Getter {
        call: "nvmlDeviceGetMemoryInfo",
        fields: &[field::FB_TOTAL, field::FB_FREE, field::FB_USED, field::FB_RESERVED],
        read: |gpu| {
            let memory = gpu.memory()?;
            Ok([
                mebibytes(memory.total),
                mebibytes(memory.free),
                mebibytes(memory.used),
                memory.reserved.map_or(Err(Reason::NotSupported), mebibytes),
            ])
        },
    },
    Getter {
        call: "nvmlDeviceGetTemperature",
        fields: &[field::GPU_TEMP],
        read: |gpu| one(celsius(gpu.temperature()?)),
    },
    Getter {
        call: "nvmlDeviceGetTemperatureThreshold",
        fields: &[field::SLOWDOWN_TEMP],
        read: |gpu| one(celsius(gpu.slowdown_temperature()?)),
    },
    Getter {
        call: "nvmlDeviceGetPowerUsage",
        fields: &[field::POWER_USAGE],
        read: |gpu| one(watts(gpu.power_milliwatts()?)),
    },
    Getter {
        call: "nvmlDeviceGetClockInfo",
        fields: &[field::SM_CLOCK],
        read: |gpu| one(int32(gpu.clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_SM)?)),
    },
    Getter {
        call: "nvmlDeviceGetClockInfo",
        fields: &[field::MEM_CLOCK],
        read: |gpu| one(int32(gpu.clock_mhz(sys::nvmlClockType_enum_NVML_CLOCK_MEM)?)),
    },
    Getter {
        call: "nvmlDeviceGetCurrentClocksEventReasons",
        fields: &[field::CLOCK_THROTTLE_REASONS],
        read: |gpu| one(int(gpu.clock_event_reasons()?)),
    },
    Getter {
        call: "nvmlDeviceGetPcieReplayCounter",
        fields: &[field::PCIE_REPLAY_COUNTER],
        read: |gpu| one(int32(gpu.pcie_replays()?)),
    },
    Getter {
        call: "nvmlDeviceGetFanSpeed",
        fields: &[field::FAN_SPEED],
        read: |gpu| one(int32(gpu.fan_percent()?)),
    },
    Getter {
        call: "nvmlDeviceGetGridLicensableFeatures",
        fields: &[field::VGPU_LICENSE_STATUS],
        read: |gpu| one(gpu.vgpu_licensed()?.map_or(Err(Reason::NoData), int)),
    },
];

/// A field made from one or two entries of `nvmlDeviceGetFieldValues`.
pub(crate) struct FieldGetter {
    pub(crate) field: FieldId,
    pub(crate) entries: &'static [(u32, u32)],
    pub(crate) decode: Decode,
}

/// How entries become a reading.
#[derive(Clone, Copy)]
pub(crate) enum Decode {
    /// From the entry alone.
    One(fn(&sys::nvmlFieldValue_t) -> Reading),
    /// From the growth of the entries' sum since the last pass: (KiB, time in µs) to a rate.
    Rate(fn(kibibytes: u64, micros: u64) -> Reading),
}

/// Asks for a counter summed over all NVLinks of the GPU.
const ALL_LINKS: u32 = u32::MAX;

/// Every field that comes from `nvmlDeviceGetFieldValues`; all that are due go in one call.
pub(crate) static FIELD_GETTERS: &[FieldGetter] = &[
    FieldGetter {
        field: field::MEMORY_TEMP,
        entries: &[(fi::NVML_FI_DEV_MEMORY_TEMP, 0)],
        decode: Decode::One(|entry| celsius(unsigned_int(entry)?)),
    },
    FieldGetter {
        field: field::TOTAL_ENERGY_CONSUMPTION,
        entries: &[(fi::NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, 0)],
        decode: Decode::One(|entry| int(unsigned(entry)?)),
    },
    FieldGetter {
        field: field::ECC_SBE_VOL_TOTAL,
        entries: &[(fi::NVML_FI_DEV_ECC_SBE_VOL_TOTAL, 0)],
        decode: Decode::One(ecc_count),
    },
    FieldGetter {
        field: field::ECC_DBE_VOL_TOTAL,
        entries: &[(fi::NVML_FI_DEV_ECC_DBE_VOL_TOTAL, 0)],
        decode: Decode::One(ecc_count),
    },
    FieldGetter {
        field: field::UNCORRECTABLE_REMAPPED_ROWS,
        entries: &[(fi::NVML_FI_DEV_REMAPPED_UNC, 0)],
        decode: Decode::One(|entry| int(unsigned(entry)?)),
    },
    FieldGetter {
        field: field::CORRECTABLE_REMAPPED_ROWS,
        entries: &[(fi::NVML_FI_DEV_REMAPPED_COR, 0)],
        decode: Decode::One(|entry| int(unsigned(entry)?)),
    },
    FieldGetter {
        field: field::ROW_REMAP_FAILURE,
        entries: &[(fi::NVML_FI_DEV_REMAPPED_FAILURE, 0)],
        decode: Decode::One(|entry| int(unsigned(entry)?)),
    },
    FieldGetter {
        field: field::NVLINK_BANDWIDTH_TOTAL,
        entries: &[
            (fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_RX, ALL_LINKS),
            (fi::NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, ALL_LINKS),
        ],
        decode: Decode::Rate(nvlink_rate),
    },
];

/// What a GPM metric's number means.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum GpmUnit {
    /// Percent, 0 to 100.
    Percent,
    /// MiB per second.
    MebibytesPerSecond,
}

/// A profiling field and the GPM metric that it is.
pub(crate) struct GpmGetter {
    pub(crate) field: FieldId,
    pub(crate) metric: u32,
    pub(crate) unit: GpmUnit,
}

/// Every field that comes from GPM; all go in one call.
pub(crate) static GPM_GETTERS: &[GpmGetter] = &[
    gpm(field::PROF_GR_ENGINE_ACTIVE, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_GRAPHICS_UTIL),
    gpm(field::PROF_SM_ACTIVE, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_UTIL),
    gpm(field::PROF_SM_OCCUPANCY, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_SM_OCCUPANCY),
    gpm(field::PROF_PIPE_TENSOR_ACTIVE, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_ANY_TENSOR_UTIL),
    gpm(field::PROF_DRAM_ACTIVE, sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_DRAM_BW_UTIL),
    GpmGetter {
        field: field::PROF_PCIE_TX_BYTES,
        metric: sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_PCIE_TX_PER_SEC,
        unit: GpmUnit::MebibytesPerSecond,
    },
    GpmGetter {
        field: field::PROF_PCIE_RX_BYTES,
        metric: sys::nvmlGpmMetricId_t_NVML_GPM_METRIC_PCIE_RX_PER_SEC,
        unit: GpmUnit::MebibytesPerSecond,
    },
];

const fn gpm(field: FieldId, metric: u32) -> GpmGetter {
    GpmGetter { field, metric, unit: GpmUnit::Percent }
}

/// The fields of the reader that samples PCIe traffic: (field, NVML's counter).
pub(crate) static PCIE_GETTERS: &[(FieldId, u32)] = &[
    (field::PCIE_TX_THROUGHPUT, sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_TX_BYTES),
    (field::PCIE_RX_THROUGHPUT, sys::nvmlPcieUtilCounter_enum_NVML_PCIE_UTIL_RX_BYTES),
];

/// What serves `wanted` here: the name of the driver call, or `None` if nothing does.
pub fn served(wanted: FieldId) -> Option<&'static str> {
    let one_call = GETTERS.iter().find(|getter| getter.fields.contains(&wanted));
    if let Some(getter) = one_call {
        return Some(getter.call);
    }
    if FIELD_GETTERS.iter().any(|getter| getter.field == wanted) {
        return Some("nvmlDeviceGetFieldValues");
    }
    if GPM_GETTERS.iter().any(|getter| getter.field == wanted) {
        return Some("nvmlGpmMetricsGet");
    }
    if PCIE_GETTERS.iter().any(|(field, _)| *field == wanted) {
        return Some("nvmlDeviceGetPcieThroughput");
    }
    match wanted {
        field::DRIVER_VERSION => Some("nvmlSystemGetDriverVersion"),
        field::XID_ERRORS => Some("nvmlEventSetWait"),
        _ => None,
    }
}

fn one(reading: Reading) -> Result<Answers, Code> {
    Ok([reading, UNUSED, UNUSED, UNUSED])
}

/// A whole number as it is. One that no `i64` holds is nonsense, not a number.
fn int(raw: impl TryInto<i64>) -> Reading {
    raw.try_into().map(Value::Int).map_err(|_| Reason::Failed)
}

/// A 32-bit number as it is. All ones is how drivers say "not available".
pub(crate) fn int32(raw: u32) -> Reading {
    if raw == u32::MAX { Err(Reason::Failed) } else { int(raw) }
}

/// Percent as they are. Drivers have been seen to answer with values such as 808334905.
fn percent(raw: u32) -> Reading {
    if raw > 100 { Err(Reason::Failed) } else { int(raw) }
}

/// Degrees as they are; a sensor that is not there reads above 200.
fn celsius(raw: u32) -> Reading {
    if raw > 200 { Err(Reason::Failed) } else { int(raw) }
}

/// Milliwatts to watts.
fn watts(milliwatts: u32) -> Reading {
    int32(milliwatts)?;
    Ok(Value::Float(f64::from(milliwatts) / 1000.0))
}

/// Bytes to whole MiB, rounded down.
fn mebibytes(bytes: u64) -> Reading {
    int(bytes)?;
    int(bytes / (1024 * 1024))
}

/// KiB in a time to MB/s as DCGM counts them: thousands of KiB per second, rounded down.
fn nvlink_rate(kibibytes: u64, micros: u64) -> Reading {
    let per_second = u128::from(kibibytes) * 1_000_000 / u128::from(micros);
    int(per_second / 1000)
}

/// A GPM metric's number to the field's.
pub(crate) fn gpm_reading(value: f64, unit: GpmUnit) -> Reading {
    if !value.is_finite() {
        return Err(Reason::NoData);
    }
    match unit {
        GpmUnit::Percent => Ok(Value::Float(value / 100.0)),
        GpmUnit::MebibytesPerSecond => Ok(Value::Int((value * 1_048_576.0) as i64)),
    }
}

/// The entry's return code, as a reason. An entry that the driver left alone is not supported.
fn answered(entry: &sys::nvmlFieldValue_t) -> Result<(), Reason> {
    match entry.nvmlReturn {
        UNANSWERED => Err(Reason::NotSupported),
        // For a field value these say that this driver does not know the field.
        sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT => Err(Reason::NotSupported),
        code => Code::check(code).map_err(Code::reason),
    }
}

/// What an entry's return code is before the driver fills it in.
pub(crate) const UNANSWERED: u32 = u32::MAX;

/// An entry's number, by the type that the driver says it has.
pub(crate) fn unsigned(entry: &sys::nvmlFieldValue_t) -> Result<u64, Reason> {
    answered(entry)?;
    let value = entry.value;
    match entry.valueType {
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE => {
            // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
            let real = unsafe { value.dVal };
            if real.is_finite() && real >= 0.0 { Ok(real as u64) } else { Err(Reason::Failed) }
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT => {
            // SAFETY: as above.
            Ok(u64::from(unsafe { value.uiVal }))
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT => {
            // SAFETY: as above.
            Ok(u64::from(unsafe { value.usVal }))
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT => {
            // SAFETY: as above.
            u64::try_from(unsafe { value.siVal }).map_err(|_| Reason::Failed)
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG => {
            // SAFETY: as above.
            u64::try_from(unsafe { value.sllVal }).map_err(|_| Reason::Failed)
        }
        // SAFETY: as above.
        _ => Ok(unsafe { value.ullVal }),
    }
}

/// An entry's number, read as 32 bits whatever type the driver says: older ones mislabel it.
fn unsigned_int(entry: &sys::nvmlFieldValue_t) -> Result<u32, Reason> {
    answered(entry)?;
    let value = entry.value;
    // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
    Ok(unsafe { value.uiVal })
}

/// An ECC total. Drivers leave its type unset, and with ECC off the whole entry.
fn ecc_count(entry: &sys::nvmlFieldValue_t) -> Reading {
    answered(entry)?;
    let untyped = entry.valueType == sys::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE;
    if untyped && entry.timestamp == 0 && entry.latencyUsec == 0 {
        return Err(Reason::NotSupported);
    }
    if entry.valueType == sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT {
        return int(unsigned(entry)?);
    }
    let value = entry.value;
    // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
    int(unsafe { value.ullVal })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(kind: u32, set: impl FnOnce(&mut sys::nvmlValue_t)) -> sys::nvmlFieldValue_t {
        let mut entry = crate::device::ask(1, 0);
        entry.nvmlReturn = 0;
        entry.valueType = kind;
        set(&mut entry.value);
        entry
    }

    #[test]
    fn conversions_are_those_of_the_field_table() {
        assert_eq!(watts(299_999), Ok(Value::Float(299.999)));
        assert_eq!(mebibytes(85_520_809_983), Ok(Value::Int(81_558)));
        assert_eq!(gpm_reading(12.5, GpmUnit::Percent), Ok(Value::Float(0.125)));
        let rate = gpm_reading(1.5, GpmUnit::MebibytesPerSecond);
        assert_eq!(rate, Ok(Value::Int(1_572_864)));
        // 3,999,999 KiB in 2 s are 1,999,999.5 KiB/s: 1,999 thousands of them.
        assert_eq!(nvlink_rate(3_999_999, 2_000_000), Ok(Value::Int(1_999)));
    }

    #[test]
    fn nonsense_is_never_a_number() {
        assert_eq!(percent(808_334_905), Err(Reason::Failed));
        assert_eq!(celsius(255), Err(Reason::Failed));
        assert_eq!(gpm_reading(f64::NAN, GpmUnit::Percent), Err(Reason::NoData));
        assert_eq!(int(u64::MAX), Err(Reason::Failed));
        assert_eq!(int32(u32::MAX), Err(Reason::Failed));
        assert_eq!(watts(u32::MAX), Err(Reason::Failed));
        assert_eq!(mebibytes(u64::MAX), Err(Reason::Failed));
    }

    #[test]
    fn an_entry_is_read_by_its_type() {
        let short = entry(6, |value| value.usVal = 7);
        assert_eq!(unsigned(&short), Ok(7));
        let double = entry(0, |value| value.dVal = 3.0);
        assert_eq!(unsigned(&double), Ok(3));
        let negative = entry(5, |value| value.siVal = -1);
        assert_eq!(unsigned(&negative), Err(Reason::Failed));
        assert_eq!(unsigned(&crate::device::ask(1, 0)), Err(Reason::NotSupported));
    }

    #[test]
    fn ecc_totals_survive_a_missing_type() {
        let mut untyped = entry(0, |value| value.ullVal = 12);
        untyped.latencyUsec = 3;
        assert_eq!(ecc_count(&untyped), Ok(Value::Int(12)));
        let unfilled = entry(0, |value| value.ullVal = 0);
        assert_eq!(ecc_count(&unfilled), Err(Reason::NotSupported));
    }

    #[test]
    fn every_field_is_answered_by_one_call_only() {
        let mut fields: Vec<FieldId> = GETTERS.iter().flat_map(|g| g.fields).copied().collect();
        fields.extend(FIELD_GETTERS.iter().map(|g| g.field));
        fields.extend(GPM_GETTERS.iter().map(|g| g.field));
        fields.extend(PCIE_GETTERS.iter().map(|(field, _)| *field));
        let mut unique = fields.clone();
        unique.sort();
        unique.dedup();
        assert_eq!(unique.len(), fields.len());
        assert!(fields.iter().all(|field| catalog::by_id(*field).is_some()));
        assert!(GETTERS.iter().all(|getter| getter.fields.len() <= 4));
    }
}
