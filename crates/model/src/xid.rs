//! XIDs: the driver's own reports that something went wrong on a GPU.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// One kind of XID.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Xid {
    /// The driver's number for it; 0 means that none has happened.
    pub code: u32,
    /// What it means, in plain words.
    pub message: &'static str,
    /// What it asks for, in one word: `reset_gpu`.
    pub class: &'static str,
    /// What to do, in a sentence.
    pub action: &'static str,
}

impl Xid {
    /// What is true of a GPU that was listened to and has reported nothing.
    pub const NONE: Self =
        Self { code: 0, message: "No Error", class: "none", action: "Nothing to do." };
}

/// One XID that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XidEvent {
    /// Which.
    pub xid: Xid,
    /// The GPU instance that it is about; none where it is about the whole GPU.
    pub instance: Option<u32>,
    /// When it happened, where that was before anybody listened: it is the last one, and is not
    /// counted.
    pub before: Option<SystemTime>,
}

/// What is known of one code on one GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XidCount {
    /// Which.
    pub xid: Xid,
    /// How many.
    pub count: u64,
    /// When the last one came; none as long as there was none.
    pub last: Option<SystemTime>,
}

/// What the kernel's log says of an NVLink XID beyond its code.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkFault {
    /// The XID's code, 144 to 150.
    pub code: u32,
    /// The unit of the link that reports it: `RLW_CTRL`.
    pub unit: String,
    /// `fatal` or `nonfatal`.
    pub severity: &'static str,
    /// The number of the link; none where it is about all of them.
    pub link: Option<u32>,
}

/// Every XID that one GPU reported since this process began to listen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct XidLog {
    /// The newest one.
    pub last: Option<Xid>,
    /// The newest one that was about the whole GPU.
    pub last_of_gpu: Option<Xid>,
    /// The newest one about each GPU instance since then.
    pub last_of_instances: BTreeMap<u32, Xid>,
    /// How many of each code; what comes after [`XidLog::MOST_CODES`] different ones counts as
    /// [`XidLog::OTHER`].
    pub counts: BTreeMap<u32, XidCount>,
    /// What the kernel's log adds of NVLinks.
    pub link_faults: BTreeMap<LinkFault, u64>,
    /// Whether the driver currently delivers events for this GPU. Only then does silence mean that
    /// nothing happened.
    pub listening: bool,
}

impl XidLog {
    /// More different codes than there are, by far; a driver that invents some costs no more room.
    pub const MOST_CODES: usize = 512;

    /// More different faults of links than there are; further ones are not told apart.
    pub const MOST_LINK_FAULTS: usize = 1024;

    /// Stands for all codes beyond those.
    pub const OTHER: u32 = u32::MAX;

    /// Counts one event that has just happened, and says how many of its code there are now.
    pub fn record(&mut self, event: XidEvent, at: SystemTime) -> u64 {
        self.note_last(event);
        self.count(event.xid, at)
    }

    /// Notes one event that happened before anybody listened, of which it is only known that it was
    /// the last one. One that was heard of since is newer.
    pub fn note(&mut self, event: XidEvent, at: SystemTime) {
        if self.last.is_some() {
            return;
        }
        self.note_last(event);
        let known = self.counts.len() < Self::MOST_CODES;
        let none = XidCount { xid: event.xid, count: 0, last: None };
        if let Some(entry) = known.then(|| self.counts.entry(event.xid.code).or_insert(none)) {
            entry.last = entry.last.max(Some(at));
        }
    }

    /// Counts one event about the whole GPU that is told late. It is the last one only if it is not
    /// older than any other.
    pub fn record_late(&mut self, xid: Xid, at: SystemTime) -> u64 {
        if self.counts.values().all(|entry| entry.last.is_none_or(|last| last <= at)) {
            self.note_last(XidEvent { xid, instance: None, before: None });
        }
        self.count(xid, at)
    }

    fn note_last(&mut self, event: XidEvent) {
        let XidEvent { xid, instance, .. } = event;
        self.last = Some(xid);
        match instance {
            // A log of instances that are long gone must not grow.
            Some(_) if self.last_of_instances.len() == Self::MOST_CODES => {}
            Some(instance) => {
                self.last_of_instances.insert(instance, xid);
            }
            None => {
                self.last_of_gpu = Some(xid);
                self.last_of_instances.clear();
            }
        }
    }

    fn count(&mut self, xid: Xid, at: SystemTime) -> u64 {
        let known = self.counts.len() < Self::MOST_CODES || self.counts.contains_key(&xid.code);
        let key = if known { xid.code } else { Self::OTHER };
        let entry = self.counts.entry(key).or_insert(XidCount { xid, count: 0, last: None });
        entry.count += 1;
        entry.last = entry.last.max(Some(at));
        entry.count
    }

    /// Lets a code be counted from 0 on, so that its first event is an increase.
    pub fn expect(&mut self, xid: Xid) {
        self.counts.entry(xid.code).or_insert(XidCount { xid, count: 0, last: None });
    }

    /// Counts one fault of a link.
    pub fn record_link_fault(&mut self, fault: LinkFault) {
        let known = self.link_faults.len() < Self::MOST_LINK_FAULTS;
        if known || self.link_faults.contains_key(&fault) {
            *self.link_faults.entry(fault).or_insert(0) += 1;
        }
    }

    /// The newest XID of a GPU instance: one about it, or about its whole GPU.
    pub fn last_of(&self, instance: u32) -> Option<Xid> {
        self.last_of_instances.get(&instance).copied().or(self.last_of_gpu)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn event(code: u32, instance: Option<u32>) -> XidEvent {
        let xid = Xid { code, message: "?", class: "?", action: "?" };
        XidEvent { xid, instance, before: None }
    }

    #[test]
    fn codes_take_bounded_room() {
        let mut log = XidLog::default();
        for code in 0..10_000 {
            log.record(event(code, Some(code)), SystemTime::UNIX_EPOCH);
        }
        assert_eq!(log.counts.len(), XidLog::MOST_CODES + 1);
        assert_eq!(log.counts.values().map(|entry| entry.count).sum::<u64>(), 10_000);
        assert_eq!(log.last.map(|xid| xid.code), Some(9_999));
        assert_eq!(log.last_of_instances.len(), XidLog::MOST_CODES);
    }

    #[test]
    fn one_that_is_told_late_is_counted_and_is_not_the_last() {
        let mut log = XidLog::default();
        let at = |seconds| SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(seconds);
        log.record(event(79, None), at(20));
        log.record(event(48, None), at(10));
        log.record(event(79, None), at(5));
        assert_eq!(log.last.map(|xid| xid.code), Some(79));
        assert_eq!((log.counts[&48].count, log.counts[&79].count), (1, 2));
        assert_eq!(log.counts[&79].last, Some(at(20)));
    }

    #[test]
    fn one_from_before_anybody_listened_is_the_last_and_is_not_counted() {
        let mut log = XidLog::default();
        let at = SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(5);
        log.note(event(79, None), at);
        assert_eq!(log.last.map(|xid| xid.code), Some(79));
        assert_eq!((log.counts[&79].count, log.counts[&79].last), (0, Some(at)));
        log.record(event(48, None), at);
        log.note(event(31, None), at);
        assert_eq!(log.last.map(|xid| xid.code), Some(48), "one that was heard of is newer");
    }

    #[test]
    fn an_event_of_the_whole_gpu_is_one_of_each_instance() {
        let mut log = XidLog::default();
        let last = |log: &XidLog, instance| log.last_of(instance).map(|xid| xid.code);
        log.record(event(43, Some(1)), SystemTime::UNIX_EPOCH);
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(43), None));
        log.record(event(79, None), SystemTime::UNIX_EPOCH);
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(79), Some(79)));
        log.record(event(31, Some(2)), SystemTime::UNIX_EPOCH);
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(79), Some(31)));
    }
}
