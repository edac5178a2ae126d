//! Reads GPUs through the driver's own library, `libnvidia-ml.so.1` (NVML).
//!
//! The library is opened at run time, so the binary starts on machines that have none. A function
//! that it lacks is a field that it lacks. The files of this crate, from the driver to the readers:
//!
//! - `library`, `call`, `code`: the opened library; its functions, return codes and texts.
//! - `device`: a GPU by its handle, and the calls that answer with numbers or a text.
//! - `entry`, `convert`, `growth`: raw numbers to readings.
//! - `fields`: the tables of what is read, one file for each subject, of `row`s with `entries`.
//! - `plan`, `pass`, `schedule`, `demotion`, `call_times`: which watches are due, where their readings
//!   go, and which calls are slow.
//! - `call_group`: what the main reader makes calls with: `session_facts`, `ordinary_calls`,
//!   `field_values`, `gpm` (by `gpm_calls`), `prm` and `samples`.
//! - `mig`, `instances`: the instances of a partitioned GPU.
//! - `main_reader`, `events`, `pcie_reader`, `peers`: what one GPU's threads do; `unsupported_log`
//!   has their log lines about fields that a GPU does not have.
//! - `probe`, `timing`: one GPU read by another process, and timed calls.
//! - `host`: the driver and its GPUs as the operating system lists them.
//! - `source`: sessions, and the readers of each GPU.

#![allow(unsafe_code)]

mod call;
mod call_group;
mod call_times;
mod code;
mod convert;
mod demotion;
mod device;
mod entries;
mod entry;
mod events;
mod field_values;
mod fields;
mod gpm;
mod gpm_calls;
mod growth;
mod host;
mod instances;
mod library;
mod main_reader;
mod mig;
mod ordinary_calls;
mod pass;
mod pcie_reader;
mod peers;
mod plan;
mod prm;
mod probe;
mod row;
mod samples;
mod schedule;
mod session_facts;
mod source;
mod timing;
mod unsupported_log;

pub use fields::{UNSERVED, served, since};
pub use library::ReadError;
pub use probe::probe;
pub use source::{NvmlSource, Options};
pub use timing::{Timing, time_calls};
