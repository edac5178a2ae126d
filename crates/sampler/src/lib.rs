//! Owns time: reader threads, deadlines, and the snapshots that pages are made of.
//!
//! - `keeper`: one thread that opens the source, starts a lane per reader, and opens the source
//!   anew when the world has changed.
//! - `lane`: one thread per reader; the only ones, beside the keeper, that call into a driver.
//! - `board`: where lanes leave what they read.
//! - `supervisor`: one thread that never calls a driver; it drops what is too old and publishes
//!   snapshots.
//!
//! A lane that is stuck in a driver call is never joined and never waited for.

#![forbid(unsafe_code)]

mod board;
mod keeper;
mod lane;
mod process;
mod supervisor;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant, SystemTime};

use model::{Snapshot, Source, Watch};

use board::Shared;

/// How the sampler runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From one pass to the next.
    pub interval: Duration,
    /// Which GPUs to read.
    pub gpus: Selection,
    /// When this process began.
    pub started: SystemTime,
}

/// Which GPUs to read, by the driver's index.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Selection {
    /// Whatever the driver lists.
    All,
    /// These; one that is not there is shown as missing, and awaited.
    Only(Vec<u32>),
}

impl Selection {
    fn includes(&self, index: u32) -> bool {
        match self {
            Self::All => true,
            Self::Only(indexes) => indexes.contains(&index),
        }
    }
}

/// How often slow watches are read, where the interval is not longer.
pub const SLOW_INTERVAL: Duration = Duration::from_secs(10);

/// However long the interval, no pass may take longer.
const LONGEST_PASS: Duration = Duration::from_secs(5);

impl Settings {
    /// From one slow pass to the next.
    pub(crate) fn slow_interval(&self) -> Duration {
        self.interval.max(SLOW_INTERVAL)
    }

    /// The age from which a reading is late: two of its own cadence. The floor of one second keeps
    /// very short intervals from turning a scheduling hiccup into a gap.
    pub(crate) fn late_after(&self, cadence: Duration) -> Duration {
        cadence.saturating_mul(2).max(Duration::from_secs(1))
    }

    /// From one pass to the next, where a pass takes so long: ticks that it overruns are skipped. A
    /// hang is no cadence, so it is bounded.
    pub(crate) fn cadence(&self, took: Duration) -> Duration {
        let intervals = took.as_nanos() / self.interval.as_nanos().max(1) + 1;
        let cadence = self.interval.saturating_mul(u32::try_from(intervals).unwrap_or(u32::MAX));
        cadence.min(self.interval.max(LONGEST_PASS))
    }

    /// The age from which a reading of a slow watch is late.
    pub(crate) fn slow_late_after(&self) -> Duration {
        2 * self.slow_interval()
    }

    /// How long one pass may take before its GPU counts as down. With long intervals, a hang is
    /// noticed long before the readings are late.
    pub(crate) fn pass_deadline(&self, cadence: Duration) -> Duration {
        self.late_after(cadence).min(LONGEST_PASS)
    }
}

/// A running sampler. Dropping it asks its threads to end and waits for none of them.
pub struct Sampler {
    shared: Arc<Shared>,
    /// Dropped to end the keeper.
    keeper_stop: Option<Sender<()>>,
    keeper: JoinHandle<()>,
}

impl Sampler {
    /// Starts to read `watches` from `source`.
    ///
    /// # Errors
    ///
    /// When the system gives no more threads.
    pub fn start(
        source: Box<dyn Source>,
        watches: Arc<[Watch]>,
        settings: Settings,
    ) -> std::io::Result<Self> {
        let shared = Arc::new(Shared::new(source.name(), watches, settings));
        let (keeper_stop, stopped) = mpsc::channel();
        let for_keeper = Arc::clone(&shared);
        let keeper = thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || keeper::run(source, &for_keeper, &stopped))?;
        let for_supervisor = Arc::clone(&shared);
        thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || supervisor::run(&for_supervisor))?;
        Ok(Self { shared, keeper_stop: Some(keeper_stop), keeper })
    }

    /// What is known now. Makes no driver call, opens no file, writes no log and waits for nobody
    /// who does.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.shared.current.load_full();
        let now = Instant::now();
        if now <= current.good_until {
            return current;
        }
        // The supervisor is late itself, as after the whole process was stopped for a while.
        self.shared.publish(now)
    }

    /// Ends all threads, and says whether all of them ended within `patience`. Those that did not
    /// are inside the driver.
    pub fn stop(mut self, patience: Duration) -> bool {
        self.end();
        let until = Instant::now() + patience;
        while !self.keeper.is_finished() && Instant::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let detained = self.shared.board().detained;
        self.keeper.is_finished() && detained == 0
    }

    fn end(&mut self) {
        self.keeper_stop = None;
        self.shared.changed(|board| board.stopping = true);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}
