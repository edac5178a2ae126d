//! Drives the built library as heatsink does: copied, opened with `dlopen`, called through C.
#![allow(unsafe_code)]
#![allow(clippy::unwrap_used, reason = "all of this is tests, the helpers too")]

mod client;

mod connecting;
mod devices;
mod values;
