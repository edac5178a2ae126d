//! XIDs: the driver's own reports that something went wrong on a GPU.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::Moment;

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
    /// Whether it asks for a reset, a restart or a repair, or may.
    pub critical: bool,
}

impl Xid {
    /// What is true of a GPU that was listened to and has reported nothing.
    pub const NONE: Self = Self {
        code: 0,
        message: "No Error",
        class: "none",
        action: "Nothing to do.",
        critical: false,
    };
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

/// When something happened, on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When {
    /// By the wall clock, as it is set now.
    pub time: SystemTime,
    /// By the clock that is never set.
    pub moment: Moment,
}

/// Where XIDs come from. There is one source at a time: two would count some of them twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XidSource {
    /// The kernel's log, where the driver writes each of them, unless it was told not to.
    KernelLog,
    /// The events of NVML, which never bring some.
    NvmlEvents,
    /// DCGM, which has NVML's events and reads the kernel's log of its machine for the rest.
    Dcgm,
    /// A simulation.
    Sim,
}

impl XidSource {
    /// The word used in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::KernelLog => "kernel_log",
            Self::NvmlEvents => "nvml_events",
            Self::Dcgm => "dcgm",
            Self::Sim => "sim",
        }
    }
}

/// What is known of one code on one GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XidCount {
    /// Which.
    pub xid: Xid,
    /// How many.
    pub count: u64,
    /// When the last one came; none as long as there was none.
    pub last: Option<When>,
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
    /// How many of all codes that are critical.
    pub critical: u64,
    /// What the kernel's log adds of NVLinks.
    pub link_faults: BTreeMap<LinkFault, u64>,
    /// Whether XIDs of this GPU would be seen now. Only then does silence mean that nothing
    /// happened.
    pub listening: bool,
}

impl XidLog {
    /// More different codes than there are, by far; a driver that invents some costs no more room.
    pub const MOST_CODES: usize = 512;

    /// More different faults of links than there are; further ones are not told apart.
    pub const MOST_LINK_FAULTS: usize = 1024;

    /// Stands for all codes beyond those.
    pub const OTHER: u32 = u32::MAX;

    /// Counts one event, and says how many of its code there are now. Events come in their order; of
    /// old ones it may not be known when they happened.
    pub fn record(&mut self, event: XidEvent, at: Option<When>) -> u64 {
        self.note_last(event);
        self.count(event.xid, at)
    }

    /// Notes one event that happened before its source was listened to, of which it is only known
    /// that it was the last one. One that was delivered since is newer.
    pub fn note(&mut self, event: XidEvent, at: When) {
        if self.last.is_some() {
            return;
        }
        self.note_last(event);
        let known = self.counts.len() < Self::MOST_CODES;
        let none = XidCount { xid: event.xid, count: 0, last: None };
        if let Some(entry) = known.then(|| self.counts.entry(event.xid.code).or_insert(none)) {
            entry.last = entry.last.or(Some(at));
        }
    }

    /// Forgets the instances that are gone: one that is made under the same number is another one.
    pub fn retain_instances(&mut self, is_there: impl Fn(u32) -> bool) {
        self.last_of_instances.retain(|instance, _| is_there(*instance));
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

    fn count(&mut self, xid: Xid, at: Option<When>) -> u64 {
        let known = self.counts.len() < Self::MOST_CODES || self.counts.contains_key(&xid.code);
        let key = if known { xid.code } else { Self::OTHER };
        let entry = self.counts.entry(key).or_insert(XidCount { xid, count: 0, last: None });
        entry.count += 1;
        entry.last = at.or(entry.last);
        let count = entry.count;
        self.critical += u64::from(xid.critical);
        count
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

    fn at(seconds: u64) -> When {
        let since = std::time::Duration::from_secs(seconds);
        When { time: SystemTime::UNIX_EPOCH + since, moment: Moment::BOOT + since }
    }

    fn event(code: u32, instance: Option<u32>) -> XidEvent {
        let xid = Xid { code, message: "?", class: "?", action: "?", critical: false };
        XidEvent { xid, instance, before: None }
    }

    #[test]
    fn codes_take_bounded_room() {
        let mut log = XidLog::default();
        for code in 0..10_000 {
            log.record(event(code, Some(code)), Some(at(0)));
        }
        assert_eq!(log.counts.len(), XidLog::MOST_CODES + 1);
        assert_eq!(log.counts.values().map(|entry| entry.count).sum::<u64>(), 10_000);
        assert_eq!(log.last.map(|xid| xid.code), Some(9_999));
        assert_eq!(log.last_of_instances.len(), XidLog::MOST_CODES);
    }

    #[test]
    fn an_instance_that_is_made_again_has_no_past() {
        let mut log = XidLog::default();
        log.record(event(43, Some(1)), Some(at(1)));
        log.record(event(31, Some(2)), Some(at(2)));
        log.retain_instances(|instance| instance == 2);
        assert_eq!(log.last_of(1), None);
        assert_eq!(log.last_of(2).map(|xid| xid.code), Some(31));
        assert_eq!(log.counts[&43].count, 1, "the GPU's count stays");
    }

    #[test]
    fn critical_codes_are_counted_together() {
        let mut log = XidLog::default();
        for (code, critical) in [(48, true), (13, false), (79, true), (48, true)] {
            let event = event(code, None);
            log.record(XidEvent { xid: Xid { critical, ..event.xid }, ..event }, Some(at(1)));
        }
        assert_eq!(log.critical, 3);
    }

    #[test]
    fn one_from_before_anybody_listened_is_the_last_and_is_not_counted() {
        let mut log = XidLog::default();
        let at = at(5);
        log.note(event(79, None), at);
        assert_eq!(log.last.map(|xid| xid.code), Some(79));
        assert_eq!((log.counts[&79].count, log.counts[&79].last), (0, Some(at)));
        log.record(event(48, None), Some(at));
        log.note(event(31, None), at);
        assert_eq!(log.last.map(|xid| xid.code), Some(48), "one that was heard of is newer");
    }

    #[test]
    fn an_event_of_the_whole_gpu_is_one_of_each_instance() {
        let mut log = XidLog::default();
        let last = |log: &XidLog, instance| log.last_of(instance).map(|xid| xid.code);
        log.record(event(43, Some(1)), Some(at(0)));
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(43), None));
        log.record(event(79, None), Some(at(0)));
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(79), Some(79)));
        log.record(event(31, Some(2)), Some(at(0)));
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(79), Some(31)));
    }
}
