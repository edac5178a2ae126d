//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use tracing::Level;
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};

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

/// Lines that wait to be written at most; what comes on top of them is lost.
const MOST_LINES: usize = 1024;

/// Starts to log, until the guard is dropped, which writes what still waits.
///
/// A thread of its own does the writing. Readers log too, and one that waited for a full pipe would not
/// read its GPU any more.
pub(crate) fn start(log: &Log) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MOST_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_target(false)
        // What cannot be written would be reported on standard error, which is what failed; and
        // that report panics.
        .log_internal_errors(false)
        .with_max_level(if log.debug { Level::DEBUG } else { Level::INFO });
    match log.format {
        Format::Text => builder.with_ansi(io::stderr().is_terminal()).init(),
        Format::Json => builder.json().flatten_event(true).init(),
    }
    guard
}
