//! Functions that answer with more than one number of the board.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    NVML_GRID_LICENSE_EXPIRY_NOT_APPLICABLE, nvmlBAR1Memory_t, nvmlGridLicensableFeature_t,
    nvmlGridLicensableFeatures_t, nvmlGridLicenseExpiry_t, nvmlMarginTemperature_t, nvmlMemory_t,
    nvmlMemory_v2_t, nvmlUtilization_t,
};

use super::out::{text_in, version};
use crate::board::{Engine, Licence, LicensableFeature};

device_functions! {
    nvmlDeviceGetUtilizationRates[on_any]() -> nvmlUtilization_t: |call| {
        let rates = call.outside_mig(call.board.utilization)?;
        let gpu = call.nonsense().map_or(rates.gpu, |number| number as c_uint);
        Some(nvmlUtilization_t { gpu, memory: rates.memory })
    };
    nvmlDeviceGetMemoryInfo[on_any]() -> nvmlMemory_t: |call| {
        call.memory().map(|memory| nvmlMemory_t {
            total: call.nonsense().unwrap_or(memory.total),
            free: memory.free,
            // This version has no member for what the driver reserves, and counts it as used.
            used: memory.used + memory.reserved,
        })
    };
    nvmlDeviceGetMemoryInfo_v2[on_any]() -> nvmlMemory_v2_t, version 2: |call| {
        call.memory().map(|memory| nvmlMemory_v2_t {
            version: version::<nvmlMemory_v2_t>(2),
            total: call.nonsense().unwrap_or(memory.total),
            reserved: memory.reserved,
            free: memory.free,
            used: memory.used,
        })
    };
    nvmlDeviceGetBAR1MemoryInfo[on_any]() -> nvmlBAR1Memory_t: |call| {
        let bar1 = call.bar1()?;
        Some(nvmlBAR1Memory_t { bar1Total: bar1.total, bar1Free: bar1.free, bar1Used: bar1.used })
    };
    nvmlDeviceGetMarginTemperature[on]() -> nvmlMarginTemperature_t, version 1: |call| {
        let version = version::<nvmlMarginTemperature_t>(1);
        let margin = call.board.margin_temperature;
        margin.map(|margin| nvmlMarginTemperature_t { version, marginTemperature: margin })
    };
    nvmlDeviceGetGridLicensableFeatures_v4[on]() -> nvmlGridLicensableFeatures_t: |call| {
        call.board.vgpu_licence.as_ref().map(licence)
    };
}

device_several! {
    nvmlDeviceGetEncoderUtilization[on_any](percent, sampling_us): |call| {
        call.outside_mig(call.board.encoder).map(load)
    };
    nvmlDeviceGetDecoderUtilization[on_any](percent, sampling_us): |call| {
        call.outside_mig(call.board.decoder).map(load)
    };
    nvmlDeviceGetMigMode[on](current, pending): |call| {
        call.mig().map(|mig| [mig.current, mig.pending])
    };
    nvmlDeviceGetPowerManagementLimitConstraints[on](least, most): |call| {
        call.board.power_limit_range_mw.map(|range| [range.min, range.max])
    };
    nvmlDeviceGetEncoderStats[on](sessions, average_fps, average_latency): |call| {
        let stats = call.board.encoder_stats?;
        Some([stats.sessions, stats.average_fps, stats.average_latency_us])
    };
}

fn load(engine: Engine) -> [c_uint; 2] {
    [engine.percent, engine.sampling_us]
}

fn licence(licence: &Licence) -> nvmlGridLicensableFeatures_t {
    let absent = LicensableFeature::default();
    let slots = std::array::from_fn(|i| feature(licence.features.get(i).unwrap_or(&absent)));
    nvmlGridLicensableFeatures_t {
        isGridLicenseSupported: licence.supported.into(),
        licensableFeaturesCount: licence.features.len().min(slots.len()) as c_uint,
        gridLicensableFeatures: slots,
    }
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
