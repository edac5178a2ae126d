//! Log lines, on standard error.

use std::io::{self, IsTerminal};

use tracing::{Level, Metadata, Subscriber};
use tracing_appender::non_blocking::{NonBlockingBuilder, WorkerGuard};
use tracing_subscriber::filter::filter_fn;
use tracing_subscriber::layer::SubscriberExt;
use tracing_subscriber::util::SubscriberInitExt;

use crate::parse::LogFormat;

/// Lines that wait to be written at most; further ones are lost.
const MAX_WAITING_LINES: usize = 1024;

/// Starts to log, until the guard is dropped, which writes the lines that still wait.
///
/// A thread of its own does the writing. Readers log too, and one that waited for a full pipe would not
/// read its GPU any more.
pub(crate) fn start(format: LogFormat, debug: bool) -> WorkerGuard {
    let (writer, guard) = NonBlockingBuilder::default()
        .buffered_lines_limit(MAX_WAITING_LINES)
        .thread_name("log")
        .finish(io::stderr());
    let builder = tracing_subscriber::fmt()
        .with_writer(writer)
        .with_target(false)
        // A line that cannot be written would be reported on standard error, which is what failed; and
        // that report panics.
        .log_internal_errors(false)
        .with_max_level(if debug { Level::DEBUG } else { Level::INFO });
    match format {
        LogFormat::Text => init(builder.with_ansi(io::stderr().is_terminal()).finish()),
        LogFormat::Json => init(builder.json().flatten_event(true).finish()),
    }
    guard
}

/// Lets only crates of this program log. What its dependencies report as an error, it logs itself.
fn init(subscriber: impl Subscriber + Send + Sync + 'static) {
    let is_own = |meta: &Metadata| OWN.iter().any(|name| is_of(meta.target(), name));
    subscriber.with(filter_fn(is_own)).init();
}

/// The crates of this program that log.
const OWN: [&str; 6] = ["heatsink", "attribution", "dcgm", "history", "nvml", "sampler"];

/// Whether a target is a crate, or a module of it.
fn is_of(target: &str, name: &str) -> bool {
    target.strip_prefix(name).is_some_and(|rest| rest.is_empty() || rest.starts_with("::"))
}
