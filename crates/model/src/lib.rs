//! The types that all crates share: fields, watches, entities, readings, snapshots, and the `Source`
//! trait. To add a field, begin with its row in [`catalog`].
//!
//! Plain data: nothing here opens a file or a socket, and only [`Moment`] reads a clock. Every other
//! crate imports this one; this one imports none of them.

#![forbid(unsafe_code)]

mod attribution;
pub mod catalog;
mod clock;
mod derived;
mod driver_log;
mod entity;
pub mod field;
mod health;
mod history;
mod index;
mod labels;
mod log_message;
mod moment;
mod reading;
mod readings;
mod snapshot;
mod source;
mod tally;
mod watch;
mod window;
mod xid;

pub use attribution::{
    Attribution, Claim, DeviceKey, DeviceUse, GpuKey, Holder, PartKey, Pod, RefresherView,
};
pub use clock::{CLOCK_REASONS, ClockEvent, ClockReason};
pub use derived::{SlowdownWatches, active_links, watch_of};
pub use driver_log::{DriverError, DriverLog};
pub use entity::{Entity, Instance, MigDevice};
pub use health::{Health, HealthStatus};
pub use history::{HistoryView, StoreView};
pub use index::{PartIndex, SlotIndex, WatchIndex};
pub use labels::RESERVED_LABELS;
pub use log_message::{LogMessage, LogMessageKind};
pub use moment::Moment;
pub use reading::{Down, Reading, Reason, Text, Value};
pub use readings::{Part, Readings, TimedReading};
pub use snapshot::{Gpu, GpuView, PartView, Process, Snapshot, SourceView, Windows};
pub use source::{
    Bus, Identity, Outdated, Pass, Reader, ReaderKind, Renew, Session, Source, SourceError,
};
pub use tally::Tally;
pub use watch::{FieldId, Kind, Pace, SLOW_INTERVAL, Watch};
pub use window::{Extent, Quantity, Samples};
pub use xid::{LinkFault, When, Xid, XidCount, XidEvent, XidLog, XidSource};
