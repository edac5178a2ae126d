//! Groups signs into incidents.

mod joining;
mod kept_events;
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
use crate::sign::Sign;
use crate::sign::SignKind;
use crate::time::Time;
use crate::verdict::Watching;
use kept_events::MOST_EVENTS;
use open::{AFTER, BEFORE, OpenIncident};

/// Incidents that are kept one by one within an hour: those that any application can cause, and severe ones.
const MOST_AN_HOUR: usize = 32;
const MOST_SEVERE_AN_HOUR: usize = 96;
const HOUR: Duration = Duration::from_secs(3600);
/// Signs that are over and are remembered for an incident that begins later.
const MOST_SIGNS: usize = 256;
/// Closed incidents that are remembered.
const MOST_CLOSED: usize = 32;
/// A closed incident may be joined for as long: what happens a quarter of an hour later may be seen later yet.
const REMEMBERED: Duration = Duration::from_secs(30 * 60);
/// A holder that gave a GPU back this long before a trigger is told as the one that had it.
const GIVEN_BACK: Duration = Duration::from_secs(10);

/// The open incidents, and what is needed to open one: the events of the last ten minutes, and who has
/// which GPU.
#[derive(Debug, Default)]
pub struct Tracker {
    detector: Detector,
    watching: Watching,
    next_number: u64,
    open: Vec<OpenIncident>,
    /// The incident that was closed last, for counting more than are kept. It may be newer in `closed`.
    newest: Option<OpenIncident>,
    /// When incidents began, in the last hour, and whether they are severe.
    begun: VecDeque<(Time, bool)>,
    /// Closed incidents that may change yet, and when they were told.
    closed: VecDeque<(OpenIncident, Time)>,
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
            told.extend(self.close(now, |_| true));
            self.forget_closed(|_| true);
            self.set_clock(by_ms);
        }
        self.watching.take(layout, row);
        let mut found = self.detector.find(layout, row, events);
        found.sort_by(|one, other| order(one).cmp(&order(other)));
        self.remember_events(events);
        let mut changed = Vec::new();
        for found in found {
            // What was recorded while heatsink was off comes all at once.
            told.extend(self.close(now, |open| open.is_over(found.at.min(now))));
            let is_trigger = found.sign.is_trigger && !found.is_end;
            let joined = is_trigger.then(|| self.trigger(now, layout, &found, &mut told)).flatten();
            changed.extend(joined);
            told.extend(self.renew_closed(now, &found));
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
        told.extend(self.close(now, |open| open.is_over(now)));
        told.extend(self.tell_closed(now));
        self.forget_events(now);
        told
    }

    /// Takes what was recorded before this run, in order, so that it may explain what comes. Opens no incident.
    pub fn recall(&mut self, now: Time, layout: &Arc<Layout>, row: Option<&Row>, events: &[Event]) {
        let found = self.detector.find(layout, row, events);
        self.remember_events(events);
        self.forget_events(now);
        for found in found {
            self.remember_sign(now, found);
        }
    }

    /// The signs that go on, as they are now.
    pub fn ongoing(&self) -> Vec<Sign> {
        self.detector.ongoing().into_iter().map(|found| found.sign).collect()
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
        if let Some(open) = self.open.iter_mut().find(|open| joining::joins(found, open, &holds)) {
            open.join(found, &holds);
            return Some(open.number());
        }
        if self.join_closed(now, found, told)
            || self.repeat_closed(now, found, told)
            || !found.may_open
        {
            return None;
        }
        let holds = holds_at(&self.detector, found);
        while self.begun.front().is_some_and(|(begun, _)| now.since(*begun) > HOUR) {
            self.begun.pop_front();
        }
        let is_severe = joining::is_severe(found);
        let most = if is_severe { MOST_SEVERE_AN_HOUR } else { MOST_AN_HOUR };
        if self.begun.iter().filter(|(_, severe)| *severe == is_severe).count() >= most {
            told.extend(self.count_more(found.at));
            return None;
        }
        let number = self.next_number;
        let watched = self.watching.since(found.at.before(BEFORE), layout);
        let mut open = OpenIncident::new(number, layout.host.clone(), found, watched);
        open.join(found, &holds);
        open.add_events(&self.events);
        for sign in &self.signs {
            // What did not open one by itself belongs to one that begins with it.
            let belongs =
                sign.sign.is_trigger && !sign.may_open && open.is_near(sign, joining::TOGETHER);
            if belongs {
                open.join(sign, &holds_at(&self.detector, sign));
            } else {
                open.explain(sign);
            }
        }
        self.next_number = number.saturating_add(1);
        self.begun.push_back((now, is_severe));
        self.open.push(open);
        Some(number)
    }

    /// Counts an incident into the one that began last. It is told again each time its count doubles, so that a
    /// storm of them is not one of messages.
    fn count_more(&mut self, at: Time) -> Option<Incident> {
        let number = self.newest.as_ref().map(OpenIncident::number);
        let mut closed = self.closed.iter_mut().map(|(closed, _)| closed);
        let (newest, is_closed) = match self.open.last_mut() {
            Some(open) => (open, false),
            None => {
                let remembered = closed.find(|closed| Some(closed.number()) == number);
                (remembered.or(self.newest.as_mut())?, true)
            }
        };
        let count = newest.count_more(at);
        count.is_power_of_two().then(|| newest.tell(&[], is_closed))
    }

    /// Adds a trigger to a closed incident that it follows from, and tells that again.
    fn join_closed(&mut self, now: Time, found: &Found, told: &mut Vec<Incident>) -> bool {
        if self.closed.is_empty() {
            return false;
        }
        let ongoing = self.detector.ongoing();
        let mut closed = self.closed.iter_mut().rev();
        let earlier = closed.find(|(closed, _)| joining::joins_closed(found, closed, &ongoing));
        let Some((earlier, told_at)) = earlier else { return false };
        earlier.join(found, &holds_at(&self.detector, found));
        *told_at = now;
        told.push(earlier.tell(&ongoing, true));
        true
    }

    /// Counts a trigger that is the same again after its incident was closed. Tells that again if it is news, or once
    /// an hour.
    fn repeat_closed(&mut self, now: Time, found: &Found, told: &mut Vec<Incident>) -> bool {
        let holds = holds_at(&self.detector, found);
        let mut closed = self.closed.iter_mut().rev();
        let earlier = closed.find(|(closed, _)| joining::repeats_closed(found, closed, &holds));
        let Some((earlier, told_at)) = earlier else { return false };
        let Some(is_news) = earlier.repeat(found) else { return false };
        if is_news || now.since(*told_at) >= HOUR {
            *told_at = now;
            told.push(earlier.tell(&[], true));
        }
        true
    }

    /// Tells a closed incident again when one of its triggers that went on is over.
    fn renew_closed(&mut self, now: Time, found: &Found) -> Vec<Incident> {
        let mut told = Vec::new();
        for (closed, told_at) in self.closed.iter_mut().filter(|_| found.is_end) {
            if closed.renew(found) {
                *told_at = now;
                told.push(closed.tell(&[], true));
            }
        }
        told
    }

    /// Tells closed incidents whose triggers go on once an hour, and forgets those that cannot change any more.
    fn tell_closed(&mut self, now: Time) -> Vec<Incident> {
        let mut told = Vec::new();
        if self.closed.iter().any(|(closed, at)| closed.goes_on() && now.since(*at) >= HOUR) {
            let ongoing = self.detector.ongoing();
            let due = |(closed, at): &&mut (OpenIncident, Time)| {
                closed.goes_on() && now.since(*at) >= HOUR
            };
            for (closed, told_at) in self.closed.iter_mut().filter(due) {
                *told_at = now;
                let renewed = ongoing.iter().filter(|found| closed.renew(found)).count();
                told.extend((renewed > 0).then(|| closed.tell(&[], true)));
            }
        }
        self.forget_closed(|closed| !closed.goes_on() && !closed.is_recent(now, REMEMBERED));
        told
    }

    fn close(&mut self, now: Time, is_over: impl Fn(&OpenIncident) -> bool) -> Vec<Incident> {
        let mut told = Vec::new();
        while let Some(position) = self.open.iter().position(&is_over) {
            let mut over = self.open.remove(position);
            told.push(over.tell(&self.detector.ongoing(), true));
            self.newest = Some(over.clone());
            self.closed.push_back((over, now));
            // Those that go on are kept longest.
            if self.closed.len() > MOST_CLOSED {
                let mut closed = self.closed.iter().map(|(closed, _)| closed);
                let oldest = closed.clone().find(|closed| !closed.goes_on()).or(closed.next());
                let number = oldest.map(OpenIncident::number);
                self.forget_closed(|closed| Some(closed.number()) == number);
            }
        }
        told
    }

    /// Forgets closed incidents. The newest is kept as it is now, for counting.
    fn forget_closed(&mut self, is_over: impl Fn(&OpenIncident) -> bool) {
        let number = self.newest.as_ref().map(OpenIncident::number);
        let mut over =
            self.closed.iter().map(|(closed, _)| closed).filter(|closed| is_over(closed));
        if let Some(newest) = over.find(|closed| Some(closed.number()) == number) {
            self.newest = Some(newest.clone());
        }
        self.closed.retain(|(closed, _)| !is_over(closed));
    }

    /// Takes what is remembered to the new clock. Incidents were told with times of the old one, so none is open.
    fn set_clock(&mut self, by_ms: i64) {
        let set = |time: &mut Time| time.0 = time.0.saturating_add(by_ms);
        self.begun.iter_mut().for_each(|(begun, _)| set(begun));
        for found in &mut self.signs {
            set(&mut found.sign.from);
            found.sign.to.iter_mut().for_each(set);
            set(&mut found.at);
        }
    }

    fn remember_events(&mut self, events: &[Event]) {
        for open in &mut self.open {
            open.add_events(events);
        }
        self.events.extend(events.iter().cloned());
        let surplus = self.events.len().saturating_sub(MOST_EVENTS);
        self.events.drain(..surplus);
    }

    fn forget_events(&mut self, now: Time) {
        let oldest = now.before(BEFORE.saturating_add(AFTER));
        self.events.retain(|event| event.time >= oldest);
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
