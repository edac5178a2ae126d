//! The incidents that have to be written, and their numbers in the directory.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use model::Moment;

use super::disk::Failure;
use super::retention::InUse;
use crate::files::{self, Listed, Name};
use crate::frame::{Key, Kind};
use crate::incident::Incident;
use crate::memory::Incidents;
use crate::sign::SignKind;
use crate::time::{Range, Time};

/// How long a window goes on at most after the kill of the run that had the incident. One that ends later has a time
/// of another clock.
const AFTER: Duration = Duration::from_secs(120);

/// How far apart two runs see the begin of one incident at most, in milliseconds.
const SAME_MS: u64 = 5_000;

/// An incident that has to be written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Waiting {
    /// One that a killed run left open, by its number in the directory.
    Left(u64),
    /// One of this run, by its number there.
    Own(u64),
}

/// Incidents that have to be written.
#[derive(Default, Debug)]
pub(crate) struct Queue {
    /// Those that a killed run left open, and their windows.
    left: BTreeMap<u64, Range>,
    /// Whether these are not left open for the rest of their windows.
    is_ending: bool,
    own: Incidents,
    /// The windows of this run's incidents that are open.
    windows: BTreeMap<u64, Range>,
    /// The numbers of this run that are others in the directory, of incidents that are open or wait.
    renumbered: BTreeMap<u64, u64>,
    /// Those that failed for themselves, and when they are tried again.
    failed: BTreeSet<Waiting>,
    retry_at: Option<Moment>,
    /// Those that another run wrote while it had the directory, and until when it did.
    elsewhere: (BTreeSet<u64>, Time),
}

impl Queue {
    /// Takes the newest state of an incident of this run. Returns how many had to be dropped.
    pub(crate) fn put(&mut self, incident: &Arc<Incident>) -> u64 {
        let number = incident.number;
        if self.is_elsewhere(incident) {
            return 0;
        }
        match incident.is_closed {
            true => self.windows.remove(&number),
            false => self.windows.insert(number, incident.window),
        };
        self.own.put(Arc::clone(incident))
    }

    /// Begins with a directory, in which killed runs left these open.
    pub(crate) fn open(&mut self, left: BTreeMap<u64, Range>) {
        self.renumbered.clear();
        self.elsewhere = Default::default();
        (self.left, self.is_ending) = (left, false);
    }

    /// Leaves out the incidents that another run had as well until `until`: those that wait and have the kind and about
    /// the begin of one of `others`.
    pub(crate) fn leave_out(&mut self, until: Time, others: &[(SignKind, Time)]) {
        let is_other = |incident: &Incident, (kind, began): &(SignKind, Time)| {
            *kind == incident.kind
                && began.0.abs_diff(incident.began.0) <= SAME_MS
                && incident.last <= until
        };
        let same =
            self.own.iter().filter(|incident| others.iter().any(|other| is_other(incident, other)));
        let numbers: BTreeSet<u64> = same.map(|incident| incident.number).collect();
        for number in &numbers {
            self.own.remove(*number);
            self.windows.remove(number);
        }
        self.elsewhere = (numbers, until);
    }

    /// Whether another run had the same incident, to which nothing was added since.
    fn is_elsewhere(&self, incident: &Incident) -> bool {
        let (numbers, until) = &self.elsewhere;
        numbers.contains(&incident.number) && incident.last <= *until
    }

    /// Ends with a directory: nothing waits for what will be recorded, or for another attempt.
    pub(crate) fn end(&mut self) {
        self.is_ending = true;
        self.failed.clear();
        self.retry_at = None;
    }

    /// What is to be written now. `time` is that of the newest row or event.
    pub(crate) fn due(&mut self, now: Moment, time: Option<Time>) -> Vec<Waiting> {
        if self.retry_at.take_if(|at| now >= *at).is_some() {
            self.failed.clear();
        }
        let is_recorded = |window: &Range| {
            time.is_some_and(|time| time >= window.to || window.to.since(time) > AFTER)
        };
        let left = self.left.iter().filter(|(_, window)| self.is_ending || is_recorded(window));
        let left = left.map(|(number, _)| Waiting::Left(*number));
        let own = self.own.iter().map(|incident| Waiting::Own(incident.number));
        left.chain(own).filter(|waiting| !self.failed.contains(waiting)).collect()
    }

    /// Sorts what is to be written, the smallest file first, as far as that is known before: by the length of the window
    /// in it, and by the incident.
    pub(crate) fn sort_by_size(&self, due: &mut [Waiting]) {
        due.sort_by_cached_key(|waiting| match waiting {
            Waiting::Left(number) => (self.left.get(number).map_or(0, length_of), 0),
            Waiting::Own(number) => self.own(*number).map_or((0, 0), |own| {
                // One that is open has no window in its file.
                (if own.is_closed { length_of(&own.window) } else { 0 }, own.size())
            }),
        });
    }

    /// One of this run.
    pub(crate) fn own(&self, number: u64) -> Option<Arc<Incident>> {
        self.own.iter().find(|incident| incident.number == number).map(Arc::clone)
    }

    /// Takes note of one that was written.
    pub(crate) fn written(&mut self, waiting: Waiting) {
        match waiting {
            Waiting::Left(number) => drop(self.left.remove(&number)),
            Waiting::Own(number) => {
                self.own.remove(number);
                // Of one that is told again, the directory says it.
                let own = &self.own;
                let waits = |number| own.iter().any(|incident| incident.number == number);
                let windows = &self.windows;
                self.renumbered.retain(|number, _| windows.contains_key(number) || waits(*number));
            }
        }
    }

    /// Takes note of one that could not be written.
    pub(crate) fn failed(&mut self, waiting: Waiting, retry_at: Moment) {
        self.failed.insert(waiting);
        self.retry_at.get_or_insert(retry_at);
    }

    /// The number that an incident of this run has in the directory: its own, unless an incident of another
    /// run or something that is not ours has it.
    pub(crate) fn number(&mut self, directory: &Path, key: Key) -> Result<u64, Failure> {
        let number = key.sequence;
        if let Some(number) = self.renumbered.get(&number) {
            return Ok(*number);
        }
        let path = |number| directory.join(Name::Incident { number }.text());
        let is_there = |number| std::fs::symlink_metadata(path(number)).is_ok();
        let first = || files::first_key(&path(number)).ok().flatten();
        if !is_there(number) || first() == Some((Some(Kind::Incident), key)) {
            return Ok(number);
        }
        let listed = files::list(directory);
        let listed = listed.map_err(|error| Failure::of(&error, "read", directory))?;
        let has_it = |file: &&Listed| {
            let first = files::first_key(&file.path).ok().flatten();
            file.name.incident().is_some() && first == Some((Some(Kind::Incident), key))
        };
        // It was written before it was closed, and is told again.
        if let Some(number) = listed.iter().find(has_it).and_then(|file| file.name.incident()) {
            self.renumbered.insert(key.sequence, number);
            return Ok(number);
        }
        let next = files::next_number(&files::numbers(&listed, Name::incident), number);
        let Some(free) = (next..).find(|number| !is_there(*number)) else {
            return Err(Failure::new("io", "there is no number left for an incident"));
        };
        tracing::warn!(
            "incident {number} has the number {free} in {}, where {number} is taken",
            directory.display()
        );
        self.renumbered.insert(number, free);
        Ok(free)
    }

    /// What retention must not remove, with the segment that is being written.
    pub(crate) fn in_use(&self, current: Option<Name>) -> InUse {
        let number = |number: &u64| self.renumbered.get(number).copied().unwrap_or(*number);
        InUse {
            current,
            open: self.windows.keys().map(number).chain(self.left.keys().copied()).collect(),
            windows: self.windows.values().chain(self.left.values()).copied().collect(),
        }
    }
}

fn length_of(window: &Range) -> u64 {
    window.to.0.abs_diff(window.from.0)
}
