//! Finds signs in rows and events.

mod activity;
mod condition;
mod down_gpus;
mod extremes;
pub(crate) mod found;
mod gpu_conditions;
mod gpu_counters;
mod gpu_state;
pub(crate) mod holders;
mod input;
mod machine;
mod memory_use;
mod oom_kills;
mod silent_jobs;
pub(crate) mod xids;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use crate::event::{Event, What};
use crate::layout::{GpuInfo, Layout};
use crate::recording::Row;
use crate::sign::{Sign, SignKind};
use crate::time::Time;
use crate::wording::{gpus, mib, sentence};
use down_gpus::DownGpus;
use found::Found;
use gpu_state::GpuState;
use holders::Holders;
use input::{Columns, Input};
use machine::Machine;
use memory_use::Freed;
use oom_kills::OomKills;
use silent_jobs::SilentJobs;

/// Rows further apart than this, and than three intervals, have a gap between them.
const SHORTEST_GAP: Duration = Duration::from_secs(5);
/// GPUs of which signs are looked for.
const MOST_GPUS: usize = 256;
/// Signs that harm jobs, which are remembered for jobs that end a moment later.
const MOST_HARMS: usize = 128;
/// Signs of one call.
const MOST_FOUND: usize = 1024;

/// Follows rows and events, and finds signs in them. Uses no clock: time is that of rows and events, so that it
/// finds the same in a recording as when it was made.
#[derive(Debug, Default)]
pub(crate) struct Detector {
    layout: Option<Arc<Layout>>,
    columns: Columns,
    interval: Duration,
    /// By how many milliseconds the wall clock was set since the begin. Everything below has times without it, so
    /// that durations are right.
    clock_set_ms: i64,
    /// The time of the last row, and the latest time of all.
    last_row: Option<Time>,
    now: Time,
    gpus: Vec<GpuState>,
    machine: Machine,
    holders: Holders,
    down_gpus: DownGpus,
    oom_kills: OomKills,
    silent_jobs: SilentJobs,
    /// The last signs that harm jobs.
    harms: VecDeque<Found>,
}

impl Detector {
    /// Takes a row, if one was recorded, and events. Returns the signs that are new or have changed since: a
    /// sign that goes on is returned again when it ends.
    pub(crate) fn observe(
        &mut self,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
    ) -> Vec<Sign> {
        self.find(layout, row, events).into_iter().map(|found| found.sign).collect()
    }

    /// The same, with what programs need to know of a sign.
    pub(crate) fn find(
        &mut self,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
    ) -> Vec<Found> {
        self.take_layout(layout);
        let mut found = Vec::new();
        for event in in_order(events) {
            self.event(&self.complete(event), &mut found);
        }
        if let Some(row) = row {
            self.row(layout, row, &mut found);
        }
        found.extend(self.down_gpus.decide(self.now, self.machine.is_source_down()));
        found.extend(self.oom_kills.decide(self.now, self.interval, &self.gpus));
        self.remember_harms(&found);
        if row.is_some() && silent_jobs::is_any(&self.gpus) {
            found.extend(self.silent_jobs());
        }
        found.truncate(MOST_FOUND);
        found.into_iter().map(|found| self.on_wall_clock(found)).collect()
    }

    /// The signs that go on, as they are now.
    pub(crate) fn ongoing(&self) -> Vec<Found> {
        let found = self.ongoing_steady();
        found.into_iter().map(|found| self.on_wall_clock(found)).collect()
    }

    /// Who has which GPU; times are those of [`Detector::steady`].
    pub(crate) fn holders(&self) -> &Holders {
        &self.holders
    }

    /// A time of the wall clock without the changes that were made to the clock since the begin.
    pub(crate) fn steady(&self, time: Time) -> Time {
        Time(time.0.saturating_sub(self.clock_set_ms))
    }

    fn on_wall_clock(&self, mut found: Found) -> Found {
        let wall = |time: Time| Time(time.0.saturating_add(self.clock_set_ms));
        found.sign.from = wall(found.sign.from);
        found.sign.to = found.sign.to.map(wall);
        found.at = wall(found.at);
        found
    }

    fn take_layout(&mut self, layout: &Arc<Layout>) {
        if self.layout.as_ref().is_some_and(|known| Arc::ptr_eq(known, layout)) {
            return;
        }
        self.columns = Columns::of(layout);
        self.interval = Duration::from_millis(layout.host.interval_ms);
        self.machine.know_driver(layout.host.driver_version.as_deref());
        let mut before = std::mem::take(&mut self.gpus);
        for gpu in layout.gpus.iter().take(MOST_GPUS) {
            let known = before.iter().position(|state| state.gpu.is_same(gpu));
            let mut state = match known {
                Some(position) => before.swap_remove(position),
                None => GpuState::new(gpu.clone()),
            };
            state.gpu = gpu.clone();
            self.gpus.push(state);
        }
        self.layout = Some(Arc::clone(layout));
    }

    /// The event with all that is known of its GPU: a line of the kernel log names its PCI address alone.
    fn complete(&self, event: &Event) -> Event {
        let known = event
            .gpu
            .as_ref()
            .and_then(|gpu| self.gpus.iter().find(|known| known.gpu.is_same(gpu)));
        let gpu = known.map(|known| known.gpu.clone()).or_else(|| event.gpu.clone());
        Event { gpu, ..event.clone() }
    }

    fn event(&mut self, event: &Event, found: &mut Vec<Found>) {
        if let What::ClockSet { by_ms } = event.what {
            self.clock_set_ms = self.clock_set_ms.saturating_add(by_ms);
        }
        let time = self.steady(event.time);
        self.now = self.now.max(time);
        if matches!(event.what, What::Started { .. }) {
            // What the run before it knew may have changed since; what is so is told again.
            self.holders.end_all(time);
            self.down_gpus.begin(time);
            self.gpus.iter_mut().for_each(GpuState::forget_links);
        }
        self.holders.step(time, event);
        found.extend(xids::found(time, event));
        found.extend(self.oom_kills.event(time, event, &self.holders));
        found.extend(self.machine.event(time, &event.what));
        match (&event.what, &event.gpu) {
            (What::GpuDown { reason }, Some(gpu)) => {
                self.down_gpus.fell(time, gpu, reason);
                let is_it = |state: &&mut GpuState| state.gpu.is_same(gpu);
                self.gpus.iter_mut().filter(is_it).for_each(GpuState::forget_links);
            }
            (What::Xid { code, .. }, Some(gpu)) => self.down_gpus.xid(time, gpu, *code),
            (What::DriverLine { line }, Some(gpu)) => self.down_gpus.line(time, gpu, line),
            (What::SourceDown { .. }, _) => {
                self.gpus.iter_mut().for_each(GpuState::forget_links);
            }
            (What::GpuUp, Some(gpu)) => found.extend(self.down_gpus.rose(time, gpu)),
            (What::HolderEnded { holder }, Some(gpu)) => {
                let text = format!("{} gave its GPUs back", sentence(&holder.name()));
                let same = found.iter_mut().find(|found| {
                    found.sign.kind == SignKind::HolderEnded && found.sign.text == text
                });
                match same {
                    Some(found) => found.gpus.push(gpu.clone()),
                    None => {
                        let mut ended = Found::once(SignKind::HolderEnded, None, time, text);
                        ended.gpus.push(gpu.clone());
                        found.push(ended);
                    }
                }
            }
            _ => {}
        }
    }

    fn row(&mut self, layout: &Layout, row: &Row, found: &mut Vec<Found>) {
        let time = self.steady(row.time);
        let gap = SHORTEST_GAP.max(self.interval.saturating_mul(3));
        self.last_row = Some(time);
        // An event with a time of the future leads no further than to here.
        self.now = time;
        found.extend(self.machine.row(time, gap, &self.columns.host(row)));
        let mut freed = Vec::new();
        for (position, _) in layout.gpus.iter().enumerate().take(MOST_GPUS) {
            let reading = self.columns.gpu(row, position);
            let Some(state) = self.gpus.get_mut(position) else { continue };
            if reading.get(Input::Up) == Some(1.0) {
                self.down_gpus.answers(&state.gpu);
            }
            let gone = state.step(time, gap, &reading, found);
            freed.extend(gone.map(|gone| (state.gpu.clone(), gone)));
        }
        found.extend(of_freed(time, &freed));
        found.extend(self.idle(time));
    }

    /// Busy GPUs that are idle since a few seconds.
    fn idle(&self, time: Time) -> Option<Found> {
        let idle = self.gpus.iter().filter(|state| state.activity.became_idle);
        let idle: Vec<_> =
            idle.filter_map(|state| Some((state, state.activity.silence?))).collect();
        let from = idle.iter().map(|(_, silence)| silence.since).min()?;
        let list: Vec<_> = idle.iter().map(|(state, _)| state.gpu.clone()).collect();
        let text = format!("{} became idle", sentence(&gpus(&list)));
        let found = Found::once(SignKind::GpuIdle, None, from, text).on_gpus(&list);
        Some(Found { at: time, ..found })
    }

    fn silent_jobs(&mut self) -> Vec<Found> {
        let mut harms: Vec<_> = self.harms.iter().cloned().collect();
        let ongoing = self.ongoing_steady().into_iter();
        harms.extend(ongoing.filter(|found| found.sign.kind.harms_jobs()));
        let Some(time) = self.last_row else { return Vec::new() };
        silent_jobs::find(
            &mut self.silent_jobs,
            time,
            self.interval,
            &mut self.gpus,
            &self.holders,
            &harms,
        )
    }

    fn remember_harms(&mut self, found: &[Found]) {
        let over = found.iter().filter(|found| {
            let sign = &found.sign;
            let is_ours = sign.kind != SignKind::OomKill || sign.is_trigger;
            sign.kind.harms_jobs() && sign.to.is_some() && is_ours
        });
        self.harms.extend(over.cloned());
        let surplus = self.harms.len().saturating_sub(MOST_HARMS);
        self.harms.drain(..surplus);
        let now = self.now;
        self.harms.retain(|harm| {
            harm.sign.to.is_none_or(|to| now.since(to) <= Duration::from_secs(1200))
        });
    }

    fn ongoing_steady(&self) -> Vec<Found> {
        let of_gpus = self.gpus.iter().flat_map(|state| state.ongoing(self.now));
        of_gpus
            .chain(self.machine.ongoing(self.now))
            .chain(self.down_gpus.ongoing(self.now))
            .collect()
    }
}

/// Events in order of their time, unless the clock was set among them.
fn in_order(events: &[Event]) -> Vec<&Event> {
    let mut events: Vec<_> = events.iter().collect();
    if !events.iter().any(|event| matches!(event.what, What::ClockSet { .. })) {
        events.sort_by_key(|event| event.time);
    }
    events
}

/// Memory that was freed in one row: a sign for each GPU that was full, and one for all others.
fn of_freed(time: Time, freed: &[(GpuInfo, Freed)]) -> Vec<Found> {
    let (full, others): (Vec<_>, Vec<_>) = freed.iter().partition(|(_, freed)| freed.was_full);
    let mut found: Vec<_> = full
        .iter()
        .map(|(gpu, freed)| {
            // What the driver keeps is not the application's.
            let part = match freed.now <= freed.before / 100.0 {
                true => "all of it was".to_owned(),
                false => format!("{} of it were", mib(freed.before - freed.now)),
            };
            let text = format!(
                "The memory of {} was {:.1} % full, and {part} freed at once",
                gpu.name(),
                freed.share * 100.0,
            );
            Found::once(SignKind::MemoryFull, Some(gpu), time, text)
        })
        .collect();
    if !others.is_empty() {
        let list: Vec<_> = others.iter().map(|(gpu, _)| gpu.clone()).collect();
        let sum: f64 = others.iter().map(|(_, freed)| freed.before - freed.now).sum();
        let text = format!("{} of memory of {} were freed at once", mib(sum), gpus(&list));
        found.push(Found::once(SignKind::GpuMemoryFreed, None, time, text).on_gpus(&list));
    }
    found
}
