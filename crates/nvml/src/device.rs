//! A GPU by its handle, and the shapes that most driver calls have.

use std::ffi::{c_char, c_uint};
use std::ptr;
use std::sync::Arc;

use nvml_wrapper_sys::bindings::{self as sys, NvmlLib};

use crate::call::{function, text};
use crate::code::Code;
use crate::library::Library;

/// A GPU or a MIG device, by the handle that NVML gave for it.
pub(crate) struct Device {
    pub(crate) library: Arc<Library>,
    /// A handle of `library`. NVML never frees handles, and answers with an error for a device that
    /// is gone.
    pub(crate) handle: sys::nvmlDevice_t,
}

// SAFETY: NVML is thread-safe and its handles may be used from any thread.
unsafe impl Send for Device {}

type GetNumber = unsafe extern "C" fn(sys::nvmlDevice_t, *mut c_uint) -> sys::nvmlReturn_t;
type GetNumberOf =
    unsafe extern "C" fn(sys::nvmlDevice_t, c_uint, *mut c_uint) -> sys::nvmlReturn_t;
type GetPair =
    unsafe extern "C" fn(sys::nvmlDevice_t, *mut c_uint, *mut c_uint) -> sys::nvmlReturn_t;
type GetText = unsafe extern "C" fn(sys::nvmlDevice_t, *mut c_char, c_uint) -> sys::nvmlReturn_t;

impl Device {
    /// Gets the handle of the GPU with this index. Touches that GPU, and only that one.
    pub(crate) fn by_index(library: &Arc<Library>, index: u32) -> Result<Self, Code> {
        let get = function(&library.symbols.nvmlDeviceGetHandleByIndex_v2)?;
        let mut handle = ptr::null_mut();
        // SAFETY: the call writes one handle, to a live local.
        Code::check(unsafe { get(index, &mut handle) })?;
        Ok(Self { library: Arc::clone(library), handle })
    }

    /// Makes a call that answers with one 32-bit number.
    pub(crate) fn number<E>(
        &self,
        get: fn(&NvmlLib) -> &Result<GetNumber, E>,
    ) -> Result<u32, Code> {
        let get = function(get(&self.library.symbols))?;
        let mut number = 0;
        // SAFETY: every function of this type in NVML's header writes one number, here to a live
        // local. It is of the same library as the handle.
        Code::check(unsafe { get(self.handle, &mut number) })?;
        Ok(number)
    }

    /// Makes a call that answers with one 32-bit number of one of several things: a sensor, a clock
    /// domain, an NVLink.
    pub(crate) fn number_of<E>(
        &self,
        which: c_uint,
        get: fn(&NvmlLib) -> &Result<GetNumberOf, E>,
    ) -> Result<u32, Code> {
        let get = function(get(&self.library.symbols))?;
        let mut number = 0;
        // SAFETY: every function of this type in NVML's header takes any number, refuses those that
        // it does not know, and writes one number, here to a live local. It is of the same library as
        // the handle.
        Code::check(unsafe { get(self.handle, which, &mut number) })?;
        Ok(number)
    }

    /// Makes a call that answers with two 32-bit numbers.
    pub(crate) fn pair<E>(
        &self,
        get: fn(&NvmlLib) -> &Result<GetPair, E>,
    ) -> Result<(u32, u32), Code> {
        let get = function(get(&self.library.symbols))?;
        let (mut one, mut other) = (0, 0);
        // SAFETY: every function of this type in NVML's header writes two numbers, here to live
        // locals, or takes a count and an array of so many entries, here none. It is of the same
        // library as the handle.
        Code::check(unsafe { get(self.handle, &mut one, &mut other) })?;
        Ok((one, other))
    }

    /// Makes a call that answers with a text.
    pub(crate) fn text<E>(&self, get: fn(&NvmlLib) -> &Result<GetText, E>) -> Result<String, Code> {
        let get = function(get(&self.library.symbols))?;
        text(|buffer, len| {
            // SAFETY: every function of this type in NVML's header writes at most `len` bytes. It is of
            // the same library as the handle.
            Code::check(unsafe { get(self.handle, buffer, len) })
        })
    }

    /// Fills in many field values in one call; each carries its own return code.
    ///
    /// # Errors
    ///
    /// NVML's code of the whole call.
    pub(crate) fn field_values(&self, values: &mut [sys::nvmlFieldValue_t]) -> Result<(), Code> {
        let get = function(&self.library.symbols.nvmlDeviceGetFieldValues)?;
        // SAFETY: the call fills in as many entries as its count says: all of the slice.
        Code::check(unsafe { get(self.handle, values.len() as i32, values.as_mut_ptr()) })
    }
}
