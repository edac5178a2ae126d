//! A state with one GPU that has been read once, for tests: no thread, no lock, no sleep.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{
    Entity, FieldId, Identity, Instance, Kind, Moment, Pace, Pass, Process, ReaderKind, Readings,
    Reason, SlotIndex, Snapshot, Value, Watch, WatchIndex, When, Xid, XidEvent,
};

use crate::settings::Settings;
use crate::state::State;
use crate::state::gpu::GpuState;
use crate::state::outcome::{Applied, Extras, Outcome};
use crate::state::reader::{BusySince, ReaderId, ReaderState, Target};

pub(crate) const SECOND: Duration = Duration::from_secs(1);

/// Read by [`MAIN`] in each pass.
pub(crate) const FAST: WatchIndex = WatchIndex(0);
/// Read by [`MAIN`] every ten seconds.
pub(crate) const SLOW: WatchIndex = WatchIndex(1);
/// Read by [`EVENTS`].
pub(crate) const XID: WatchIndex = WatchIndex(2);

/// The main reader of GPU 0.
pub(crate) const MAIN: ReaderId = ReaderId { target: Target::Gpu(0), number: 1 };
/// The reader that waits for XIDs of GPU 0.
pub(crate) const EVENTS: ReaderId = ReaderId { target: Target::Gpu(0), number: 2 };

pub(crate) struct TestState {
    pub(crate) state: State,
    /// When both readers made their first pass.
    pub(crate) at: Moment,
    readings: BTreeMap<u64, (Readings, Option<Duration>)>,
}

impl TestState {
    /// All watches have the value 61.
    pub(crate) fn new(interval: Duration) -> Self {
        Self::with_settings(Settings::new(interval))
    }

    pub(crate) fn with_settings(settings: Settings) -> Self {
        let watch = |id, pace| Watch {
            field: FieldId(id),
            name: "name".into(),
            kind: Kind::Gauge,
            help: "help".into(),
            pace,
            cumulative: false,
        };
        let watches = [watch(150, Pace::Every), watch(310, Pace::Slow), watch(230, Pace::Every)];
        Self::with_watches(settings, &watches)
    }

    pub(crate) fn with_watches(settings: Settings, watches: &[Watch]) -> Self {
        let process = Process { cpu: None, resident_bytes: None, started: SystemTime::UNIX_EPOCH };
        let epoch = Moment::BOOT + 1000 * SECOND;
        let mut state = State::new("test", watches.into(), Arc::new(settings), process, epoch);
        state.source.up = Ok(());
        state.gpu(0).listed = true;
        let mut test = Self { state, at: epoch + SECOND, readings: BTreeMap::new() };
        let main: Vec<_> = (0..watches.len()).map(WatchIndex).filter(|at| *at != XID).collect();
        test.add_reader(MAIN, "main", ReaderKind::Main, &main);
        test.add_reader(EVENTS, "events", ReaderKind::Events, &[XID]);
        for id in [MAIN, EVENTS] {
            test.pass(id, 0, |readings| {
                for slot in SlotIndex::all(readings.of_gpu().len()) {
                    readings.set(slot, Ok(Value::Int(61)));
                }
            });
        }
        test
    }

    pub(crate) fn with(mut self, change: impl FnOnce(&mut GpuState)) -> Self {
        change(self.state.gpu(0));
        self
    }

    pub(crate) fn add_reader(
        &mut self,
        id: ReaderId,
        name: &'static str,
        kind: ReaderKind,
        watches: &[WatchIndex],
    ) {
        let watches = watches.into();
        let (tick, epoch) = (self.state.plan.tick, self.state.epoch);
        let busy = Arc::new(BusySince::new(epoch));
        let new = ReaderState::new(id.number, name, kind, &watches, &busy, tick);
        self.state.add(id.target).readers.push(new);
        self.readings.insert(id.number, (Readings::new(&watches, epoch), None));
    }

    pub(crate) fn time(&self, millis: u64) -> Moment {
        self.at + Duration::from_millis(millis)
    }

    /// Applies a pass that begins and ends `millis` after the first.
    pub(crate) fn pass(
        &mut self,
        id: ReaderId,
        millis: u64,
        write: impl FnOnce(&mut Readings),
    ) -> Option<Applied> {
        let extras = Extras { delivers_xids: id == EVENTS, ..Extras::default() };
        self.outcome(id, millis, Ok(()), extras, write)
    }

    /// Applies a pass that fails.
    pub(crate) fn fail(&mut self, id: ReaderId, millis: u64, reason: Reason) -> Option<Applied> {
        self.outcome(id, millis, Err(reason), Extras::default(), |_| {})
    }

    pub(crate) fn outcome(
        &mut self,
        id: ReaderId,
        millis: u64,
        result: Result<(), Reason>,
        extras: Extras,
        write: impl FnOnce(&mut Readings),
    ) -> Option<Applied> {
        let now = self.time(millis);
        let elapsed = now - self.state.epoch;
        let (readings, previous) = self.readings.get_mut(&id.number).unwrap();
        readings.begin(now);
        write(readings);
        let (interval, cadence) = (self.state.settings.interval, self.state.plan.tick);
        let pass = Pass { now, elapsed, previous: *previous, interval, cadence };
        *previous = result.is_ok().then_some(elapsed);
        let took = Duration::from_millis(1);
        let outcome = Outcome { pass, took, cadence, result, identity: None, readings, extras };
        let applied = self.state.apply(id, outcome, at(now));
        if result.is_err() {
            readings.clear();
        }
        applied
    }

    pub(crate) fn identify(&mut self, index: u32, identity: Identity) {
        let identity = Arc::new(Identity { index: Some(index), ..identity });
        self.state.identify(index, identity, self.at);
    }

    pub(crate) fn snapshot(&self, millis: u64) -> Snapshot {
        self.state.snapshot(self.time(millis))
    }
}

/// A moment on both clocks.
pub(crate) fn at(moment: Moment) -> When {
    When { time: SystemTime::UNIX_EPOCH + (moment - Moment::BOOT), moment }
}

pub(crate) fn xid(code: u32) -> XidEvent {
    let xid = Xid { code, message: "?", class: "?", action: "?", critical: false };
    XidEvent { xid, instance: None, before: None }
}

pub(crate) fn record(gpu: &mut GpuState, event: XidEvent) {
    Arc::make_mut(&mut gpu.history.xids).record(event, None, None);
}

/// Writes the value 61 for each watch of an entity.
pub(crate) fn write(readings: &mut Readings, entity: &Entity, watches: &[WatchIndex]) {
    let part = readings.part(entity, &watches.into());
    for slot in SlotIndex::all(watches.len()) {
        readings.set_in(part, slot, Ok(Value::Int(61)));
    }
}

/// A GPU instance with this number.
pub(crate) fn instance(number: u32) -> Arc<Instance> {
    let profile = "1g.10gb".into();
    Arc::new(Instance {
        gpu_instance: number,
        compute_instance: None,
        number,
        profile,
        mig_devices: Vec::new(),
    })
}

/// A GPU that is known by its UUID only.
pub(crate) fn gpu(uuid: &str) -> Identity {
    Identity { uuid: Some(uuid.to_owned()), ..Identity::default() }
}

/// A GPU on this bus, `0A` or `0B`.
pub(crate) fn on_bus(bus: &str) -> Identity {
    let pci_bus_id = Some(format!("00000000:{bus}:00.0"));
    Identity { pci_bus_id, ..gpu(&format!("GPU-{bus}")) }
}
