//! The words that all rooms share: field, watch, reading, snapshot, and the `Source` trait.
//!
//! Plain data: nothing here opens a file or a socket or asks what time it is. Every other room
//! imports this one; this one imports nothing.

#![forbid(unsafe_code)]

mod field;
mod reading;
mod snapshot;
mod source;
mod xid;

pub use field::{FieldId, Kind, Pace, Watch};
pub use reading::{Down, Reading, Readings, Reason, Slot, Value};
pub use snapshot::{Gpu, GpuView, Process, Snapshot, SourceView};
pub use source::{Identity, Pass, Reader, Rhythm, Session, Source, SourceError};
pub use xid::{Xid, XidLog};
