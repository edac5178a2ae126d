//! Registers of the NVLinks' ports.
//!
//! Function and structures are newer than the bindings: the header has them since driver 595.

use std::ffi::c_uint;
use std::mem::{offset_of, size_of};

use nvml_wrapper_sys::bindings as sys;

use crate::{Code, Device};

/// `nvmlPRMCounter_v1_t`: which counter of which port is asked for, and what it says.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PrmCounter {
    pub(crate) id: c_uint,
    /// Counts from 1.
    pub(crate) port: c_uint,
    pub(crate) status: sys::nvmlReturn_t,
    pub(crate) kind: sys::nvmlValueType_t,
    pub(crate) value: sys::nvmlValue_t,
}

/// `nvmlPRMCounterList_v1_t`.
#[repr(C)]
struct PrmCounterList {
    count: c_uint,
    counters: *mut PrmCounter,
}

const _: () = {
    assert!(size_of::<PrmCounter>() == 24);
    assert!(offset_of!(PrmCounter, id) == 0);
    assert!(offset_of!(PrmCounter, port) == 4);
    assert!(offset_of!(PrmCounter, status) == 8);
    assert!(offset_of!(PrmCounter, kind) == 12);
    assert!(offset_of!(PrmCounter, value) == 16);
    assert!(size_of::<PrmCounterList>() == 16);
    assert!(offset_of!(PrmCounterList, count) == 0);
    assert!(offset_of!(PrmCounterList, counters) == 8);
};

type ReadPrmCounters =
    unsafe extern "C" fn(sys::nvmlDevice_t, *mut PrmCounterList) -> sys::nvmlReturn_t;

impl PrmCounter {
    /// Asks for this counter of this NVLink, which count from 0.
    pub(crate) fn ask(id: u32, link: u32) -> Self {
        Self {
            id,
            port: link + 1,
            // A counter that the driver does not fill in must not pass for an answer.
            status: crate::entry::UNANSWERED,
            kind: sys::nvmlValueType_enum_NVML_VALUE_TYPE_COUNT,
            value: sys::nvmlValue_t { ullVal: 0 },
        }
    }
}

impl Device {
    /// Fills in many counters in one call; each carries its own status.
    pub(crate) fn prm_counters(&self, counters: &mut [PrmCounter]) -> Result<(), Code> {
        let name = b"nvmlDeviceReadPRMCounters_v1\0";
        // SAFETY: this is the function's type in every header that has it; the layout of its
        // structures is asserted above.
        let found = unsafe { self.library.symbols.__library.get::<ReadPrmCounters>(name) };
        let Ok(function) = found else { return Err(Code::FUNCTION_NOT_FOUND) };
        let count = counters.len() as c_uint;
        let mut list = PrmCounterList { count, counters: counters.as_mut_ptr() };
        // SAFETY: the handle comes from this library; the list is a live local, and points to as
        // many counters as it says, which nobody else uses meanwhile.
        Code::check(unsafe { function(self.handle, &mut list) })
    }
}
