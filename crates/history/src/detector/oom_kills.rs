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

/// A GPU that does nothing for less has not stopped working.
const STOPPED: Duration = Duration::from_secs(5);
/// Kills that wait at once; a storm of more is told without waiting.
const MOST: usize = 64;

/// Kills of which it is not known yet whether they have to do with a GPU.
#[derive(Clone, Default, Debug)]
pub(crate) struct OomKills {
    waiting: Vec<Kill>,
}

/// A kill, and the memory limit that was reached.
#[derive(Clone, Debug)]
struct Kill {
    found: Found,
    limited_cgroup: Option<String>,
}

impl Kill {
    /// What is told of it. The limit is a sign of its own only where the kill is a trigger, so that it does not
    /// explain another one.
    fn decide(mut self, gpus: Vec<GpuInfo>) -> Vec<Found> {
        self.found.gpus = gpus;
        self.found.sign.is_trigger = !self.found.gpus.is_empty();
        match self.limited_cgroup {
            Some(limited) if self.found.sign.is_trigger => {
                let text = format!("The memory limit of {limited} was reached");
                let at = self.found.sign.from;
                let mut limit = Found::once(SignKind::CgroupMemoryLimit, None, at, text);
                limit.gpus.clone_from(&self.found.gpus);
                vec![limit, self.found]
            }
            Some(limited) => {
                self.found.sign.text += &format!(": the memory limit of {limited} was reached");
                vec![self.found]
            }
            None => vec![self.found],
        }
    }
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
        let mut gpus: Vec<GpuInfo> = Vec::new();
        for hold in &holds {
            if !gpus.iter().any(|gpu| gpu.is_same(&hold.gpu)) {
                gpus.push(hold.gpu.clone());
            }
        }
        let found = Found::once(SignKind::OomKill, None, time, text);
        let kill = Kill { found, limited_cgroup: limited_cgroup.clone() };
        // The kernel says whose process it was, and that holder has no GPU.
        let is_anothers = gpus.is_empty()
            && (cgroup.is_some() || limited_cgroup.is_some())
            && holders.have_cgroups();
        if gpus.is_empty() && !is_anothers && self.waiting.len() < MOST {
            self.waiting.push(kill);
            return Vec::new();
        }
        kill.decide(gpus)
    }

    /// Takes what was read since. `interval` is the time from row to row.
    pub(crate) fn decide(
        &mut self,
        now: Time,
        interval: Duration,
        states: &[GpuState],
    ) -> Vec<Found> {
        let slack = AT_ONCE.saturating_add(interval);
        let mut decided = Vec::new();
        self.waiting.retain(|kill| {
            let at = kill.found.at;
            // What a process has is freed after it is killed; the row may have the time of before.
            let (first, last) = (at.before(interval), at.after(slack));
            let is_near = |time: Time| first <= time && time <= last;
            let hit = |state: &&GpuState| {
                let silence = state.activity.silence.filter(|silence| silence.was_busy());
                state.freed.is_some_and(is_near)
                    || silence
                        .is_some_and(|silence| is_near(silence.since) && silence.seen >= STOPPED)
            };
            let hit: Vec<_> = states.iter().filter(hit).map(|state| state.gpu.clone()).collect();
            if hit.is_empty() && now <= last.after(STOPPED.saturating_add(interval)) {
                return true;
            }
            decided.extend(kill.clone().decide(hit));
            false
        });
        decided
    }
}
