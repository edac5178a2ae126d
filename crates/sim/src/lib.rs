//! Simulated GPUs that obey simple physics.

#![forbid(unsafe_code)]

mod state;

pub use state::{Activity, GpuState, XidEvent};
