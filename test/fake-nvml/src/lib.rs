//! Test only: a library with NVML's C ABI, so that tests drive heatsink through a real `dlopen`.
//!
//! Cargo builds `libfake_nvml.so`; a test [installs](install_in) it in its own folder as
//! `libnvidia-ml.so.1` and points heatsink there. Its GPUs are simulated, or read from a
//! fixture file of raw NVML integers; a control file makes them fail while the program runs.
//!
//! # Environment, read by `nvmlInit`
//!
//! | variable | default | meaning |
//! |---|---|---|
//! | `FAKE_NVML_FIXTURE` | | path of a fixture; the simulation is off then. Format: `fixtures/example.toml` |
//! | `FAKE_NVML_SCENARIO` | `steady` | `story`, `steady`, `idle`, or the name of a [`sim::Fault`] |
//! | `FAKE_NVML_GPUS` | 8 | number of GPUs, for `steady` and `idle`. With a fixture the default is all of its GPUs; if it has fewer, they are repeated |
//! | `FAKE_NVML_SEED` | 1 | seed of the simulation |
//! | `FAKE_NVML_AT` | | simulated second at which the simulation is frozen |
//! | `FAKE_NVML_SPEED` | 1 | simulated seconds per second |
//! | `FAKE_NVML_DRIVER` | `550.163.01` | driver version |
//! | `FAKE_NVML_CONTROL` | | path of the control file; its commands: [`control`] |
//!
//! In a frozen simulation the field values that count something (NVLink and PCIe bytes) go
//! on at the rate of that moment by one second of timestamp per reading, so that rates are exact;
//! all else, `nvmlDeviceGetTotalEnergyConsumption` included, does not change.
//!
//! In a running one the state changes every 100 ms of simulated time, and field values bear the
//! time of the last change: two calls in between get the same value and timestamp.
//!
//! # Modules
//!
//! [`control`] is for tests. `settings` reads the environment. `board` is one GPU in raw integers, made
//! by `encode` from the simulation or by `fixture` from a file. `machine` holds the boards and moves
//! simulated time; `samples` is the driver's sample buffers. `faults` are the commands of the control
//! file, `fault_watch` the faults in force. Every function of `abi` goes through `session` and `call`.
//! There are no threads: what waits, polls, so that the library can be closed at any time.

#![allow(unsafe_code)]

pub mod control;
pub mod control_file;
mod install;

mod board;
mod encode;
mod event_set;
mod events;
mod fault_watch;
mod faults;
mod field;
mod fixture;
mod functions;
mod gpm;
mod machine;
mod mig_command;
mod samples;
mod settings;
mod state_change;
mod xid;

mod abi;
mod call;
mod handle;
mod refusal;
mod session;

pub use control::Control;
pub use fixture::host_gpus;
pub use install::{built, install_in, library_path};
