//! Simulated GPUs that obey simple physics: load becomes power, power becomes heat, and heat takes
//! the clocks down, which slows the job that made the load.
//!
//! A [`Scenario`] says what happens to whom, a [`World`] lives through it in fixed steps, and
//! [`SimSource`] lets the sampler read it like any driver. There is no clock and no chance in a
//! world: scenario, seed and simulated time determine every number. It uses only arithmetic that
//! is exact to the bit on every machine (no `exp`, no `powf`), so that recorded expectations hold
//! everywhere.

#![forbid(unsafe_code)]

mod board;
mod governor;
mod job;
mod random;
mod readings;
mod scenario;
mod script;
mod source;
mod state;
mod world;

pub use scenario::{Chapter, Scenario};
pub use source::{Options, SimSource};
pub use state::{Activity, GpuState, XidEvent};
pub use world::World;
