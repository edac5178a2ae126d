//! Where the kernel log is read.

use std::path::PathBuf;

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
