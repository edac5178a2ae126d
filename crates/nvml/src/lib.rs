//! Reads GPUs through the driver's own library, `libnvidia-ml.so.1` (NVML).
//!
//! The library is opened at run time, so the binary starts on machines that have none. A symbol
//! that it lacks is a field that it lacks. The rooms of this crate:
//!
//! - `library`: opening, initialising, closing; which file it was.
//! - `code`: what the driver's return codes mean.
//! - `device`: one safe function per driver call: raw numbers.
//! - `convert`, `entry`, `growth`: how raw numbers become readings.
//! - `getters`, `field_table`, `gpm_table`: the tables of which call answers which fields;
//!   `served` looks fields up in all of them.
//! - `plan`, `round`, `demotion`, `call_times`: who wants what and when, and what a pass met.
//! - `calls`, `field_values`, `gpm`, `prm`, `samples`: read what the tables say.
//! - `links`, `mig_devices`, `instances`: what a GPU has that is smaller than itself.
//! - `main_reader`, `events`, `pcie`, `peers`: what one GPU's threads do.
//! - `probe`: whether a GPU can be read by another process.
//! - `host`: what the operating system says of the driver and of GPUs that it does not list.
//! - `facts`, `source`: what is true of the whole session; puts the readers together.

#![allow(unsafe_code)]

mod call_times;
mod calls;
mod code;
mod convert;
mod demotion;
mod device;
mod entry;
mod events;
mod facts;
mod field_table;
mod field_values;
mod getters;
mod gpm;
mod gpm_table;
mod growth;
mod host;
mod instances;
mod library;
mod links;
mod main_reader;
mod mig_devices;
mod pcie;
mod peers;
mod plan;
mod prm;
mod probe;
mod round;
mod samples;
mod served;
mod source;
mod timing;

use code::Code;
use device::Device;
use library::Library;
pub use probe::probe;
pub use served::{UNSERVED, served, since};
pub use source::{NvmlSource, Options};
pub use timing::{Timing, time_calls};
