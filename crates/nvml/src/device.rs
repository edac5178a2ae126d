//! One safe function per driver call: raw numbers out, nothing converted.

mod fabric;
mod faults;
mod mig;
mod prm;
mod sensors;
mod texts;

use std::ffi::{CStr, c_char, c_uint};
use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;

use model::Identity;
use nvml_wrapper_sys::bindings as sys;

use crate::{Code, Library};

/// Calls a function of the library, if it has it.
macro_rules! call {
    ($library:expr, $function:ident ( $($argument:expr),* )) => {
        match $library.symbols.$function.as_ref() {
            // SAFETY: the symbol has the type of NVML's header; handles come from this library and
            // live as long as it (they are never freed); pointers are to live locals of the type
            // that the function writes.
            Ok(function) => Code::check(unsafe { function($($argument),*) }),
            Err(_) => Err(Code::FUNCTION_NOT_FOUND),
        }
    };
}
pub(crate) use call;

/// A GPU, by the handle that NVML gave for it.
pub(crate) struct Device {
    pub(crate) library: Arc<Library>,
    pub(crate) handle: sys::nvmlDevice_t,
}

// SAFETY: NVML is thread-safe and its handles may be used from any thread.
unsafe impl Send for Device {}

pub(crate) use fabric::{Fabric, FabricState};
pub(crate) use prm::PrmCounter;
pub(crate) use sensors::Memory;

/// The version number that a structure of NVML carries: its size and its generation.
const fn version<T>(generation: u32) -> c_uint {
    size_of::<T>() as c_uint | generation << 24
}

impl Library {
    /// How many GPUs the driver lists.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn device_count(&self) -> Result<u32, Code> {
        let mut count = 0;
        call!(self, nvmlDeviceGetCount_v2(&mut count))?;
        Ok(count)
    }

    /// The driver's version, as `550.163.01`.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn driver_version(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self, nvmlSystemGetDriverVersion(buffer, len)))
    }

    /// NVML's own version, as `12.550.163.01`.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn nvml_version(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self, nvmlSystemGetNVMLVersion(buffer, len)))
    }

    /// The CUDA version of the driver, as major x 1000 + minor x 10. Opens `libcuda.so.1`.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn cuda_version(&self) -> Result<i32, Code> {
        let mut version = 0;
        call!(self, nvmlSystemGetCudaDriverVersion_v2(&mut version))?;
        Ok(version)
    }
}

impl Device {
    /// Gets the handle of the GPU with this index. Touches that GPU, and only that one.
    ///
    /// # Errors
    ///
    /// NVML's code.
    pub(crate) fn by_index(library: &Arc<Library>, index: u32) -> Result<Self, Code> {
        let mut handle = ptr::null_mut();
        call!(library, nvmlDeviceGetHandleByIndex_v2(index, &mut handle))?;
        Ok(Self { library: Arc::clone(library), handle })
    }

    /// What the GPU is.
    pub(crate) fn identity(&self, index: u32) -> Result<Identity, Code> {
        // Integrated GPUs have no PCI address, and some virtual ones lack more. That costs a label.
        let optional = |answer: Result<String, Code>| match answer {
            Ok(text) => Ok(Some(text).filter(|text| !text.is_empty())),
            Err(code) if code.reason().is_lasting() => Ok(None),
            Err(code) => Err(code),
        };
        Ok(Identity {
            index: Some(index),
            uuid: optional(self.uuid())?,
            pci_bus_id: optional(self.pci_bus_id())?,
            model_name: optional(self.name())?,
        })
    }

    pub(crate) fn uuid(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self.library, nvmlDeviceGetUUID(self.handle, buffer, len)))
    }

    pub(crate) fn name(&self) -> Result<String, Code> {
        text(|buffer, len| call!(self.library, nvmlDeviceGetName(self.handle, buffer, len)))
    }

    /// `00000000:1A:00.0`.
    pub(crate) fn pci_bus_id(&self) -> Result<String, Code> {
        let mut info = MaybeUninit::<sys::nvmlPciInfo_t>::zeroed();
        call!(self.library, nvmlDeviceGetPciInfo_v3(self.handle, info.as_mut_ptr()))?;
        // SAFETY: all-zero bytes are a valid value of this plain C struct, and the call may only
        // have written more of them.
        let info = unsafe { info.assume_init() };
        Ok(format!("{:08X}:{:02X}:{:02X}.0", info.domain, info.bus, info.device))
    }

    /// Fills in many field values in one call; each carries its own return code.
    pub(crate) fn field_values(&self, values: &mut [sys::nvmlFieldValue_t]) -> Result<(), Code> {
        let count = values.len() as i32;
        call!(self.library, nvmlDeviceGetFieldValues(self.handle, count, values.as_mut_ptr()))
    }
}

/// An empty field value that asks for `field`.
pub(crate) fn ask(field: u32, scope: u32) -> sys::nvmlFieldValue_t {
    sys::nvmlFieldValue_t {
        fieldId: field,
        scopeId: scope,
        timestamp: 0,
        latencyUsec: 0,
        valueType: 0,
        // An entry that the driver does not fill in must not pass for an answer.
        nvmlReturn: crate::entry::UNANSWERED,
        value: sys::nvmlValue_t { ullVal: 0 },
    }
}

/// A text that a call writes into a buffer.
fn text(fill: impl FnOnce(*mut c_char, c_uint) -> Result<(), Code>) -> Result<String, Code> {
    let mut buffer = [0 as c_char; 128];
    // One byte is kept back, so that the text ends even where the driver fills all it was given.
    fill(buffer.as_mut_ptr(), buffer.len() as c_uint - 1)?;
    // SAFETY: the buffer ends with a zero byte that the call was not allowed to overwrite.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    Ok(text.to_string_lossy().into_owned())
}
