//! OOM kills: whether one has to do with a GPU is known only seconds later.

use std::time::Duration;

use super::found::Found;
use super::gpu_state::GpuState;
use super::holders::Holders;
use super::memory_use::AT_ONCE;
use crate::event::{Event, What};
use crate::layout::GpuInfo;
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::mib;

/// Kills that wait at once; a storm of more is told without waiting.
const MOST: usize = 64;

/// Kills of which it is not known yet whether they have to do with a GPU.
#[derive(Clone, Default, Debug)]
pub(crate) struct OomKills {
    waiting: Vec<Found>,
}

impl OomKills {
    /// Takes an event at its time on the detector's clock.
    pub(crate) fn event(&mut self, time: Time, event: &Event, holders: &Holders) -> Vec<Found> {
        let What::OomKill { process, limited_cgroup, cgroup, anonymous_kb, .. } = &event.what
        else {
            return Vec::new();
        };
        let name = match (&process.name, process.pid) {
            (Some(name), Some(pid)) => format!("{name} (pid {pid})"),
            (Some(name), None) => name.clone(),
            (None, Some(pid)) => format!("the process {pid}"),
            (None, None) => "a process".to_owned(),
        };
        let memory =
            anonymous_kb.map(|kb| format!(", which used {} of memory", mib(kb as f64 / 1024.0)));
        let memory = memory.unwrap_or_default();
        let why = match limited_cgroup {
            Some(_) => "",
            None => ": the machine was out of memory",
        };
        let paths = cgroup.iter().chain(limited_cgroup);
        let holds: Vec<_> = paths.flat_map(|path| holders.of_cgroup(path)).collect();
        let whose = holds.first().map(|hold| format!(" of {}", hold.holder.name()));
        let whose = whose.unwrap_or_default();
        let text = format!("The kernel killed {name}{whose}{memory}{why}");
        let limit = limited_cgroup.as_ref().map(|limited| {
            let text = format!("The memory limit of {limited} was reached");
            Found::once(SignKind::CgroupMemoryLimit, None, time, text)
        });
        let mut gpus: Vec<GpuInfo> = Vec::new();
        for hold in &holds {
            if !gpus.iter().any(|gpu| gpu.is_same(&hold.gpu)) {
                gpus.push(hold.gpu.clone());
            }
        }
        let mut kill = Found::once(SignKind::OomKill, None, time, text);
        kill.gpus = gpus;
        kill.sign.is_trigger = !holds.is_empty();
        if holds.is_empty() && self.waiting.len() < MOST {
            self.waiting.push(kill);
            return limit.into_iter().collect();
        }
        limit.into_iter().chain([kill]).collect()
    }

    /// Takes what was read since. `interval` is the time from row to row.
    pub(crate) fn decide(
        &mut self,
        now: Time,
        interval: Duration,
        states: &[GpuState],
    ) -> Vec<Found> {
        let is_unreadable = !states.is_empty() && states.iter().all(|state| !state.has_memory);
        let slack = AT_ONCE.saturating_add(interval);
        let mut decided = Vec::new();
        self.waiting.retain_mut(|kill| {
            let (first, last) = (kill.at.before(slack), kill.at.after(slack));
            let is_near = |time: Time| first <= time && time <= last;
            let hit = |state: &&GpuState| {
                let silence = state.activity.silence.filter(|silence| silence.was_busy());
                state.freed.is_some_and(is_near)
                    || silence.is_some_and(|silence| is_near(silence.since))
            };
            let hit: Vec<_> = states.iter().filter(hit).map(|state| state.gpu.clone()).collect();
            if hit.is_empty() && !is_unreadable && now <= last {
                return true;
            }
            kill.sign.is_trigger = !hit.is_empty() || is_unreadable;
            kill.gpus = hit;
            decided.push(kill.clone());
            false
        });
        decided
    }
}
