//! Which GPUs there are: handles, names, addresses.

use std::{
    ffi::{CStr, c_char, c_uint},
    sync::Arc,
};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlInforomObject_t, nvmlPciInfo_t, nvmlReturn_t};

use super::{
    answer,
    out::{Out, TextOut, text_in},
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

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetHandleByUUID(
    uuid: *const c_char,
    device: *mut nvmlDevice_t,
) -> nvmlReturn_t {
    answer(|| {
        let (session, faults) = session::current()?;
        // SAFETY: the caller promises NVML a place for one handle.
        let out = unsafe { Out::new(device) }?;
        if uuid.is_null() {
            return Err(Refusal::INVALID_ARGUMENT);
        }
        // SAFETY: the caller promises NVML a text that a zero ends, which lives for the call.
        let uuid = unsafe { CStr::from_ptr(uuid) }.to_bytes();
        let Ok(uuid) = str::from_utf8(uuid) else { return Err(Refusal::NOT_FOUND) };
        let function = "nvmlDeviceGetHandleByUUID";
        for gpu in 0..session.listed() {
            let Some(board) = session.machine.board(gpu) else { continue };
            if board.uuid == uuid {
                let call = Call::reach(function, session, faults, gpu)?;
                out.set(call.session.handle(gpu));
                return Ok(());
            }
            if !uuid.starts_with("MIG-") {
                continue;
            }
            // A GPU that does not answer hides its MIG devices, and no others.
            let call = Call::reach(function, Arc::clone(&session), Arc::clone(&faults), gpu);
            let Ok(call) = call else { continue };
            if let Some(device) = call.mig_devices().find(|device| device.compute.uuid == uuid) {
                out.set(call.session.mig_handle(device.place(gpu)));
                return Ok(());
            }
        }
        Err(Refusal::NOT_FOUND)
    })
}

/// Functions that answer with a text of the board; some have one for MIG devices too.
macro_rules! device_texts {
    ($($name:ident($on:ident): $read:expr;)*) => {$(
        #[unsafe(no_mangle)]
        unsafe extern "C" fn $name(
            device: nvmlDevice_t,
            text: *mut c_char,
            length: c_uint,
        ) -> nvmlReturn_t {
            answer(|| {
                session::current()?;
                // SAFETY: the caller promises NVML a buffer of this length.
                let out = unsafe { TextOut::new(text, length) }?;
                let call = Call::$on(stringify!($name), device)?;
                let read: fn(&Call) -> Option<String> = $read;
                out.set(&read(&call).ok_or(Refusal::NOT_SUPPORTED)?)
            })
        }
    )*};
}

device_texts! {
    nvmlDeviceGetUUID(on_any): |call| match &call.mig_device {
        Some(device) => Some(device.compute.uuid.clone()),
        None => Some(call.board.uuid.clone()),
    };
    nvmlDeviceGetName(on_any): |call| {
        let name = &call.board.name;
        let Some(MigDevice { instance, compute }) = &call.mig_device else {
            return Some(name.clone());
        };
        Some(format!("{name} MIG {}", compute.profile.as_ref().unwrap_or(&instance.profile)))
    };
    nvmlDeviceGetSerial(on): |call| call.board.serial.clone();
    nvmlDeviceGetVbiosVersion(on): |call| call.board.vbios.clone();
    nvmlDeviceGetInforomImageVersion(on): |call| call.board.inforom.image.clone();
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetInforomVersion(
    device: nvmlDevice_t,
    object: nvmlInforomObject_t,
    text: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a buffer of this length.
        let out = unsafe { TextOut::new(text, length) }?;
        let call = Call::on("nvmlDeviceGetInforomVersion", device)?;
        let Inforom { oem, ecc, power, .. } = &call.board.inforom;
        let versions = [oem, ecc, power];
        let version = versions.get(object as usize).ok_or(Refusal::INVALID_ARGUMENT)?;
        out.set(version.as_deref().ok_or(Refusal::NOT_SUPPORTED)?)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetPciInfo_v3(
    device: nvmlDevice_t,
    pci: *mut nvmlPciInfo_t,
) -> nvmlReturn_t {
    answer(|| {
        session::current()?;
        // SAFETY: the caller promises NVML a place for the struct.
        let out = unsafe { Out::new(pci) }?;
        let call = Call::on("nvmlDeviceGetPciInfo_v3", device)?;
        let Pci { domain, bus, device, device_id, subsystem_id } = call.board.pci;
        out.set(nvmlPciInfo_t {
            busIdLegacy: text_in(&format!("{domain:04X}:{bus:02X}:{device:02X}.0")),
            domain,
            bus,
            device,
            pciDeviceId: device_id,
            pciSubSystemId: subsystem_id,
            busId: text_in(&format!("{domain:08X}:{bus:02X}:{device:02X}.0")),
        });
        Ok(())
    })
}
