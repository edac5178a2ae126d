//! What waits to be written: handed over by the thread that records, taken by the one that writes.
//!
//! The first never waits for the second. Of rows and events only the fact that there are new ones is handed
//! over: they are in the ring. Of an incident only the newest state waits.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::Moment;

use crate::incident::Incident;
use crate::memory::Block;

/// The least time from one urgent write to the next one.
const URGENT: Duration = Duration::from_secs(1);

/// The least time from one write of an incident to the next one, unless its verdict has changed or it is closed.
const INCIDENT: Duration = Duration::from_secs(5);

/// How often the directory is looked after when nothing is handed over.
const IDLE: Duration = Duration::from_secs(5);

/// A write that takes longer than this is stuck.
const STUCK: Duration = Duration::from_secs(10);

/// The most incidents that wait. The oldest goes first.
const INCIDENTS: usize = 64;

/// The most frames that are remembered after the ring has dropped them, some hours of them.
const FRAMES: usize = 8192;

/// Hands over what has to be written.
#[derive(Default, Debug)]
pub(super) struct Handover {
    waiting: Mutex<Waiting>,
    wake: Condvar,
}

/// What waits.
#[derive(Default, Debug)]
struct Waiting {
    has_news: bool,
    is_urgent: bool,
    is_ending: bool,
    incidents: BTreeMap<u64, Arc<Incident>>,
    /// The states of open incidents that were taken last, and when.
    taken: BTreeMap<u64, (Moment, Arc<Incident>)>,
    dropped: VecDeque<(u64, u32)>,
    rows_forgotten: u64,
    incidents_dropped: u64,
    last_urgent: Option<Moment>,
    /// Since when there is a write, and whether it was found to be stuck.
    busy: Option<(Moment, bool)>,
}

/// What is written at once.
#[derive(Default, Debug)]
pub(super) struct Batch {
    /// Whether all has to be synced.
    pub(super) is_urgent: bool,
    /// Whether nothing comes after it.
    pub(super) is_last: bool,
    /// The newest states of incidents.
    pub(super) incidents: Vec<Arc<Incident>>,
    /// The frames that the ring has dropped: the sequence number and the rows of each.
    pub(super) dropped: VecDeque<(u64, u32)>,
    /// Rows that were dropped so long ago that they cannot have been written.
    pub(super) rows_forgotten: u64,
}

impl Handover {
    /// Notes that there are new frames, and which ones the ring has dropped.
    pub(super) fn add(&self, is_urgent: bool, dropped: &[Arc<Block>]) {
        let mut waiting = lock(&self.waiting);
        (waiting.has_news, waiting.is_urgent) = (true, waiting.is_urgent || is_urgent);
        let frames = dropped.iter().flat_map(|block| &block.frames);
        let frames = frames.filter(|frame| frame.rows > 0);
        waiting.dropped.extend(frames.map(|frame| (frame.sequence, frame.rows)));
        while waiting.dropped.len() > FRAMES {
            let rows = waiting.dropped.pop_front().map_or(0, |(_, rows)| u64::from(rows));
            waiting.rows_forgotten += rows;
        }
        self.wake.notify_one();
    }

    /// Hands over the newest state of an incident.
    pub(super) fn put(&self, incident: Arc<Incident>) {
        let mut waiting = lock(&self.waiting);
        waiting.incidents.insert(incident.number, incident);
        if waiting.incidents.len() > INCIDENTS {
            waiting.incidents.pop_first();
            waiting.incidents_dropped += 1;
        }
        self.wake.notify_one();
    }

    /// Asks for the last batch.
    pub(super) fn end(&self) {
        lock(&self.waiting).is_ending = true;
        self.wake.notify_one();
    }

    /// Incidents that were not written because too many waited.
    pub(super) fn incidents_dropped(&self) -> u64 {
        lock(&self.waiting).incidents_dropped
    }

    /// Takes all that waits.
    pub(super) fn take(&self, now: Moment) -> Batch {
        lock(&self.waiting).take(now, true)
    }

    /// Waits until something has to be written, at most for a few seconds, and takes it. The write lasts until
    /// [`Handover::written`].
    pub(super) fn wait(&self) -> Batch {
        let until = Moment::now() + IDLE;
        let mut waiting = lock(&self.waiting);
        loop {
            let now = Moment::now();
            let due = waiting.due(now).map_or(until, |due| due.min(until));
            if due <= now {
                waiting.busy = Some((now, false));
                return waiting.take(now, false);
            }
            let waited = self.wake.wait_timeout(waiting, due - now);
            (waiting, _) = waited.unwrap_or_else(PoisonError::into_inner);
        }
    }

    /// Notes that what was taken is written.
    pub(super) fn written(&self) {
        lock(&self.waiting).busy = None;
    }

    /// Whether a write is stuck; the second is true only once for each.
    pub(super) fn is_stuck(&self, now: Moment) -> (bool, bool) {
        lock(&self.waiting).is_stuck(now)
    }
}

/// A thread that panicked while it held a lock has left nothing half done that a reader could see.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Waiting {
    /// When something has to be written; `None` if there is nothing.
    fn due(&self, now: Moment) -> Option<Moment> {
        if self.is_ending {
            return Some(now);
        }
        let earliest = self.last_urgent.map_or(now, |last| last + URGENT);
        let news = (self.has_news || self.is_urgent).then_some(now);
        let incidents = self.incidents.values().map(|incident| self.due_of(incident, now));
        news.into_iter().chain(incidents).min().map(|due| due.max(earliest))
    }

    /// When an incident has to be written.
    fn due_of(&self, incident: &Incident, now: Moment) -> Moment {
        match self.taken.get(&incident.number) {
            Some((at, before)) if before.verdict == incident.verdict && !incident.is_closed => {
                *at + INCIDENT
            }
            _ => now,
        }
    }

    /// Takes what is due, or all.
    fn take(&mut self, now: Moment, all: bool) -> Batch {
        let is_last = self.is_ending;
        let due = |waiting: &Self, incident: &Incident| {
            all || is_last || waiting.due_of(incident, now) <= now
        };
        let (incidents, later) = std::mem::take(&mut self.incidents)
            .into_iter()
            .partition(|(_, incident)| due(self, incident));
        self.incidents = later;
        let incidents: BTreeMap<u64, Arc<Incident>> = incidents;
        for (number, incident) in &incidents {
            match incident.is_closed {
                true => self.taken.remove(number),
                false => self.taken.insert(*number, (now, Arc::clone(incident))),
            };
        }
        while self.taken.len() > INCIDENTS {
            self.taken.pop_first();
        }
        let is_urgent = std::mem::take(&mut self.is_urgent) || !incidents.is_empty();
        if is_urgent {
            self.last_urgent = Some(now);
        }
        self.has_news = false;
        Batch {
            is_urgent,
            is_last,
            incidents: incidents.into_values().collect(),
            dropped: std::mem::take(&mut self.dropped),
            rows_forgotten: std::mem::take(&mut self.rows_forgotten),
        }
    }

    fn is_stuck(&mut self, now: Moment) -> (bool, bool) {
        let Some((since, was_found)) = &mut self.busy else {
            return (false, false);
        };
        let is_stuck = now.saturating_duration_since(*since) > STUCK;
        (is_stuck, is_stuck && !std::mem::replace(was_found, is_stuck))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fixture::{incident, moment};

    fn put(waiting: &mut Waiting, incident: Incident) {
        waiting.incidents.insert(incident.number, Arc::new(incident));
    }

    fn numbers(batch: &Batch) -> Vec<u64> {
        batch.incidents.iter().map(|incident| incident.number).collect()
    }

    #[test]
    fn after_the_first_there_is_one_urgent_write_a_second() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.due(moment(0)), None);
        (waiting.has_news, waiting.is_urgent) = (true, true);
        assert_eq!(waiting.due(moment(0)), Some(moment(0)));
        assert!(waiting.take(moment(0), false).is_urgent);
        (waiting.has_news, waiting.is_urgent) = (true, true);
        assert_eq!(waiting.due(moment(0)), Some(moment(1)));
        assert!(waiting.take(moment(1), false).is_urgent);
        waiting.has_news = true;
        assert_eq!(waiting.due(moment(60)), Some(moment(60)));
        assert!(!waiting.take(moment(60), false).is_urgent);
        assert_eq!(waiting.due(moment(60)), None);
        waiting.is_ending = true;
        assert_eq!(waiting.due(moment(60)), Some(moment(60)));
        assert!(waiting.take(moment(60), false).is_last);
    }

    #[test]
    fn an_incident_that_only_grows_is_written_seldom() {
        let mut waiting = Waiting::default();
        put(&mut waiting, incident(1, 0, false));
        assert_eq!(waiting.due(moment(0)), Some(moment(0)));
        let batch = waiting.take(moment(0), false);
        assert_eq!((numbers(&batch), batch.is_urgent), (vec![1], true));
        put(&mut waiting, incident(1, 0, false));
        assert_eq!(waiting.due(moment(2)), Some(moment(5)));
        // Something else is written meanwhile.
        waiting.has_news = true;
        assert_eq!(numbers(&waiting.take(moment(2), false)), [0; 0]);
        put(&mut waiting, incident(2, 0, false));
        assert_eq!(numbers(&waiting.take(moment(3), false)), [2]);
        assert_eq!(numbers(&waiting.take(moment(5), false)), [1]);
        let mut changed = incident(1, 0, false);
        changed.verdict.name = "row_remapped".to_owned();
        put(&mut waiting, changed.clone());
        assert_eq!(numbers(&waiting.take(moment(6), false)), [1], "another verdict");
        put(&mut waiting, changed.clone());
        assert_eq!(numbers(&waiting.take(moment(7), false)), [0; 0]);
        put(&mut waiting, Incident { is_closed: true, ..changed });
        assert_eq!(numbers(&waiting.take(moment(8), false)), [1], "it is closed");
        assert_eq!(Vec::from_iter(waiting.taken.keys()), [&2]);
    }

    #[test]
    fn as_many_incidents_wait_as_fit() {
        let handover = Handover::default();
        for number in 1..=100 {
            handover.put(Arc::new(incident(number, 0, false)));
        }
        assert_eq!(handover.incidents_dropped(), 36);
        assert_eq!(numbers(&handover.take(moment(0))), Vec::from_iter(37..=100));
    }

    #[test]
    fn a_write_that_does_not_end_is_found_once() {
        let mut waiting = Waiting::default();
        assert_eq!(waiting.is_stuck(moment(0)), (false, false));
        waiting.busy = Some((moment(0), false));
        assert_eq!(waiting.is_stuck(moment(10)), (false, false));
        assert_eq!(waiting.is_stuck(moment(11)), (true, true));
        assert_eq!(waiting.is_stuck(moment(12)), (true, false));
    }
}
