//! What the board could do, and between what it is held.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlMarginTemperature_t, nvmlReturn_t};

use super::{
    answer,
    out::{ListOut, Out, asked_version, version},
};
use crate::{call::Call, refusal::Refusal, session};

device_several! {
    nvmlDeviceGetPowerManagementLimitConstraints(least, most): |call| {
        call.board.power_limit_range_mw.map(|range| [range.min, range.max])
    };
    nvmlDeviceGetEncoderStats(sessions, average_fps, average_latency): |call| {
        let stats = call.board.encoder_stats?;
        Some([stats.sessions, stats.average_fps, stats.average_latency_us])
    };
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMarginTemperature(
    device: nvmlDevice_t,
    margin: *mut nvmlMarginTemperature_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(margin) }?;
        // SAFETY: the caller promises that its version is filled in.
        let version_asked = unsafe { asked_version(&out) };
        if version_asked != version::<nvmlMarginTemperature_t>(1) {
            return Err(Refusal::ARGUMENT_VERSION_MISMATCH);
        }
        let call = Call::on("nvmlDeviceGetMarginTemperature", device)?;
        let margin = call.board.margin_temperature.ok_or(Refusal::NOT_SUPPORTED)?;
        out.set(nvmlMarginTemperature_t { version: version_asked, marginTemperature: margin });
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSupportedMemoryClocks(
    device: nvmlDevice_t,
    count: *mut c_uint,
    clocks: *mut c_uint,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML as many places as the count says.
        let out = unsafe { ListOut::new(count, clocks) }?;
        let call = Call::on("nvmlDeviceGetSupportedMemoryClocks", device)?;
        let clocks: Vec<c_uint> =
            call.board.supported_clocks_mhz.iter().map(|clocks| clocks.mem).collect();
        if clocks.is_empty() {
            return Err(Refusal::NOT_SUPPORTED);
        }
        out.set(&clocks)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetSupportedGraphicsClocks(
    device: nvmlDevice_t,
    memory_mhz: c_uint,
    count: *mut c_uint,
    clocks: *mut c_uint,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML as many places as the count says.
        let out = unsafe { ListOut::new(count, clocks) }?;
        let call = Call::on("nvmlDeviceGetSupportedGraphicsClocks", device)?;
        let supported = &call.board.supported_clocks_mhz;
        if supported.is_empty() {
            return Err(Refusal::NOT_SUPPORTED);
        }
        let clocks = supported.iter().find(|clocks| clocks.mem == memory_mhz);
        out.set(&clocks.ok_or(Refusal::NOT_FOUND)?.graphics)
    })
}
