//! An incident while triggers may still join it.

use std::time::Duration;

use super::kept_events::KeptEvents;
use crate::detector::found::Found;
use crate::detector::holders::Hold;
use crate::event::{Event, HolderInfo};
use crate::incident::Incident;
use crate::layout::{GpuInfo, HostInfo};
use crate::sign::{Sign, SignKind};
use crate::time::{Range, Time};
use crate::verdict::recovery::RECOVERY;
use crate::verdict::{self, Seen, Watched};

/// What is kept before the first trigger.
pub(crate) const BEFORE: Duration = Duration::from_secs(600);
/// What is kept after the last trigger; and the time in which another one may join.
pub(crate) const AFTER: Duration = Duration::from_secs(120);
/// An incident is closed at the latest after this time, so that one which repeats itself for days is told.
const LONGEST: Duration = Duration::from_secs(3600);
/// What happens again after it is closed is counted for as long, and opens another incident then.
const LONGEST_REPEATED: Duration = Duration::from_secs(24 * 3600);
/// Signs of one incident.
const MOST_SIGNS: usize = 256;
/// GPUs of one incident, and GPUs of its holders.
const MOST_GPUS: usize = 256;
const MOST_HOLDERS: usize = 1024;

/// A sign of an incident.
#[derive(Clone, Debug)]
struct Kept {
    sign: Sign,
    gpus: Vec<GpuInfo>,
    /// How often it happened.
    count: u64,
    /// When it was first seen.
    at: Time,
}

/// An incident that is open.
#[derive(Clone, Debug)]
pub(crate) struct OpenIncident {
    number: u64,
    kind: SignKind,
    /// When the first and the last trigger happened, and when they were seen, which may be later.
    began: Time,
    last: Time,
    first_seen: Time,
    last_seen: Time,
    /// When a trigger was last counted that happened again after it was closed.
    repeated: Time,
    host: HostInfo,
    gpus: Vec<GpuInfo>,
    holders: Vec<(usize, HolderInfo)>,
    signs: Vec<Kept>,
    events: KeptEvents,
    /// What was watched when it began.
    watched: Watched,
    /// The name of the verdict that was last told.
    told: String,
    /// Whether a sign came or changed since it was last judged.
    is_changed: bool,
}

impl OpenIncident {
    /// An incident that this trigger opens.
    pub(crate) fn new(number: u64, host: HostInfo, trigger: &Found, watched: Watched) -> Self {
        Self {
            number,
            kind: trigger.sign.kind,
            began: trigger.sign.from,
            last: trigger.sign.from,
            first_seen: trigger.at,
            last_seen: trigger.at,
            repeated: trigger.at,
            host,
            gpus: Vec::new(),
            holders: Vec::new(),
            signs: Vec::new(),
            events: KeptEvents::default(),
            watched,
            told: String::new(),
            is_changed: false,
        }
    }

    /// Its number.
    pub(crate) fn number(&self) -> u64 {
        self.number
    }

    /// Whether a trigger is no further than this from one of its own: from when that first happened, or was first
    /// seen. What repeats itself is near to anything, and says nothing of it.
    pub(crate) fn is_near(&self, found: &Found, distance: Duration) -> bool {
        let times = [found.at, found.sign.from];
        let is_near = |own: Time| {
            times.iter().any(|time| own.before(distance) <= *time && *time <= own.after(distance))
        };
        let mut triggers = self.signs.iter().filter(|kept| kept.sign.is_trigger);
        triggers.any(|kept| is_near(kept.at) || is_near(kept.sign.from))
    }

    /// Whether the last trigger was seen no longer than this before.
    pub(crate) fn is_recent(&self, time: Time, longest: Duration) -> bool {
        time <= self.last_seen.max(self.repeated).after(longest)
    }

    /// Whether a trigger is within a day of the first, and of those who had its GPUs.
    pub(crate) fn may_repeat(&self, found: &Found, holds: &[&Hold]) -> bool {
        found.at <= self.first_seen.after(LONGEST_REPEATED) && self.has_holders_of(found, holds)
    }

    /// Whether those who had the GPUs of a trigger are those of the incident; so they are if both are not known.
    pub(crate) fn has_holders_of(&self, found: &Found, holds: &[&Hold]) -> bool {
        let is_its = |gpu: &GpuInfo| found.gpus.iter().any(|other| other.is_same(gpu));
        let now = || holds.iter().filter(|hold| is_its(&hold.gpu)).map(|hold| &hold.holder);
        let of_its =
            |(position, _): &&(usize, HolderInfo)| self.gpus.get(*position).is_some_and(is_its);
        let before = || self.holders.iter().filter(of_its).map(|(_, holder)| holder);
        now().next().is_some() == before().next().is_some()
            && now().all(|holder| before().any(|known| known.is_same(holder)))
    }

    /// Counts a trigger that it has and that happens again after it is closed. What is kept stays the same. Returns
    /// whether there is such a trigger, and whether its count doubled: a storm is not one of messages.
    pub(crate) fn repeat(&mut self, found: &Found) -> Option<bool> {
        let sign = &found.sign;
        let is_its = |kept: &&mut Kept| {
            kept.sign.is_trigger
                && (kept.sign.kind, kept.sign.xid) == (sign.kind, sign.xid)
                && kept.is_at_once()
                && kept.gpus.iter().any(|gpu| found.gpus.iter().any(|other| other.is_same(gpu)))
        };
        let kept = self.signs.iter_mut().find(is_its)?;
        let before = kept.count;
        kept.count = before.saturating_add(found.count);
        kept.sign.to = kept.sign.to.max(sign.to);
        self.repeated = self.repeated.max(found.at);
        Some(before.max(1).ilog2() < kept.count.max(1).ilog2())
    }

    /// Whether one of its triggers still goes on, as far as it knows.
    pub(crate) fn goes_on(&self) -> bool {
        self.signs.iter().any(|kept| kept.sign.is_trigger && kept.sign.to.is_none())
    }

    /// Takes the newer states of its triggers that go on, and of no other sign. Returns whether there were some.
    pub(crate) fn renew(&mut self, found: &Found) -> bool {
        let is_it = |kept: &Kept| {
            kept.sign.is_trigger && kept.sign.to.is_none() && kept.is_same(&found.sign)
        };
        let is_mine = self.signs.iter().any(is_it);
        if is_mine {
            self.add(found, false);
        }
        is_mine
    }

    /// What is kept.
    pub(crate) fn window(&self) -> Range {
        let (first, last) = (self.began.min(self.first_seen), self.last.max(self.last_seen));
        Range { from: first.before(BEFORE), to: last.after(AFTER) }
    }

    /// Whether nothing joins it any more.
    pub(crate) fn is_over(&self, now: Time) -> bool {
        now > self.last_seen.after(AFTER) || now > self.first_seen.after(LONGEST)
    }

    /// Its triggers, with all GPUs that each is about.
    pub(crate) fn triggers(&self) -> impl Iterator<Item = (&Sign, &[GpuInfo])> {
        let triggers = self.signs.iter().filter(|kept| kept.sign.is_trigger);
        triggers.map(|kept| (&kept.sign, kept.gpus.as_slice()))
    }

    /// Adds a trigger.
    pub(crate) fn join(&mut self, trigger: &Found, holds: &[&Hold]) {
        self.began = self.began.min(trigger.sign.from);
        self.last = self.last.max(trigger.sign.from);
        self.first_seen = self.first_seen.min(trigger.at);
        self.last_seen = self.last_seen.max(trigger.at);
        for gpu in &trigger.gpus {
            self.add_gpu(gpu, holds);
        }
        self.add(trigger, true);
    }

    /// Adds a sign that only explains, or the newer state of one that it has.
    pub(crate) fn explain(&mut self, found: &Found) {
        let window = self.window();
        if found.sign.overlaps(window.from, window.to) {
            self.add(found, false);
        }
    }

    /// Adds events of its window.
    pub(crate) fn add_events<'a>(&mut self, events: impl IntoIterator<Item = &'a Event>) {
        let from = self.window().from;
        let triggers = self.signs.iter().filter(|kept| kept.sign.is_trigger);
        let triggers = || triggers.clone().map(|kept| kept.sign.from);
        for event in events.into_iter().filter(|event| event.time >= from) {
            self.events.add(event, triggers);
        }
    }

    /// Counts an incident that is not kept by itself.
    pub(crate) fn count_more(&mut self, at: Time) -> u64 {
        let text = "Another incident began, and is not kept by itself".to_owned();
        self.add(&Found::once(SignKind::MoreIncidents, None, at, text), false);
        let more = self.signs.iter().find(|kept| kept.sign.kind == SignKind::MoreIncidents);
        more.map_or(0, |kept| kept.count)
    }

    /// Whether its verdict is another one than the one that was last told.
    pub(crate) fn has_news(&mut self) -> bool {
        std::mem::take(&mut self.is_changed)
            && verdict::judge(&self.signs(), &self.watched).name != self.told
    }

    /// As it is now, with the signs that go on.
    pub(crate) fn tell(&mut self, ongoing: &[Found], is_closed: bool) -> Incident {
        for found in ongoing {
            self.explain(found);
        }
        let mut seen = self.signs();
        if is_closed {
            seen.iter_mut().for_each(Seen::close);
        }
        let verdict = verdict::judge(&seen, &self.watched);
        let signs = seen.into_iter().map(|seen| seen.sign).collect();
        self.told.clone_from(&verdict.name);
        self.is_changed = false;
        Incident {
            number: self.number,
            kind: self.kind,
            began: self.began,
            last: self.last,
            window: self.window(),
            is_closed,
            host: self.host.clone(),
            gpus: self.gpus.clone(),
            holders: self.holders.clone(),
            signs,
            events: self.events.until(self.window().to),
            events_left_out: self.events.left_out(),
            verdict,
        }
    }

    /// Its signs in order of time, whatever the order in which they came.
    fn signs(&self) -> Vec<Seen> {
        let told = |kept: &Kept| Seen { sign: kept.told(), gpus: kept.gpus.clone() };
        let mut seen: Vec<_> = self.signs.iter().map(told).collect();
        seen.sort_by(|one, other| one.order().cmp(&other.order()));
        seen
    }

    fn add_gpu(&mut self, gpu: &GpuInfo, holds: &[&Hold]) {
        let known = self.gpus.iter().position(|other| other.is_same(gpu));
        let position = known.unwrap_or(self.gpus.len());
        if known.is_none() {
            if self.gpus.len() >= MOST_GPUS {
                return;
            }
            self.gpus.push(gpu.clone());
        }
        // One that is known may have another holder by now.
        for hold in holds.iter().filter(|hold| hold.gpu.is_same(gpu)) {
            let is_it = |(other, holder): &(usize, HolderInfo)| {
                *other == position && holder.is_same(&hold.holder)
            };
            if self.holders.len() < MOST_HOLDERS && !self.holders.iter().any(is_it) {
                self.holders.push((position, hold.holder.clone()));
            }
        }
    }

    fn add(&mut self, found: &Found, is_trigger: bool) {
        self.is_changed = true;
        let sign = Sign { is_trigger, ..found.sign.clone() };
        // What happened to another incident is not counted into a trigger.
        let is_its = |kept: &&mut Kept| {
            kept.is_same(&sign) && (kept.sign.is_trigger == is_trigger || !kept.is_at_once())
        };
        if let Some(kept) = self.signs.iter_mut().find(is_its) {
            kept.take(sign, found);
        } else if self.signs.len() < MOST_SIGNS {
            let Found { gpus, count, at, .. } = found.clone();
            self.signs.push(Kept { sign, gpus, count, at });
        }
    }
}

impl Kept {
    /// Whether the other is a newer state of this one, or happened again.
    fn is_same(&self, other: &Sign) -> bool {
        let mine = &self.sign;
        let has_same_gpu = match (&mine.gpu, &other.gpu) {
            (Some(one), Some(other)) => one.is_same(other),
            (None, None) => true,
            _ => false,
        };
        let happens_again = self.is_at_once() && other.to == Some(other.from);
        // Signs without a GPU are told apart by their sentences: they name GPUs, holders and processes. And so is
        // what the driver asks for.
        let is_told_apart = mine.gpu.is_none() || mine.xid == Some(RECOVERY);
        let says_the_same = !is_told_apart || mine.text == other.text;
        (mine.kind, mine.xid) == (other.kind, other.xid)
            && has_same_gpu
            && (mine.from == other.from && mine.to != Some(mine.from)
                || happens_again && says_the_same)
    }

    fn is_at_once(&self) -> bool {
        self.count > 1 || self.sign.to == Some(self.sign.from)
    }

    fn take(&mut self, newer: Sign, found: &Found) {
        self.at = self.at.min(found.at);
        let is_trigger = self.sign.is_trigger || newer.is_trigger;
        if self.is_at_once() {
            self.count = self.count.saturating_add(found.count);
            let to = self.sign.to.max(newer.to);
            // The first one is told, whichever came first.
            if (newer.from, &newer.text) < (self.sign.from, &self.sign.text) {
                self.sign = newer;
            }
            self.sign.to = to;
        } else {
            self.sign = newer;
        }
        self.sign.is_trigger = is_trigger;
    }

    fn told(&self) -> Sign {
        let mut sign = self.sign.clone();
        if self.count > 1 {
            sign.text += &format!(" ({} times)", self.count);
        }
        sign
    }
}
