//! One pass over one GPU: what is due, where readings go, what was met.

use std::time::Duration;

use model::{FieldId, Pass, Reason};

use crate::call_times::CallTimes;
use crate::demotion::{self, Change, Demotion};
use crate::plan::{Paces, SLOW, Sink, Target};

/// What everything that reads needs to know of the pass.
pub(crate) struct Round<'a> {
    /// The driver's index of the GPU.
    pub(crate) gpu: u32,
    pub(crate) pass: Pass,
    /// The paces that are due.
    pub(crate) due: u64,
    pub(crate) paces: &'a Paces,
    pub(crate) times: &'a mut CallTimes,
    pub(crate) sink: Sink<'a>,
    pub(crate) tally: &'a mut Tally,
}

/// What a pass met.
#[derive(Default)]
pub(crate) struct Tally {
    /// Whether the GPU itself was asked for something and answered.
    pub(crate) answered: bool,
    /// The first failure that was not "not supported" or "no data".
    pub(crate) failed: Option<Reason>,
    /// Fields that turned out not to be supported.
    pub(crate) unsupported: Vec<FieldId>,
    /// Whether most calls were slow, so that the GPU is, and no single call or field.
    pub(crate) slow: bool,
}

impl Tally {
    /// Notes a call that brought no value. "Not supported" may be the library's own knowledge, so
    /// it proves nothing of the GPU either way.
    pub(crate) fn note(&mut self, reason: Reason) {
        if !matches!(reason, Reason::NotSupported | Reason::NoData) {
            self.failed = self.failed.or(Some(reason));
        }
    }
}

/// When something is read: at the paces of its watches, or at the slow one if it takes too long.
#[derive(Debug)]
pub(crate) struct Schedule {
    pub(crate) turns: u64,
    demotion: Demotion,
    /// Whether the log knows that it takes too long.
    said: bool,
}

impl Schedule {
    /// At these paces.
    pub(crate) fn of(turns: u64) -> Self {
        Self { turns, demotion: Demotion::default(), said: false }
    }

    /// Whether it is read in a pass in which these paces are due.
    pub(crate) fn is_due(&self, due: u64) -> bool {
        let turns = if self.demotion.is_demoted() { SLOW } else { self.turns };
        turns & due != 0
    }

    /// Whether it takes too long, and waits for the slow pace.
    pub(crate) fn is_demoted(&self) -> bool {
        self.demotion.is_demoted()
    }

    /// Whether nobody wants it more often than now and then.
    pub(crate) fn is_slow(&self) -> bool {
        self.turns == SLOW
    }

    /// Whether it may become slower or faster even if it takes no time.
    pub(crate) fn is_pending(&self) -> bool {
        self.demotion.is_pending()
    }

    /// Back to the watches' own paces.
    pub(crate) fn start_afresh(&mut self) {
        self.demotion = Demotion::default();
    }

    /// Whether `took` is too long for it.
    pub(crate) fn is_too_long(&self, took: Duration, round: &Round) -> bool {
        took > demotion::SURELY_FAST && took > self.limit(round)
    }

    fn limit(&self, round: &Round) -> Duration {
        demotion::limit(round.paces.period(self.turns, round.pass.interval))
    }

    /// Draws the consequences of how long it took, in a pass in which the GPU as a whole was not
    /// slow.
    pub(crate) fn weigh<'t>(
        &mut self,
        what: &str,
        took: Duration,
        targets: impl Iterator<Item = &'t [Target]>,
        round: &mut Round,
    ) {
        let slow = model::Pace::Slow.period(round.pass.interval);
        let own = round.paces.period(self.turns, round.pass.interval);
        if own >= slow {
            return;
        }
        let Some(change) = self.demotion.note(took, demotion::limit(own)) else { return };
        let every = (change == Change::Demoted).then_some(slow);
        targets.for_each(|targets| round.sink.set_every(targets, every));
        let gpu = round.gpu;
        match change {
            Change::Demoted if !self.said => {
                self.said = true;
                tracing::info!(gpu, "{what} takes {took:.1?}: read every {slow:?} from now on");
            }
            Change::Demoted => tracing::debug!(gpu, "{what} takes {took:.1?} again"),
            Change::Restored => tracing::debug!(gpu, "{what} takes {took:.1?} only"),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use model::{Moment, Pace, PartIndex, Readings, SlotIndex, WatchIndex};

    use crate::plan::TargetPart;

    use super::*;

    #[test]
    fn what_takes_too_long_waits_for_the_slow_pace_and_its_slots_say_so() {
        let mut paces = Paces::new();
        let every = paces.turn(Pace::Every);
        let watches: Arc<[WatchIndex]> = Arc::from([0, 1].map(WatchIndex));
        let now = Moment::now();
        let mut out = Readings::new(&watches, now);
        let second = Duration::from_secs(1);
        let (elapsed, previous) = (second * 5, Some(second * 4));
        let pass = Pass { now, elapsed, previous, interval: second, cadence: second };
        let mut round = Round {
            gpu: 0,
            pass,
            due: paces.due(&pass),
            paces: &paces,
            times: &mut CallTimes::default(),
            sink: Sink { out: &mut out, parts: &[PartIndex::GPU] },
            tally: &mut Tally::default(),
        };
        let targets = [Target { part: TargetPart::ITSELF, slot: SlotIndex(1) }];
        let mut weigh = |schedule: &mut Schedule, millis| {
            let took = Duration::from_millis(millis);
            schedule.weigh("a call", took, [&targets[..]].into_iter(), &mut round);
            round.sink.out.parts()[0].slower.get(&SlotIndex(1)).copied()
        };
        let mut schedule = Schedule::of(every | SLOW);
        assert_eq!([(); 2].map(|()| weigh(&mut schedule, 60)), [None, None]);
        assert!(schedule.is_due(every));
        assert_eq!(weigh(&mut schedule, 60), Some(second * 10));
        assert!(!schedule.is_due(every) && schedule.is_due(SLOW));
        assert_eq!([(); 2].map(|()| weigh(&mut schedule, 9)), [Some(second * 10); 2]);
        assert_eq!(weigh(&mut schedule, 9), None);
        assert!(schedule.is_due(every));
        // What is slow by wish has nowhere to go.
        let mut slow = Schedule::of(SLOW);
        assert_eq!([(); 4].map(|()| weigh(&mut slow, 9_000)), [None; 4]);
        assert!(slow.is_slow() && !slow.is_pending());
    }
}
