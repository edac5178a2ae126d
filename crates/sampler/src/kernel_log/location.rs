//! Where the kernel log is read, and why it cannot be.

use std::io;
use std::path::PathBuf;

use thiserror::Error;

/// Where the kernel log is read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogLocation {
    /// From `/dev/kmsg`, or else from the journal. A text file is never chosen automatically: any user
    /// can write a line to it that looks like the kernel's.
    Auto,
    /// From `/dev/kmsg`.
    Kmsg,
    /// From the files of systemd's journal.
    Journal,
    /// From a text file, a folder of the journal, or a device like `/dev/kmsg`.
    Path(PathBuf),
}

impl LogLocation {
    /// The location that the command line names: `auto`, `kmsg`, `journal` or a path.
    pub fn parse(text: &str) -> Self {
        match text {
            "auto" => Self::Auto,
            "kmsg" => Self::Kmsg,
            "journal" => Self::Journal,
            path => Self::Path(PathBuf::from(path)),
        }
    }
}

/// Why the kernel log cannot be read, in one line.
#[derive(Debug, Error)]
pub enum LogError {
    /// One log cannot be read.
    #[error("cannot read {name}: {source}{hint}")]
    Unreadable {
        /// A path, or `systemd's journal`.
        name: String,
        /// The error of the operating system, or of the format.
        source: io::Error,
        /// What would make it readable, with a leading blank; may be empty.
        hint: &'static str,
    },
    /// Neither `/dev/kmsg` nor the journal can be read.
    #[error("{kmsg}; {journal}")]
    Neither {
        /// Why `/dev/kmsg` cannot be read.
        kmsg: Box<LogError>,
        /// Why the journal cannot be read.
        journal: Box<LogError>,
    },
}

impl LogError {
    pub(crate) fn unreadable(name: String, source: io::Error) -> Self {
        Self::Unreadable { name, source, hint: "" }
    }
}
