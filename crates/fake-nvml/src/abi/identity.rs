//! Which GPUs there are: handles, names, addresses.

use std::ffi::{CStr, c_char, c_uint};

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlInforomObject_t, nvmlPciInfo_t, nvmlReturn_t};

use super::{
    answer,
    out::{Out, TextOut, text_in},
};
use crate::{
    board::{Inforom, Pci},
    call::Call,
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
        if gpu >= session.listed(&faults) {
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
        let is_it = |gpu: &usize| {
            session.machine.board(*gpu).is_some_and(|board| board.uuid.as_bytes() == uuid)
        };
        let gpu = (0..session.listed(&faults)).find(is_it).ok_or(Refusal::NOT_FOUND)?;
        let call = Call::reach("nvmlDeviceGetHandleByUUID", session, faults, gpu)?;
        out.set(call.session.handle(gpu));
        Ok(())
    })
}

/// Functions that answer with a text of the board.
macro_rules! device_texts {
    ($($name:ident: $read:expr;)*) => {$(
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
                let call = Call::on(stringify!($name), device)?;
                let read: fn(&Call) -> Option<&str> = $read;
                out.set(read(&call).ok_or(Refusal::NOT_SUPPORTED)?)
            })
        }
    )*};
}

device_texts! {
    nvmlDeviceGetUUID: |call| Some(&call.board.uuid);
    nvmlDeviceGetName: |call| Some(&call.board.name);
    nvmlDeviceGetSerial: |call| call.board.serial.as_deref();
    nvmlDeviceGetVbiosVersion: |call| call.board.vbios.as_deref();
    nvmlDeviceGetInforomImageVersion: |call| call.board.inforom.image.as_deref();
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
