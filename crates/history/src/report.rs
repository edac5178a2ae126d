//! Tells an incident, or a range of time: the verdict, the story in order, charts, what to do.

use crate::incident::Incident;
use crate::recording::{ReadError, Recording};

/// How a report looks.
#[derive(Clone, PartialEq, Debug)]
pub struct Style {
    /// Columns of the terminal.
    pub width: usize,
    /// Whether ANSI colours are used.
    pub has_colour: bool,
    /// The time zone in which times are shown.
    pub time_zone: jiff::tz::TimeZone,
}

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
    let _ = (recording, style);
    Ok(format!("{}\n", incident.verdict.cause))
}
