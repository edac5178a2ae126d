//! Errors of a GPU: ECC, pages and rows of memory, XIDs.

use std::{mem, ptr};

use model::{Reading, Reason, field};
use nvml_wrapper_sys::bindings::{self as sys, field_id as fi};

use crate::call::{function, version};
use crate::code::Code;
use crate::convert::{int, int32};
use crate::device::Device;
use crate::entries::{Decode, Entries, Id, Scope};
use crate::entry::{self, Entry};
use crate::row::{Call, Row, field_value, many, one, row};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    one!(nvmlDeviceGetSramEccErrorStatus, THRESHOLD_SRM, |gpu| sram_threshold_exceeded(gpu).map(int)),
    many!(nvmlDeviceGetRowRemapperHistogram,
        [BANKS_REMAP_ROWS_AVAIL_MAX, BANKS_REMAP_ROWS_AVAIL_HIGH, BANKS_REMAP_ROWS_AVAIL_PARTIAL,
         BANKS_REMAP_ROWS_AVAIL_LOW, BANKS_REMAP_ROWS_AVAIL_NONE], |gpu| {
            let banks = remap_histogram(gpu)?;
            [banks.max, banks.high, banks.partial, banks.low, banks.none].map(int32)
        }),
    one!(nvmlDeviceGetRetiredPages, RETIRED_SBE, |gpu| pages_retired_for_single_bits(gpu).map(int32)),
    one!(nvmlDeviceGetUnrepairableMemoryFlag_v1, MEMORY_UNREPAIRABLE_FLAG,
        |gpu| unrepairable_memory(gpu).map(unrepairable)),
    row(&[field::ECC_CURRENT], Call::FieldValue(
        Entries { ids: &[Id::Fixed(fi::NVML_FI_DEV_ECC_CURRENT)], scope: Scope::Gpu },
        Decode::OrCall(ecc, |gpu| {
            gpu.pair(|nvml| &nvml.nvmlDeviceGetEccMode).map(|(now, _)| int(now != 0))
        }),
    )),
    field_value!(NVML_FI_DEV_ECC_SBE_VOL_TOTAL, ECC_SBE_VOL_TOTAL, ecc),
    field_value!(NVML_FI_DEV_ECC_DBE_VOL_TOTAL, ECC_DBE_VOL_TOTAL, ecc),
    field_value!(NVML_FI_DEV_ECC_SBE_AGG_TOTAL, ECC_SBE_AGG_TOTAL, ecc),
    field_value!(NVML_FI_DEV_ECC_DBE_AGG_TOTAL, ECC_DBE_AGG_TOTAL, ecc),
    field_value!(NVML_FI_DEV_RETIRED_DBE, RETIRED_DBE, entry::count),
    field_value!(NVML_FI_DEV_RETIRED_PENDING, RETIRED_PENDING, entry::count),
    field_value!(NVML_FI_DEV_REMAPPED_UNC, UNCORRECTABLE_REMAPPED_ROWS, entry::count),
    field_value!(NVML_FI_DEV_REMAPPED_COR, CORRECTABLE_REMAPPED_ROWS, entry::count),
    field_value!(NVML_FI_DEV_REMAPPED_FAILURE, ROW_REMAP_FAILURE, entry::count),
    field_value!(NVML_FI_DEV_REMAPPED_PENDING, ROW_REMAP_PENDING, entry::count),
    field_value!(NVML_FI_DEV_GET_GPU_RECOVERY_ACTION, GET_GPU_RECOVERY_ACTION, entry::count),
    row(&[field::XID_ERRORS], Call::Events),
];

/// Whether SRAM errors are past their threshold.
fn sram_threshold_exceeded(gpu: &Device) -> Result<bool, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetSramEccErrorStatus)?;
    // SAFETY: all-zero bytes are a valid value of this C struct of integers.
    let mut status: sys::nvmlEccSramErrorStatus_v1_t = unsafe { mem::zeroed() };
    status.version = version::<sys::nvmlEccSramErrorStatus_v1_t>(1);
    // SAFETY: the call writes one struct of the version that it carries, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut status) })?;
    Ok(status.bThresholdExceeded != 0)
}

/// Counts of memory banks by the spare rows that they have left.
fn remap_histogram(gpu: &Device) -> Result<sys::nvmlRowRemapperHistogramValues_t, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetRowRemapperHistogram)?;
    let mut banks =
        sys::nvmlRowRemapperHistogramValues_t { max: 0, high: 0, partial: 0, low: 0, none: 0 };
    // SAFETY: the call writes one such struct, to a live local.
    Code::check(unsafe { get(gpu.handle, &mut banks) })?;
    Ok(banks)
}

/// How many pages were retired for single-bit errors.
fn pages_retired_for_single_bits(gpu: &Device) -> Result<u32, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetRetiredPages)?;
    let cause =
        sys::nvmlPageRetirementCause_enum_NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS;
    let mut count = 0;
    // SAFETY: the call writes the count to a live local, and as many addresses as the count says
    // that there is room for: none, so it does not look at the null pointer.
    match Code::check(unsafe { get(gpu.handle, cause, &mut count, ptr::null_mut()) }) {
        Ok(()) | Err(Code::INSUFFICIENT_SIZE) => Ok(count),
        Err(code) => Err(code),
    }
}

/// Function and structure are newer than the bindings.
type GetUnrepairableMemoryFlag =
    unsafe extern "C" fn(sys::nvmlDevice_t, *mut [u32; 2]) -> sys::nvmlReturn_t;

/// The version that the structure of the unrepairable memory flag carries, where it carries one.
const UNREPAIRABLE_VERSION: u32 = 8 | 1 << 24;

/// Whether memory is beyond repair, as two words whose meaning [`unrepairable`] knows.
fn unrepairable_memory(gpu: &Device) -> Result<[u32; 2], Code> {
    let name = b"nvmlDeviceGetUnrepairableMemoryFlag_v1\0";
    // SAFETY: the function has had this type in every header that has it: a handle, and a pointer to
    // a structure of at most two 32-bit words.
    let found = unsafe { gpu.library.symbols.__library.get::<GetUnrepairableMemoryFlag>(name) };
    let get = function(&found.map(|symbol| *symbol))?;
    let mut words = [UNREPAIRABLE_VERSION, u32::MAX];
    // SAFETY: the pointer is to a live local that is as large as the structure, whose version it
    // carries.
    Code::check(unsafe { get(gpu.handle, &mut words) })?;
    Ok(words)
}

/// The unrepairable memory flag. NVIDIA publishes two forms of its structure: version and flag, and
/// the flag alone. In the first, the version of the request is still there.
fn unrepairable(words: [u32; 2]) -> Reading {
    match words {
        [UNREPAIRABLE_VERSION, flag @ (0 | 1)] | [flag @ (0 | 1), _] => int(flag),
        _ => Err(Reason::Implausible),
    }
}

/// An ECC number. Drivers leave its type unset, and with ECC off the whole entry.
fn ecc(entry: &Entry) -> Reading {
    entry::answered(entry.nvmlReturn)?;
    let untyped = entry.valueType == sys::nvmlValueType_enum_NVML_VALUE_TYPE_DOUBLE;
    if untyped && entry.timestamp == 0 && entry.latencyUsec == 0 {
        return Err(Reason::NotSupported);
    }
    if entry.valueType == sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT {
        return entry::count(entry);
    }
    let value = entry.value;
    // SAFETY: every bit pattern of the union is a valid value of each of its plain types.
    int(unsafe { value.ullVal })
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    #[test]
    fn both_forms_of_the_unrepairable_flag_are_understood() {
        assert_eq!(unrepairable([UNREPAIRABLE_VERSION, 0]), Ok(Value::Int(0)));
        assert_eq!(unrepairable([UNREPAIRABLE_VERSION, 1]), Ok(Value::Int(1)));
        assert_eq!(unrepairable([0, u32::MAX]), Ok(Value::Int(0)));
        assert_eq!(unrepairable([1, u32::MAX]), Ok(Value::Int(1)));
        for words in [[7, 1], [UNREPAIRABLE_VERSION, 2], [UNREPAIRABLE_VERSION, u32::MAX]] {
            assert_eq!(unrepairable(words), Err(Reason::Implausible));
        }
    }

    #[test]
    fn ecc_totals_survive_a_missing_type() {
        let mut entry = entry::request(1, 0);
        entry.nvmlReturn = 0;
        entry.value.ullVal = 12;
        entry.latencyUsec = 3;
        assert_eq!(ecc(&entry), Ok(Value::Int(12)));
        (entry.value.ullVal, entry.latencyUsec) = (0, 0);
        assert_eq!(ecc(&entry), Err(Reason::NotSupported));
    }
}
