//! Log lines, on standard error.

use std::io::IsTerminal;

use tracing::Level;

use crate::cli::{LogArgs, LogFormat};

/// Starts to log.
pub(crate) fn start(args: &LogArgs) {
    let builder = tracing_subscriber::fmt()
        .with_writer(std::io::stderr)
        .with_target(false)
        // What cannot be written would be reported on standard error, which is what failed; and
        // that report panics.
        .log_internal_errors(false)
        .with_max_level(if args.debug { Level::DEBUG } else { Level::INFO });
    match args.log_format {
        LogFormat::Text => builder.with_ansi(std::io::stderr().is_terminal()).init(),
        LogFormat::Json => builder.json().flatten_event(true).init(),
    }
}
