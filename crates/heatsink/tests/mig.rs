//! Partitioned GPUs, through the driver library.

mod rig;

#[path = "suite/mig.rs"]
mod suite;
