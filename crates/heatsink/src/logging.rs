//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use tracing::Level;

/// What is logged, and how.
#[derive(Default)]
pub(crate) struct Log {
    pub(crate) format: Format,
    pub(crate) debug: bool,
}

/// How log lines look.
#[derive(Default)]
pub(crate) enum Format {
    /// A line for people.
    #[default]
    Text,
    /// One JSON object a line.
    Json,
}

/// Starts to log.
pub(crate) fn start(log: &Log) {
    let builder = tracing_subscriber::fmt()
        .with_writer(io::stderr)
        .with_target(false)
        // What cannot be written would be reported on standard error, which is what failed; and
        // that report panics.
        .log_internal_errors(false)
        .with_max_level(if log.debug { Level::DEBUG } else { Level::INFO });
    match log.format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
}
