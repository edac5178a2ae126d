//! Handles, names and addresses of GPUs.

use std::ffi::c_uint;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlInforomObject_t, nvmlPciInfo_t, nvmlReturn_t};

use super::{
    answer,
    out::{Out, text_in},
};
use crate::{
    board::{Inforom, Pci},
    call::{Call, MigDevice},
    refusal::Refusal,
    session,
};

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByIndex_v2(
    index: c_uint,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    answer(|| {
        let (session, faults) = session::current()?;
        // SAFETY: the caller promises NVML a place for one handle.
        let out = unsafe { Out::new(device) }?;
        let gpu = index as usize;
        if gpu >= session.listed() {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        let call = Call::reach("nvmlDeviceGetHandleByIndex_v2", session, faults, gpu)?;
        out.set(call.session.handle(gpu));
        Ok(())
    })
}

device_texts! {
    nvmlDeviceGetUUID[on_any](): |call| match &call.mig_device {
        Some(device) => Some(device.compute.uuid.clone()),
        None => Some(call.board.uuid.clone()),
    };
    nvmlDeviceGetName[on_any](): |call| {
        let name = &call.board.name;
        let Some(MigDevice { instance, compute }) = &call.mig_device else {
            return Some(name.clone());
        };
        Some(format!("{name} MIG {}", compute.profile.as_ref().unwrap_or(&instance.profile)))
    };
    nvmlDeviceGetSerial[on](): |call| call.board.serial.clone();
    nvmlDeviceGetVbiosVersion[on](): |call| call.board.vbios.clone();
    nvmlDeviceGetInforomImageVersion[on](): |call| call.board.inforom.image.clone();
    nvmlDeviceGetInforomVersion[on](object: nvmlInforomObject_t): |call, object| {
        let Inforom { oem, ecc, power, .. } = &call.board.inforom;
        let version = [oem, ecc, power].get(object as usize).copied().cloned();
        version.ok_or(Refusal::INVALID_ARGUMENT)
    };
}

device_functions! {
    nvmlDeviceGetPciInfo_v3[on]() -> nvmlPciInfo_t: |call| {
        let Pci { domain, bus, device, device_id, subsystem_id } = call.board.pci;
        Some(nvmlPciInfo_t {
            busIdLegacy: text_in(&format!("{domain:04X}:{bus:02X}:{device:02X}.0")),
            domain,
            bus,
            device,
            pciDeviceId: device_id,
            pciSubSystemId: subsystem_id,
            busId: text_in(&format!("{domain:08X}:{bus:02X}:{device:02X}.0")),
        })
    };
}
