//! When something is read: at the paces of its watches, or at the slow one if it takes too long.

use std::time::Duration;

use crate::demotion::{self, Change, Demotion};
use crate::pass::PassContext;
use crate::plan::{DueMask, Target, TargetPart};

/// The paces at which something is read, and whether it takes too long for them.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) paces: DueMask,
    demotion: Demotion,
    /// Whether the log has a line about it.
    logged: bool,
}

impl Schedule {
    /// At these paces.
    pub(crate) fn of(paces: DueMask) -> Self {
        Self { paces, demotion: Demotion::default(), logged: false }
    }

    /// Whether it is read in a pass in which these paces are due.
    pub(crate) fn is_due(&self, due: DueMask) -> bool {
        self.effective(self.paces).is_due(due)
    }

    /// The paces at which it is read, of those that its watches have.
    pub(crate) fn effective(&self, paces: DueMask) -> DueMask {
        if self.demotion.is_demoted() { DueMask::SLOW } else { paces }
    }

    /// Whether all its watches are slow.
    pub(crate) fn is_slow(&self) -> bool {
        self.paces == DueMask::SLOW
    }

    /// Whether a call of this duration has to be recorded.
    pub(crate) fn needs_attention(&self, took: Duration) -> bool {
        took > demotion::SURELY_FAST || self.demotion.is_pending()
    }

    /// Back to the watches' own paces.
    pub(crate) fn reset(&mut self) {
        self.demotion = Demotion::default();
    }

    fn is_too_long(&self, took: Duration, pass: &PassContext) -> bool {
        took > demotion::SURELY_FAST && took > demotion::limit(pass.period(self.paces))
    }

    /// Records how long it took, in a pass in which the GPU as a whole was not slow, and demotes or
    /// restores it by that.
    pub(crate) fn record_duration<'t>(
        &mut self,
        name: &str,
        took: Duration,
        targets: impl Iterator<Item = &'t Target>,
        pass: &mut PassContext,
    ) {
        let slow = pass.period(DueMask::SLOW);
        let period = pass.period(self.paces);
        if period >= slow {
            return;
        }
        let Some(change) = self.demotion.record(took, demotion::limit(period)) else { return };
        let every = (change == Change::Demoted).then_some(slow);
        targets.for_each(|target| pass.write_every(target, every));
        let gpu = pass.gpu;
        match change {
            Change::Demoted if !self.logged => {
                self.logged = true;
                tracing::info!(gpu, "{name} takes {took:.1?}: read every {slow:?} from now on");
            }
            Change::Demoted => tracing::debug!(gpu, "{name} takes {took:.1?} again"),
            Change::Restored => tracing::debug!(gpu, "{name} takes {took:.1?} only"),
        }
    }
}

/// A request to the driver with a schedule of its own, and the targets of its answers.
pub(crate) struct Scheduled<R, A> {
    pub(crate) request: R,
    /// How each answer is found in what the driver returns, and where it goes.
    pub(crate) answers: Vec<(A, Target)>,
    pub(crate) schedule: Schedule,
    /// How long it took in this pass.
    pub(crate) took: Option<Duration>,
    /// Cleared at the first answer "not supported"; set again when the GPU is opened again, when its
    /// MIG mode changes, and every ten minutes.
    pub(crate) supported: bool,
}

impl<R, A> Scheduled<R, A> {
    pub(crate) fn new(request: R, answers: Vec<(A, Target)>) -> Self {
        let mut scheduled = Self {
            request,
            answers,
            schedule: Schedule::of(DueMask::NEVER),
            took: None,
            supported: true,
        };
        scheduled.follow_targets();
        scheduled.answers.shrink_to_fit();
        scheduled
    }

    /// Takes over the paces of all targets.
    fn follow_targets(&mut self) {
        let paces = self.answers.iter().map(|(_, target)| target.due);
        self.schedule.paces = paces.fold(DueMask::NEVER, |all, paces| all | paces);
    }

    /// Adds one more answer to the same request.
    pub(crate) fn add(&mut self, answer: A, target: Target) {
        self.answers.push((answer, target));
        self.follow_targets();
    }

    /// Begins a pass; returns whether it is read in it.
    pub(crate) fn begin(&mut self, pass: &PassContext) -> bool {
        self.took = None;
        self.supported && self.schedule.is_due(pass.due)
    }
}

/// Forgets the answers of NVLinks.
pub(crate) fn remove_links<R, A>(all: &mut Vec<Scheduled<R, A>>) {
    all.retain_mut(|one| {
        one.answers.retain(|(_, target)| target.part == TargetPart::ITSELF);
        one.follow_targets();
        !one.answers.is_empty()
    });
}

/// Takes back every "not supported".
pub(crate) fn retry_unsupported<R, A>(all: &mut [Scheduled<R, A>]) {
    all.iter_mut().for_each(|one| one.supported = true);
}

/// As [`retry_unsupported`], and everything at its own paces again.
pub(crate) fn reset<R, A>(all: &mut [Scheduled<R, A>]) {
    retry_unsupported(all);
    all.iter_mut().for_each(|one| one.schedule.reset());
}

/// Records how long each took in this pass, unless most of them were slow. Returns whether they were.
pub(crate) fn record_durations<R, A>(
    all: &mut [Scheduled<R, A>],
    name: impl Fn(&Scheduled<R, A>) -> &'static str,
    pass: &mut PassContext,
) -> bool {
    let made = || all.iter().filter_map(|one| Some((&one.schedule, one.took?)));
    if !made().any(|(schedule, took)| schedule.needs_attention(took)) {
        return false;
    }
    let slow = made().filter(|(schedule, took)| schedule.is_too_long(*took, pass)).count();
    if demotion::most_were_slow(slow, made().count()) {
        return true;
    }
    if pass.outcome.gpu_is_slow {
        return false;
    }
    for one in all {
        let Some(took) = one.took else { continue };
        let name = name(one);
        let targets = one.answers.iter().map(|(_, target)| target);
        one.schedule.record_duration(name, took, targets, pass);
    }
    false
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{FieldId, Moment, Pace, PartIndex, Pass, Readings, SlotIndex, WatchIndex};

    use super::*;
    use crate::pass::{PassOutcome, Shared};

    #[test]
    fn what_takes_too_long_waits_for_the_slow_pace_and_its_slots_say_so() {
        let mut shared = Shared::new();
        let every = shared.paces.mask(Pace::Every);
        let watches: Arc<[WatchIndex]> = Arc::from([0, 1].map(WatchIndex));
        let now = Moment::now();
        let mut out = Readings::new(&watches, now);
        let second = Duration::from_secs(1);
        let (elapsed, previous) = (second * 5, Some(second * 4));
        let pass = Pass { now, elapsed, previous, interval: second, cadence: second };
        let mut pass = PassContext {
            gpu: 0,
            pass,
            due: shared.paces.due(&pass),
            shared: &mut shared,
            out: &mut out,
            parts: &[PartIndex::GPU],
            outcome: &mut PassOutcome::default(),
        };
        let slots = [SlotIndex(1)].into();
        let target = Target { field: FieldId(1), part: TargetPart::ITSELF, slots, due: every };
        let mut record = |schedule: &mut Schedule, millis| {
            let took = Duration::from_millis(millis);
            schedule.record_duration("a call", took, [&target].into_iter(), &mut pass);
            pass.out.parts()[0].slower.get(&SlotIndex(1)).copied()
        };
        let mut schedule = Schedule::of(every | DueMask::SLOW);
        assert_eq!([(); 2].map(|()| record(&mut schedule, 60)), [None, None]);
        assert!(schedule.is_due(every));
        assert_eq!(record(&mut schedule, 60), Some(second * 10));
        assert!(!schedule.is_due(every) && schedule.is_due(DueMask::SLOW));
        assert_eq!([(); 2].map(|()| record(&mut schedule, 9)), [Some(second * 10); 2]);
        assert_eq!(record(&mut schedule, 9), None);
        assert!(schedule.is_due(every));
        // At the slow pace, nothing is read less often.
        let mut slow = Schedule::of(DueMask::SLOW);
        assert_eq!([(); 4].map(|()| record(&mut slow, 9_000)), [None; 4]);
        assert!(slow.is_slow() && !slow.needs_attention(Duration::ZERO));
    }
}
