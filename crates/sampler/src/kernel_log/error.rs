//! Why the kernel log cannot be read.

use std::io;

use thiserror::Error;

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
    pub(crate) fn unreadable(name: &str, source: io::Error) -> Self {
        Self::Unreadable { name: name.to_owned(), source, hint: "" }
    }

    /// The same, with a hint if permission was denied.
    pub(crate) fn with_hint(name: &str, source: io::Error, hint: &'static str) -> Self {
        let is_denied = source.kind() == io::ErrorKind::PermissionDenied;
        Self::Unreadable { name: name.to_owned(), source, hint: if is_denied { hint } else { "" } }
    }
}
