//! Writes segments and incidents to a directory, and removes the oldest ones.

use std::path::PathBuf;
use std::time::Duration;

/// Where and how much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreSettings {
    /// The directory. It is made if it is not there.
    pub directory: PathBuf,
    /// The most bytes in it.
    pub max_bytes: u64,
    /// The age at which segments are removed.
    pub keep: Duration,
}
