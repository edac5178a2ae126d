//! The functions that the library exports, one file per subject.
//!
//! Each checks its arguments, passes through `library::call`, and turns what comes back into the
//! interface's numbers.

mod connection;
mod devices;
mod equipment;
mod fields;
mod groups;
mod health;
mod links;
mod values;

use std::{
    ffi::{CStr, c_char},
    panic::{AssertUnwindSafe, catch_unwind},
};

use crate::{
    engine::Engine,
    layout::{Versioned, check, fresh, put},
    library,
    status::Status,
};

/// What a function returns. A panic must not unwind into C.
fn answer(serve: impl FnOnce() -> Result<(), Status>) -> i32 {
    let result = catch_unwind(AssertUnwindSafe(serve)).unwrap_or(Err(Status::GENERIC_ERROR));
    result.err().unwrap_or(Status::OK).0
}

/// Fills a struct of the caller's with what `serve` makes of one that is all zero but for its version.
///
/// # Safety
///
/// `place` is null or points to a struct that begins with its version.
unsafe fn fill<T: Versioned>(
    handle: usize,
    place: *mut T,
    serve: impl FnOnce(&Engine, &mut T) -> Result<(), Status>,
) -> i32 {
    answer(|| {
        library::call(handle, |engine, _| {
            // SAFETY: as the caller says.
            unsafe { check(place) }?;
            let mut filled = fresh::<T>();
            serve(engine, &mut filled)?;
            // SAFETY: it was checked.
            unsafe { put(place, &filled) };
            Ok(())
        })
    })
}

/// A text of the caller's.
///
/// # Safety
///
/// `text` is null or ends with a zero byte.
unsafe fn text(text: *const c_char) -> Result<String, Status> {
    if text.is_null() {
        return Err(Status::BAD_PARAM);
    }
    // SAFETY: it is not null, and the caller says that it ends.
    let text = unsafe { CStr::from_ptr(text) };
    Ok(text.to_string_lossy().into_owned())
}

/// Writes one number where the caller wants it.
///
/// # Safety
///
/// `place` is null or has room for it.
unsafe fn put_one<T>(place: *mut T, value: T) -> Result<(), Status> {
    if place.is_null() {
        return Err(Status::BAD_PARAM);
    }
    // SAFETY: it is not null, and the caller says that there is room.
    unsafe { place.write(value) };
    Ok(())
}

/// A list of the caller's.
///
/// # Safety
///
/// `list` is null or has `count` elements, which do not change during the call.
unsafe fn list<'a, T>(list: *const T, count: usize) -> Result<&'a [T], Status> {
    if list.is_null() {
        return Err(Status::BAD_PARAM);
    }
    // SAFETY: it is not null, and the caller says how long it is.
    Ok(unsafe { std::slice::from_raw_parts(list, count) })
}
