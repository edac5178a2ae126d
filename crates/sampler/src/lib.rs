//! Owns time: reader threads, deadlines, and the snapshots that pages are made of.
//!
//! - `keeper`: one thread that opens the source, starts a lane per reader, and opens the source
//!   anew when the world has changed.
//! - `lane`: one thread per reader; the only ones, beside the keeper, that call into a driver.
//! - `board`: where lanes leave what they read; `merge`: what becomes of it there.
//! - `supervisor`: one thread that never calls a driver; it drops what is too old and publishes
//!   snapshots, which `compose` makes.
//! - `rolling`, `clock_events`, `growth`, `health`: what follows from readings over time, as plain
//!   data that is told what time it is.
//! - `kernel_log`: one thread that follows the kernel's log for XIDs.
//!
//! A lane that is stuck in a driver call is never joined and never waited for.

#![forbid(unsafe_code)]

mod board;
mod clock_events;
mod compose;
mod growth;
mod health;
mod keeper;
mod kernel_log;
mod lane;
mod merge;
mod plan;
mod process;
mod rolling;
mod supervisor;

use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use model::{FieldId, Kind, Moment, Pace, Quantity, Snapshot, Source, Watch, Windows, Xid, field};

use board::Shared;
pub use kernel_log::KernelLog;
use plan::Plan;

/// How the sampler runs.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From one pass to the next.
    pub interval: Duration,
    /// Which GPUs to read.
    pub gpus: Selection,
    /// When this process began.
    pub started: SystemTime,
    /// How long the rolling windows are.
    pub windows: Windows,
    /// XIDs that are counted from 0 on, so that the first one is an increase.
    pub expected_xids: Vec<Xid>,
    /// Where else XIDs are found.
    pub kernel_log: Option<KernelLog>,
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

/// However long the interval, no pass may take longer.
const LONGEST_PASS: Duration = Duration::from_secs(5);

impl Settings {
    /// The age from which a reading is late: two of its own cadence. The floor of one second keeps
    /// very short intervals from turning a scheduling hiccup into a gap.
    pub(crate) fn late_after(&self, cadence: Duration) -> Duration {
        cadence.saturating_mul(2).max(Duration::from_secs(1))
    }

    /// From one pass to the next, where a pass takes so long: ticks that it overruns are skipped. A
    /// hang is no cadence, so it is bounded.
    pub(crate) fn cadence(&self, tick: Duration, took: Duration) -> Duration {
        let ticks = took.as_nanos() / tick.as_nanos().max(1) + 1;
        let cadence = tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX));
        cadence.min(tick.max(LONGEST_PASS))
    }

    /// How long one pass may take before its GPU counts as down. With long intervals, a hang is
    /// noticed long before the readings are late.
    pub(crate) fn pass_deadline(&self, cadence: Duration) -> Duration {
        self.late_after(cadence).min(LONGEST_PASS)
    }
}

/// The longest time from one sample to the next of what is watched between scrapes.
const POLL: Duration = Duration::from_secs(1);

/// What has to be read besides what was asked for, and how often, so that windows, clock events and
/// health can be made of it: to be watched as [`Kind::Hidden`].
pub fn inputs(asked: &[Watch], interval: Duration, windows: &Windows) -> Vec<(FieldId, Pace)> {
    let often = Pace::At(interval.min(POLL));
    let mut inputs = vec![
        (field::CLOCKS_EVENT_REASONS, often),
        (field::SM_CLOCK_HERTZ, Pace::Every),
        (field::MAX_SM_CLOCK_OF_PSTATE, Pace::Every),
    ];
    let times = model::CLOCK_REASONS.iter().filter_map(|reason| reason.time);
    inputs.extend(times.map(|time| (time, Pace::Every)));
    if !windows.extents.is_zero() {
        inputs.retain(|(input, _)| *input != field::SM_CLOCK_HERTZ);
        inputs.extend(Quantity::ALL.map(|quantity| (quantity.field(), often)));
    }
    if asked.iter().any(|watch| watch.field == field::EXP_GPU_HEALTH_STATUS) {
        let known: Vec<FieldId> = inputs.iter().map(|(input, _)| *input).collect();
        let more = health::INPUTS.iter().filter(|input| !known.contains(input));
        // Over a minute, whatever the interval.
        let often = Pace::At(model::SLOW_INTERVAL);
        inputs.extend(more.map(|input| (*input, often)));
    }
    debug_assert!(asked.iter().all(|watch| watch.kind != Kind::Hidden));
    inputs
}

/// A running sampler. Dropping it asks its threads to end and waits for none of them.
pub struct Sampler {
    shared: Arc<Shared>,
    /// What the keeper is told; dropped to end it.
    orders: Option<Sender<Arc<Plan>>>,
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
        let shared = Arc::new(Shared {
            judges_health: source.judges_health(),
            when_all_are_late: source.when_all_are_late(),
            ..Shared::new(source.name(), watches, settings)
        });
        let (orders, ordered) = mpsc::channel();
        let for_keeper = Arc::clone(&shared);
        let keeper = thread::Builder::new()
            .name("keeper".to_owned())
            .spawn(move || keeper::run(source, &for_keeper, &ordered))?;
        let for_supervisor = Arc::clone(&shared);
        thread::Builder::new()
            .name("supervisor".to_owned())
            .spawn(move || supervisor::run(&for_supervisor))?;
        if let Some(log) = shared.settings.kernel_log.clone() {
            let for_log = Arc::clone(&shared);
            thread::Builder::new()
                .name("kernel log".to_owned())
                .spawn(move || kernel_log::run(&log, &for_log))?;
        }
        Ok(Self { shared, orders: Some(orders), keeper })
    }

    /// What is known now. Makes no driver call, opens no file, writes no log and waits for nobody
    /// who does.
    pub fn snapshot(&self) -> Arc<Snapshot> {
        let current = self.shared.current.load_full();
        let now = Moment::now();
        if now <= current.good_until {
            return current;
        }
        // The supervisor is late itself, as after the whole process was stopped for a while.
        self.shared.publish(now)
    }

    /// Reads `watches` from now on. What was read, counted and heard so far stays; no event is missed
    /// and no series is absent meanwhile.
    pub fn replan(&self, watches: Arc<[Watch]>) {
        let plan = Plan::new(watches, self.shared.settings.interval);
        if let Some(orders) = &self.orders {
            // Nobody listens only when everything is over.
            let _ = orders.send(Arc::new(plan));
        }
    }

    /// Ends all threads, and says whether all of them ended within `patience`. Those that did not
    /// are inside the driver.
    pub fn stop(mut self, patience: Duration) -> bool {
        self.end();
        let until = Moment::now() + patience;
        while !self.keeper.is_finished() && Moment::now() < until {
            thread::sleep(Duration::from_millis(5));
        }
        let detained = self.shared.board().detained;
        self.keeper.is_finished() && detained == 0
    }

    fn end(&mut self) {
        self.orders = None;
        self.shared.changed(|board| board.stopping = true);
    }
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}
