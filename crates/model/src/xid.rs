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

impl Xid {
    /// What is true of a GPU that was listened to and has reported nothing.
    pub const NONE: Self = Self { code: 0, message: "No Error" };
}

/// Every XID that one GPU reported since this process began to listen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct XidLog {
    /// The newest one.
    pub last: Option<Xid>,
    /// How many of each code; what comes after [`XidLog::MOST_CODES`] different ones counts as
    /// [`XidLog::OTHER`].
    pub counts: BTreeMap<u32, u64>,
    /// Whether the driver currently delivers events for this GPU. Only then does silence mean that
    /// nothing happened.
    pub listening: bool,
}

impl XidLog {
    /// More different codes than there are, by far; a driver that invents some costs no more room.
    pub const MOST_CODES: usize = 512;

    /// Stands for all codes beyond those.
    pub const OTHER: u32 = u32::MAX;

    /// Counts one event, and says how many of its code there are now.
    pub fn record(&mut self, xid: Xid) -> u64 {
        self.last = Some(xid);
        let known = self.counts.len() < Self::MOST_CODES || self.counts.contains_key(&xid.code);
        let count = self.counts.entry(if known { xid.code } else { Self::OTHER }).or_insert(0);
        *count += 1;
        *count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_take_bounded_room() {
        let mut log = XidLog::default();
        for code in 0..10_000 {
            log.record(Xid { code, message: "?" });
        }
        assert_eq!(log.counts.len(), XidLog::MOST_CODES + 1);
        assert_eq!(log.counts.values().sum::<u64>(), 10_000);
        assert_eq!(log.last.map(|xid| xid.code), Some(9_999));
    }
}
