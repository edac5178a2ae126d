//! Cuts floods of events: one fault of a link or a channel can be reported a thousand times a second.

use std::collections::BTreeMap;
use std::time::Duration;

use model::Moment;

use crate::event::{Event, What};

/// The time over which events of one kind are counted.
const MINUTE: Duration = Duration::from_secs(60);

/// How many events of one kind are recorded one by one in a minute.
const MOST: u32 = 20;

/// How many kinds are counted at once.
const MOST_KINDS: usize = 1024;

/// Counts events by their kind.
#[derive(Default, Debug)]
pub(super) struct Flood {
    kinds: BTreeMap<Kind, Counted>,
}

/// What is the same in events that repeat each other.
#[derive(PartialEq, Eq, PartialOrd, Ord, Debug)]
enum Kind {
    /// An XID of a GPU.
    Xid(Option<String>, u32),
    /// Other lines about a GPU.
    DriverLine(Option<String>),
    /// OOM kills of processes with one name, in the cgroup whose limit was reached.
    OomKill(Option<String>, Option<String>),
}

impl Kind {
    /// The kind of an event, and how many events it stands for; `None` for one that is always recorded.
    fn of(event: &Event) -> Option<(Self, u64)> {
        let gpu = event.gpu.as_ref();
        let address = || gpu.and_then(|gpu| gpu.pci_bus_id.clone().or_else(|| gpu.uuid.clone()));
        Some(match &event.what {
            What::Xid { code, count, .. } => (Self::Xid(address(), *code), *count),
            What::DriverLine { .. } => (Self::DriverLine(address()), 1),
            What::OomKill { process, limited_cgroup, .. } => {
                (Self::OomKill(limited_cgroup.clone(), process.name.clone()), 1)
            }
            _ => return None,
        })
    }
}

#[derive(Debug)]
struct Counted {
    since: Moment,
    taken: u32,
    /// How many were held back since, and the last of them.
    held: Option<(u64, Event)>,
}

impl Flood {
    /// Returns the event, unless there were too many of its kind in this minute.
    pub(super) fn take(&mut self, event: Event, moment: Moment) -> Option<Event> {
        let Some((kind, count)) = Kind::of(&event) else {
            return Some(event);
        };
        if self.kinds.len() >= MOST_KINDS && !self.kinds.contains_key(&kind) {
            return Some(event);
        }
        let new = Counted { since: moment, taken: 0, held: None };
        let counted = self.kinds.entry(kind).or_insert(new);
        if counted.taken < MOST {
            counted.taken += 1;
            return Some(event);
        }
        let before = counted.held.as_ref().map_or(0, |(before, _)| *before);
        counted.held = Some((before.saturating_add(count), event));
        None
    }

    /// Ends the minutes that are over. Returns the last event of each kind that was held back; that of
    /// an XID has the count of all of them.
    pub(super) fn end(&mut self, moment: Moment) -> Vec<Event> {
        self.end_if(|counted| moment - counted.since >= MINUTE)
    }

    /// Ends all minutes, be they over or not.
    pub(super) fn end_all(&mut self) -> Vec<Event> {
        self.end_if(|_| true)
    }

    fn end_if(&mut self, is_over: impl Fn(&Counted) -> bool) -> Vec<Event> {
        let mut events = Vec::new();
        self.kinds.retain(|_, counted| {
            let is_over = is_over(counted);
            if is_over && let Some((held, mut event)) = counted.held.take() {
                if let What::Xid { count, .. } = &mut event.what {
                    *count = held;
                }
                events.push(event);
            }
            !is_over
        });
        events
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::event::Process;
    use crate::time::Time;

    fn xid(time: i64, code: u32) -> Event {
        let message = String::new();
        let what = What::Xid { code, message, process: None, link: None, line: None, count: 1 };
        Event { time: Time(time), gpu: None, what }
    }

    #[test]
    fn oom_kills_of_one_name_in_one_cgroup_are_cut() {
        let mut flood = Flood::default();
        let kill = |name: &str, limited_cgroup: Option<&str>| {
            let process = Process { pid: Some(1), name: Some(name.to_owned()) };
            let limited_cgroup = limited_cgroup.map(str::to_owned);
            let line = "Killed process".to_owned();
            let what =
                What::OomKill { process, limited_cgroup, cgroup: None, anonymous_kb: None, line };
            Event { time: Time(0), gpu: None, what }
        };
        let mut take = |event| flood.take(event, Moment::BOOT).is_some();
        assert_eq!((0..1000).filter(|_| take(kill("loop", Some("/a")))).count(), MOST as usize);
        assert!(take(kill("loop", None)), "another cgroup");
        assert!(take(kill("trainer", Some("/a"))), "another process");
        assert_eq!(flood.end(Moment::BOOT + MINUTE), [kill("loop", Some("/a"))]);
    }

    #[test]
    fn what_is_held_back_is_counted_at_the_end_of_the_minute() {
        let mut flood = Flood::default();
        let at = |seconds| Moment::BOOT + Duration::from_secs(seconds);
        let taken = (0..100).filter_map(|time| flood.take(xid(time, 45), at(0))).count();
        assert_eq!(taken, MOST as usize);
        assert!(flood.take(xid(100, 79), at(1)).is_some(), "another code");
        assert_eq!(flood.end(at(59)), []);
        let ended = flood.end(at(60));
        let expected = xid(99, 45);
        assert_eq!(ended.len(), 1);
        assert_eq!(ended[0].time, expected.time);
        assert!(matches!(ended[0].what, What::Xid { count: 80, .. }));
        assert!(flood.take(xid(101, 45), at(61)).is_some(), "another minute");
        assert_eq!(flood.end(at(200)), []);
        let taken = (0..30).filter_map(|time| flood.take(xid(time, 45), at(201))).count();
        assert_eq!((taken, flood.end(at(202))), (MOST as usize, Vec::new()));
        let ended = flood.end_all();
        assert!(matches!(ended[..], [Event { what: What::Xid { count: 10, .. }, .. }]));
        assert!(flood.kinds.is_empty());
    }
}
