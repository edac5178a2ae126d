//! What is known of one GPU, and the signs that a row of it brings.

use std::time::Duration;

use super::activity::Activity;
use super::condition::{Change, Condition, Rising};
use super::extremes::Extremes;
use super::found::Found;
use super::gpu_conditions::{Best, GPU_CONDITIONS, GpuCondition};
use super::gpu_counters::{GPU_COUNTERS, GpuCounter};
use super::input::{GpuReading, Input};
use super::memory_use::{Freed, MemoryUse};
use crate::layout::GpuInfo;
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::{duration, duration_seen, sentence, whole};

/// An NVLink is down after this time: it is read every ten seconds.
const LINK_AWAY: Duration = Duration::from_secs(20);

/// What is known of one GPU.
#[derive(Clone, Debug)]
pub(crate) struct GpuState {
    /// The GPU.
    pub(crate) gpu: GpuInfo,
    /// How busy it was.
    pub(crate) activity: Activity,
    /// When its memory was last freed at once.
    pub(crate) freed: Option<Time>,
    best: Best,
    memory: MemoryUse,
    /// The NVLinks that worked.
    links: Option<f64>,
    /// Since when fewer work.
    fewer_links: Option<Time>,
    conditions: [(Condition, Extremes); GPU_CONDITIONS.len()],
    counters: [Rising; GPU_COUNTERS.len()],
}

impl GpuState {
    /// A GPU of which nothing is known.
    pub(crate) fn new(gpu: GpuInfo) -> Self {
        Self {
            gpu,
            activity: Activity::default(),
            freed: None,
            best: Best::default(),
            memory: MemoryUse::default(),
            links: None,
            fewer_links: None,
            conditions: Default::default(),
            counters: Default::default(),
        }
    }

    /// Takes a row; `gap` is the longest time between two rows which is no gap. Memory that was freed is returned, as it may concern several GPUs.
    pub(crate) fn step(
        &mut self,
        time: Time,
        gap: Duration,
        reading: &GpuReading,
        found: &mut Vec<Found>,
    ) -> Option<Freed> {
        self.best.add(time, gap, reading);
        for (rule, (condition, seen)) in GPU_CONDITIONS.iter().zip(&mut self.conditions) {
            let is_on = (rule.is_on)(reading, &self.best);
            if !condition.is_on() {
                seen.clear();
            }
            if is_on == Some(true) {
                seen.add(reading);
            }
            let change = condition.step(&rule.timing, time, gap, is_on);
            let sign =
                |change| of_condition(&self.gpu, rule, change, (condition, seen), &self.best, time);
            found.extend(change.map(sign));
        }
        for (rule, rising) in GPU_COUNTERS.iter().zip(&mut self.counters) {
            let total = rising.total;
            let change = rising.step(time, reading.get(rule.input), rule.least);
            let total = total.max(rising.total);
            found.extend(change.map(|change| of_counter(&self.gpu, rule, change, total, time)));
        }
        found.extend(self.link_down(time, reading));
        self.activity.step(time, gap, reading);
        let freed = self.memory.step(time, gap, reading)?;
        self.freed = Some(time);
        Some(freed)
    }

    /// The signs that go on, as they are at `time`.
    pub(crate) fn ongoing(&self, time: Time) -> Vec<Found> {
        let conditions = GPU_CONDITIONS.iter().zip(&self.conditions);
        let conditions = conditions.filter_map(|(rule, (condition, seen))| {
            let change = Change::Began { from: condition.sign_since()? };
            let until = time.min(condition.last_seen());
            Some(of_condition(&self.gpu, rule, change, (condition, seen), &self.best, until))
        });
        let counters = GPU_COUNTERS.iter().zip(&self.counters);
        let counters = counters.filter_map(|(rule, rising)| {
            let change = Change::Began { from: rising.sign_since()? };
            Some(of_counter(&self.gpu, rule, change, rising.total, time))
        });
        conditions.chain(counters).collect()
    }

    /// Nothing is known of its links: the GPU or the driver is away, and links are trained when it is back.
    pub(crate) fn forget_links(&mut self) {
        (self.links, self.fewer_links) = (None, None);
    }

    /// Fewer links than before, in more than one reading.
    fn link_down(&mut self, time: Time, reading: &GpuReading) -> Option<Found> {
        if reading.get(Input::Up) == Some(0.0) {
            self.forget_links();
        }
        let now = reading.get(Input::LinksActive)?;
        let before = *self.links.get_or_insert(now);
        if now >= before {
            (self.links, self.fewer_links) = (Some(now), None);
            return None;
        }
        let since = *self.fewer_links.get_or_insert(time);
        if time.since(since) < LINK_AWAY {
            return None;
        }
        (self.links, self.fewer_links) = (Some(now), None);
        let text = || {
            let name = self.gpu.name();
            format!("{} of {} NVLinks of {name} went down", whole(before - now), whole(before))
        };
        let down = Found::once(SignKind::LinkDown, Some(&self.gpu), since, text());
        Some(Found { at: time, ..down })
    }
}

fn of_condition(
    gpu: &GpuInfo,
    rule: &GpuCondition,
    change: Change,
    (condition, seen): (&Condition, &Extremes),
    best: &Best,
    time: Time,
) -> Found {
    let (range, lasted, so_far) = match change {
        Change::Began { from } => ((from, None), time.since(from), crate::wording::SO_FAR),
        Change::Ended { from, to } => ((from, Some(to)), to.since(from), ""),
    };
    // A state that only a reset ends is told without its duration.
    let is_state = rule.timing.end.is_zero();
    let lasted = match lasted {
        Duration::ZERO => String::new(),
        _ if is_state => String::new(),
        lasted => format!(" for {}{so_far}", duration_seen(condition.seen(), lasted)),
    };
    let name = sentence(&gpu.name());
    let text = format!("{name} {}{lasted}{}", rule.text, (rule.numbers)(seen, best));
    let found = Found::lasting(rule.kind, Some(gpu), range, time, text);
    Found {
        is_end: range.1.is_some(),
        seen: condition.seen(),
        lowers_clocks: best.is_above(seen.min(Input::SmClock)),
        ..found
    }
}

fn of_counter(gpu: &GpuInfo, rule: &GpuCounter, change: Change, total: f64, time: Time) -> Found {
    let (range, lasted) = match change {
        Change::Began { from } => ((from, None), time.since(from)),
        Change::Ended { from, to } => ((from, Some(to)), to.since(from)),
    };
    let what = if total <= 1.0 { rule.names.0 } else { rule.names.1 };
    let within = match lasted {
        Duration::ZERO => String::new(),
        lasted => format!(" in {}", duration(lasted)),
    };
    let text = format!("{} counted {} {what}{within}", sentence(&gpu.name()), whole(total));
    let found = Found::lasting(rule.kind, Some(gpu), range, time, text);
    Found { is_end: range.1.is_some(), ..found }
}
