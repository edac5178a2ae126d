//! A lane: the thread that owns one reader, calls it in time, and leaves what it read on the board.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use model::{Identity, Pass, Reader, Readings, Reason, Rhythm, XidLog};

use crate::board::{Busy, Shared};

/// How long a GPU that does not answer is left alone before it is opened again, at least.
const RETRY: Duration = Duration::from_secs(1);

/// A pass longer than this may miss the snapshot that is made shortly after each tick, so it asks
/// for one of its own.
const QUICK: Duration = Duration::from_millis(5);

/// A lane, before its thread runs.
pub(crate) struct Lane {
    pub(crate) id: u64,
    pub(crate) gpu: u32,
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) shared: Arc<Shared>,
    /// Disconnected when the lane is to end.
    pub(crate) stopped: Receiver<()>,
}

/// What one pass brought.
struct Outcome {
    began: Instant,
    took: Duration,
    result: Result<(), Reason>,
    identity: Option<Arc<Identity>>,
}

impl Lane {
    /// Runs until it is stopped. May never return, if the reader does not.
    pub(crate) fn run(mut self) {
        let rhythm = self.reader.rhythm();
        let mut out = Readings::new(self.reader.watches().len(), Instant::now());
        let mut is_open = false;
        let mut last_slow: Option<Instant> = None;
        loop {
            let now = Instant::now();
            let half = self.shared.settings.interval / 2;
            let slow = !is_open
                || last_slow
                    .is_none_or(|at| now + half >= at + self.shared.settings.slow_interval());
            let outcome = self.pass(now, slow, is_open, &mut out);
            if slow {
                last_slow = Some(now);
            }
            is_open = outcome.result.is_ok();
            if !self.publish(&outcome, &out) {
                return;
            }
            if !is_open {
                out.clear();
            }
            if !self.wait(rhythm, is_open) {
                return;
            }
        }
    }

    fn pass(&mut self, now: Instant, slow: bool, is_open: bool, out: &mut Readings) -> Outcome {
        self.busy.begin(now);
        let pass = Pass { now, elapsed: now - self.shared.epoch, slow };
        let reader = &mut self.reader;
        let mut identity = None;
        // A panic in one reader costs its own GPU.
        let result = catch_unwind(AssertUnwindSafe(|| {
            if !is_open {
                identity = Some(reader.open()?);
            }
            out.begin(now);
            reader.read(pass, out)
        }))
        .unwrap_or(Err(Reason::Failed));
        self.busy.end();
        Outcome { began: now, took: now.elapsed(), result, identity }
    }

    /// Leaves the outcome on the board. Says whether the lane still has a place there.
    fn publish(&self, outcome: &Outcome, out: &Readings) -> bool {
        let rhythm = self.reader.rhythm();
        let log = self.reader.xids();
        let mut board = self.shared.board();
        let is_mine = |id: u64| id == self.id;
        if !board.gpu(self.gpu).lanes.iter().any(|lane| is_mine(lane.id)) {
            return false;
        }
        if let (Some(identity), Rhythm::Main) = (&outcome.identity, rhythm) {
            board.identify(self.gpu, Arc::clone(identity));
        }
        let gpu = board.gpu(self.gpu);
        let mut news = rhythm != Rhythm::Waiting;
        if rhythm == Rhythm::Main && outcome.result.is_ok() {
            gpu.last_success = Some(SystemTime::now());
            gpu.pass_duration = Some(outcome.took);
        }
        let Some(lane) = gpu.lanes.iter_mut().find(|lane| is_mine(lane.id)) else { return false };
        let was_down = lane.down;
        let new_log = log.filter(|log| !same(lane.xids.as_ref(), log));
        lane.xids = new_log.clone().or_else(|| lane.xids.take());
        lane.down = outcome.result.err();
        let changed = lane.down != was_down || outcome.identity.is_some();
        news |= changed;
        if lane.down.is_none() {
            lane.last_ok = Some(outcome.began);
        }
        for ((kept, new), position) in lane.slots.iter_mut().zip(out.slots()).zip(&lane.watches) {
            if new.at != Some(out.now()) {
                continue;
            }
            if let Err(reason @ (Reason::Failed | Reason::NotPermitted)) = new.reading {
                let watch = &self.shared.watches[*position];
                let count =
                    Arc::make_mut(&mut gpu.errors).entry((watch.field, reason)).or_insert(0);
                *count += 1;
                if *count == 1 {
                    tracing::warn!(gpu = self.gpu, "cannot read {}: {reason}", watch.name);
                }
            }
            kept.clone_from(new);
        }
        if let Some(log) = new_log {
            gpu.show_xids(&log);
            news = true;
        }
        board.dirty |= news;
        drop(board);
        let wakes = match rhythm {
            Rhythm::Main => changed || outcome.took > QUICK,
            Rhythm::Waiting => news,
            Rhythm::Aside => false,
        };
        if wakes {
            self.shared.wake.notify_all();
        }
        true
    }

    /// Waits until the next pass is due. Says whether there is to be one.
    fn wait(&self, rhythm: Rhythm, is_open: bool) -> bool {
        let interval = self.shared.settings.interval;
        if rhythm == Rhythm::Waiting && is_open {
            return self.stopped.try_recv() != Err(TryRecvError::Disconnected);
        }
        let mut due = next_tick(self.shared.epoch, interval, Instant::now());
        if !is_open {
            due = due.max(Instant::now() + RETRY);
        }
        let pause = due.saturating_duration_since(Instant::now());
        self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
}

/// Whether `shown` is this very log, so that nothing is new.
fn same(shown: Option<&Arc<XidLog>>, log: &Arc<XidLog>) -> bool {
    shown.is_some_and(|shown| Arc::ptr_eq(shown, log))
}

/// The first tick after `now`.
pub(crate) fn next_tick(epoch: Instant, interval: Duration, now: Instant) -> Instant {
    let passed = (now - epoch).as_nanos() / interval.as_nanos().max(1) + 1;
    let nanos = passed.saturating_mul(interval.as_nanos());
    epoch + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_from_the_epoch() {
        let epoch = Instant::now();
        let second = Duration::from_secs(1);
        assert_eq!(next_tick(epoch, second, epoch), epoch + second);
        assert_eq!(next_tick(epoch, second, epoch + second / 2), epoch + second);
        assert_eq!(next_tick(epoch, second, epoch + second), epoch + 2 * second);
    }
}
