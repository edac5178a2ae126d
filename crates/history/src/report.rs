//! Tells an incident, or a range of time: the verdict, the story in order, charts, what to do.
//!
//! A [`Report`] is what there is to tell: as data in JSON, as text by [`Report::text`]. Texts from logs, pods
//! and files are in it as they are; both forms escape them.

mod chart;
mod clock;
mod columns;
mod content;
mod coverage;
mod escape;
mod holds;
mod interest;
mod names;
mod page;
mod quantity;
mod reading;
mod sparkline;
mod story;
mod style;
#[cfg(test)]
mod tests;
mod text;

pub use self::chart::{Chart, ChartPoint};
pub use self::clock::{duration, local, local_range};
pub use self::columns::{clip, columns};
pub use self::content::{Held, Mention, Missing, Report, Scope};
pub use self::escape::{escape, json};
pub use self::holds::{Hold, Holds, JobHolds, holds};
pub use self::names::gpus_of;
pub use self::story::Entry;
pub use self::style::Style;

use crate::incident::Incident;
use crate::recording::{ReadError, Recording};

/// The report of an incident as text. The charts are from `recording`; without data they are left out.
///
/// # Errors
///
/// If the recording cannot be read.
pub fn of_incident(
    incident: &Incident,
    recording: &dyn Recording,
    style: &Style,
) -> Result<String, ReadError> {
    Ok(Report::of_incident(incident, recording)?.text(style))
}
