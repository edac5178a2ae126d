//! Test only: a library with DCGM's C ABI, so that tests drive heatsink through a real `dlopen`.
//!
//! Cargo builds `libfake_dcgm.so`; a test [installs](install_in) it in a folder of its own as
//! `libdcgm.so.4` and points heatsink there. The engine behind it does what a real one does: it
//! reads a driver library, converts, and keeps what its clients watch. It does so with heatsink's
//! `nvml` crate, over the driver library that `fake-nvml` installs. Faults of
//! GPUs are set in that library's control file, faults of the engine in [the engine's](control).
//!
//! # Environment, read by the first `dcgmInit`
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `FAKE_DCGM_NVML` | | path of the driver library; without it there are no GPUs |
//! | `FAKE_DCGM_CONTROL` | | path of the control file; its commands: [`control`] |
//! | `FAKE_DCGM_VERSION` | `4.6.0` | version; from `4.7.0` on, fields up to 1650 are known |
//! | `FAKE_DCGM_EQUIPMENT` | | path of a TOML file with NVSwitches and CPUs |
//! | `FAKE_DCGM_HANG_SECONDS` | 60 | how long a call on an engine that is stopped blocks |
//!
//! The driver library has an environment of its own.
//!
//! # Equipment
//!
//! ```toml
//! [[switch]]
//! id = 0
//! links = 2
//!
//! [[cpu]]
//! id = 0
//! cores = [0, 1, 2, 3]
//!
//! [[value]]
//! entity = "switch 0 link 1" # or "switch 0", "cpu 0", "core 3"
//! field = 858
//! int = 42                   # or float = 0.5, or text = "abc"
//! ```
//!
//! # Engines
//!
//! An embedded engine is one in the process of its client. The host engine that `dcgmConnect` leads
//! to, with any address, is in the same process too; it starts with the first connection and
//! outlives every handle. Samples are taken at ticks of 50 ms, by one thread for all GPUs.
//!
//! # Memory
//!
//! A call that fetches values allocates 4 MB with the C library's allocator and frees them at its end,
//! as the real library does. So the resident memory that a client keeps from it can be measured.
//!
//! # Modules
//!
//! [`control`] is for tests. `settings` reads the environment, `faults` the commands of the control
//! file. `fields`, `entity`, `value` and `equipment` are DCGM's data types. `groups` and `watches` are
//! what clients have made. `engine` answers clients. `sampler`, `machine`, `readers`, `listener` and
//! `gpu` read the driver. Every function of `abi` goes through `library`; `layout` has the structs that
//! they take.

#![allow(unsafe_code)]

pub mod control;
mod install;

mod abi;
mod engine;
mod entity;
mod equipment;
mod faults;
mod fields;
mod gpu;
mod groups;
mod layout;
mod library;
mod listener;
mod machine;
mod readers;
mod sampler;
mod settings;
mod status;
mod value;
mod watches;

pub use control::Control;
pub use install::{install_in, library_path};

/// Writes a message on stderr.
fn warn(message: &str) {
    fake_nvml::control_file::warn("fake-dcgm", message);
}
