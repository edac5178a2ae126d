//! Temperatures and fans.

use model::{Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::call::{function, version};
use crate::code::Code;
use crate::convert::{int, int32};
use crate::device::Device;
use crate::entry::{self, Entry};
use crate::row::{Row, field_value, number, one};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    one!(nvmlDeviceGetTemperature, GPU_TEMP, |gpu| temperature(gpu).map(celsius)),
    one!(nvmlDeviceGetMarginTemperature, GPU_TEMP_LIMIT, |gpu| temperature_margin(gpu).map(margin)),
    number!(
        nvmlDeviceGetTemperatureThreshold(nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_MEM_MAX),
        MEM_MAX_OP_TEMP, celsius
    ),
    number!(
        nvmlDeviceGetTemperatureThreshold(nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_GPU_MAX),
        GPU_MAX_OP_TEMP, celsius
    ),
    number!(
        nvmlDeviceGetTemperatureThreshold(nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SLOWDOWN),
        SLOWDOWN_TEMP, celsius
    ),
    number!(
        nvmlDeviceGetTemperatureThreshold(nvmlTemperatureThresholds_enum_NVML_TEMPERATURE_THRESHOLD_SHUTDOWN),
        SHUTDOWN_TEMP, celsius
    ),
    number!(nvmlDeviceGetFanSpeed, FAN_SPEED, int32),
    field_value!(NVML_FI_DEV_MEMORY_TEMP, MEMORY_TEMP, entry_celsius),
];

/// A temperature above it is a sensor that is not there.
const HOTTEST_CELSIUS: u32 = 200;

/// Core temperature, °C.
pub(crate) fn temperature(gpu: &Device) -> Result<u32, Code> {
    let sensor = sys::nvmlTemperatureSensors_enum_NVML_TEMPERATURE_GPU;
    gpu.number_of(sensor, |nvml| &nvml.nvmlDeviceGetTemperature)
}

/// Degrees left to the nearest slowdown; below zero past it.
fn temperature_margin(gpu: &Device) -> Result<i32, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetMarginTemperature)?;
    let version = version::<sys::nvmlMarginTemperature_v1_t>(1);
    let mut margin = sys::nvmlMarginTemperature_v1_t { version, marginTemperature: 0 };
    // SAFETY: the call writes one struct of the version that it carries, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut margin) })?;
    Ok(margin.marginTemperature)
}

/// Degrees as they are.
fn celsius(raw: u32) -> Reading {
    if raw > HOTTEST_CELSIUS { Err(Reason::Implausible) } else { int(raw) }
}

/// Degrees of a field value.
fn entry_celsius(entry: &Entry) -> Reading {
    celsius(entry::unsigned_int(entry)?)
}

/// Degrees left to a threshold, which may be past.
fn margin(raw: i32) -> Reading {
    if raw.unsigned_abs() > HOTTEST_CELSIUS { Err(Reason::Implausible) } else { int(raw) }
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    #[test]
    fn a_temperature_is_plausible() {
        assert_eq!(celsius(83), Ok(Value::Int(83)));
        assert_eq!(margin(-3), Ok(Value::Int(-3)));
        assert_eq!(entry_celsius(&entry::answer(0, |value| value.uiVal = 66)), Ok(Value::Int(66)));
        let hot = entry::answer(1, |value| value.uiVal = 201);
        assert_eq!(entry_celsius(&hot), Err(Reason::Implausible));
        for reading in [celsius(255), celsius(201), margin(-201), margin(i32::MIN)] {
            assert_eq!(reading, Err(Reason::Implausible));
        }
    }
}
