//! ECC, and memory that was put out of use.

use std::ffi::{c_uint, c_ulonglong};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEccSramErrorStatus_t,
    nvmlPageRetirementCause_enum_NVML_PAGE_RETIREMENT_CAUSE_DOUBLE_BIT_ECC_ERROR as DOUBLE_BIT,
    nvmlPageRetirementCause_enum_NVML_PAGE_RETIREMENT_CAUSE_MULTIPLE_SINGLE_BIT_ECC_ERRORS as SINGLE_BIT,
    nvmlPageRetirementCause_t, nvmlReturn_t, nvmlRowRemapperHistogramValues_t,
};

use super::{
    answer,
    out::{ListOut, version},
};
use crate::{call::Call, refusal::Refusal, session};

/// What the header of driver 590 added, which our bindings lack: one number, without a version.
#[repr(C)]
struct nvmlUnrepairableMemoryStatus_v1_t {
    bUnrepairableMemory: c_uint,
}

device_functions! {
    nvmlDeviceGetRowRemapperHistogram[on]() -> nvmlRowRemapperHistogramValues_t: |call| {
        let rows = call.without_instances(call.board.row_histogram)?;
        let (max, high, partial, low) = (rows.max, rows.high, rows.partial, rows.low);
        Some(nvmlRowRemapperHistogramValues_t { max, high, partial, low, none: rows.none })
    };
    nvmlDeviceGetUnrepairableMemoryFlag_v1[on]() -> nvmlUnrepairableMemoryStatus_v1_t: |call| {
        let flag = call.board.unrepairable_memory?;
        Some(nvmlUnrepairableMemoryStatus_v1_t { bUnrepairableMemory: flag })
    };
    nvmlDeviceGetSramEccErrorStatus[on]() -> nvmlEccSramErrorStatus_t, version 1: |call| {
        call.board.sram_ecc.map(|sram| nvmlEccSramErrorStatus_t {
            version: version::<nvmlEccSramErrorStatus_t>(1),
            aggregateUncParity: sram.aggregate_parity,
            aggregateUncSecDed: sram.aggregate_sec_ded,
            aggregateCor: sram.aggregate_corrected,
            volatileUncParity: sram.volatile_parity,
            volatileUncSecDed: sram.volatile_sec_ded,
            volatileCor: sram.volatile_corrected,
            aggregateUncBucketL2: sram.l2,
            aggregateUncBucketSm: sram.sm,
            aggregateUncBucketPcie: sram.pcie,
            aggregateUncBucketMcu: sram.mcu,
            aggregateUncBucketOther: sram.other,
            bThresholdExceeded: sram.threshold_exceeded,
        })
    };
}

device_several! {
    nvmlDeviceGetEccMode[on](current, pending): |call| {
        call.board.ecc.map(|ecc| [ecc.current, ecc.pending])
    };
    nvmlDeviceGetRemappedRows[on](corrected, uncorrected, pending, failed): |call| {
        let rows = call.without_instances(call.board.remapped_rows)?;
        Some([rows.corrected, rows.uncorrected, rows.pending, rows.failed])
    };
}

/// With no room for the pages, or a null pointer, it writes their number, which is an error unless
/// there are none, as in the driver.
#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetRetiredPages(
    device: nvmlDevice_t,
    cause: nvmlPageRetirementCause_t,
    count: *mut c_uint,
    addresses: *mut c_ulonglong,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML as many places as the count says.
        let out = unsafe { ListOut::new(count, addresses) }?;
        let call = Call::on("nvmlDeviceGetRetiredPages", device)?;
        let pages = call.board.retired_pages.as_ref().ok_or(Refusal::NOT_SUPPORTED)?;
        out.set(match cause {
            SINGLE_BIT => &pages.single_bit,
            DOUBLE_BIT => &pages.double_bit,
            _ => return Err(Refusal::INVALID_ARGUMENT),
        })
    })
}
