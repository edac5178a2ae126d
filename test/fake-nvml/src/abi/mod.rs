//! The C functions. Each takes the same way: is there a session, are the places to write to
//! there, does the GPU let the call through; then it writes what the board says.
#![allow(non_snake_case, reason = "the names are NVML's")]

#[macro_use]
mod tables;

mod events;
mod field_values;
mod gpm;
mod health;
mod identity;
mod instances;
mod limits;
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
