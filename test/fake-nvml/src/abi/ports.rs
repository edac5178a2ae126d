//! Registers of the NVLinks' ports, which newer drivers read out in one call.

use std::{
    ffi::c_uint,
    mem::{offset_of, size_of},
    ptr::NonNull,
};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlReturn_enum_NVML_SUCCESS, nvmlReturn_t, nvmlValue_t, nvmlValueType_t,
};

use super::{answer, system};
use crate::{call::Call, field::Number, refusal::Refusal, session};

/// The first branch of the driver that has the function. Before, it is as good as absent.
const FIRST_BRANCH: u32 = 595;

/// What the header of driver 595 added, which our bindings lack.
#[repr(C)]
struct nvmlPRMCounter_v1_t {
    counterId: c_uint,
    localPort: c_uint,
    status: nvmlReturn_t,
    outputType: nvmlValueType_t,
    outputValue: nvmlValue_t,
}

#[repr(C)]
struct nvmlPRMCounterList_v1_t {
    numCounters: c_uint,
    counters: *mut nvmlPRMCounter_v1_t,
}

const _: () = {
    assert!(size_of::<nvmlPRMCounter_v1_t>() == 24);
    assert!(offset_of!(nvmlPRMCounter_v1_t, status) == 8);
    assert!(offset_of!(nvmlPRMCounter_v1_t, outputValue) == 16);
    assert!(size_of::<nvmlPRMCounterList_v1_t>() == 16);
    assert!(offset_of!(nvmlPRMCounterList_v1_t, counters) == 8);
};

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceReadPRMCounters_v1(
    device: nvmlDevice_t,
    list: *mut nvmlPRMCounterList_v1_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        let list = NonNull::new(list).ok_or(Refusal::INVALID_ARGUMENT)?;
        // SAFETY: the list is not null, and the caller promises that it is filled in.
        let list = unsafe { list.read() };
        let counters = NonNull::new(list.counters).ok_or(Refusal::INVALID_ARGUMENT)?;
        let call = Call::on("nvmlDeviceReadPRMCounters_v1", device)?;
        if system::driver_branch()? < FIRST_BRANCH {
            return Err(Refusal::NOT_SUPPORTED);
        }
        for i in 0..list.numCounters as usize {
            // SAFETY: the caller promises NVML as many counters as the list says, and `i` is below
            // that.
            let counter = unsafe { counters.add(i) };
            // SAFETY: the counter is the caller's, with id and port filled in, and not used by others
            // during the call.
            unsafe { fill(&call, counter) };
        }
        Ok(())
    })
}

/// Fills one counter; where there is none, only its status, as for field values.
///
/// # Safety
///
/// `counter` must be valid for reading and writing, and its id and port initialised. The other
/// members need not be, which is why no reference to the whole is made.
unsafe fn fill(call: &Call, counter: NonNull<nvmlPRMCounter_v1_t>) {
    let counter = counter.as_ptr();
    // SAFETY: the caller promises that these two are initialised.
    let (counterId, localPort) = unsafe {
        ((&raw const (*counter).counterId).read(), (&raw const (*counter).localPort).read())
    };
    match call.board.nvlink.register(counterId, localPort) {
        Ok((kind, value)) => {
            let value = call.nonsense().unwrap_or(value).cast_signed();
            let (outputType, outputValue) = kind.encode(Number::Integer(value));
            let status = nvmlReturn_enum_NVML_SUCCESS;
            let filled =
                nvmlPRMCounter_v1_t { counterId, localPort, status, outputType, outputValue };
            // SAFETY: the caller promises that the counter can be written.
            unsafe { counter.write(filled) };
        }
        Err(Refusal(code)) => {
            // SAFETY: the caller promises that the counter can be written.
            unsafe { (&raw mut (*counter).status).write(code) };
        }
    }
}
