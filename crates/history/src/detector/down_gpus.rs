//! GPUs that do not answer any more.

use std::time::Duration;

use super::found::Found;
use crate::layout::GpuInfo;
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::{gpus, sentence};

/// A call that is only slow returns within this time; and so does the word that the source is down, where all
/// GPUs are.
const WAIT: Duration = Duration::from_secs(5);
/// The driver lists GPUs one after the other when it is loaded, and all within this time.
const LISTED: Duration = Duration::from_secs(15);
/// A GPU that is reset, or whose MIG mode is changed, is lost for less than this.
const RESET: Duration = Duration::from_secs(60);
/// The XID of a GPU that has fallen off the bus, and what the driver writes of one.
const OFF_BUS: u32 = 79;
const OFF_BUS_LINE: &str = "fallen off the bus";
/// What the kernel said explains a GPU that is lost within this time.
const SAID: Duration = Duration::from_secs(300);
/// GPUs that are known at once.
const MOST: usize = 1024;

/// A call did not return yet, or the last one that did is too long ago: which of both is not known.
const HUNG: &str =
    "did not answer in time: a call to the driver did not return, or returned too late";

/// Down reason, kind of sign, and what is said of it.
const REASONS: [(&str, SignKind, &str); 4] = [
    ("lost", SignKind::GpuLost, "fell off the bus: the driver has lost it"),
    ("late", SignKind::GpuHung, HUNG),
    ("missing", SignKind::GpuMissing, "was not listed by the driver any more"),
    ("not_initialized", SignKind::GpuMissing, "is on the PCI bus, but the driver did not list it"),
];

/// Which GPUs answered once, and which do not any more.
#[derive(Clone, Default, Debug)]
pub(crate) struct DownGpus {
    answered: Vec<GpuInfo>,
    down: Vec<DownGpu>,
    /// The GPUs of which the kernel said that they have fallen off the bus, and when.
    off_bus: Vec<(GpuInfo, Time)>,
    /// All GPUs that hang together, and since when.
    together: Option<(Time, Vec<GpuInfo>)>,
}

#[derive(Clone, Debug)]
struct DownGpu {
    gpu: GpuInfo,
    state: State,
    is_told: bool,
    /// Whether it is told with all others.
    is_together: bool,
    /// What it is since, if it was told to hang: a GPU that hangs is often lost in the end.
    later: Option<State>,
}

/// What a GPU is, and since when.
#[derive(Clone, Copy, Debug)]
struct State {
    since: Time,
    kind: SignKind,
    text: &'static str,
    /// Whether it may be reset: it was lost meanwhile, or the source was down.
    may_be_reset: bool,
}

impl State {
    /// It is down all the same, for another reason.
    fn change(&mut self, kind: SignKind, text: &'static str) {
        (self.kind, self.text) = (kind, text);
        self.may_be_reset |= kind == SignKind::GpuLost;
    }

    /// It may come back with the source.
    fn begin_again(&mut self, now: Time) {
        (self.since, self.may_be_reset) = (now, true);
    }
}

impl DownGpus {
    /// A run of heatsink begins, to which all that is down is told again. Of a GPU of which the run before told it, it
    /// is no news.
    pub(crate) fn begin(&mut self, time: Time) {
        let Self { mut answered, down, off_bus, .. } = std::mem::take(self);
        let is_told = |gpu: &GpuInfo| {
            down.iter().any(|down| down.is_told && down.gpu.is_same(gpu))
                || off_bus.iter().any(|(other, at)| other.is_same(gpu) && time.since(*at) <= SAID)
        };
        answered.retain(|gpu| !is_told(gpu));
        self.answered = answered;
    }

    /// The GPU answers.
    pub(crate) fn answers(&mut self, gpu: &GpuInfo) {
        if self.answered.len() < MOST && !self.answered.iter().any(|other| other.is_same(gpu)) {
            self.answered.push(gpu.clone());
        }
    }

    /// The GPU is down. One that never answered is none of ours.
    pub(crate) fn fell(&mut self, time: Time, gpu: &GpuInfo, reason: &str) {
        let row = REASONS.iter().find(|(word, ..)| *word == reason);
        let has_answered = self.answered.iter().any(|other| other.is_same(gpu));
        let Some(&(_, kind, text)) = row.filter(|_| has_answered) else { return };
        let state = State { since: time, kind, text, may_be_reset: kind == SignKind::GpuLost };
        match self.down.iter_mut().find(|down| down.gpu.is_same(gpu)) {
            // Only one that was told to hang may turn out to be lost.
            Some(down) if down.is_told && down.state.kind != SignKind::GpuHung => {}
            Some(down) if down.is_told && kind == SignKind::GpuHung => down.later = None,
            Some(down) if down.is_told => {
                down.later.get_or_insert(state).change(kind, text);
            }
            Some(down) => down.state.change(kind, text),
            None => {
                self.down.push(DownGpu {
                    gpu: gpu.clone(),
                    state,
                    is_told: false,
                    is_together: false,
                    later: None,
                });
            }
        }
    }

    /// An XID of a GPU.
    pub(crate) fn xid(&mut self, time: Time, gpu: &GpuInfo, code: u32) {
        if code == OFF_BUS {
            self.is_off_bus(time, gpu);
        }
    }

    /// Another line of the driver about a GPU.
    pub(crate) fn line(&mut self, time: Time, gpu: &GpuInfo, line: &str) {
        if line.contains(OFF_BUS_LINE) {
            self.is_off_bus(time, gpu);
        }
    }

    fn is_off_bus(&mut self, time: Time, gpu: &GpuInfo) {
        self.off_bus.retain(|(other, at)| !other.is_same(gpu) && time.since(*at) <= SAID);
        if self.off_bus.len() < MOST {
            self.off_bus.push((gpu.clone(), time));
        }
    }

    /// The GPU answers again.
    pub(crate) fn rose(&mut self, time: Time, gpu: &GpuInfo) -> Option<Found> {
        self.answers(gpu);
        let position = self.down.iter().position(|down| down.gpu.is_same(gpu))?;
        let down = self.down.swap_remove(position);
        if !down.is_together {
            return down.is_told.then(|| down.found(Some(time), time).ended());
        }
        self.end_together(time)
    }

    /// The sign of all is over with the last of them.
    fn end_together(&mut self, time: Time) -> Option<Found> {
        if self.down.iter().any(|other| other.is_together) {
            return None;
        }
        let (since, gpus) = self.together.take()?;
        Some(found_together((since, Some(time)), time, &gpus).ended())
    }

    /// The GPUs that are down for long enough, unless the source is: then nothing is known of any.
    pub(crate) fn decide(&mut self, now: Time, is_source_down: bool) -> Vec<Found> {
        if is_source_down {
            // No event tells again what is the same when the source is back.
            self.down.iter_mut().for_each(|down| down.begin_again(now));
            return Vec::new();
        }
        let are_all = self.down.len() >= self.answered.len();
        let off_bus = &self.off_bus;
        let wait = |gpu: &GpuInfo, state: &State| {
            let is_said = || {
                let is_it = |(other, at): &(GpuInfo, Time)| {
                    other.is_same(gpu) && state.since.since(*at) <= SAID
                };
                off_bus.iter().any(is_it)
            };
            match state.kind {
                _ if state.may_be_reset && !is_said() => RESET,
                SignKind::GpuHung => WAIT,
                SignKind::GpuMissing => LISTED,
                _ if are_all => WAIT,
                _ => Duration::ZERO,
            }
        };
        let is_long = |gpu: &GpuInfo, state: &State| now.since(state.since) >= wait(gpu, state);
        let is_due = |down: &DownGpu| !down.is_told && is_long(&down.gpu, &down.state);
        let do_all_hang = are_all
            && self.down.len() > 1
            && self.down.iter().all(|down| down.state.kind == SignKind::GpuHung && !down.is_told);
        if do_all_hang && self.down.iter().any(is_due) {
            let since = self.down.iter().map(|down| down.state.since).min().unwrap_or(now);
            let gpus: Vec<_> = self.down.iter().map(|down| down.gpu.clone()).collect();
            for down in &mut self.down {
                (down.is_told, down.is_together) = (true, true);
            }
            let found = found_together((since, None), since, &gpus);
            self.together = Some((since, gpus));
            return vec![found];
        }
        let mut found = Vec::new();
        for down in &mut self.down {
            if let Some(later) = down.later.take_if(|later| is_long(&down.gpu, later)) {
                let at = later.since;
                let alone = (!down.is_together).then(|| down.found(Some(at), at).ended());
                found.extend(alone);
                (down.state, down.is_told, down.is_together) = (later, false, false);
            }
            if is_due(down) {
                down.is_told = true;
                found.push(down.found(None, down.state.since));
            }
        }
        found.extend(self.end_together(now));
        found
    }

    /// The GPUs that are down.
    pub(crate) fn ongoing(&self, now: Time) -> Vec<Found> {
        let alone = self.down.iter().filter(|down| down.is_told && !down.is_together);
        let alone = alone.map(|down| down.found(None, now));
        let together = self.together.iter();
        alone
            .chain(together.map(|(since, gpus)| found_together((*since, None), now, gpus)))
            .collect()
    }
}

/// All GPUs hang at once: that is the driver, and not one of them.
fn found_together(range: (Time, Option<Time>), at: Time, all: &[GpuInfo]) -> Found {
    let text = format!("{} {HUNG}, for all of them at once", sentence(&gpus(all)));
    Found::lasting(SignKind::GpuHung, None, range, at, text).on_gpus(all)
}

impl DownGpu {
    /// What is not told yet waits again.
    fn begin_again(&mut self, now: Time) {
        if !self.is_told {
            self.state.begin_again(now);
        }
        if let Some(later) = &mut self.later {
            later.begin_again(now);
        }
    }

    fn found(&self, to: Option<Time>, at: Time) -> Found {
        let text = format!("{} {}", sentence(&self.gpu.name()), self.state.text);
        Found::lasting(self.state.kind, Some(&self.gpu), (self.state.since, to), at, text)
    }
}
