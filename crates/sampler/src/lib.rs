//! Owns time: reader threads, deadlines, and the snapshots that pages are made of.
//!
//! - `keeper`: one thread that has the source opened, starts a lane per reader, and has the source
//!   opened again when the world has changed.
//! - `lane`: one thread per reader; the only ones, beside the keeper, that call into a driver.
//! - `board`: where lanes leave what they read; `merge`: what becomes of it there.
//! - `supervisor`: one thread that never calls a driver; it drops what is too old and publishes
//!   snapshots, which `compose` makes.
//! - `rolling`, `clock_events`, `growth`, `health`: what follows from readings over time, as plain
//!   data that is told what time it is.
//! - `kernel_log`: one thread that follows the kernel's log for XIDs.
//! - `bus`: one thread that looks for GPUs that the driver does not list.
//!
//! A lane that is stuck in a driver call is never joined and never waited for.

#![forbid(unsafe_code)]

mod board;
mod bus;
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

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::mpsc::{self, Sender};
use std::thread::{self, JoinHandle, Thread};
use std::time::{Duration, SystemTime};

use model::{
    DriverEvent, FieldId, Identity, Kind, Moment, Pace, Snapshot, Source, Watch, Windows, field,
};

use board::Shared;
use keeper::Order;
pub use kernel_log::{KernelLog, Place as LogPlace};
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
    /// The kernel's log, where it is to be read.
    pub kernel_log: Option<KernelLog>,
    /// What tries whether a new session would read a GPU that is down. Without it, a session is kept
    /// as long as any GPU answers.
    pub trial: Option<Trial>,
    /// How long a GPU has to be down before that is tried.
    pub trial_after: Duration,
    /// How long a GPU that is missing is remembered; none for ever.
    pub forget_missing: Option<Duration>,
}

/// What tries in a process of its own, within seconds, whether it can read a GPU that is down in this
/// one.
#[derive(Clone)]
pub struct Trial(pub Arc<Try>);

/// Says why the GPU cannot be read there either, if so.
pub type Try = dyn Fn(&Suspect) -> Result<(), String> + Send + Sync;

impl std::fmt::Debug for Trial {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Trial")
    }
}

/// A GPU that is down.
#[derive(Clone, Debug)]
pub struct Suspect {
    /// The index that it has in this session.
    pub index: u32,
    /// What it is, if it has ever answered.
    pub identity: Option<Arc<Identity>>,
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

/// How long a GPU has to be down before a new session is tried for it. Its reader opens it every
/// second, which is enough in most cases.
const TRIAL_AFTER: Duration = Duration::from_secs(30);

/// How long opening the kernel's log may take before events count instead.
const OPEN: Duration = Duration::from_secs(1);

/// However long the interval, no pass may take longer.
const LONGEST_PASS: Duration = Duration::from_secs(5);

impl Settings {
    /// Reads all GPUs at this interval; windows are of a minute, and nothing else is asked for.
    pub fn new(interval: Duration) -> Self {
        let minute = Duration::from_secs(60);
        Self {
            interval,
            gpus: Selection::All,
            started: SystemTime::now(),
            windows: Windows { extents: minute, xids: minute, clock_events: minute },
            kernel_log: None,
            trial: None,
            trial_after: TRIAL_AFTER,
            forget_missing: None,
        }
    }

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

/// What has to be read besides what was asked for, and how often, so that the families that are made of
/// readings can be made: to be watched as [`Kind::Hidden`]. Nothing for a family that is not asked for.
pub fn inputs(asked: &[Watch], interval: Duration, windows: &Windows) -> Vec<(FieldId, Pace)> {
    debug_assert!(asked.iter().all(|watch| watch.kind != Kind::Hidden));
    let asks_for = |fields: &[FieldId]| asked.iter().any(|watch| fields.contains(&watch.field));
    let often = Pace::At(interval.min(POLL));
    let mut inputs: BTreeMap<FieldId, Pace> = BTreeMap::new();
    // Over a minute, whatever the interval.
    let slow = Pace::At(model::SLOW_INTERVAL);
    if asks_for(&[field::EXP_GPU_HEALTH_STATUS]) {
        inputs.extend(health::INPUTS.iter().map(|input| (*input, slow)));
    }
    if asks_for(&[field::NVLINKS_ACTIVE]) {
        inputs.insert(field::NVLINK_GET_STATE, Pace::Slow);
    }
    if asks_for(&[field::GPU_SLOWDOWN_RATIO]) {
        inputs.insert(field::SM_CLOCK_HERTZ, Pace::Every);
        inputs.insert(field::MAX_SM_CLOCK_OF_PSTATE, Pace::Every);
    }
    if asks_for(&[field::CLOCK_EVENT_SECONDS_TOTAL]) {
        let times = model::CLOCK_REASONS.iter().filter_map(|reason| reason.time);
        inputs.extend(times.map(|time| (time, Pace::Every)));
    }
    if asks_for(&clock_events::FAMILIES) {
        inputs.insert(field::CLOCKS_EVENT_REASONS, often);
    }
    let quantities = plan::quantities(asked, windows.extents);
    inputs.extend(quantities.into_iter().map(|quantity| (quantity.field(), often)));
    inputs.into_iter().collect()
}

/// A running sampler. Dropping it asks its threads to end and waits for none of them.
pub struct Sampler {
    shared: Arc<Shared>,
    /// What the keeper is told.
    orders: Sender<Order>,
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
        if let Some(bus) = source.bus() {
            let bus = start_thread("bus", &shared, move |shared| bus::run(bus, shared))?;
            shared.sleepers().push(bus.thread().clone());
        }
        if let Some(log) = shared.settings.kernel_log.clone() {
            let (opened, is_open) = mpsc::channel();
            let follow = move |shared: &_| kernel_log::run(&log, shared, opened);
            let log = start_thread("kernel log", &shared, follow)?;
            // An event makes it look at once.
            let _ = shared.log_thread.set(log.thread().clone());
            shared.sleepers().push(log.thread().clone());
            // So that no event is counted that is in the log. Where that takes long, events count until
            // it is open.
            if is_open.recv_timeout(OPEN) == Err(mpsc::RecvTimeoutError::Timeout) {
                shared.board().log_is_late = true;
            }
        }
        let (orders, ordered) = mpsc::channel();
        let tell = orders.clone();
        let keeper = start_thread("keeper", &shared, move |shared| {
            keeper::run(source, shared, &ordered, tell);
        })?;
        start_thread("supervisor", &shared, supervisor::run)?;
        Ok(Self { shared, orders, keeper })
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
    /// and no series is absent meanwhile. `in_force` is called once they are read, unless others are
    /// asked for before.
    pub fn replan(&self, watches: Arc<[Watch]>, in_force: impl FnOnce() + Send + 'static) {
        let plan = Plan::new(watches, &self.shared.settings);
        // The keeper is gone only when everything is over.
        let _ = self.orders.send(Order::Replan(Arc::new(plan), Box::new(in_force)));
    }

    /// Forgets the GPUs that are missing and that were not asked for by number.
    pub fn forget_missing(&self) {
        self.shared.forget_missing(Duration::ZERO);
    }

    /// What the kernel's log said last of GPUs and NVSwitches, with what no counter holds: the newest
    /// last, and a few hundred at most.
    pub fn driver_events(&self) -> Vec<DriverEvent> {
        self.shared.board().driver_events.iter().cloned().collect()
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
        self.shared.changed(|board| board.stopping = true);
        // The keeper is gone only when everything is over.
        let _ = self.orders.send(Order::Stop);
        self.shared.sleepers().iter().for_each(Thread::unpark);
    }
}

fn start_thread(
    name: &str,
    shared: &Arc<Shared>,
    run: impl FnOnce(&Arc<Shared>) + Send + 'static,
) -> std::io::Result<JoinHandle<()>> {
    let shared = Arc::clone(shared);
    thread::Builder::new().name(name.to_owned()).spawn(move || run(&shared))
}

impl Drop for Sampler {
    fn drop(&mut self) {
        self.end();
    }
}
