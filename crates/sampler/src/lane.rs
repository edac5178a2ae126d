//! A lane: the thread that owns one reader, calls it in time, and leaves what it read on the board.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use model::{Identity, Moment, Pace, Pass, Reader, ReaderKind, Readings, Reason};

use crate::board::{Busy, GpuBoard, LaneBoard, Place, Shared, XidAuthority};
use crate::merge::{Merge, News};
use crate::plan::Plan;

/// How long a GPU that does not answer is left alone before it is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// The same for what a GPU does not support, such as events on WSL2 and in vGPU guests.
const RETRY_UNSUPPORTED: Duration = Duration::from_secs(600);

/// A pass that ends later than this after a tick may miss the snapshot that is made shortly after
/// it, so it asks for one of its own.
const QUICK: Duration = Duration::from_millis(5);

/// A lane, before its thread runs.
pub(crate) struct Lane {
    pub(crate) id: u64,
    pub(crate) place: Place,
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) shared: Arc<Shared>,
    pub(crate) plan: Arc<Plan>,
    /// From one pass to the next.
    pub(crate) cadence: Duration,
    /// Disconnected when the lane is to end.
    pub(crate) stopped: Receiver<()>,
}

/// What one pass brought.
struct Outcome {
    /// Without a pass before it, it began by opening the GPU.
    pass: Pass,
    took: Duration,
    result: Result<(), Reason>,
    identity: Option<Arc<Identity>>,
}

impl Lane {
    /// Runs until it is stopped. May never return, if the reader does not.
    pub(crate) fn run(mut self) {
        let kind = self.reader.kind();
        let mut out = Readings::new(&self.reader.watches(), Moment::now());
        let mut previous: Option<Duration> = None;
        loop {
            let now = Moment::now();
            let outcome = self.pass(now, previous, &mut out);
            let result = outcome.result;
            previous = result.is_ok().then(|| now - self.shared.epoch);
            if !self.publish(outcome, &out) {
                return;
            }
            if result.is_err() {
                out.clear();
            }
            if !self.wait(kind, result) {
                return;
            }
        }
    }

    fn pass(&mut self, now: Moment, previous: Option<Duration>, out: &mut Readings) -> Outcome {
        self.busy.begin(now);
        let (elapsed, interval) = (now - self.shared.epoch, self.shared.settings.interval);
        let pass = Pass { now, elapsed, previous, interval, cadence: self.cadence };
        let reader = &mut self.reader;
        let mut identity = None;
        let mut opened = now;
        // A panic in one reader costs its own GPU.
        let result = catch_unwind(AssertUnwindSafe(|| {
            if previous.is_none() {
                identity = reader.open()?;
                opened = Moment::now();
            }
            out.begin(now);
            reader.read(pass, out)
        }))
        .unwrap_or(Err(Reason::Failed));
        self.busy.end();
        let took = opened.elapsed();
        self.cadence = self.shared.settings.cadence(self.plan.tick, took);
        Outcome { pass, took, result, identity }
    }

    /// Leaves the outcome on the board. Says whether the lane still has a place there.
    fn publish(&mut self, outcome: Outcome, out: &Readings) -> bool {
        let kind = self.reader.kind();
        let reader = &mut self.reader;
        let take = || News {
            delivers_xids: reader.delivers_xids(),
            xids: reader.take_xids(),
            health: reader.take_health(),
            samples: reader.take_samples(),
            calls: reader.take_call_times(),
        };
        let mut news = catch_unwind(AssertUnwindSafe(take)).unwrap_or_default();
        // What is to be said is said when the board is free again: a log that nobody reads must not
        // keep the board from the others.
        let mut lines = Vec::new();
        let mut board = self.shared.board();
        // The kernel's log has what an event says: it is looked at now, and the event is not counted.
        let is_in_log = board.xid_authority == XidAuthority::KernelLog;
        if is_in_log && !std::mem::take(&mut news.xids).is_empty() {
            self.shared.log_thread.get().into_iter().for_each(Thread::unpark);
        }
        let has_xids = !news.xids.is_empty();
        // One that waits for events has no readings, and so may outlive its plan.
        let is_of_plan = kind == ReaderKind::Events || Arc::ptr_eq(&board.plan, &self.plan);
        let is_mine = |lane: &LaneBoard| lane.id == self.id;
        let has_place = |gpu: &mut GpuBoard| gpu.lanes.iter().any(is_mine);
        if !is_of_plan || !board.at(self.place).is_some_and(has_place) {
            return false;
        }
        if let (Place::Gpu(index), Some(identity)) = (self.place, outcome.identity) {
            board.identify(index, identity);
        }
        let gpu = board.enter(self.place);
        let Outcome { pass, took, result, .. } = outcome;
        if kind == ReaderKind::Main && result.is_ok() {
            gpu.history.last_success = Some(SystemTime::now());
            // A tick between two intervals reads less, and says nothing of what all takes.
            if pass.is_due(Pace::Every) {
                gpu.pass_duration = Some(took);
            }
        }
        let Some(lane) = gpu.lanes.iter_mut().find(|lane| is_mine(lane)) else { return false };
        let before = (lane.down, lane.delivers_xids);
        let opened = pass.previous.is_none();
        lane.down = result.err();
        lane.delivers_xids = news.delivers_xids;
        lane.cadence = self.cadence;
        let changed = (lane.down, lane.delivers_xids) != before || opened;
        let (shared, plan) = (&*self.shared, &*self.plan);
        let (history, lines_of_merge) = (&mut gpu.history, &mut lines);
        let mut merge =
            Merge { shared, plan, pass, history, news: Vec::new(), lines: lines_of_merge };
        merge.take_news(news);
        match lane.down {
            None => {
                lane.last_ok = Some(pass.now);
                if opened {
                    lane.parts.iter_mut().for_each(|part| part.growth.clear());
                }
                lane.parts.retain(|kept| {
                    let entity = &kept.part.entity;
                    out.parts().iter().any(|part| part.entity == *entity)
                });
                for part in out.parts() {
                    merge.part(part, out.now(), lane);
                }
                if kind == ReaderKind::Main {
                    merge.derive(&lane.parts[0].part, out.now());
                }
            }
            // What was read before a loss is not good after it.
            Some(_) => lane.clear(),
        }
        let is_news = kind != ReaderKind::Events || changed || has_xids;
        // Passes that end in time are published together, shortly after the tick.
        let urgent = changed || (is_news && (kind != ReaderKind::Main || self.is_off_beat()));
        board.dirty |= is_news;
        board.urgent |= urgent;
        drop(board);
        for line in lines {
            line.say(self.place.gpu());
        }
        if urgent {
            self.shared.wake.notify_all();
        }
        true
    }

    /// Whether it is too late after the last tick for that tick's snapshot.
    fn is_off_beat(&self) -> bool {
        let tick = self.plan.tick.as_nanos().max(1);
        self.shared.epoch.elapsed().as_nanos() % tick > QUICK.as_nanos()
    }

    /// Waits until the next pass is due. Says whether there is to be one.
    fn wait(&self, kind: ReaderKind, result: Result<(), Reason>) -> bool {
        let tick = self.plan.tick;
        if kind == ReaderKind::Events && result.is_ok() {
            return self.stopped.try_recv() != Err(TryRecvError::Disconnected);
        }
        let now = Moment::now();
        let due = match result {
            Ok(()) => next_tick(self.shared.epoch, tick, now),
            Err(Reason::NotSupported) if kind != ReaderKind::Main => now + RETRY_UNSUPPORTED,
            Err(_) => now + RETRY,
        };
        let pause = due.saturating_duration_since(Moment::now());
        self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
}

/// The first tick after `now`.
pub(crate) fn next_tick(epoch: Moment, interval: Duration, now: Moment) -> Moment {
    let passed = (now - epoch).as_nanos() / interval.as_nanos().max(1) + 1;
    let nanos = passed.saturating_mul(interval.as_nanos());
    epoch + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_from_the_epoch() {
        let epoch = Moment::now();
        let second = Duration::from_secs(1);
        assert_eq!(next_tick(epoch, second, epoch), epoch + second);
        assert_eq!(next_tick(epoch, second, epoch + second / 2), epoch + second);
        assert_eq!(next_tick(epoch, second, epoch + second), epoch + 2 * second);
    }
}
