//! Descriptions of fields.

use std::ptr;

use crate::{fields::Meta, library};

#[unsafe(no_mangle)]
extern "C" fn DcgmFieldGetById(field: u16) -> *const Meta {
    let Ok(setup) = library::setup() else { return ptr::null() };
    // The library keeps what it knows of fields for as long as the process lives.
    setup.fields.get(field).map_or(ptr::null(), |field| &raw const field.meta)
}
