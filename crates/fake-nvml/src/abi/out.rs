//! Places in the caller's memory that a function fills.

use std::{
    ffi::{c_char, c_uint},
    ptr::{self, NonNull},
};

use crate::refusal::Refusal;

/// A place for one `T`.
pub(super) struct Out<T>(NonNull<T>);

impl<T> Out<T> {
    /// The place that the caller passed, unless it is null.
    ///
    /// # Safety
    ///
    /// A `place` that is not null must be aligned and valid for writing one `T` for as long as the
    /// result is in use. C callers of NVML promise that for the time of the call.
    pub(super) unsafe fn new(place: *mut T) -> Result<Self, Refusal> {
        NonNull::new(place).map(Self).ok_or(Refusal::INVALID_ARGUMENT)
    }

    /// Fills the place.
    pub(super) fn set(&self, value: T) {
        // SAFETY: `new` was promised that the place can be written.
        unsafe { self.0.write(value) }
    }
}

/// A buffer for text.
pub(super) struct TextOut {
    start: NonNull<c_char>,
    length: usize,
}

impl TextOut {
    /// The buffer that the caller passed, unless it is null.
    ///
    /// # Safety
    ///
    /// A `start` that is not null must be valid for writing `length` bytes for as long as the
    /// result is in use. C callers of NVML promise that for the time of the call.
    pub(super) unsafe fn new(start: *mut c_char, length: c_uint) -> Result<Self, Refusal> {
        let start = NonNull::new(start).ok_or(Refusal::INVALID_ARGUMENT)?;
        Ok(Self { start, length: length as usize })
    }

    /// Writes the text with its closing zero; nothing where it does not fit.
    pub(super) fn set(&self, text: &str) -> Result<(), Refusal> {
        if text.len() >= self.length {
            return Err(Refusal::INSUFFICIENT_SIZE);
        }
        let start = self.start.as_ptr().cast::<u8>();
        // SAFETY: `new` was promised `length` bytes, which is more than the text has, and a Rust
        // string does not overlap with the caller's buffer.
        unsafe {
            ptr::copy_nonoverlapping(text.as_ptr(), start, text.len());
            start.add(text.len()).write(0);
        }
        Ok(())
    }
}

/// Text in an array of a C struct, cut off where it does not fit, closed and padded with zeros.
pub(super) fn text_in<const N: usize>(text: &str) -> [c_char; N] {
    let mut array = [0; N];
    for (slot, byte) in array.iter_mut().take(N.saturating_sub(1)).zip(text.bytes()) {
        *slot = byte.cast_signed();
    }
    array
}
