//! One pass over one GPU: what is due, where readings go, and the outcome.

use std::time::Duration;

use model::{FieldId, PartIndex, Pass, Reading, Readings, Reason, Samples};

use crate::call_times::CallTimes;
use crate::gpm_calls::MetricsRequest;
use crate::plan::{DueMask, Paces, Plan, Target, TargetPart};

/// What the call groups of one reader share.
pub(crate) struct Shared {
    pub(crate) paces: Paces,
    pub(crate) times: CallTimes,
    /// What the driver sampled by itself.
    pub(crate) samples: Vec<Samples>,
    /// For profiling metrics: one for all, because it is large.
    pub(crate) request: Option<MetricsRequest>,
}

impl Shared {
    pub(crate) fn new() -> Self {
        let (paces, times) = (Paces::new(), CallTimes::default());
        Self { paces, times, samples: Vec::new(), request: None }
    }
}

/// Finds the targets of fields while call groups are built.
pub(crate) struct TargetFinder<'a> {
    pub(crate) plan: &'a Plan,
    pub(crate) part: TargetPart,
    pub(crate) shared: &'a mut Shared,
}

impl TargetFinder<'_> {
    /// Where readings of `field` go; `None` if no watch is on it.
    pub(crate) fn target(&mut self, field: FieldId) -> Option<Target> {
        self.plan.target(field, self.part, &mut self.shared.paces)
    }
}

/// What call groups need in a pass.
pub(crate) struct PassContext<'a> {
    /// The driver's index of the GPU.
    pub(crate) gpu: u32,
    pub(crate) pass: Pass,
    /// The paces that are due.
    pub(crate) due: DueMask,
    pub(crate) shared: &'a mut Shared,
    pub(crate) out: &'a mut Readings,
    /// The part of the readings for each [`TargetPart`].
    pub(crate) parts: &'a [PartIndex],
    pub(crate) outcome: &'a mut PassOutcome,
}

/// The outcome of a pass.
#[derive(Default)]
pub(crate) struct PassOutcome {
    /// Whether the GPU itself answered a call.
    pub(crate) answered: bool,
    /// The first failure that was not "not supported" or "no data".
    pub(crate) failed: Option<Reason>,
    /// Fields that turned out not to be supported.
    pub(crate) unsupported: Vec<FieldId>,
    /// Whether most ordinary calls were slow, so that the GPU is, and no single call or field.
    pub(crate) gpu_is_slow: bool,
}

impl PassOutcome {
    /// Notes a failure. "Not supported" may be the library's own knowledge, so it proves nothing of
    /// the GPU either way.
    pub(crate) fn note_failure(&mut self, reason: Reason) {
        if !matches!(reason, Reason::NotSupported | Reason::NoData) {
            self.failed = self.failed.or(Some(reason));
        }
    }

    /// Notes that a field has no reading.
    pub(crate) fn note_absent(&mut self, field: FieldId, reason: Reason) {
        self.note_failure(reason);
        if reason == Reason::NotSupported {
            self.unsupported.push(field);
        }
    }
}

impl PassContext<'_> {
    /// Whether something with these paces is due.
    pub(crate) fn is_due(&self, paces: DueMask) -> bool {
        paces.is_due(self.due)
    }

    /// Writes a reading to each slot of its target.
    pub(crate) fn write(&mut self, target: &Target, reading: &Reading) {
        let part = self.parts[usize::from(target.part.0)];
        for slot in &target.slots {
            self.out.set_in(part, *slot, reading.clone());
        }
    }

    /// Writes readings that do not change, if they are due.
    pub(crate) fn write_constants(&mut self, constants: &[(Target, Reading)]) {
        let due = self.due;
        for (target, reading) in constants.iter().filter(|(target, _)| target.due.is_due(due)) {
            self.write(target, reading);
        }
    }

    /// Sets how often a target is read from now on, where that is less often than its watches ask for.
    pub(crate) fn write_every(&mut self, target: &Target, every: Option<Duration>) {
        let part = self.parts[usize::from(target.part.0)];
        for slot in &target.slots {
            self.out.set_every_in(part, *slot, every);
        }
    }

    /// From one reading to the next, of what is read at these paces.
    pub(crate) fn period(&self, paces: DueMask) -> Duration {
        self.shared.paces.period(paces, self.pass.interval)
    }
}
