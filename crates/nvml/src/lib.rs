//! Reads GPUs through the driver's own library, `libnvidia-ml.so.1` (NVML).
//!
//! The library is opened at run time, so the binary starts on machines that have none. A symbol
//! that it lacks is a field that it lacks. The rooms of this crate:
//!
//! - `library`: opening, initialising, closing; which file it was.
//! - `code`: what the driver's return codes mean.
//! - `device`: one safe function per driver call.
//! - `getters`: the table of which call answers which fields, with the conversions.
//! - `main_reader`, `gpm`, `pcie`, `events`: what one GPU's threads do.
//! - `source`: puts them together.

mod code;
mod device;
mod events;
mod getters;
mod gpm;
mod library;
mod main_reader;
mod pcie;
mod source;
mod timing;

use code::Code;
use device::Device;
pub use getters::served;
use library::Library;
pub use source::NvmlSource;
pub use timing::{Timing, time_calls};
