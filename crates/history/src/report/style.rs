//! How a report looks.

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
