//! Functions that answer with more than one number.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    NVML_GRID_LICENSE_EXPIRY_NOT_APPLICABLE, nvmlDevice_t, nvmlGridLicensableFeature_t,
    nvmlGridLicensableFeatures_t, nvmlGridLicenseExpiry_t, nvmlMemory_t, nvmlMemory_v2_t,
    nvmlReturn_t, nvmlUtilization_t,
};

use super::{
    answer,
    out::{Out, text_in},
};
use crate::{
    board::{Board, Engine, LicensableFeature},
    call::Call,
    refusal::Refusal,
    session,
};

/// The header's macro: the size of the struct, and its version in the uppermost byte.
const MEMORY_V2: c_uint = size_of::<nvmlMemory_v2_t>() as c_uint | 2 << 24;

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetUtilizationRates(
    device: nvmlDevice_t,
    utilization: *mut nvmlUtilization_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(utilization) }?;
        let call = Call::on_any("nvmlDeviceGetUtilizationRates", device)?;
        let rates = call.outside_mig(call.board.utilization).ok_or(Refusal::NOT_SUPPORTED)?;
        let gpu = call.nonsense().map_or(rates.gpu, |number| number as c_uint);
        out.set(nvmlUtilization_t { gpu, memory: rates.memory });
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetEncoderUtilization(
    device: nvmlDevice_t,
    utilization: *mut c_uint,
    sampling_us: *mut c_uint,
) -> nvmlReturn_t {
    let function = "nvmlDeviceGetEncoderUtilization";
    // SAFETY: the caller promises NVML two places for one number each.
    answer(|| unsafe { engine(function, device, utilization, sampling_us, |board| board.encoder) })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetDecoderUtilization(
    device: nvmlDevice_t,
    utilization: *mut c_uint,
    sampling_us: *mut c_uint,
) -> nvmlReturn_t {
    let function = "nvmlDeviceGetDecoderUtilization";
    // SAFETY: the caller promises NVML two places for one number each.
    answer(|| unsafe { engine(function, device, utilization, sampling_us, |board| board.decoder) })
}

/// The load of an encoder or decoder.
///
/// # Safety
///
/// As for [`Out::new`], for both places.
unsafe fn engine(
    function: &'static str,
    device: nvmlDevice_t,
    utilization: *mut c_uint,
    sampling_us: *mut c_uint,
    read: fn(&Board) -> Option<Engine>,
) -> Result<(), Refusal> {
    session::current()?;
    // SAFETY: the caller of this function promises it.
    let (out, sampling) = unsafe { (Out::new(utilization)?, Out::new(sampling_us)?) };
    let call = Call::on_any(function, device)?;
    let engine = call.outside_mig(read(&call.board)).ok_or(Refusal::NOT_SUPPORTED)?;
    out.set(call.nonsense().map_or(engine.percent, |number| number as c_uint));
    sampling.set(engine.sampling_us);
    Ok(())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo(
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(memory) }?;
        let call = Call::on_any("nvmlDeviceGetMemoryInfo", device)?;
        let memory = call.memory().ok_or(Refusal::NOT_SUPPORTED)?;
        out.set(nvmlMemory_t {
            total: call.nonsense().unwrap_or(memory.total),
            free: memory.free,
            // This version has no member for what the driver reserves, and counts it as used.
            used: memory.used + memory.reserved,
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMemoryInfo_v2(
    device: nvmlDevice_t,
    memory: *mut nvmlMemory_v2_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(memory) }?;
        // SAFETY: the place is not null, and the caller promises that its version is filled in.
        let version = unsafe { (&raw const (*memory).version).read() };
        if version != MEMORY_V2 {
            return Err(Refusal::ARGUMENT_VERSION_MISMATCH);
        }
        let call = Call::on_any("nvmlDeviceGetMemoryInfo_v2", device)?;
        let memory = call.memory().ok_or(Refusal::NOT_SUPPORTED)?;
        out.set(nvmlMemory_v2_t {
            version,
            total: call.nonsense().unwrap_or(memory.total),
            reserved: memory.reserved,
            free: memory.free,
            used: memory.used,
        });
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigMode(
    device: nvmlDevice_t,
    current: *mut c_uint,
    pending: *mut c_uint,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML two places for one number each.
        let (now, later) = unsafe { (Out::new(current)?, Out::new(pending)?) };
        let call = Call::on("nvmlDeviceGetMigMode", device)?;
        let mig = call.mig().ok_or(Refusal::NOT_SUPPORTED)?;
        now.set(call.nonsense().map_or(mig.current, |number| number as c_uint));
        later.set(mig.pending);
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetGridLicensableFeatures_v4(
    device: nvmlDevice_t,
    features: *mut nvmlGridLicensableFeatures_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(features) }?;
        let call = Call::on("nvmlDeviceGetGridLicensableFeatures_v4", device)?;
        let licence = call.board.vgpu_licence.as_ref().ok_or(Refusal::NOT_SUPPORTED)?;
        let absent = LicensableFeature::default();
        let slots = std::array::from_fn(|i| feature(licence.features.get(i).unwrap_or(&absent)));
        out.set(nvmlGridLicensableFeatures_t {
            isGridLicenseSupported: licence.supported.into(),
            licensableFeaturesCount: licence.features.len().min(slots.len()) as c_uint,
            gridLicensableFeatures: slots,
        });
        Ok(())
    })
}

fn feature(feature: &LicensableFeature) -> nvmlGridLicensableFeature_t {
    nvmlGridLicensableFeature_t {
        featureCode: feature.code,
        featureState: feature.state,
        licenseInfo: text_in(""),
        productName: text_in(&feature.product),
        featureEnabled: feature.enabled,
        licenseExpiry: nvmlGridLicenseExpiry_t {
            year: 0,
            month: 0,
            day: 0,
            hour: 0,
            min: 0,
            sec: 0,
            status: NVML_GRID_LICENSE_EXPIRY_NOT_APPLICABLE as u8,
        },
    }
}
