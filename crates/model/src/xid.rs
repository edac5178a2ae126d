//! XIDs: the driver's own reports that something went wrong on a GPU.

use std::collections::BTreeMap;

/// One kind of XID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Xid {
    /// The driver's number for it; 0 means that none has happened.
    pub code: u32,
    /// What it means, in plain words.
    pub message: &'static str,
}

/// Every XID that one GPU reported since this process began to listen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct XidLog {
    /// The newest one.
    pub last: Option<Xid>,
    /// How many of each code. Bounded: codes that the XID table does not know count as code 0xFFFF.
    pub counts: BTreeMap<u32, u64>,
    /// Whether the driver currently delivers events for this GPU. Only then does silence mean that
    /// nothing happened.
    pub listening: bool,
}

impl XidLog {
    /// Counts one event.
    pub fn record(&mut self, xid: Xid) {
        self.last = Some(xid);
        *self.counts.entry(xid.code).or_insert(0) += 1;
    }
}
