//! Groups signs into incidents.

mod joining;
mod open;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::detector::Detector;
use crate::detector::found::Found;
use crate::detector::holders::Hold;
use crate::event::{Event, What};
use crate::incident::Incident;
use crate::layout::Layout;
use crate::recording::Row;
use crate::sign::{Sign, SignKind};
use crate::time::Time;
use open::{AFTER, BEFORE, MOST_EVENTS, OpenIncident};

/// Incidents that are kept one by one within an hour.
const MOST_AN_HOUR: usize = 32;
const HOUR: Duration = Duration::from_secs(3600);
/// Signs that are over and are remembered for an incident that begins later.
const MOST_SIGNS: usize = 256;
/// A holder that gave a GPU back this long before a trigger is told as the one that had it.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// The open incidents, and what is needed to open one: the events of the last ten minutes, and who has
/// which GPU.
#[derive(Debug, Default)]
pub struct Tracker {
    detector: Detector,
    next_number: u64,
    open: Vec<OpenIncident>,
    /// The incident that began last, for counting more than are kept.
    newest: Option<OpenIncident>,
    /// When incidents began, in the last hour.
    begun: VecDeque<Time>,
    /// Events of the last minutes.
    events: VecDeque<Event>,
    /// Signs of the last minutes that are over.
    signs: VecDeque<Found>,
}

impl Tracker {
    /// A tracker whose first incident has this number.
    pub fn new(next_number: u64) -> Self {
        Self { next_number, ..Self::default() }
    }

    /// Gives further incidents at least this number.
    pub fn number_from(&mut self, next_number: u64) {
        self.next_number = self.next_number.max(next_number);
    }

    /// Takes a row, if one was recorded, and events; finds signs in them. Returns the incidents that were
    /// opened, joined or closed, as they are now.
    pub fn observe(
        &mut self,
        now: Time,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
    ) -> Vec<Incident> {
        let mut told = Vec::new();
        let clock_set_ms = events.iter().filter_map(|event| match event.what {
            What::ClockSet { by_ms } => Some(by_ms),
            _ => None,
        });
        for by_ms in clock_set_ms {
            told.extend(self.close(|_| true));
            self.set_clock(by_ms);
        }
        let mut found = self.detector.find(layout, row, events);
        found.sort_by(|one, other| order(one).cmp(&order(other)));
        self.remember_events(now, events);
        let mut changed = Vec::new();
        for found in found {
            let joined =
                opens(&found).then(|| self.trigger(now, layout, &found, &mut told)).flatten();
            changed.extend(joined);
            for open in self.open.iter_mut().filter(|open| Some(open.number()) != joined) {
                open.explain(&found);
            }
            self.remember_sign(now, found);
        }
        for open in self.open.iter_mut().filter(|open| !open.is_over(now)) {
            if changed.contains(&open.number()) || open.has_news() {
                told.push(open.tell(&self.detector.ongoing(), false));
            }
        }
        told.extend(self.close(|open| open.is_over(now)));
        told
    }

    /// Takes what was recorded before this run, in order, so that it may explain what comes. Opens no incident.
    pub fn recall(&mut self, now: Time, layout: &Arc<Layout>, row: Option<&Row>, events: &[Event]) {
        let found = self.detector.find(layout, row, events);
        self.remember_events(now, events);
        for found in found {
            self.remember_sign(now, found);
        }
    }

    /// Adds a trigger to the incident that it belongs to, and returns its number. Opens one if there is none, or
    /// counts it if there were too many.
    fn trigger(
        &mut self,
        now: Time,
        layout: &Layout,
        found: &Found,
        told: &mut Vec<Incident>,
    ) -> Option<u64> {
        let holds = holds_at(&self.detector, found);
        if let Some(open) = self.open.iter_mut().find(|open| joining::joins(found, open)) {
            open.join(found, &holds);
            return Some(open.number());
        }
        while self.begun.front().is_some_and(|begun| now.since(*begun) > HOUR) {
            self.begun.pop_front();
        }
        if self.begun.len() >= MOST_AN_HOUR {
            told.extend(self.count_more(found.at));
            return None;
        }
        let number = self.next_number;
        let mut open = OpenIncident::new(number, layout.host.clone(), found);
        open.join(found, &holds);
        open.add_events(&self.events);
        for sign in &self.signs {
            open.explain(sign);
        }
        self.next_number = number.saturating_add(1);
        self.begun.push_back(now);
        self.open.push(open);
        Some(number)
    }

    /// Counts an incident into the one that began last. It is told again each time its count doubles, so that a
    /// storm of them is not one of messages.
    fn count_more(&mut self, at: Time) -> Option<Incident> {
        let (newest, is_closed) = match self.open.last_mut() {
            Some(open) => (open, false),
            None => (self.newest.as_mut()?, true),
        };
        let count = newest.count_more(at);
        count.is_power_of_two().then(|| newest.tell(&[], is_closed))
    }

    fn close(&mut self, is_over: impl Fn(&OpenIncident) -> bool) -> Vec<Incident> {
        let mut told = Vec::new();
        while let Some(position) = self.open.iter().position(&is_over) {
            let mut over = self.open.remove(position);
            told.push(over.tell(&self.detector.ongoing(), true));
            self.newest = Some(over);
        }
        told
    }

    /// Takes what is remembered to the new clock. Incidents were told with times of the old one, so none is open.
    fn set_clock(&mut self, by_ms: i64) {
        let set = |time: &mut Time| time.0 = time.0.saturating_add(by_ms);
        self.begun.iter_mut().for_each(set);
        for found in &mut self.signs {
            set(&mut found.sign.from);
            found.sign.to.iter_mut().for_each(set);
            set(&mut found.at);
        }
    }

    fn remember_events(&mut self, now: Time, events: &[Event]) {
        for open in &mut self.open {
            open.add_events(events);
        }
        self.events.extend(events.iter().cloned());
        let oldest = now.before(BEFORE.saturating_add(AFTER));
        self.events.retain(|event| event.time >= oldest);
        let surplus = self.events.len().saturating_sub(MOST_EVENTS);
        self.events.drain(..surplus);
    }

    /// Signs that go on are known to the detector; these are those that are over.
    fn remember_sign(&mut self, now: Time, found: Found) {
        if found.sign.to.is_none() {
            return;
        }
        self.signs.push_back(found);
        let oldest = now.before(BEFORE.saturating_add(AFTER));
        self.signs.retain(|found| found.sign.to.is_none_or(|to| to >= oldest));
        let surplus = self.signs.len().saturating_sub(MOST_SIGNS);
        self.signs.drain(..surplus);
    }
}

/// Whether it opens an incident or joins one: a trigger that is new, and not one that is told again as it ends.
fn opens(found: &Found) -> bool {
    let Sign { kind, from, to, is_trigger, .. } = &found.sign;
    *is_trigger && (to.is_none_or(|to| to == *from) || *kind == SignKind::MachineRestart)
}

/// Signs are taken in the order in which they were seen, whatever the order in which they came.
fn order(found: &Found) -> (Time, Time, SignKind, Option<u32>, &str) {
    (found.at, found.sign.from, found.sign.kind, found.sign.xid, &found.sign.text)
}

/// Who had a GPU when the trigger was seen, or until a moment before it began.
fn holds_at<'a>(detector: &'a Detector, found: &Found) -> Vec<&'a Hold> {
    let at = detector.steady(found.at);
    let earliest = detector.steady(found.sign.from).min(at).before(GIVEN_BACK);
    let all = detector.holders().all().iter();
    all.filter(|hold| hold.from <= at && hold.to.is_none_or(|to| to >= earliest)).collect()
}

#[cfg(test)]
mod tests;
