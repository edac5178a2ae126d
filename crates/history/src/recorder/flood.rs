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

/// Counts events by GPU and code.
#[derive(Default, Debug)]
pub(super) struct Flood {
    kinds: BTreeMap<(String, Option<u32>), Counted>,
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
        let (code, count) = match &event.what {
            What::Xid { code, count, .. } => (Some(*code), *count),
            What::DriverLine { .. } => (None, 1),
            _ => return Some(event),
        };
        let gpu = event.gpu.as_ref();
        let address = gpu.and_then(|gpu| gpu.pci_bus_id.clone().or_else(|| gpu.uuid.clone()));
        let kind = (address.unwrap_or_default(), code);
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
        let mut events = Vec::new();
        self.kinds.retain(|_, counted| {
            let is_over = moment - counted.since >= MINUTE;
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
    use crate::time::Time;

    fn xid(time: i64, code: u32) -> Event {
        let message = String::new();
        let what = What::Xid { code, message, process: None, link: None, line: None, count: 1 };
        Event { time: Time(time), gpu: None, what }
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
        assert!(flood.kinds.is_empty());
    }
}
