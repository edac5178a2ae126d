//! What a row of the table of verdicts says, and which signs meet it.

use std::time::Duration;

use crate::incident::Confidence;
use crate::layout::GpuInfo;
use crate::pattern::{Pattern, names_holder};
use crate::sign::{Sign, SignKind};
use crate::time::Time;
use crate::wording;

/// A sign that was over for longer explains nothing, unless a row says so.
const RECENT: Duration = Duration::from_secs(300);

/// What is seen later than it is, by the interval of rows and by deadlines of calls.
const SLACK: Duration = Duration::from_secs(10);

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

    /// Nothing more is told of what goes on.
    pub(crate) fn close(&mut self) {
        if self.sign.to.is_none() {
            self.sign.text = wording::went_on(&self.sign.text);
        }
    }

    /// For how many milliseconds it goes on; the most while it does.
    pub(super) fn lasted(&self) -> i64 {
        self.sign.to.map_or(i64::MAX, |to| to.0.saturating_sub(self.sign.from.0))
    }

    pub(super) fn shares_gpu(&self, other: &Self) -> bool {
        self.gpus.iter().any(|gpu| other.gpus.iter().any(|other| other.is_same(gpu)))
    }
}

/// What rows are judged by: the signs, in order, and how many GPUs the machine has.
#[derive(Clone, Copy, Debug)]
pub(super) struct Facts<'a> {
    pub(super) seen: &'a [Seen],
    /// 0 if that is not known.
    pub(super) gpus: usize,
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
    /// Signs that are told as evidence if they are there, beside those above and the consequences of all faults.
    pub(super) supports: Pattern,
    /// The cause, with places to fill in: see `Filling`.
    pub(super) cause: &'static str,
    /// What to do, with the same places. One that begins with `{no xid}` is told where no XID decides.
    pub(super) actions: &'static [&'static str],
    /// How sure it is.
    pub(super) confidence: Confidence,
    /// When it is only possible.
    pub(super) doubt: Option<Doubt>,
    /// The name of its runbook.
    pub(super) runbook: Option<&'static str>,
}

/// When a verdict is only possible.
#[derive(Debug)]
pub(super) struct Doubt {
    /// One of these is met.
    pub(super) any: &'static [Need],
    /// The cause, as it is told then.
    pub(super) cause: &'static str,
}

/// A sign that a row needs or lacks. It may be the trigger that decides.
#[derive(Clone, Copy, Debug)]
pub(super) struct Need {
    pub(super) what: Pattern,
    pub(super) place: Place,
    pub(super) when: When,
    /// It has to begin before the first of these, by more than [`SLACK`].
    pub(super) precedes: Option<Pattern>,
    /// On how many GPUs there have to be some; [`ALL`] of the machine.
    pub(super) gpus: usize,
    /// For how long it has to go on.
    pub(super) lasts: Duration,
    /// Whether one that is over for long counts too.
    pub(super) is_old_too: bool,
}

/// On all GPUs of a machine that has several.
pub(super) const ALL: usize = usize::MAX;

/// Where a sign has to be, as seen from the trigger that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Place {
    /// On one of its GPUs.
    SameGpu,
    /// On one of its GPUs, or of the machine; anywhere if the trigger is of the machine.
    Shared,
    /// On one of its GPUs; anywhere if the holder of the job is not known.
    OfJob,
    /// Anywhere.
    Anywhere,
}

/// When a sign has to be, as seen from the trigger that decides.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum When {
    /// At any time.
    Any,
    /// It begins no later.
    Earlier,
    /// It begins no later, or so little later that it may be seen late.
    EarlierOrSeenLate,
    /// It begins no later, and goes on or was over a moment ago.
    GoesOn,
    /// It begins while the trigger goes on; after it, if that happened at once.
    Meanwhile,
}

impl When {
    fn is_met(self, sign: &Sign, trigger: &Sign) -> bool {
        let begin = trigger.from;
        match self {
            Self::Any => true,
            Self::Earlier => sign.from <= begin,
            Self::EarlierOrSeenLate => sign.from <= begin.after(SLACK),
            Self::GoesOn => {
                sign.from <= begin && sign.to.is_none_or(|to| to >= begin.before(SLACK))
            }
            Self::Meanwhile => {
                let is_at_once = trigger.to == Some(begin);
                let end = trigger.to.filter(|_| !is_at_once);
                sign.from >= begin.before(SLACK)
                    && end.is_none_or(|to| sign.from <= to.after(SLACK))
            }
        }
    }
}

impl Need {
    pub(super) fn is_met_by(&self, sign: &Seen, trigger: &Seen, facts: Facts<'_>) -> bool {
        let is_place = match self.place {
            Place::SameGpu => sign.shares_gpu(trigger),
            Place::Shared => {
                sign.gpus.is_empty() || trigger.gpus.is_empty() || sign.shares_gpu(trigger)
            }
            Place::OfJob => sign.shares_gpu(trigger) || !names_holder(&trigger.sign),
            Place::Anywhere => true,
        };
        let begin = trigger.sign.from;
        let is_recent = self.is_old_too || sign.sign.to.is_none_or(|to| to >= begin.before(RECENT));
        let lasted = sign.sign.to.unwrap_or(begin).since(sign.sign.from);
        let precedes = self.precedes.is_none_or(|later| {
            let later = facts.seen.iter().find(|seen| later.matches(&seen.sign));
            later.is_some_and(|later| sign.sign.from.after(SLACK) < later.sign.from)
        });
        is_place
            && is_recent
            && precedes
            && self.when.is_met(&sign.sign, &trigger.sign)
            && lasted >= self.lasts
            && self.what.matches(&sign.sign)
    }

    pub(super) fn is_met(&self, trigger: &Seen, facts: Facts<'_>) -> bool {
        let mut signs =
            facts.seen.iter().filter(|sign| self.is_met_by(sign, trigger, facts)).peekable();
        if self.gpus <= 1 {
            return signs.peek().is_some();
        }
        let mut gpus: Vec<&GpuInfo> = Vec::new();
        for gpu in signs.flat_map(|sign| &sign.gpus) {
            if !gpus.iter().any(|known| known.is_same(gpu)) {
                gpus.push(gpu);
            }
        }
        match self.gpus {
            ALL => facts.gpus > 1 && gpus.len() >= facts.gpus,
            least => gpus.len() >= least,
        }
    }
}
