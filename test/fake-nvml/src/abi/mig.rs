//! MIG devices: which there are, and of which instances they are made.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{
    nvmlBAR1Memory_t, nvmlDevice_t, nvmlDeviceAttributes_t, nvmlReturn_t,
};

use super::{answer, out::Out};
use crate::{board::slices, call::Call, refusal::Refusal, session};

const MIB: u64 = 1 << 20;

/// `name -> C type: reader`, for MIG devices and whole GPUs alike.
macro_rules! mig_answers {
    ($($name:ident -> $of:ty: $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(device: nvmlDevice_t, place: *mut $of) -> nvmlReturn_t {
            answer(|| {
                session::current()?;
                // SAFETY: the caller promises NVML a place for the answer.
                let out = unsafe { Out::new(place) }?;
                let call = Call::on_any(stringify!($name), device)?;
                let read: fn(&Call) -> Result<$of, Refusal> = $read;
                out.set(read(&call)?);
                Ok(())
            })
        }
    )*};
}

mig_answers! {
    nvmlDeviceIsMigDeviceHandle -> c_uint: |call| Ok(call.mig_device.is_some().into());
    nvmlDeviceGetIndex -> c_uint: |call| match &call.mig_device {
        Some(device) => Ok(device.compute.index.unwrap_or(0)),
        None => Ok(call.gpu as c_uint),
    };
    nvmlDeviceGetMaxMigDeviceCount -> c_uint: |call| {
        Ok(call.mig().filter(|mig| mig.current == 1).map_or(0, |mig| mig.max_devices))
    };
    nvmlDeviceGetGpuInstanceId -> c_uint: |call| {
        Ok(call.mig_device.as_ref().ok_or(Refusal::INVALID_ARGUMENT)?.instance.id)
    };
    nvmlDeviceGetComputeInstanceId -> c_uint: |call| {
        Ok(call.mig_device.as_ref().ok_or(Refusal::INVALID_ARGUMENT)?.compute.id)
    };
    nvmlDeviceGetDeviceHandleFromMigDeviceHandle -> nvmlDevice_t: |call| {
        call.mig_device.as_ref().ok_or(Refusal::INVALID_ARGUMENT)?;
        Ok(call.session.handle(call.gpu))
    };
    nvmlDeviceGetBAR1MemoryInfo -> nvmlBAR1Memory_t: |call| {
        let bar1 = call.bar1().ok_or(Refusal::NOT_SUPPORTED)?;
        Ok(nvmlBAR1Memory_t { bar1Total: bar1.total, bar1Free: bar1.free, bar1Used: bar1.used })
    };
    nvmlDeviceGetAttributes_v2 -> nvmlDeviceAttributes_t: attributes;
}

fn attributes(call: &Call) -> Result<nvmlDeviceAttributes_t, Refusal> {
    let device = call.mig_device.as_ref().ok_or(Refusal::NOT_SUPPORTED)?;
    let (instance, compute) = (&device.instance, &device.compute);
    let whole = slices(&instance.profile);
    Ok(nvmlDeviceAttributes_t {
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

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetMigDeviceHandleByIndex(
    device: nvmlDevice_t,
    index: c_uint,
    mig_device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for one handle.
        let out = unsafe { Out::new(mig_device) }?;
        let call = Call::on("nvmlDeviceGetMigDeviceHandleByIndex", device)?;
        let mig = call.mig().ok_or(Refusal::NOT_SUPPORTED)?;
        if index >= mig.max_devices {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        let found = call.mig_devices().find(|device| device.compute.index == Some(index));
        let place = found.ok_or(Refusal::NOT_FOUND)?.place(call.gpu);
        out.set(call.session.mig_handle(place));
        Ok(())
    })
}
