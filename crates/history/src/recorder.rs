//! From snapshots to rows and events.
//!
//! - `gpus`: the GPUs of the layout, and what is remembered of each from one observation to the next.
//! - `values`: the numbers of a row.
//! - `availability`, `clock`, `messages`, `xids`, `holders`: events. `flood` cuts repeated ones;
//!   `repetition` says when holders are told again.

mod availability;
mod clock;
mod flood;
mod gpus;
mod holders;
mod messages;
mod repetition;
mod values;
mod xids;

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    Attribution, Down, FieldId, LogMessage, Moment, Pace, Snapshot, SourceView, Watch, XidSource,
    catalog,
};

use self::availability::{GpuAvailability, SourceAvailability};
use self::clock::ClockSteps;
use self::flood::Flood;
use self::gpus::Gpus;
use self::holders::KnownHolders;
use self::messages::Messages;
use self::repetition::Repetition;
use self::values::Values;
use crate::event::{Event, What};
use crate::host::HostReading;
use crate::layout::{GpuInfo, HostInfo, Layout};
use crate::recording::Row;
use crate::signal::{From, SIGNALS};
use crate::time::Time;

/// The interval of a recording is a whole number of milliseconds, so that the speed of its clock is not known
/// exactly.
const LEAST_DEVIATION: f64 = 0.01;

/// The fields that have to be read for the signals, each with its pace: to be watched as hidden fields in
/// addition to `watches`. Limits, link widths and counts of errors are read every ten seconds, as the table
/// of fields says.
pub fn inputs(watches: &[Watch]) -> Vec<(FieldId, Pace)> {
    let pace = |field| catalog::by_id(field).map_or(Pace::Every, |row| row.pace);
    let mut inputs = BTreeMap::from([(model::field::SERIAL, Pace::Slow)]);
    for signal in SIGNALS {
        inputs.extend(signal.from.inputs().into_iter().map(|field| (field, pace(field))));
        // Asked for in another unit, which is the same driver call.
        if let From::FieldIfWatched(field) = signal.from
            && let Some(base_unit) = catalog::by_id(field).and_then(|row| row.base_unit)
            && let Some(watch) = watches.iter().find(|watch| watch.field == base_unit)
        {
            inputs.insert(field, watch.pace);
        }
    }
    inputs.into_iter().collect()
}

/// What there is to record at one moment.
#[derive(Clone, Copy)]
pub struct Observation<'a> {
    /// The time on the clock of the recording.
    pub time: Time,
    /// The same on the wall clock.
    pub wall: SystemTime,
    /// The same on the clock that cannot be set.
    pub moment: Moment,
    /// What was read.
    pub snapshot: &'a Snapshot,
    /// Who uses the GPUs; `None` if nothing looks for that.
    pub attribution: Option<&'a Attribution>,
    /// The messages of the kernel log since the last observation.
    pub messages: &'a [LogMessage],
    /// Reads the machine's memory. It is called for a row alone.
    pub host: &'a dyn Fn() -> HostReading,
}

/// What is recorded of it.
#[derive(Clone, Debug)]
pub struct Recorded {
    /// The layout of the row, the same as before unless it changed.
    pub layout: Arc<Layout>,
    /// The row; `None` if there was one in this interval already, or if it waits for more readings.
    pub row: Option<Row>,
    /// The events.
    pub events: Vec<Event>,
}

/// Turns snapshots into rows and events.
///
/// There is one row per interval, counted from the epoch of the sampler as its ticks are. It is taken once
/// all GPUs that are up have been read in this interval, at the latest in the middle of it, and has the time
/// of the tick.
#[derive(Debug)]
pub struct Recorder {
    layout: Arc<Layout>,
    interval: Duration,
    /// Seconds that pass on the clock of the recording per second.
    speed: f64,
    epoch: Moment,
    /// The number of the current interval, and whether it has its row.
    slot: Option<(u128, bool)>,
    gpus: Gpus,
    values: Values,
    messages: Messages,
    flood: Flood,
    clock: ClockSteps,
    last_observed: Option<Moment>,
    repetition: Repetition,
    source: SourceAvailability,
}

impl Recorder {
    /// A recorder for this machine, with a row per `interval`; `host` has the interval on the clock of the
    /// recording. Intervals are counted from `epoch`. Of what
    /// the kernel log holds from before the start, what is newer than `since` is recorded: the last time that
    /// the previous run recorded; nothing if there was none.
    pub fn new(host: HostInfo, interval: Duration, epoch: Moment, since: Option<Time>) -> Self {
        let interval = interval.max(Duration::from_millis(1));
        let speed = host.interval_ms as f64 / 1000.0 / interval.as_secs_f64();
        let layout = Layout { host, gpus: Vec::new(), signals: Vec::new() };
        Self {
            layout: Arc::new(layout),
            interval,
            speed,
            epoch,
            slot: None,
            gpus: Gpus::default(),
            values: Values::default(),
            messages: Messages::new(since),
            flood: Flood::default(),
            clock: ClockSteps::default(),
            last_observed: None,
            repetition: Repetition::default(),
            source: SourceAvailability::default(),
        }
    }

    /// Tells all again that is so, as a recorder does that begins with this `since`. Rows go on.
    pub fn begin_again(&mut self, since: Option<Time>) {
        self.messages = Messages::new(since);
        (self.source, self.repetition) = (SourceAvailability::default(), Repetition::default());
        for gpu in self.gpus.iter_mut() {
            (gpu.availability, gpu.holders) = (GpuAvailability::default(), KnownHolders::default());
        }
    }

    /// Records what has changed.
    pub fn observe(&mut self, observation: Observation<'_>) -> Recorded {
        let Observation { time, wall, moment, snapshot, .. } = observation;
        let mut events = Vec::new();
        // Simulated time does not follow the wall clock.
        if !self.is_simulated_time() {
            let set = self.clock.step(wall, moment).map(|by_ms| What::ClockSet { by_ms });
            events.extend(set.map(|what| Event { time, gpu: None, what }));
        }
        self.update_layout(snapshot);
        self.add_messages(&observation, &mut events);
        let source = self.source.observe(&snapshot.source);
        events.extend(source.map(|what| Event { time, gpu: None, what }));
        self.add_events_of_gpus(&observation, &mut events);
        events.extend(self.flood.end(moment));
        Recorded { layout: Arc::clone(&self.layout), row: self.row(&observation), events }
    }

    /// Ends the recording. Returns what was held back until now.
    pub fn end(&mut self) -> Vec<Event> {
        self.flood.end_all()
    }

    /// Whether the clock of the recording is not the wall clock.
    fn is_simulated_time(&self) -> bool {
        (self.speed - 1.0).abs() > LEAST_DEVIATION
    }

    /// How long the row of the current interval can wait for more readings: the recorder is to be called
    /// after this time at the latest. If there is a row, until the next one.
    pub fn patience(&self, moment: Moment) -> Duration {
        let (number, passed) = self.slot_at(moment);
        let has_row = self.slot == Some((number, true));
        let until = self.interval / 2 + if has_row { self.interval } else { Duration::ZERO };
        until.saturating_sub(passed).max(Duration::from_millis(1))
    }

    /// The number of an interval, and the time since its tick.
    fn slot_at(&self, moment: Moment) -> (u128, Duration) {
        let (elapsed, interval) = ((moment - self.epoch).as_nanos(), self.interval.as_nanos());
        let passed = u64::try_from(elapsed % interval).unwrap_or_default();
        (elapsed / interval, Duration::from_nanos(passed))
    }

    fn update_layout(&mut self, snapshot: &Snapshot) {
        let has_new_signals = self.values.follow(&snapshot.watches, self.interval);
        let has_new_gpus = self.gpus.follow(snapshot);
        let mut host = self.layout.host.clone();
        snapshot.source.name.clone_into(&mut host.source);
        host.xid_source = snapshot.xid_source.map(|source| source.as_str().to_owned());
        host.reads_kernel_log = snapshot.driver_log.is_some();
        // It is not known while the source is down.
        if let Some(version) = &snapshot.source.driver_version {
            host.driver_version = Some(version.to_string());
        }
        if has_new_signals || has_new_gpus || host != self.layout.host {
            self.gpus.forget_absent();
            let signals = self.values.signals().map(Into::into).collect();
            self.layout = Arc::new(Layout { host, gpus: self.gpus.infos(), signals });
        }
    }

    fn add_messages(&mut self, observation: &Observation<'_>, events: &mut Vec<Event>) {
        let Observation { time, wall, moment, snapshot, messages, .. } = *observation;
        let counts_xids = snapshot.xid_source == Some(XidSource::KernelLog);
        let gpu_at = |address: &str| {
            let is_it = |gpu: &&GpuInfo| gpu.pci_bus_id.as_deref() == Some(address);
            let unknown = || GpuInfo { pci_bus_id: Some(address.to_owned()), ..GpuInfo::default() };
            self.layout.gpus.iter().find(is_it).cloned().unwrap_or_else(unknown)
        };
        for message in messages {
            let Some(at) = self.messages.time_of(message, time, wall) else { continue };
            if let Some((gpu, what)) = messages::event_of(message, counts_xids, gpu_at) {
                events.extend(self.flood.take(Event { time: at, gpu, what }, moment));
            }
        }
    }

    fn add_events_of_gpus(&mut self, observation: &Observation<'_>, events: &mut Vec<Event>) {
        let Observation { time, moment, snapshot, attribution, .. } = *observation;
        let counts_xids = snapshot.xid_source != Some(XidSource::KernelLog);
        let last_observed = self.last_observed.replace(moment);
        if self.repetition.is_due(moment, self.speed, &self.layout) {
            for gpu in self.gpus.iter_mut() {
                let event = |what| Event { time, gpu: Some(gpu.info.clone()), what };
                events.extend(gpu.holders.go_on().map(event));
            }
        }
        for gpu in self.gpus.iter_mut() {
            let Some(view) = gpu.view(snapshot) else { continue };
            let event = |what| Event { time, gpu: Some(gpu.info.clone()), what };
            for what in gpu.xids.follow(&view.xids, counts_xids, last_observed) {
                events.extend(self.flood.take(event(what), moment));
            }
            events.extend(gpu.availability.observe(view.up).map(event));
            if let (Some(attribution), Some(identity)) = (attribution, &view.gpu.identity) {
                let holders = holders::of(attribution, identity, view);
                let changes = gpu.holders.observe(holders, attribution.is_complete, moment);
                events.extend(changes.into_iter().map(event));
            }
        }
    }

    /// The row of the current interval, if it is time for it.
    fn row(&mut self, observation: &Observation<'_>) -> Option<Row> {
        let Observation { time, moment, snapshot, .. } = *observation;
        let (number, passed) = self.slot_at(moment);
        let is_new = self.slot.is_none_or(|(before, _)| before != number);
        if is_new {
            self.slot = Some((number, false));
        }
        let mut is_complete = is_settled(snapshot);
        for gpu in self.gpus.iter_mut() {
            let view = gpu.view(snapshot);
            gpu.passes.observe(view.and_then(|view| view.last_success), is_new);
            let is_up = view.is_some_and(|view| view.up.is_ok());
            is_complete &= !is_up || gpu.passes.has_new_in_interval();
        }
        let is_due = is_complete || passed >= self.interval / 2;
        if self.slot == Some((number, true)) || !is_due {
            return None;
        }
        self.slot = Some((number, true));
        let mut values = Vec::with_capacity(self.layout.width());
        self.values.add_host((observation.host)(), &mut values);
        for gpu in self.gpus.iter_mut() {
            let is_new = gpu.passes.take_new();
            self.values.add_gpu(gpu.view(snapshot), is_new, &mut values);
        }
        Some(Row { time: time.before(passed.mul_f64(self.speed)), values })
    }
}

/// Whether nothing is being opened.
fn is_settled(snapshot: &Snapshot) -> bool {
    let is_opening = |why: &String| why == SourceView::BEING_OPENED;
    let is_starting = snapshot.gpus.iter().any(|gpu| gpu.up == Err(Down::Starting));
    !is_starting && !snapshot.source.up.as_ref().is_err_and(is_opening)
}
