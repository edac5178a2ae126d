//! Entries of `nvmlDeviceGetFieldValues`: numbers of several types, each with a return code.

use model::{Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::code::Code;
use crate::convert;

/// One entry, filled in or not.
pub(crate) type Entry = sys::nvmlFieldValue_t;

/// An entry's return code before the driver fills it in. An entry that the driver leaves alone must
/// not pass for an answer.
pub(crate) const UNANSWERED: u32 = u32::MAX;

/// A request for the field value with this number and scope.
pub(crate) fn request(id: u32, scope: u32) -> Entry {
    Entry {
        fieldId: id,
        scopeId: scope,
        timestamp: 0,
        latencyUsec: 0,
        valueType: 0,
        nvmlReturn: UNANSWERED,
        value: sys::nvmlValue_t { ullVal: 0 },
    }
}

/// The return code of each entry where the whole call failed. Of a single entry, an invalid argument
/// means that the driver does not know it; of the call, it means no such thing.
pub(crate) fn refused(code: Code) -> sys::nvmlReturn_t {
    if code == Code::INVALID_ARGUMENT { Code::UNKNOWN.0 } else { code.0 }
}

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

/// An entry's number, read as 32 bits whatever its type is: older drivers mislabel it.
pub(crate) fn unsigned_int(entry: &Entry) -> Result<u32, Reason> {
    answered(entry.nvmlReturn)?;
    let value = entry.value;
    // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
    Ok(unsafe { value.uiVal })
}

/// A number as it is.
pub(crate) fn count(entry: &Entry) -> Reading {
    convert::int(unsigned(entry)?)
}

/// An entry that the driver has filled in.
#[cfg(test)]
pub(crate) fn answer(kind: u32, set: impl FnOnce(&mut sys::nvmlValue_t)) -> Entry {
    let mut entry = request(1, 0);
    entry.nvmlReturn = 0;
    entry.valueType = kind;
    set(&mut entry.value);
    entry
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    #[test]
    fn an_entry_is_read_by_its_type() {
        let short = answer(6, |value| value.usVal = 7);
        assert_eq!(unsigned(&short), Ok(7));
        let double = answer(0, |value| value.dVal = 3.0);
        assert_eq!(unsigned(&double), Ok(3));
        let negative = answer(5, |value| value.siVal = -1);
        assert_eq!(unsigned(&negative), Err(Reason::Implausible));
        let ones = answer(1, |value| value.uiVal = u32::MAX);
        assert_eq!(unsigned(&ones), Err(Reason::Implausible));
        assert_eq!(unsigned(&request(1, 0)), Err(Reason::NotSupported));
        let long = |number| answer(3, |value| value.ullVal = number);
        assert_eq!(count(&long(12_345_678_901)), Ok(Value::Int(12_345_678_901)));
        assert_eq!(count(&long(u64::MAX)), Err(Reason::Implausible));
        assert_eq!(unsigned_int(&answer(0, |value| value.uiVal = 66)), Ok(66));
    }

    #[test]
    fn an_unknown_field_is_not_supported_and_a_failure_a_failure() {
        let mut entry = answer(3, |value| value.ullVal = 1);
        entry.nvmlReturn = Code::INVALID_ARGUMENT.0;
        assert_eq!(count(&entry), Err(Reason::NotSupported));
        entry.nvmlReturn = Code::UNKNOWN.0;
        assert_eq!(count(&entry), Err(Reason::Failed));
    }

    #[test]
    fn a_failed_call_is_not_an_unknown_field() {
        let mut entry = request(1, 0);
        entry.nvmlReturn = refused(Code::INVALID_ARGUMENT);
        assert_eq!(count(&entry), Err(Reason::Failed));
        entry.nvmlReturn = refused(Code::FUNCTION_NOT_FOUND);
        assert_eq!(count(&entry), Err(Reason::NotSupported));
    }
}
