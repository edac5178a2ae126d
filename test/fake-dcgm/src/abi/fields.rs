//! What is known of fields.

use std::{
    ffi::{CStr, c_char},
    ptr,
};

use crate::{fields::Meta, library};

#[unsafe(no_mangle)]
extern "C" fn DcgmFieldGetById(field: u16) -> *const Meta {
    let Ok(setup) = library::setup() else { return ptr::null() };
    // The library keeps what it knows of fields for as long as the process lives.
    setup.fields.get(field).map_or(ptr::null(), |field| &raw const field.meta)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn DcgmFieldGetByTag(tag: *const c_char) -> *const Meta {
    let Ok(setup) = library::setup() else { return ptr::null() };
    if tag.is_null() {
        return ptr::null();
    }
    // SAFETY: it is not null, and the caller passes a text.
    let tag = unsafe { CStr::from_ptr(tag) };
    let found = setup.fields.all().find(|field| field.tag().eq(tag.to_bytes().iter().copied()));
    found.map_or(ptr::null(), |field| &raw const field.meta)
}
