//! Partitioned GPUs, through the driver library.

#[path = "../suite/mig.rs"]
mod suite;
