//! Counters of NVLink ports, from their registers (PRM): all that are due, of all links, in one call.
//!
//! Function and structures are newer than the bindings: the header has them since driver 595.

use std::ffi::c_uint;
use std::mem::{offset_of, size_of};

use model::{Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::call_group::CallGroup;
use crate::call_times::{CallTimes, Function};
use crate::code::Code;
use crate::convert;
use crate::device::Device;
use crate::entry;
use crate::pass::{PassContext, TargetFinder};
use crate::plan::{DueMask, Target};
use crate::row::{Call, PRM_CALL, Row};
use crate::schedule::Schedule;

/// `nvmlPRMCounter_v1_t`: a counter of a port, and its value.
#[repr(C)]
#[derive(Clone, Copy)]
pub(crate) struct PortCounter {
    id: c_uint,
    /// Counts from 1.
    port: c_uint,
    status: sys::nvmlReturn_t,
    kind: sys::nvmlValueType_t,
    value: sys::nvmlValue_t,
}

/// `nvmlPRMCounterList_v1_t`.
#[repr(C)]
struct PortCounterList {
    count: c_uint,
    counters: *mut PortCounter,
}

const _: () = {
    assert!(size_of::<PortCounter>() == 24);
    assert!(offset_of!(PortCounter, id) == 0);
    assert!(offset_of!(PortCounter, port) == 4);
    assert!(offset_of!(PortCounter, status) == 8);
    assert!(offset_of!(PortCounter, kind) == 12);
    assert!(offset_of!(PortCounter, value) == 16);
    assert!(size_of::<PortCounterList>() == 16);
    assert!(offset_of!(PortCounterList, count) == 0);
    assert!(offset_of!(PortCounterList, counters) == 8);
};

type ReadPortCounters =
    unsafe extern "C" fn(sys::nvmlDevice_t, *mut PortCounterList) -> sys::nvmlReturn_t;

impl PortCounter {
    /// A request for this counter of this NVLink; links count from 0.
    pub(crate) fn request(id: u32, link: u32) -> Self {
        Self {
            id,
            port: link + 1,
            status: entry::UNANSWERED,
            kind: sys::nvmlValueType_enum_NVML_VALUE_TYPE_COUNT,
            value: sys::nvmlValue_t { ullVal: 0 },
        }
    }

    /// Its value. Counters are whole numbers; of any other type they are not understood.
    fn reading(&self) -> Reading {
        entry::answered(self.status)?;
        match self.kind {
            sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT
            | sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG
            | sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_LONG_LONG => {
                convert::int(entry::number(self.kind, self.value)?)
            }
            _ => Err(Reason::Failed),
        }
    }
}

/// Fills in many counters in one call; each carries its own status.
///
/// # Errors
///
/// NVML's code of the whole call.
pub(crate) fn read_counters(device: &Device, counters: &mut [PortCounter]) -> Result<(), Code> {
    let name = b"nvmlDeviceReadPRMCounters_v1\0";
    // SAFETY: this is the function's type in every header that has it; the layout of its structures is
    // asserted above.
    let found = unsafe { device.library.symbols.__library.get::<ReadPortCounters>(name) };
    let read = function(&found.map(|symbol| *symbol))?;
    let count = counters.len() as c_uint;
    let mut list = PortCounterList { count, counters: counters.as_mut_ptr() };
    // SAFETY: the list is a live local, and points to as many counters as it says, which nothing else
    // uses meanwhile.
    Code::check(unsafe { read(device.handle, &mut list) })
}

/// The counters that are read of a GPU's NVLinks.
pub(crate) struct PortCounters {
    function: Function,
    watched: Vec<Watched>,
    /// Of the call, with whichever counters.
    schedule: Schedule,
    /// Kept between passes, so that they need no memory.
    counters: Vec<PortCounter>,
}

struct Watched {
    id: u32,
    link: u32,
    target: Target,
    /// Cleared at the first "not supported" or "not permitted"; set again as for all other fields.
    permitted: bool,
    /// Whether it is part of this pass's call.
    requested: bool,
}

impl PortCounters {
    pub(crate) fn new(times: &mut CallTimes) -> Self {
        let function = times.function(PRM_CALL);
        let schedule = Schedule::of(DueMask::NEVER);
        Self { function, watched: Vec::new(), schedule, counters: Vec::new() }
    }
}

impl CallGroup for PortCounters {
    fn add(&mut self, row: &'static Row, link: u32, targets: &mut TargetFinder) {
        let Call::PortCounter(id) = row.call else { return };
        for (_, field) in row.fields.iter() {
            if let Some(target) = targets.target(field) {
                self.schedule.paces |= target.due;
                self.watched.push(Watched { id, link, target, permitted: true, requested: false });
            }
        }
    }

    fn remove_links(&mut self) {
        self.watched.clear();
        self.schedule = Schedule::of(DueMask::NEVER);
    }

    fn read(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        let Self { function, watched, schedule, counters } = self;
        counters.clear();
        for one in watched.iter_mut() {
            one.requested = one.permitted && pass.is_due(schedule.effective(one.target.due));
            if one.requested {
                counters.push(PortCounter::request(one.id, one.link));
            }
        }
        if counters.is_empty() {
            return Ok(());
        }
        let (result, took) = pass.shared.times.time(*function, || read_counters(device, counters));
        match result {
            Ok(()) => {}
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) => {
                counters.iter_mut().for_each(|counter| counter.status = entry::refused(code));
            }
        }
        for (one, counter) in watched.iter_mut().filter(|one| one.requested).zip(counters) {
            let reading = counter.reading();
            match reading {
                Ok(_) => pass.outcome.answered |= one.target.due != DueMask::SLOW,
                Err(Reason::Lost) => return Err(Code::GPU_IS_LOST),
                Err(reason) => {
                    one.permitted = !reason.is_lasting();
                    pass.outcome.note_absent(one.target.field, reason);
                }
            }
            pass.write(&one.target, &reading);
        }
        if schedule.needs_attention(took) && !pass.outcome.gpu_is_slow {
            let targets = watched.iter().map(|one| &one.target);
            schedule.record_duration(PRM_CALL, took, targets, pass);
        }
        Ok(())
    }

    fn retry_unsupported(&mut self) {
        self.watched.iter_mut().for_each(|one| one.permitted = true);
    }

    fn reset(&mut self) {
        self.retry_unsupported();
        self.schedule.reset();
    }
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    fn reading(status: u32, kind: u32, value: u64) -> Reading {
        let mut counter = PortCounter::request(101, 3);
        (counter.status, counter.kind) = (status, kind);
        counter.value.ullVal = value;
        counter.reading()
    }

    #[test]
    fn ports_count_from_one() {
        let counter = PortCounter::request(101, 17);
        assert_eq!((counter.id, counter.port), (101, 18));
    }

    #[test]
    fn whole_numbers_of_three_types_are_understood() {
        let large = 0x1_0000_0007;
        assert_eq!(reading(0, 1, large), Ok(Value::Int(7)));
        assert_eq!(reading(0, 2, large), Ok(Value::Int(0x1_0000_0007)));
        assert_eq!(reading(0, 3, large), Ok(Value::Int(0x1_0000_0007)));
        for kind in [0, 4, 5, 6, 7, 99] {
            assert_eq!(reading(0, kind, 7), Err(Reason::Failed), "{kind}");
        }
        assert_eq!(reading(0, 1, u64::MAX), Err(Reason::Implausible));
        assert_eq!(reading(0, 3, u64::MAX), Err(Reason::Implausible));
    }

    #[test]
    fn each_counter_has_a_status_of_its_own() {
        let why = |status| reading(status, 3, 7);
        assert_eq!(why(Code::NOT_SUPPORTED.0), Err(Reason::NotSupported));
        assert_eq!(why(Code::INVALID_ARGUMENT.0), Err(Reason::NotSupported));
        assert_eq!(why(4), Err(Reason::NotPermitted));
        assert_eq!(why(Code::UNKNOWN.0), Err(Reason::Failed));
        assert_eq!(PortCounter::request(1, 0).reading(), Err(Reason::NotSupported), "left alone");
        assert_eq!(why(entry::refused(Code::INVALID_ARGUMENT)), Err(Reason::Failed));
        assert_eq!(why(entry::refused(Code::FUNCTION_NOT_FOUND)), Err(Reason::NotSupported));
    }
}
