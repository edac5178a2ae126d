//! The last incident, as a program that ends tells it.

use std::io::{self, IsTerminal as _};

use history::recording::{ReadError, Recording};
use history::report::{self, Style};
use jiff::tz::TimeZone;

/// Columns where the terminal does not say how many it has.
const WIDTH: usize = 80;

/// What `heatsink report --last` says; `None` if there was no incident.
///
/// # Errors
///
/// If the recording cannot be read.
pub(crate) fn last_incident(
    recording: &dyn Recording,
    style: &Style,
) -> Result<Option<String>, ReadError> {
    let incidents = recording.incidents()?;
    let last = incidents.iter().max_by_key(|incident| incident.number);
    last.map(|incident| report::of_incident(incident, recording, style)).transpose()
}

/// How reports look on standard output.
pub(crate) fn style() -> Style {
    let variable = |name| std::env::var(name).ok().filter(|value| !value.is_empty());
    let columns = variable("COLUMNS").and_then(|columns| columns.parse().ok());
    Style {
        width: columns.unwrap_or(WIDTH),
        has_colour: io::stdout().is_terminal() && variable("NO_COLOR").is_none(),
        time_zone: TimeZone::system(),
    }
}
