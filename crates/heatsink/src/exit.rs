//! How the program ends.

use std::{fmt, io};

use crate::message::one_line;

/// Exit status: all went well; of `check`, data flows.
pub(crate) const EXIT_OK: u8 = 0;

/// Exit status: of `check`, no data flows; of `check --health`, a GPU needs attention; of `fields`, nothing fits the
/// pattern; of commands that read a history, there is nothing to read, or it cannot be printed.
pub(crate) const EXIT_UNHEALTHY: u8 = 1;

/// Exit status of `check --health`: a GPU needs an operator, or no GPU can be read.
pub(crate) const EXIT_BROKEN: u8 = 2;

/// Exit status: the settings cannot work, and nothing was served.
pub(crate) const EXIT_BAD_SETTINGS: u8 = 2;

/// The error of a command that finds nothing to read: it ends with [`EXIT_UNHEALTHY`].
#[derive(Debug)]
pub(crate) struct NothingToRead(pub(crate) String);

impl fmt::Display for NothingToRead {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&one_line(&self.0))
    }
}

impl std::error::Error for NothingToRead {}

/// The error of a command whose output cannot be written: it ends with [`EXIT_UNHEALTHY`].
#[derive(Debug)]
pub(crate) struct NotWritten(pub(crate) io::Error);

impl fmt::Display for NotWritten {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot write to standard output: {}", self.0)
    }
}

impl std::error::Error for NotWritten {}

/// The end of a command.
pub(crate) struct Exit {
    pub(crate) status: u8,
    /// Whether a thread is stuck inside the driver. Ordinary exit would run the driver library's
    /// exit handlers under it.
    pub(crate) is_stuck: bool,
}

impl Exit {
    /// Ends with this status, after all threads have ended.
    pub(crate) fn with(status: u8) -> Self {
        Self { status, is_stuck: false }
    }
}
