//! Simulated GPUs that obey simple physics: load becomes power, power becomes heat, and heat takes
//! the clocks down, which slows the job that made the load.
//!
//! A [`Scenario`] lists what happens to each GPU, a [`World`] simulates it in fixed steps, and
//! [`SimSource`] lets the sampler read the world like any driver. Scenario, seed and simulated time
//! determine every number: a world uses no clock and no system randomness. Its arithmetic gives
//! the same bits on every machine (no `exp`, no `powf`), so that tests can compare exact numbers.

#![forbid(unsafe_code)]

mod board;
mod fault;
mod governor;
mod job;
mod random;
mod readings;
mod scenario;
mod script;
mod source;
mod state;
mod world;

pub use fault::Fault;
pub use scenario::{Chapter, Scenario};
pub use source::{Options, SimSource};
pub use state::{Activity, GpuState, XidEvent};
pub use world::World;
