//! Standard output as people see it: its width, its colours, and when it is closed early.

use std::env;
use std::io::{self, IsTerminal as _, Write as _};

use anyhow::Result;
use history::report::Style;

use crate::exit::NotWritten;

/// The columns of what is no terminal.
const COLUMNS: usize = 80;

/// How text looks on standard output: as wide as the terminal, coloured if it is one and neither `NO_COLOR`
/// nor `TERM=dumb` forbids it, with times of this machine's zone.
pub(crate) fn style() -> Style {
    let is_set = |name| env::var_os(name).is_some_and(|value| !value.is_empty());
    let is_dumb = env::var_os("TERM").is_some_and(|term| term == "dumb");
    Style {
        width: width(),
        has_colour: io::stdout().is_terminal() && !is_set("NO_COLOR") && !is_dumb,
        time_zone: jiff::tz::TimeZone::system(),
    }
}

/// The columns of the terminal; if standard output is none, `COLUMNS`, or 80.
pub(crate) fn width() -> usize {
    let of_terminal = || {
        let size = rustix::termios::tcgetwinsize(io::stdout()).ok()?;
        Some(usize::from(size.ws_col)).filter(|columns| *columns > 0)
    };
    let said = || {
        let columns: usize = env::var("COLUMNS").ok()?.parse().ok()?;
        Some(columns).filter(|columns| *columns > 0)
    };
    of_terminal().or_else(said).unwrap_or(COLUMNS)
}

/// Writes to standard output. That its reader closes the pipe, as `head` does, is no error.
///
/// # Errors
///
/// If it cannot be written for another reason.
pub(crate) fn print(text: &str) -> Result<()> {
    let mut output = io::stdout().lock();
    match output.write_all(text.as_bytes()).and_then(|()| output.flush()) {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => Ok(written.map_err(NotWritten)?),
    }
}
