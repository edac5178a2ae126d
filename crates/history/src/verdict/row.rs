//! What a row of the table of verdicts says, and which signs meet it.

use std::time::Duration;

use crate::incident::Confidence;
use crate::layout::GpuInfo;
use crate::pattern::Pattern;
use crate::sign::{Sign, SignKind};
use crate::time::Time;

/// A sign that was over for longer explains nothing.
const RECENT: Duration = Duration::from_secs(300);

/// A sign, with all GPUs that it is about.
#[derive(Clone, Debug)]
pub(crate) struct Seen {
    /// The sign.
    pub(crate) sign: Sign,
    /// The GPUs; none if it is about the machine.
    pub(crate) gpus: Vec<GpuInfo>,
}

impl Seen {
    /// By what signs are ordered, so that the order in which they came does not matter.
    pub(crate) fn order(&self) -> (Time, SignKind, Option<u32>, &str) {
        (self.sign.from, self.sign.kind, self.sign.xid, &self.sign.text)
    }

    fn shares_gpu(&self, other: &Self) -> bool {
        self.gpus.iter().any(|gpu| other.gpus.iter().any(|other| other.is_same(gpu)))
    }
}

/// A row of the table of verdicts. It fits if a trigger matches `decides`, each of `needs` is met by a sign, and none
/// of `lacks` is.
#[derive(Debug)]
pub(super) struct Row {
    /// The name of the verdict.
    pub(super) name: &'static str,
    /// The trigger that decides.
    pub(super) decides: Pattern,
    /// Signs that there must be.
    pub(super) needs: &'static [Need],
    /// Signs that there must not be.
    pub(super) lacks: &'static [Need],
    /// Signs that are told as evidence if they are there, beside those above.
    pub(super) supports: Pattern,
    /// The cause, with places to fill in: see `Filling`.
    pub(super) cause: &'static str,
    /// What to do, with the same places.
    pub(super) actions: &'static [&'static str],
    /// How sure it is.
    pub(super) confidence: Confidence,
    /// The name of its runbook.
    pub(super) runbook: Option<&'static str>,
}

/// A sign that a row needs or lacks. It may be the trigger that decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) what: Pattern,
    pub(super) place: Place,
    /// Whether it has to begin no later than the trigger that decides.
    pub(super) is_before: bool,
    /// On how many GPUs there have to be some.
    pub(super) gpus: usize,
    /// For how long it has to go on.
    pub(super) lasts: Duration,
}

/// Where a sign has to be, as seen from the trigger that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// On one of its GPUs.
    SameGpu,
    /// On one of its GPUs, or of the machine; anywhere if the trigger is of the machine.
    Shared,
    /// Anywhere.
    Anywhere,
}

impl Need {
    pub(super) fn is_met_by(&self, sign: &Seen, trigger: &Seen) -> bool {
        let is_place = match self.place {
            Place::SameGpu => sign.shares_gpu(trigger),
            Place::Shared => {
                sign.gpus.is_empty() || trigger.gpus.is_empty() || sign.shares_gpu(trigger)
            }
            Place::Anywhere => true,
        };
        let begin = trigger.sign.from;
        let is_recent = sign.sign.to.is_none_or(|to| to >= begin.before(RECENT));
        let is_time = is_recent && (!self.is_before || sign.sign.from <= begin);
        let lasted = sign.sign.to.unwrap_or(begin).since(sign.sign.from);
        is_place && is_time && lasted >= self.lasts && self.what.matches(&sign.sign)
    }

    pub(super) fn is_met(&self, seen: &[Seen], trigger: &Seen) -> bool {
        let mut signs = seen.iter().filter(|sign| self.is_met_by(sign, trigger)).peekable();
        if self.gpus <= 1 {
            return signs.peek().is_some();
        }
        let mut gpus: Vec<&GpuInfo> = Vec::new();
        for gpu in signs.flat_map(|sign| &sign.gpus) {
            if !gpus.iter().any(|known| known.is_same(gpu)) {
                gpus.push(gpu);
            }
        }
        gpus.len() >= self.gpus
    }
}
