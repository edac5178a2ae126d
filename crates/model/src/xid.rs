//! XIDs: the errors that the driver reports of GPUs.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::moment::Moment;
use crate::tally::Tally;

/// An XID code with its meaning.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Xid {
    /// The driver's number; 0 if no XID has happened.
    pub code: u32,
    /// Its meaning in a few words.
    pub message: &'static str,
    /// The class of its action: `reset_gpu`.
    pub class: &'static str,
    /// The action, in a sentence.
    pub action: &'static str,
    /// Whether it requires, or may require, a reset, a restart or a repair.
    pub critical: bool,
}

impl Xid {
    /// No XID, for a GPU whose XIDs would be seen.
    pub const NONE: Self = Self {
        code: 0,
        message: "No Error",
        class: "none",
        action: "Nothing to do.",
        critical: false,
    };
}

/// An XID that happened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XidEvent {
    /// The code with its meaning.
    pub xid: Xid,
    /// Its GPU instance; `None` for the whole GPU.
    pub instance: Option<u32>,
    /// When it happened, if that was before this process listened. Such an XID becomes the last XID but
    /// is not counted.
    pub before: Option<SystemTime>,
}

/// A time on both clocks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct When {
    /// On the wall clock, as it was set then.
    pub time: SystemTime,
    /// On the clock that cannot be set.
    pub moment: Moment,
}

/// The source of XIDs. Only one is used at a time, because two would count some XIDs twice.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum XidSource {
    /// The kernel log. The driver writes all XIDs there, unless it is configured not to.
    KernelLog,
    /// The events of NVML, which lack some codes.
    NvmlEvents,
    /// DCGM, which has NVML's events and reads the rest from the kernel log of its machine.
    Dcgm,
    /// A simulation.
    Sim,
}

impl XidSource {
    /// All sources.
    pub const ALL: [Self; 4] = [Self::KernelLog, Self::NvmlEvents, Self::Dcgm, Self::Sim];

    /// The source that has this word in labels and logs.
    pub fn parse(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|source| source.as_str() == word)
    }

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

/// The count of one code on one GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct XidCount {
    /// The code with its meaning.
    pub xid: Xid,
    /// Its number of occurrences, and the birth of its series.
    pub tally: Tally,
    /// The time of the last occurrence; `None` if unknown.
    pub last: Option<When>,
}

/// The details of an NVLink XID in the kernel log.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct LinkFault {
    /// The XID's code, 144 to 150.
    pub code: u32,
    /// The unit of the link that reports it: `RLW_CTRL`.
    pub unit: String,
    /// `fatal` or `nonfatal`.
    pub severity: &'static str,
    /// The number of the link; `None` for all links.
    pub link: Option<u32>,
}

/// The XIDs that one GPU reported since this process began to listen.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct XidLog {
    /// The newest XID.
    pub last: Option<Xid>,
    /// The newest one that was about the whole GPU.
    pub last_of_gpu: Option<Xid>,
    /// The newest one about each GPU instance since then.
    pub last_of_instances: BTreeMap<u32, Xid>,
    /// The count of each code; codes that come after [`XidLog::MOST_CODES`] different ones are counted as
    /// [`XidLog::OTHER`].
    pub counts: BTreeMap<u32, XidCount>,
    /// The count of all critical codes together.
    pub critical: Tally,
    /// NVLink faults from the kernel log, with their counts.
    pub link_faults: BTreeMap<LinkFault, Tally>,
    /// Whether XIDs of this GPU would be seen now. Only then is 0 a valid count.
    pub listening: bool,
}

impl XidLog {
    /// The limit of different codes, far above the number that exist.
    pub const MOST_CODES: usize = 512;

    /// The limit of different link faults, far above the number that exist; further ones are not counted.
    pub const MOST_LINK_FAULTS: usize = 1024;

    /// The code under which codes beyond [`XidLog::MOST_CODES`] are counted.
    pub const OTHER: u32 = u32::MAX;

    /// Counts an event and returns the new count of its code. Events come in the order in which they
    /// happened; the time of old ones may not be known. `birth` is the birth of a series that begins
    /// with this event.
    pub fn record(&mut self, event: XidEvent, at: Option<When>, birth: Option<SystemTime>) -> u64 {
        self.note_last(event);
        self.count(event.xid, at, birth)
    }

    /// Notes, without counting it, the last event from before this process listened. An event that was
    /// recorded since is newer and stays.
    pub fn note(&mut self, event: XidEvent, at: When) {
        if self.last.is_some() {
            return;
        }
        self.note_last(event);
        let known = self.counts.len() < Self::MOST_CODES;
        let none = XidCount { xid: event.xid, tally: Tally::default(), last: None };
        if let Some(entry) = known.then(|| self.counts.entry(event.xid.code).or_insert(none)) {
            entry.last = entry.last.or(Some(at));
        }
    }

    /// Forgets instances that are gone: a new one under the same number is another instance.
    pub fn retain_instances(&mut self, is_there: impl Fn(u32) -> bool) {
        self.last_of_instances.retain(|instance, _| is_there(*instance));
    }

    /// All counts.
    pub fn tallies_mut(&mut self) -> impl Iterator<Item = &mut Tally> {
        let codes = self.counts.values_mut().map(|entry| &mut entry.tally);
        codes.chain([&mut self.critical]).chain(self.link_faults.values_mut())
    }

    fn note_last(&mut self, event: XidEvent) {
        let XidEvent { xid, instance, .. } = event;
        self.last = Some(xid);
        match instance {
            // So that the log does not grow with instances that are gone.
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

    fn count(&mut self, xid: Xid, at: Option<When>, birth: Option<SystemTime>) -> u64 {
        let known = self.counts.len() < Self::MOST_CODES || self.counts.contains_key(&xid.code);
        let key = if known { xid.code } else { Self::OTHER };
        let none = XidCount { xid, tally: Tally::default(), last: None };
        let entry = self.counts.entry(key).or_insert(none);
        entry.last = at.or(entry.last);
        if xid.critical {
            self.critical.add(birth);
        }
        entry.tally.add(birth)
    }

    /// Counts a fault of a link. `birth` is the birth of a series that begins with it.
    pub fn record_link_fault(&mut self, fault: LinkFault, birth: Option<SystemTime>) {
        let known = self.link_faults.len() < Self::MOST_LINK_FAULTS;
        if known || self.link_faults.contains_key(&fault) {
            self.link_faults.entry(fault).or_default().add(birth);
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
    fn different_codes_are_limited() {
        let mut log = XidLog::default();
        for code in 0..10_000 {
            log.record(event(code, Some(code)), Some(at(0)), None);
        }
        assert_eq!(log.counts.len(), XidLog::MOST_CODES + 1);
        assert_eq!(log.counts.values().map(|entry| entry.tally.count).sum::<u64>(), 10_000);
        assert_eq!(log.last.map(|xid| xid.code), Some(9_999));
        assert_eq!(log.last_of_instances.len(), XidLog::MOST_CODES);
    }

    #[test]
    fn a_new_instance_has_no_xids_of_an_old_one() {
        let mut log = XidLog::default();
        log.record(event(43, Some(1)), Some(at(1)), None);
        log.record(event(31, Some(2)), Some(at(2)), None);
        log.retain_instances(|instance| instance == 2);
        assert_eq!(log.last_of(1), None);
        assert_eq!(log.last_of(2).map(|xid| xid.code), Some(31));
        assert_eq!(log.counts[&43].tally.count, 1, "the GPU's count stays");
    }

    #[test]
    fn critical_codes_are_counted_together() {
        let mut log = XidLog::default();
        for (code, critical) in [(48, true), (13, false), (79, true), (48, true)] {
            let event = event(code, None);
            log.record(XidEvent { xid: Xid { critical, ..event.xid }, ..event }, Some(at(1)), None);
        }
        assert_eq!(log.critical.count, 3);
    }

    #[test]
    fn an_xid_from_before_the_start_is_the_last_and_is_not_counted() {
        let mut log = XidLog::default();
        let at = at(5);
        log.note(event(79, None), at);
        assert_eq!(log.last.map(|xid| xid.code), Some(79));
        assert_eq!((log.counts[&79].tally.count, log.counts[&79].last), (0, Some(at)));
        log.record(event(48, None), Some(at), None);
        log.note(event(31, None), at);
        assert_eq!(log.last.map(|xid| xid.code), Some(48), "one that was heard of is newer");
    }

    #[test]
    fn an_xid_of_the_whole_gpu_is_the_last_of_each_instance() {
        let mut log = XidLog::default();
        let last = |log: &XidLog, instance| log.last_of(instance).map(|xid| xid.code);
        log.record(event(43, Some(1)), Some(at(0)), None);
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(43), None));
        log.record(event(79, None), Some(at(0)), None);
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(79), Some(79)));
        log.record(event(31, Some(2)), Some(at(0)), None);
        assert_eq!((last(&log, 1), last(&log, 2)), (Some(79), Some(31)));
    }

    #[test]
    fn each_count_is_born_with_its_first_event() {
        let mut log = XidLog::default();
        let birth = |seconds| Some(at(seconds).time);
        log.note(event(48, None), at(1));
        assert_eq!(log.counts[&48].tally.born, None, "it is not counted");
        for (seconds, code, critical) in [(3, 48, false), (5, 79, true), (7, 48, true)] {
            let event = event(code, None);
            let event = XidEvent { xid: Xid { critical, ..event.xid }, ..event };
            log.record(event, Some(at(seconds)), birth(seconds));
        }
        assert_eq!(log.counts[&48].tally, Tally { count: 2, born: birth(3) });
        assert_eq!(log.counts[&79].tally.born, birth(5));
        assert_eq!(log.critical, Tally { count: 2, born: birth(5) });
        let fault = LinkFault { code: 144, unit: "U".into(), severity: "fatal", link: None };
        log.record_link_fault(fault.clone(), birth(6));
        log.record_link_fault(fault.clone(), birth(7));
        assert_eq!(log.link_faults[&fault], Tally { count: 2, born: birth(6) });
    }
}
