//! Partitioned GPUs, through NVML.

#[path = "../suite/mig.rs"]
mod suite;
