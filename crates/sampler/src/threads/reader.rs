//! A reader thread: owns one reader, calls it in time, and applies what it read to the state.

use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, Sender, TryRecvError};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use model::{Moment, Pass, Reader, ReaderKind, Readings, Reason, When};

use super::command::Command;
use super::shared::SharedState;
use crate::state::log_line::LogLine;
use crate::state::outcome::{Extras, Outcome};
use crate::state::plan::next_tick;
use crate::state::reader::{BusySince, ReaderId};

/// How long after a failed pass a GPU is opened again.
const RETRY: Duration = Duration::from_secs(1);

/// How long after a GPU did not support something, such as events on WSL2 and in vGPU guests, that
/// is tried again.
const RETRY_UNSUPPORTED: Duration = Duration::from_secs(600);

/// A reader, for its thread.
pub(crate) struct ReaderThread {
    pub(crate) id: ReaderId,
    pub(crate) reader: Box<dyn Reader>,
    pub(crate) busy: Arc<BusySince>,
    pub(crate) shared: Arc<SharedState>,
    pub(crate) tick: Duration,
    /// From one pass to the next.
    pub(crate) cadence: Duration,
    /// Disconnected when the thread has to end.
    pub(crate) stopped: Receiver<()>,
    /// Dropped last, after the reader.
    pub(crate) _end: EndNotice,
}

/// Reports the end of a reader thread when it is dropped, also after a panic.
pub(crate) struct EndNotice {
    pub(crate) id: ReaderId,
    pub(crate) commands: Sender<Command>,
}

impl Drop for EndNotice {
    fn drop(&mut self) {
        // Fails only after the session manager has ended.
        let _ = self.commands.send(Command::ReaderEnded(self.id));
    }
}

impl ReaderThread {
    /// Runs until it is stopped. May never return, if the reader does not.
    pub(crate) fn run(mut self) {
        let mut readings = Readings::new(&self.reader.watches(), Moment::now());
        let mut previous = None;
        loop {
            let outcome = self.read(previous, &mut readings);
            let result = outcome.result;
            previous = result.is_ok().then_some(outcome.pass.elapsed);
            let now = When { time: SystemTime::now(), moment: Moment::now() };
            let Some(applied) = self.shared.lock().apply(self.id, outcome, now) else { return };
            if applied.wake_kernel_log {
                self.shared.kernel_log_thread.get().into_iter().for_each(Thread::unpark);
            }
            applied.lines.into_iter().for_each(LogLine::write);
            if applied.wake_publisher {
                self.shared.wake.notify_all();
            }
            if result.is_err() {
                readings.clear();
            }
            if !self.wait(result) {
                return;
            }
        }
    }

    /// Makes one pass, which begins by opening the GPU if there is none before it.
    fn read<'a>(&mut self, previous: Option<Duration>, readings: &'a mut Readings) -> Outcome<'a> {
        let now = Moment::now();
        let interval = self.shared.settings.interval;
        let elapsed = now - self.shared.epoch;
        let pass = Pass { now, elapsed, previous, interval, cadence: self.cadence };
        let reader = &mut self.reader;
        let (mut identity, mut opened) = (None, now);
        self.busy.begin(now);
        // A panic in one reader must not cost more than its own GPU.
        let result = catch_unwind(AssertUnwindSafe(|| {
            if previous.is_none() {
                identity = reader.open()?;
                opened = Moment::now();
            }
            readings.begin(now);
            reader.read(pass, readings)
        }))
        .unwrap_or(Err(Reason::Failed));
        self.busy.end();
        let took = opened.elapsed();
        self.cadence = self.shared.settings.cadence(self.tick, took);
        let extras = catch_unwind(AssertUnwindSafe(|| Extras {
            delivers_xids: reader.delivers_xids(),
            xids: reader.take_xids(),
            health: reader.take_health(),
            samples: reader.take_samples(),
            call_times: reader.take_call_times(),
        }))
        .unwrap_or_default();
        Outcome { pass, took, cadence: self.cadence, result, identity, readings, extras }
    }

    /// Waits until the next pass is due. Returns whether there is to be one.
    fn wait(&self, result: Result<(), Reason>) -> bool {
        let kind = self.reader.kind();
        if kind == ReaderKind::Events && result.is_ok() {
            return self.stopped.try_recv() != Err(TryRecvError::Disconnected);
        }
        let now = Moment::now();
        let due = match result {
            Ok(()) => next_tick(self.shared.epoch, self.tick, now),
            Err(Reason::NotSupported) if kind != ReaderKind::Main => now + RETRY_UNSUPPORTED,
            Err(_) => now + RETRY,
        };
        let pause = due.saturating_duration_since(Moment::now());
        self.stopped.recv_timeout(pause) == Err(RecvTimeoutError::Timeout)
    }
}
