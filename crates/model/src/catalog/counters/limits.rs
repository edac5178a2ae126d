//! Limits of a counters file.

/// Most rows; further ones are skipped. Each watch needs memory for each GPU.
pub const MAX_WATCHES: usize = 4096;

/// Most skipped rows that are reported. A file with this many is not a counters file: the last one has
/// the error [`RowError::NotRead`](super::RowError::NotRead), and the rest of the file is not read.
pub const MAX_SKIPPED: usize = 1024;

/// Longest help text, in bytes; the rest is cut off.
pub const MAX_HELP_BYTES: usize = 1024;
