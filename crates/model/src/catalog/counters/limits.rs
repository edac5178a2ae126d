//! Upper limits on what a counters file can cost.

/// How many rows are taken; further ones are skipped. Every watch costs memory for every GPU.
pub const MAX_WATCHES: usize = 4096;

/// How many skipped rows are reported. A file with so many of them is no counters file: the last
/// one says [`RowError::NotRead`](super::RowError::NotRead), and the rest of the file is not read.
pub const MAX_SKIPPED: usize = 1024;

/// How long a help text can be, in bytes; the rest of a longer one is cut off.
pub const MAX_HELP_BYTES: usize = 1024;
