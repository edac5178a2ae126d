//! What an entry of `nvmlDeviceGetFieldValues` says.

use model::{Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::{Code, convert};

/// One entry, filled in or not.
pub(crate) type Entry = sys::nvmlFieldValue_t;

/// What an entry's return code is before the driver fills it in.
pub(crate) const UNANSWERED: u32 = u32::MAX;

/// An entry's return code, as a reason. An entry that the driver left alone is not supported.
pub(crate) fn answered(code: sys::nvmlReturn_t) -> Result<(), Reason> {
    match code {
        UNANSWERED => Err(Reason::NotSupported),
        // For a field value these say that this driver does not know the field.
        sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT => Err(Reason::NotSupported),
        code => Code::check(code).map_err(Code::reason),
    }
}

/// A number of the type that the driver says it has.
pub(crate) fn number(kind: sys::nvmlValueType_t, value: sys::nvmlValue_t) -> Result<u64, Reason> {
    match kind {
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE => {
            // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
            let real = unsafe { value.dVal };
            if real.is_finite() && real >= 0.0 { Ok(real as u64) } else { Err(Reason::Implausible) }
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT => {
            // SAFETY: as above.
            let short = unsafe { value.uiVal };
            if short == u32::MAX { Err(Reason::Implausible) } else { Ok(u64::from(short)) }
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_SHORT => {
            // SAFETY: as above.
            Ok(u64::from(unsafe { value.usVal }))
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_INT => {
            // SAFETY: as above.
            u64::try_from(unsafe { value.siVal }).map_err(|_| Reason::Implausible)
        }
        sys::nvmlValueType_enum_NVML_VALUE_TYPE_SIGNED_LONG_LONG => {
            // SAFETY: as above.
            u64::try_from(unsafe { value.sllVal }).map_err(|_| Reason::Implausible)
        }
        // SAFETY: as above.
        _ => Ok(unsafe { value.ullVal }),
    }
}

/// An entry's number, by its type.
pub(crate) fn unsigned(entry: &Entry) -> Result<u64, Reason> {
    answered(entry.nvmlReturn)?;
    number(entry.valueType, entry.value)
}

/// An entry's number, read as 32 bits whatever type the driver says: older ones mislabel it.
fn unsigned_int(entry: &Entry) -> Result<u32, Reason> {
    answered(entry.nvmlReturn)?;
    let value = entry.value;
    // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
    Ok(unsafe { value.uiVal })
}

/// A number as it is.
pub(crate) fn count(entry: &Entry) -> Reading {
    convert::int(unsigned(entry)?)
}

/// Degrees.
pub(crate) fn celsius(entry: &Entry) -> Reading {
    convert::celsius(unsigned_int(entry)?)
}

/// Milliwatts to watts.
pub(crate) fn watts(entry: &Entry) -> Reading {
    convert::watts(u32::try_from(unsigned(entry)?).map_err(|_| Reason::Implausible)?)
}

/// Millijoules to joules.
pub(crate) fn joules(entry: &Entry) -> Reading {
    convert::joules(unsigned(entry)?)
}

/// A packed bit error rate.
pub(crate) fn bit_error_rate(entry: &Entry) -> Reading {
    convert::bit_error_rate(unsigned(entry)?)
}

/// An ECC number. Drivers leave its type unset, and with ECC off the whole entry.
pub(crate) fn ecc(entry: &Entry) -> Reading {
    answered(entry.nvmlReturn)?;
    let untyped = entry.valueType == sys::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE;
    if untyped && entry.timestamp == 0 && entry.latencyUsec == 0 {
        return Err(Reason::NotSupported);
    }
    if entry.valueType == sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT {
        return count(entry);
    }
    let value = entry.value;
    // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
    convert::int(unsafe { value.ullVal })
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    fn entry(kind: u32, set: impl FnOnce(&mut sys::nvmlValue_t)) -> Entry {
        let mut entry = crate::device::ask(1, 0);
        entry.nvmlReturn = 0;
        entry.valueType = kind;
        set(&mut entry.value);
        entry
    }

    #[test]
    fn an_entry_is_read_by_its_type() {
        let short = entry(6, |value| value.usVal = 7);
        assert_eq!(unsigned(&short), Ok(7));
        let double = entry(0, |value| value.dVal = 3.0);
        assert_eq!(unsigned(&double), Ok(3));
        let negative = entry(5, |value| value.siVal = -1);
        assert_eq!(unsigned(&negative), Err(Reason::Implausible));
        let ones = entry(1, |value| value.uiVal = u32::MAX);
        assert_eq!(unsigned(&ones), Err(Reason::Implausible));
        assert_eq!(unsigned(&crate::device::ask(1, 0)), Err(Reason::NotSupported));
    }

    #[test]
    fn numbers_of_entries_are_converted() {
        let long = |number| entry(3, |value| value.ullVal = number);
        assert_eq!(count(&long(12_345_678_901)), Ok(Value::Int(12_345_678_901)));
        assert_eq!(count(&long(u64::MAX)), Err(Reason::Implausible));
        assert_eq!(joules(&long(1_999)), Ok(Value::Int(1)));
        assert_eq!(bit_error_rate(&long(0x30a)), Ok(Value::Float(3e-10)));
        assert_eq!(watts(&entry(1, |value| value.uiVal = 512_345)), Ok(Value::Float(512.345)));
        assert_eq!(watts(&long(1 << 40)), Err(Reason::Implausible));
        assert_eq!(celsius(&entry(0, |value| value.uiVal = 66)), Ok(Value::Int(66)));
        assert_eq!(celsius(&entry(1, |value| value.uiVal = 201)), Err(Reason::Implausible));
    }

    #[test]
    fn an_unknown_field_is_not_supported_and_a_failure_a_failure() {
        let mut refused = entry(3, |value| value.ullVal = 1);
        refused.nvmlReturn = sys::nvmlReturn_enum_NVML_ERROR_INVALID_ARGUMENT;
        assert_eq!(count(&refused), Err(Reason::NotSupported));
        refused.nvmlReturn = sys::nvmlReturn_enum_NVML_ERROR_UNKNOWN;
        assert_eq!(count(&refused), Err(Reason::Failed));
    }

    #[test]
    fn ecc_totals_survive_a_missing_type() {
        let mut untyped = entry(0, |value| value.ullVal = 12);
        untyped.latencyUsec = 3;
        assert_eq!(ecc(&untyped), Ok(Value::Int(12)));
        let unfilled = entry(0, |value| value.ullVal = 0);
        assert_eq!(ecc(&unfilled), Err(Reason::NotSupported));
    }
}
