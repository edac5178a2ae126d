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

/// The header's macro for the versions of structs: their size, and a number in the uppermost byte.
pub(super) const fn version<T>(number: c_uint) -> c_uint {
    size_of::<T>() as c_uint | number << 24
}

/// Whether the caller's struct has this version.
///
/// # Safety
///
/// As for [`asked_version`].
pub(super) unsafe fn check_version<T>(place: &Out<T>, number: c_uint) -> Result<(), Refusal> {
    // SAFETY: the caller promises that a number is there.
    let asked = unsafe { asked_version(place) };
    if asked == version::<T>(number) { Ok(()) } else { Err(Refusal::ARGUMENT_VERSION_MISMATCH) }
}

/// The version that a caller has written into a struct, which begins with it.
///
/// # Safety
///
/// The place must begin with a number that is filled in; the rest need not be, which is why no
/// reference to the whole is made.
pub(super) unsafe fn asked_version<T>(place: &Out<T>) -> c_uint {
    // SAFETY: the caller promises that a number is there.
    unsafe { place.0.cast::<c_uint>().read() }
}

/// A list of the caller's, with the number of its places, which becomes that of the entries.
pub(super) struct ListOut<T> {
    count: NonNull<c_uint>,
    start: Option<NonNull<T>>,
}

impl<T: Copy> ListOut<T> {
    /// The list that the caller passed. Its start may be null, to ask for the number alone.
    ///
    /// # Safety
    ///
    /// A `count` that is not null must be valid for reading and writing, and a `start` that is not
    /// null for writing `*count` entries, for as long as the result is in use.
    pub(super) unsafe fn new(count: *mut c_uint, start: *mut T) -> Result<Self, Refusal> {
        let count = NonNull::new(count).ok_or(Refusal::INVALID_ARGUMENT)?;
        Ok(Self { count, start: NonNull::new(start) })
    }

    /// Writes the number of entries, and the entries if there is room for all of them.
    pub(super) fn set(&self, entries: &[T]) -> Result<(), Refusal> {
        // SAFETY: `new` was promised that the count can be read and written.
        let room = unsafe { self.count.read() } as usize;
        self.set_count(entries.len());
        match self.start {
            _ if entries.is_empty() => Ok(()),
            Some(start) if entries.len() <= room => {
                // SAFETY: `new` was promised `room` places, and entries of ours do not overlap
                // with the caller's.
                unsafe { start.as_ptr().copy_from_nonoverlapping(entries.as_ptr(), entries.len()) };
                Ok(())
            }
            _ => Err(Refusal::INSUFFICIENT_SIZE),
        }
    }

    fn set_count(&self, count: usize) {
        // SAFETY: `new` was promised that the count can be written.
        unsafe { self.count.write(count as c_uint) }
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
