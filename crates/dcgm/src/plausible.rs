//! Impossible values become no readings.

use model::catalog::Field;
use model::{Reading, Reason, Value, field};

/// The largest possible value of a unit. The smallest is 0.
#[rustfmt::skip]
const MOST: &[(&str, f64)] = &[
    // Engines have reported utilisations such as 808334905.
    ("%",     100.0),
    // Averages of hardware counters can exceed 1 slightly.
    ("ratio", 1.01),
    ("MHz",   100_000.0),
    ("kHz",   100_000_000.0),
    ("Hz",    1e11),
    ("W",     100_000.0),
    ("mV",    1_000_000.0),
    // No device moves a petabyte per second.
    ("B/s",   1e15),
    ("1000 KiB/s", 1e12),
];

/// Above it, the sensor does not exist.
const HOTTEST_CELSIUS: f64 = 200.0;

/// Units whose values may be negative: masks may have their highest bit set.
const SIGNED: [&str; 5] = ["°C", "enum", "bitmask", "raw", "number"];

/// The value as a reading of this field, if it is possible.
pub(crate) fn judge(field: &Field, value: Value) -> Reading {
    let number = match &value {
        Value::Int(int) => *int as f64,
        Value::Float(float) => *float,
        Value::Text(_) => return Ok(value),
    };
    // The driver reports an unknown state so.
    if field.id == field::PSTATE && number > 15.0 {
        return Err(Reason::NoData);
    }
    let most = MOST.iter().find(|(unit, _)| *unit == field.unit).map(|(_, most)| *most);
    let is_hot = field.unit == "°C" && number.abs() > HOTTEST_CELSIUS;
    let is_negative = number < 0.0 && !SIGNED.contains(&field.unit);
    if is_hot || is_negative || most.is_some_and(|most| number > most) {
        return Err(Reason::Implausible);
    }
    Ok(value)
}

#[cfg(test)]
mod tests {
    use model::catalog::{FIELDS, by_name};

    use super::*;

    #[test]
    fn nonsense_is_no_number() {
        let judged = |name, value| judge(by_name(name).unwrap(), value);
        for (name, good, bad) in [
            ("DCGM_FI_DEV_GPU_UTIL", 100, 101),
            ("DCGM_FI_DEV_GPU_TEMP", -20, 201),
            ("DCGM_FI_DEV_SM_CLOCK", 1980, 100_001),
            ("DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", 0, -1),
        ] {
            assert_eq!(judged(name, Value::Int(good)), Ok(Value::Int(good)));
            assert_eq!(judged(name, Value::Int(bad)), Err(Reason::Implausible), "{name}");
        }
        assert_eq!(judged("DCGM_FI_DEV_PSTATE", Value::Int(32)), Err(Reason::NoData));
        let ratio = "DCGM_FI_PROF_SM_ACTIVE";
        assert_eq!(judged(ratio, Value::Float(1.005)), Ok(Value::Float(1.005)));
        assert_eq!(judged(ratio, Value::Float(1.5)), Err(Reason::Implausible));
    }

    #[test]
    fn every_unit_is_in_the_catalogue() {
        let known = |unit: &str| FIELDS.iter().any(|field| field.unit == unit);
        // Including units of switches and CPUs.
        for (unit, _) in MOST {
            assert!(known(unit), "{unit}");
        }
        assert!(SIGNED.iter().all(|unit| known(unit)));
    }
}
