//! MIG devices, and the instances they are made of.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlDeviceAttributes_t};

use crate::{
    board::slices,
    call::{Call, MigDevice},
    refusal::Refusal,
};

const MIB: u64 = 1 << 20;

device_functions! {
    nvmlDeviceIsMigDeviceHandle[on_any]() -> c_uint: |call| Some(call.mig_device.is_some().into());
    nvmlDeviceGetIndex[on_any]() -> c_uint: |call| match &call.mig_device {
        Some(device) => device.compute.index.or(Some(0)),
        None => Some(call.gpu as c_uint),
    };
    nvmlDeviceGetMaxMigDeviceCount[on_any]() -> c_uint: |call| {
        Some(call.mig().filter(|mig| mig.current == 1).map_or(0, |mig| mig.max_devices))
    };
    nvmlDeviceGetGpuInstanceId[on_any]() -> c_uint: |call| {
        Ok::<_, Refusal>(mig_device(call)?.instance.id)
    };
    nvmlDeviceGetComputeInstanceId[on_any]() -> c_uint: |call| {
        Ok::<_, Refusal>(mig_device(call)?.compute.id)
    };
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle[on_any]() -> nvmlDevice_t: |call| {
        mig_device(call)?;
        Ok::<_, Refusal>(call.session.handle(call.gpu))
    };
    nvmlDeviceGetAttributes_v2[on_any]() -> nvmlDeviceAttributes_t: attributes;
    nvmlDeviceGetMigDeviceHandleByIndex[on](index: c_uint) -> nvmlDevice_t: |call, index| {
        let mig = call.mig().ok_or(Refusal::NOT_SUPPORTED)?;
        if index >= mig.max_devices {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        let found = call.mig_devices().find(|device| device.compute.index == Some(index));
        let place = found.ok_or(Refusal::NOT_FOUND)?.place(call.gpu);
        Ok(call.session.mig_handle(place))
    };
}

fn mig_device(call: &Call) -> Result<&MigDevice, Refusal> {
    call.mig_device.as_ref().ok_or(Refusal::INVALID_ARGUMENT)
}

fn attributes(call: &Call) -> Option<nvmlDeviceAttributes_t> {
    let device = call.mig_device.as_ref()?;
    let (instance, compute) = (&device.instance, &device.compute);
    let whole = slices(&instance.profile);
    Some(nvmlDeviceAttributes_t {
        multiprocessorCount: compute.multiprocessors.or(instance.multiprocessors).unwrap_or(0),
        sharedCopyEngineCount: instance.copy_engines,
        sharedDecoderCount: instance.decoders,
        sharedEncoderCount: instance.encoders,
        sharedJpegCount: instance.jpeg_engines,
        sharedOfaCount: instance.ofa_engines,
        gpuInstanceSliceCount: whole,
        computeInstanceSliceCount: compute.profile.as_deref().map_or(whole, slices),
        memorySizeMB: instance.memory.map_or(0, |memory| memory.total / MIB),
    })
}
