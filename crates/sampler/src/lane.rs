//! A lane: the thread that owns one reader, calls it in time, and leaves what it read on the board.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant, SystemTime};

use model::{Identity, Pass, Reader, Readings, Reason, Rhythm};

use crate::board::{Busy, GpuBoard, LaneBoard, Shared};

/// How long a GPU that does not answer is left alone before it is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// A pass that ends later than this after a tick may miss the snapshot that is made shortly after
/// it, so it asks for one of its own.
const QUICK: Duration = Duration::from_millis(5);

/// A lane, before its thread runs.
pub(crate) struct Lane {
    pub(crate) id: u64,
    pub(crate) gpu: u32,
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) busy: Arc<Busy>,
    pub(crate) shared: Arc<Shared>,
    /// From one pass to the next.
    pub(crate) cadence: Duration,
    /// Disconnected when the lane is to end.
    pub(crate) stopped: Receiver<()>,
}

/// A line for the log.
enum Line {
    Xid { code: u32, message: &'static str, count: u64 },
    Unreadable { watch: Arc<str>, reason: Reason },
}

impl Line {
    fn say(self, gpu: u32) {
        match self {
            Self::Xid { code, message, count: 1 } => {
                tracing::warn!(gpu, xid = code, "XID: {message}");
            }
            Self::Xid { code, message, count } => {
                tracing::warn!(gpu, xid = code, "XID: {message}, for the {count}th time");
            }
            Self::Unreadable { watch, reason } => {
                tracing::warn!(gpu, "cannot read {watch}: {reason}");
            }
        }
    }
}

/// What one pass brought.
struct Outcome {
    began: Instant,
    took: Duration,
    result: Result<(), Reason>,
    identity: Option<Arc<Identity>>,
    /// Whether it began by opening the GPU.
    opened: bool,
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
            if !self.publish(outcome, &out) {
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
        let interval = self.cadence;
        let pass = Pass { now, elapsed: now - self.shared.epoch, interval, slow };
        let reader = &mut self.reader;
        let mut identity = None;
        let mut opened = now;
        // A panic in one reader costs its own GPU.
        let result = catch_unwind(AssertUnwindSafe(|| {
            if !is_open {
                identity = reader.open()?;
                opened = Instant::now();
            }
            out.begin(now);
            reader.read(pass, out)
        }))
        .unwrap_or(Err(Reason::Failed));
        self.busy.end();
        let took = opened.elapsed();
        self.cadence = self.shared.settings.cadence(took);
        Outcome { began: now, took, result, identity, opened: !is_open }
    }

    /// Leaves the outcome on the board. Says whether the lane still has a place there.
    fn publish(&mut self, outcome: Outcome, out: &Readings) -> bool {
        let rhythm = self.reader.rhythm();
        let xids = self.reader.take_xids();
        // What is to be said is said when the board is free again: a log that nobody reads must not
        // keep the board from the others.
        let mut lines = Vec::new();
        let mut board = self.shared.board();
        let is_mine = |lane: &LaneBoard| lane.id == self.id;
        let has_place = |gpu: &mut GpuBoard| gpu.lanes.iter().any(is_mine);
        if !board.known_gpu(self.gpu).is_some_and(has_place) {
            return false;
        }
        if let Some(identity) = outcome.identity {
            board.identify(self.gpu, identity);
        }
        let gpu = board.gpu(self.gpu);
        if rhythm == Rhythm::Main && outcome.result.is_ok() {
            gpu.history.last_success = Some(SystemTime::now());
            gpu.pass_duration = Some(outcome.took);
        }
        for xid in &xids {
            let count = Arc::make_mut(&mut gpu.history.xids).record(*xid);
            // Storms of thousands are known: of each code the first is said, the tenth, ...
            if count.checked_ilog10().is_some_and(|power| count == 10u64.pow(power)) {
                lines.push(Line::Xid { code: xid.code, message: xid.message, count });
            }
        }
        let Some(lane) = gpu.lanes.iter_mut().find(|lane| is_mine(lane)) else { return false };
        let before = (lane.down, lane.listens);
        lane.down = outcome.result.err();
        lane.listens = self.reader.listens();
        let changed = (lane.down, lane.listens) != before || outcome.opened;
        match lane.down {
            None => lane.last_ok = Some(outcome.began),
            // What was read before a loss is not good after it.
            Some(_) => lane.clear(),
        }
        lane.cadence = self.cadence;
        for ((kept, new), position) in lane.slots.iter_mut().zip(out.slots()).zip(&lane.watches) {
            if new.at != Some(out.now()) || lane.down.is_some() {
                continue;
            }
            if let Err(reason @ (Reason::Failed | Reason::NotPermitted)) = new.reading {
                let watch = &self.shared.watches[*position];
                let errors = Arc::make_mut(&mut gpu.history.errors);
                let count = errors.entry((watch.field, reason)).or_insert(0);
                *count += 1;
                if *count == 1 {
                    lines.push(Line::Unreadable { watch: Arc::clone(&watch.name), reason });
                }
            }
            // The first sample of a rate has nothing to say yet. What the last session read is
            // still good; it goes when it is late.
            if new.reading != Err(Reason::NoData) || kept.reading.is_err() {
                kept.clone_from(new);
            }
        }
        let news = rhythm != Rhythm::Waiting || changed || !xids.is_empty();
        // Passes that end in time are published together, shortly after the tick.
        let urgent = changed || (news && (rhythm != Rhythm::Main || self.is_off_beat()));
        board.dirty |= news;
        board.urgent |= urgent;
        drop(board);
        for line in lines {
            line.say(self.gpu);
        }
        if urgent {
            self.shared.wake.notify_all();
        }
        true
    }

    /// Whether it is too late after the last tick for that tick's snapshot.
    fn is_off_beat(&self) -> bool {
        let interval = self.shared.settings.interval.as_nanos().max(1);
        self.shared.epoch.elapsed().as_nanos() % interval > QUICK.as_nanos()
    }

    /// Waits until the next pass is due. Says whether there is to be one.
    fn wait(&self, rhythm: Rhythm, is_open: bool) -> bool {
        let interval = self.shared.settings.interval;
        if rhythm == Rhythm::Waiting && is_open {
            return self.stopped.try_recv() != Err(TryRecvError::Disconnected);
        }
        let now = Instant::now();
        let due = if is_open { next_tick(self.shared.epoch, interval, now) } else { now + RETRY };
        let pause = due.saturating_duration_since(Instant::now());
        self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
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
