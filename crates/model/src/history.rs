//! What a page shows of the history: incidents, and whether the history is written.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::tally::Tally;

/// The state of the history at one moment. Immutable: a new one replaces it.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct HistoryView {
    /// Incidents by the kind of their first trigger, since the start of this process: all kinds, also those
    /// without an incident.
    pub incidents: BTreeMap<&'static str, Tally>,
    /// When the first trigger of the newest incident was seen, earlier runs included.
    pub last_incident: Option<SystemTime>,
    /// Bytes of frames in memory.
    pub memory_bytes: u64,
    /// The time of the oldest row in memory.
    pub memory_oldest: Option<SystemTime>,
    /// The directory; `None` without one.
    pub store: Option<StoreView>,
}

/// The directory of the history.
#[derive(Clone, PartialEq, Default, Debug)]
pub struct StoreView {
    /// Whether the last attempt to write succeeded.
    pub is_writable: bool,
    /// Bytes in the directory.
    pub bytes: u64,
    /// Bytes written since the start of this process.
    pub bytes_written: u64,
    /// The time of the oldest segment.
    pub oldest: Option<SystemTime>,
    /// When everything was last synced.
    pub last_sync: Option<SystemTime>,
    /// Errors by reason, since the start of this process.
    pub errors: BTreeMap<&'static str, u64>,
    /// Rows that were never written.
    pub rows_lost: u64,
}
