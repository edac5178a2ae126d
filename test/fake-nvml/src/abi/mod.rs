//! The C functions. Each checks that there is a session, that the places to write to are not null, and
//! that no fault of the GPU stops the call; then it writes what the board has.
#![allow(non_snake_case, reason = "the names are NVML's")]

#[macro_use]
mod tables;

mod events;
mod field_values;
mod gpm;
mod health;
mod identity;
mod instances;
mod links;
mod mig;
mod numbers;
mod out;
mod ports;
mod readings;
mod samples;
mod system;

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use crate::refusal::{self, Refusal};

/// Runs the body of a function and turns its result into a return code.
fn answer(body: impl FnOnce() -> Result<(), Refusal>) -> nvmlReturn_t {
    refusal::code(body())
}
