//! Power and energy.

use model::{Quantity, Reading, Reason, Value};
use nvml_wrapper_sys::bindings as sys;

use crate::convert::int;
use crate::entry::{self, Entry};
use crate::row::{Row, field_value, many, number, samples};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    number!(nvmlDeviceGetPowerUsage, POWER_USAGE, watts),
    number!(nvmlDeviceGetPowerManagementLimit, POWER_MGMT_LIMIT, whole_watts),
    many!(nvmlDeviceGetPowerManagementLimitConstraints,
        [POWER_MGMT_LIMIT_MIN, POWER_MGMT_LIMIT_MAX], |gpu| {
            let (lowest, highest) =
                gpu.pair(|nvml| &nvml.nvmlDeviceGetPowerManagementLimitConstraints)?;
            [whole_watts(lowest), whole_watts(highest)]
        }),
    number!(nvmlDeviceGetPowerManagementDefaultLimit, POWER_MGMT_LIMIT_DEF, whole_watts),
    number!(nvmlDeviceGetEnforcedPowerLimit, ENFORCED_POWER_LIMIT, whole_watts),
    field_value!(NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, TOTAL_ENERGY_CONSUMPTION, entry::count),
    field_value!(NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION, GPU_ENERGY_JOULES_TOTAL, |entry| {
        joules(entry::unsigned(entry)?)
    }),
    field_value!(NVML_FI_DEV_POWER_INSTANT, POWER_USAGE_INSTANT, entry_watts),
    samples(Quantity::Power, sys::nvmlSamplingType_enum_NVML_TOTAL_POWER_SAMPLES, watts),
];

/// No board draws as much.
const MOST_MILLIWATTS: u32 = 100_000_000;

/// Milliwatts to watts.
fn watts(milliwatts: u32) -> Reading {
    if milliwatts > MOST_MILLIWATTS {
        return Err(Reason::Implausible);
    }
    Ok(Value::Float(f64::from(milliwatts) / 1000.0))
}

/// Milliwatts of a field value to watts.
fn entry_watts(entry: &Entry) -> Reading {
    watts(u32::try_from(entry::unsigned(entry)?).map_err(|_| Reason::Implausible)?)
}

/// Milliwatts to whole watts, rounded down, as limits are.
fn whole_watts(milliwatts: u32) -> Reading {
    watts(milliwatts)?;
    Ok(Value::Float(f64::from(milliwatts / 1000)))
}

/// Millijoules to whole joules, rounded down.
fn joules(millijoules: u64) -> Reading {
    int(millijoules)?;
    int(millijoules / 1000)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn milliwatts_become_watts_and_millijoules_joules() {
        assert_eq!(watts(299_999), Ok(Value::Float(299.999)));
        assert_eq!(whole_watts(299_999), Ok(Value::Float(299.0)));
        assert_eq!(joules(12_345_999), Ok(Value::Int(12_345)));
        assert_eq!(joules(1_999), Ok(Value::Int(1)));
        let instant = entry::answer(1, |value| value.uiVal = 512_345);
        assert_eq!(entry_watts(&instant), Ok(Value::Float(512.345)));
        let high = entry::answer(3, |value| value.ullVal = 1 << 40);
        assert_eq!(entry_watts(&high), Err(Reason::Implausible));
        for reading in
            [watts(100_000_001), watts(u32::MAX), whole_watts(u32::MAX), joules(u64::MAX)]
        {
            assert_eq!(reading, Err(Reason::Implausible));
        }
    }
}
