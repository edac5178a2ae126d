//! Clocks, performance states, and the reasons for low clocks.

use model::{Quantity, Reading, Reason, field};
use nvml_wrapper_sys::bindings::{self as sys, field_id as fi};

use crate::call::function;
use crate::code::Code;
use crate::convert::int;
use crate::device::Device;
use crate::entries::{Decode, Entries, Id, Scope};
use crate::row::{Call, Row, many, number, one, row, run, samples};

#[rustfmt::skip]
pub(super) static ROWS: &[Row] = &[
    many!(nvmlDeviceGetClockInfo, [SM_CLOCK, SM_CLOCK_HERTZ], |gpu| {
        let clock = clock_mhz(gpu, sys::nvmlClockType_enum_NVML_CLOCK_SM)?;
        [megahertz(clock), hertz(clock)]
    }),
    many!(nvmlDeviceGetClockInfo, [MEM_CLOCK, MEMORY_CLOCK_HERTZ], |gpu| {
        let clock = clock_mhz(gpu, sys::nvmlClockType_enum_NVML_CLOCK_MEM)?;
        [megahertz(clock), hertz(clock)]
    }),
    number!(nvmlDeviceGetClockInfo(nvmlClockType_enum_NVML_CLOCK_VIDEO), VIDEO_CLOCK, megahertz),
    number!(nvmlDeviceGetApplicationsClock(nvmlClockType_enum_NVML_CLOCK_GRAPHICS), APP_SM_CLOCK, megahertz),
    number!(nvmlDeviceGetApplicationsClock(nvmlClockType_enum_NVML_CLOCK_MEM), APP_MEM_CLOCK, megahertz),
    number!(nvmlDeviceGetMaxClockInfo(nvmlClockType_enum_NVML_CLOCK_SM), MAX_SM_CLOCK, megahertz),
    number!(nvmlDeviceGetMaxClockInfo(nvmlClockType_enum_NVML_CLOCK_MEM), MAX_MEM_CLOCK, megahertz),
    number!(nvmlDeviceGetMaxClockInfo(nvmlClockType_enum_NVML_CLOCK_VIDEO), MAX_VIDEO_CLOCK, megahertz),
    one!(nvmlDeviceGetMinMaxClockOfPState, MAX_SM_CLOCK_OF_PSTATE, |gpu| max_sm_clock_now(gpu).map(megahertz)),
    number!(nvmlDeviceGetPerformanceState, PSTATE, performance_state),
    one!(nvmlDeviceGetCurrentClocksEventReasons, CLOCKS_EVENT_REASONS, |gpu| clock_event_reasons(gpu).map(int)),
    run(240, 8, time(&[Id::Fixed(fi::NVML_FI_DEV_PERF_POLICY_POWER)])),
    row(&[field::CLOCKS_EVENT_REASON_SW_POWER_CAP_NS], time(&[Id::Fixed(fi::NVML_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP)])),
    row(&[field::CLOCKS_EVENT_REASON_SYNC_BOOST_NS], time(&[Id::Fixed(fi::NVML_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST)])),
    row(&[field::CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS], time(&[Id::Renumbered { before: 251, since: 269 }])),
    row(&[field::CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS], time(&[Id::Renumbered { before: 252, since: 270 }])),
    row(&[field::CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS], time(&[Id::Renumbered { before: 253, since: 271 }])),
    samples(Quantity::SmClock, sys::nvmlSamplingType_enum_NVML_PROCESSOR_CLK_SAMPLES, hertz),
];

/// No clock is as fast.
const FASTEST_MHZ: u32 = 100_000;

/// A field value that is a time in ns.
const fn time(ids: &'static [Id]) -> Call {
    Call::FieldValue(Entries { ids, scope: Scope::Gpu }, Decode::Time)
}

/// Current clock of a domain (`NVML_CLOCK_SM`, `NVML_CLOCK_MEM`), MHz.
fn clock_mhz(gpu: &Device, domain: sys::nvmlClockType_t) -> Result<u32, Code> {
    gpu.number_of(domain, |nvml| &nvml.nvmlDeviceGetClockInfo)
}

/// Highest SM clock of the performance state that the GPU is in, MHz. Where the driver does not
/// tell states apart, it is known only in the fastest one: it is the highest of all.
fn max_sm_clock_now(gpu: &Device) -> Result<u32, Code> {
    let sm = sys::nvmlClockType_enum_NVML_CLOCK_SM;
    let state = gpu.number(|nvml| &nvml.nvmlDeviceGetPerformanceState)?;
    match max_clock_of_state(gpu, sm, state) {
        Ok(highest) if highest > 0 => Ok(highest),
        Err(code) if code.reason() != Reason::NotSupported && code != Code::INVALID_ARGUMENT => {
            Err(code)
        }
        _ if state == sys::nvmlPStates_enum_NVML_PSTATE_0 => {
            gpu.number_of(sm, |nvml| &nvml.nvmlDeviceGetMaxClockInfo)
        }
        _ => Err(Code::NO_DATA),
    }
}

fn max_clock_of_state(
    gpu: &Device,
    domain: sys::nvmlClockType_t,
    state: sys::nvmlPstates_t,
) -> Result<u32, Code> {
    let get = function(&gpu.library.symbols.nvmlDeviceGetMinMaxClockOfPState)?;
    let (mut lowest, mut highest) = (0, 0);
    // SAFETY: the call writes two numbers, to live locals.
    Code::check(unsafe { get(gpu.handle, domain, state, &mut lowest, &mut highest) })?;
    Ok(highest)
}

/// The reasons for the current clocks: a bit mask, from the call under its new name or its old.
fn clock_event_reasons(gpu: &Device) -> Result<u64, Code> {
    let symbols = &gpu.library.symbols;
    let call = |get: Result<GetMask, Code>| {
        let (get, mut mask) = (get?, 0);
        // SAFETY: both calls write one 64-bit number, to a live local.
        Code::check(unsafe { get(gpu.handle, &mut mask) })?;
        Ok(mask)
    };
    match call(function(&symbols.nvmlDeviceGetCurrentClocksEventReasons)) {
        Err(Code::FUNCTION_NOT_FOUND) => {
            call(function(&symbols.nvmlDeviceGetCurrentClocksThrottleReasons))
        }
        answer => answer,
    }
}

type GetMask =
    unsafe extern "C" fn(sys::nvmlDevice_t, *mut std::ffi::c_ulonglong) -> sys::nvmlReturn_t;

/// MHz as they are.
fn megahertz(raw: u32) -> Reading {
    if raw > FASTEST_MHZ { Err(Reason::Implausible) } else { int(raw) }
}

/// MHz to Hz.
fn hertz(megahertz: u32) -> Reading {
    self::megahertz(megahertz)?;
    int(u64::from(megahertz) * 1_000_000)
}

/// A performance state; 32 means unknown.
fn performance_state(state: u32) -> Reading {
    if state <= 15 { int(state) } else { Err(Reason::NoData) }
}

#[cfg(test)]
mod tests {
    use model::Value;

    use super::*;

    #[test]
    fn a_clock_is_plausible() {
        assert_eq!(megahertz(1_755), Ok(Value::Int(1_755)));
        assert_eq!(hertz(1_755), Ok(Value::Int(1_755_000_000)));
        for reading in [megahertz(100_001), hertz(u32::MAX)] {
            assert_eq!(reading, Err(Reason::Implausible));
        }
    }
}
