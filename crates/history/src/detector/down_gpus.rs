//! GPUs that do not answer any more.

use std::time::Duration;

use super::found::Found;
use crate::layout::GpuInfo;
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::sentence;

/// A call that is only slow returns within this time; and so does the word that the source is down, where all
/// GPUs are.
const WAIT: Duration = Duration::from_secs(5);
/// GPUs that are known at once.
const MOST: usize = 1024;

/// Down reason, kind of sign, and what is said of it.
const REASONS: [(&str, SignKind, &str); 4] = [
    ("lost", SignKind::GpuLost, "fell off the bus: the driver has lost it"),
    (
        "late",
        SignKind::GpuHung,
        "did not answer: a call to it did not return, or came back too late",
    ),
    ("missing", SignKind::GpuMissing, "was not listed by the driver any more"),
    ("not_initialized", SignKind::GpuMissing, "is on the PCI bus, but the driver did not list it"),
];

/// Which GPUs answered once, and which do not any more.
#[derive(Clone, Default, Debug)]
pub(crate) struct DownGpus {
    answered: Vec<GpuInfo>,
    down: Vec<DownGpu>,
}

#[derive(Clone, Debug)]
struct DownGpu {
    gpu: GpuInfo,
    since: Time,
    kind: SignKind,
    text: &'static str,
    is_told: bool,
}

impl DownGpus {
    /// The GPU answers.
    pub(crate) fn answers(&mut self, gpu: &GpuInfo) {
        if self.answered.len() < MOST && !self.answered.iter().any(|other| other.is_same(gpu)) {
            self.answered.push(gpu.clone());
        }
    }

    /// The GPU is down. One that never answered, as at the start, is none of ours.
    pub(crate) fn fell(&mut self, time: Time, gpu: &GpuInfo, reason: &str) {
        let row = REASONS.iter().find(|(word, ..)| *word == reason);
        let has_answered = self.answered.iter().any(|other| other.is_same(gpu));
        let Some(&(_, kind, text)) = row.filter(|_| has_answered) else { return };
        match self.down.iter_mut().find(|down| down.gpu.is_same(gpu)) {
            // It is down all the same, for another reason.
            Some(down) if down.is_told => {}
            Some(down) => (down.kind, down.text) = (kind, text),
            None => {
                self.down.push(DownGpu {
                    gpu: gpu.clone(),
                    since: time,
                    kind,
                    text,
                    is_told: false,
                });
            }
        }
    }

    /// The GPU answers again.
    pub(crate) fn rose(&mut self, time: Time, gpu: &GpuInfo) -> Option<Found> {
        self.answers(gpu);
        let position = self.down.iter().position(|down| down.gpu.is_same(gpu))?;
        let down = self.down.swap_remove(position);
        down.is_told.then(|| down.found(Some(time), time))
    }

    /// The GPUs that are down for long enough, unless the source is: then nothing is known of any.
    pub(crate) fn decide(&mut self, now: Time, is_source_down: bool) -> Vec<Found> {
        if is_source_down {
            self.down.retain(|down| down.is_told);
        }
        let are_all = self.down.len() >= self.answered.len();
        let mut found = Vec::new();
        for down in self.down.iter_mut().filter(|down| !down.is_told) {
            let waits = are_all || down.kind == SignKind::GpuHung;
            if !waits || now.since(down.since) >= WAIT {
                down.is_told = true;
                found.push(down.found(None, down.since));
            }
        }
        found
    }

    /// The GPUs that are down.
    pub(crate) fn ongoing(&self, now: Time) -> Vec<Found> {
        self.down.iter().filter(|down| down.is_told).map(|down| down.found(None, now)).collect()
    }
}

impl DownGpu {
    fn found(&self, to: Option<Time>, at: Time) -> Found {
        let text = format!("{} {}", sentence(&self.gpu.name()), self.text);
        Found::lasting(self.kind, Some(&self.gpu), (self.since, to), at, text)
    }
}
