//! What every driver call needs: its function, versions of structures, buffers for texts.

use std::ffi::{CStr, c_char, c_uint};

use crate::code::Code;

/// A function of the library.
pub(crate) fn function<F: Copy, E>(symbol: &Result<F, E>) -> Result<F, Code> {
    symbol.as_ref().copied().map_err(|_| Code::FUNCTION_NOT_FOUND)
}

/// The version number that a structure of NVML carries: its size and its generation.
pub(crate) const fn version<T>(generation: u32) -> c_uint {
    size_of::<T>() as c_uint | generation << 24
}

/// A text that a call writes into a buffer of so many bytes.
pub(crate) fn text(
    fill: impl FnOnce(*mut c_char, c_uint) -> Result<(), Code>,
) -> Result<String, Code> {
    let mut buffer = [0 as c_char; 128];
    // One byte is kept back, so that the text ends even where the driver fills the whole buffer.
    fill(buffer.as_mut_ptr(), buffer.len() as c_uint - 1)?;
    // SAFETY: the buffer ends with a zero byte that the call was not allowed to overwrite.
    let text = unsafe { CStr::from_ptr(buffer.as_ptr()) };
    Ok(text.to_string_lossy().into_owned())
}
