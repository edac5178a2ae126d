//! Drives the built library as heatsink does: copied, opened with `dlopen`, called through C.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is tests, the helpers too")]

mod driver;

mod events;
mod every_function;
mod faults;
mod fixture;
mod health_and_links;
mod machines;
mod mig;
mod ports;
mod samples;
mod simulation;
