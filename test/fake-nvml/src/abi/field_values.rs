//! `nvmlDeviceGetFieldValues`: many fields in one call, each with its own result.

use std::{ffi::c_int, ops::RangeInclusive, ptr::NonNull};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlFieldValue_t, nvmlReturn_enum_NVML_SUCCESS, nvmlReturn_t, nvmlValue_t,
    nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE,
};

use super::answer;
use crate::{
    call::Call,
    field::{Kind, Number, Reading},
    refusal::Refusal,
    session,
};

/// Fields about remapped rows, which a GPU cut into instances does not have.
const REMAPPED_ROWS: RangeInclusive<u32> = 142..=145;

/// The latency of each reading; a driver never has 0.
const LATENCY_US: i64 = 3;

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetFieldValues(
    device: nvmlDevice_t,
    count: c_int,
    values: *mut nvmlFieldValue_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        let count = usize::try_from(count).map_err(|_| Refusal::INVALID_ARGUMENT)?;
        let values = NonNull::new(values).ok_or(Refusal::INVALID_ARGUMENT)?;
        let call = Call::on("nvmlDeviceGetFieldValues", device)?;
        for i in 0..count {
            // SAFETY: the caller promises NVML `count` entries, and `i` is below that.
            let entry = unsafe { values.add(i) };
            // SAFETY: the entry is the caller's, with field and scope filled in, and not used
            // by others during the call.
            unsafe { fill(&call, entry) };
        }
        Ok(())
    })
}

/// Fills one entry.
///
/// # Safety
///
/// `entry` must be valid for reading and writing, and its `fieldId` and `scopeId` initialised. The
/// other members need not be, which is why no reference to the whole is made.
unsafe fn fill(call: &Call, entry: NonNull<nvmlFieldValue_t>) {
    let entry = entry.as_ptr();
    // SAFETY: the caller promises that these two are initialised.
    let (id, scope) =
        unsafe { ((&raw const (*entry).fieldId).read(), (&raw const (*entry).scopeId).read()) };
    let (kind, reading) = read(call, id, scope);
    let filled = |timestamp, latencyUsec, (valueType, value)| nvmlFieldValue_t {
        fieldId: id,
        scopeId: scope,
        timestamp,
        latencyUsec,
        valueType,
        nvmlReturn: nvmlReturn_enum_NVML_SUCCESS,
        value,
    };
    match reading {
        Reading::Value { timestamp_us, number } => {
            // SAFETY: the caller promises that the entry can be written.
            unsafe { entry.write(filled(timestamp_us, LATENCY_US, kind.encode(number))) };
        }
        Reading::Unfilled => {
            let nothing = (nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE, nvmlValue_t { ullVal: 0 });
            // SAFETY: the caller promises that the entry can be written.
            unsafe { entry.write(filled(0, 0, nothing)) };
        }
        // The rest keeps what the caller put there: a caller that ignores the result
        // finds its old values, not a zero that looks like a reading.
        Reading::Refused(Refusal(code)) => {
            // SAFETY: the caller promises that the entry can be written.
            unsafe { (&raw mut (*entry).nvmlReturn).write(code) };
        }
    }
}

fn read(call: &Call, id: u32, scope: u32) -> (Kind, Reading) {
    if let Some(refusal) = call.faults().and_then(|faults| faults.refusal_of_field(id)) {
        return (Kind::U64, Reading::Refused(refusal));
    }
    let field = call.board.field(id, scope);
    let field = if REMAPPED_ROWS.contains(&id) { call.without_instances(field) } else { field };
    let Some(field) = field else {
        return (Kind::U64, Reading::Refused(Refusal::NOT_SUPPORTED));
    };
    let nonsense = call.faults().and_then(|faults| faults.nonsense_of_field(id));
    let reading = match (field.read(), nonsense) {
        (Reading::Value { timestamp_us, .. }, Some(value)) => {
            Reading::Value { timestamp_us, number: Number::Integer(value.cast_signed()) }
        }
        (reading, _) => reading,
    };
    (field.kind, reading)
}
