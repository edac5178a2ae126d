//! Reads configuration and counters files, which are small.

use std::fs::File;
use std::io::{self, ErrorKind, Read};
use std::path::Path;

/// The largest configuration or counters file that is read, in bytes.
const MOST_BYTES: u64 = 1024 * 1024;

/// Reads a file of at most 1 MiB that should be `what`.
///
/// # Errors
///
/// The system's, or that it is larger.
pub(crate) fn read_small(path: &Path, what: &str) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    File::open(path)?.take(MOST_BYTES + 1).read_to_end(&mut text)?;
    if text.len() as u64 > MOST_BYTES {
        let why = format!("larger than 1 MiB; is this {what}?");
        return Err(io::Error::new(ErrorKind::FileTooLarge, why));
    }
    Ok(text)
}
