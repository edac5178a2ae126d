//! A snapshot of the board: what is good at one moment, and until when.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use model::{
    ClockEvent, Down, Entity, Extent, FieldId, Gpu, GpuView, Instance, Kind, Moment, Pace, Part,
    PartView, Quantity, Reading, Reason, SlotIndex, Snapshot, Value, Watch, WatchIndex, Xid,
    XidSource, field,
};

use crate::board::{Absent, Board, GpuBoard, History, LaneBoard, Shared, XidAuthority};
use crate::health::{self, Patient};
use crate::plan::Plan;

/// How long a snapshot lives at most. Also how long opening the source may take before it is said.
pub(crate) const LONGEST: Duration = Duration::from_secs(5);

/// How often whoever waits for events is seen to listen, at the least.
const LISTENING: Duration = Duration::from_secs(1);

impl Shared {
    /// Makes a snapshot of what is good at `now`, and publishes it.
    pub(crate) fn publish(&self, now: Moment) -> Arc<Snapshot> {
        let mut board = self.board();
        let snapshot = Arc::new(self.compose(&mut board, now));
        // Stored under the lock, so that an older one never replaces a newer one.
        self.current.store(Arc::clone(&snapshot));
        snapshot
    }

    /// What the board says at `now`.
    fn compose(&self, board: &mut Board, now: Moment) -> Snapshot {
        board.dirty = false;
        board.urgent = false;
        let plan = Arc::clone(&board.plan);
        let mut composer = Composer {
            shared: self,
            plan: &plan,
            now,
            good_until: now + LONGEST,
            xid_authority: board.xid_authority,
            on_bus: Arc::clone(&board.on_bus),
        };
        let mut source = board.source.clone();
        if let Some(since) = board.connecting
            && composer.expires(since + LONGEST, ()).is_err()
        {
            let seconds = (now - since).as_secs();
            source.up = Err(format!("the driver has not come back for {seconds} s"));
        }
        let source_up = source.up.is_ok();
        let mut gpus: Vec<GpuView> = Vec::with_capacity(board.gpus.len() + board.former.len());
        gpus.extend(board.gpus.iter_mut().map(|gpu| composer.gpu(gpu, source_up)));
        let listens = gpus.iter().any(|gpu| gpu.xids.listening);
        let unlisted = if source_up { Down::NotInitialized } else { Down::SourceDown };
        // One of them may be a GPU that is listed and has not answered yet.
        let certain = if board.has_unknown() { &[][..] } else { &board.unlisted[..] };
        for (absent, down) in [(certain, unlisted), (&board.former[..], Down::Missing)] {
            gpus.extend(absent.iter().map(|Absent { identity, history, .. }| {
                let gpu = Gpu { index: identity.index, identity: Some(Arc::clone(identity)) };
                composer.down(gpu, history, down)
            }));
        }
        let xid_source = match (board.xid_authority, source.name) {
            (XidAuthority::KernelLog, _) => Some(XidSource::KernelLog),
            (XidAuthority::Events, _) if !listens => None,
            (XidAuthority::Events, "nvml") => Some(XidSource::NvmlEvents),
            (XidAuthority::Events, "dcgm") => Some(XidSource::Dcgm),
            (XidAuthority::Events, _) => Some(XidSource::Sim),
        };
        let machine = if source_up { composer.parts(&board.machine) } else { Vec::new() };
        Snapshot {
            watches: Arc::clone(&plan.watches),
            gpus,
            machine,
            source,
            xid_source,
            driver_log: board.driver_log.clone(),
            reader_restarts: board.reader_restarts,
            process: board.process,
            windows: self.settings.windows,
            good_until: composer.good_until,
        }
    }
}

/// Makes one snapshot.
struct Composer<'a> {
    shared: &'a Shared,
    plan: &'a Plan,
    now: Moment,
    /// The first moment at which something that is good now would not be.
    good_until: Moment,
    xid_authority: XidAuthority,
    /// The PCI addresses on the bus.
    on_bus: Arc<BTreeSet<String>>,
}

impl Composer<'_> {
    /// What is good until `end`: either it is over, or that is noted.
    fn expires<E>(&mut self, end: Moment, over: E) -> Result<(), E> {
        if self.now > end {
            return Err(over);
        }
        self.good_until = self.good_until.min(end);
        Ok(())
    }

    fn gpu(&mut self, gpu: &mut GpuBoard, source_up: bool) -> GpuView {
        let up = if source_up { self.state(gpu) } else { Err(Down::SourceDown) };
        gpu.state = up;
        self.note_listening(gpu);
        let identity = Gpu { index: Some(gpu.index), identity: gpu.identity.clone() };
        let mut view = match up {
            Ok(()) => GpuView { up, ..self.down(identity, &gpu.history, Down::Starting) },
            Err(down) => return self.down(identity, &gpu.history, down),
        };
        view.pass_duration = gpu.pass_duration;
        view.readings = self.readings(gpu, &view);
        view.parts = self.parts(gpu);
        self.keep_labels(gpu, &view);
        self.derive(&mut gpu.history, &mut view);
        view
    }

    /// A GPU that shows no more than what is remembered of it.
    fn down(&self, gpu: Gpu, history: &History, down: Down) -> GpuView {
        let mut readings = vec![Err(reason(down)); self.plan.watches.len()];
        for (position, value) in &history.labels {
            readings[position.0] = Ok(value.clone());
        }
        GpuView {
            gpu,
            up: Err(down),
            readings,
            parts: history.instances.iter().map(nothing_of).collect(),
            xids: Arc::clone(&history.xids),
            xids_in_window: self.xids_in_window(history),
            clock_events: std::array::from_fn(|_| ClockEvent::default()),
            extents: Vec::new(),
            health: Vec::new(),
            calls: Arc::default(),
            last_success: history.last_success,
            pass_duration: None,
            errors: Arc::clone(&history.errors),
        }
    }

    /// Whether a GPU answers.
    fn state(&mut self, gpu: &GpuBoard) -> Result<(), Down> {
        if !gpu.listed {
            let address = gpu.identity.as_deref().and_then(|identity| identity.pci_bus_id.as_ref());
            let is_on_bus = address.is_some_and(|address| self.on_bus.contains(address));
            return Err(if is_on_bus { Down::NotInitialized } else { Down::Missing });
        }
        let settings = &self.shared.settings;
        let Some(main) = gpu.main_lane() else { return Err(Down::Starting) };
        if !main.has_thread {
            return Err(Down::NoThread);
        }
        // Ticks between two intervals are a bonus: it is the interval that a GPU has to keep.
        let cadence = settings.interval.max(main.cadence);
        if let Some(since) = main.busy.since() {
            self.expires(since + settings.pass_deadline(cadence), Down::Late)?;
        }
        if let Some(reason) = main.down {
            return Err(reason.into());
        }
        let last_ok = main.last_ok.ok_or(Down::Starting)?;
        self.expires(last_ok + settings.late_after(cadence), Down::Late)
    }

    /// Whether silence means that no XID has happened: the kernel's log is followed, or a reader
    /// waits for events and is not stuck in it.
    fn note_listening(&mut self, gpu: &mut GpuBoard) {
        let is_listening = match self.xid_authority {
            XidAuthority::KernelLog => {
                gpu.identity.as_deref().is_some_and(|identity| identity.pci_bus_id.is_some())
            }
            XidAuthority::Events => {
                gpu.lanes.iter().find(|lane| lane.delivers_xids).is_some_and(|lane| {
                    let since = lane.busy.since().or(lane.last_ok).unwrap_or(self.now);
                    self.expires(since + 2 * LISTENING, ()).is_ok()
                })
            }
        };
        let history = &mut gpu.history;
        if history.xids.listening != is_listening {
            Arc::make_mut(&mut history.xids).listening = is_listening;
        }
    }

    fn readings(&mut self, gpu: &GpuBoard, view: &GpuView) -> Vec<Reading> {
        let mut readings = vec![Err(Reason::NotServed); self.plan.watches.len()];
        for lane in &gpu.lanes {
            let Some(own) = lane.parts.first() else { continue };
            for (slot, index, _) in own.part.iter() {
                readings[index.0] = self.reading(lane, &own.part, slot);
            }
        }
        for (index, watch) in WatchIndex::enumerate(&self.plan.watches) {
            if watch.field == field::XID_ERRORS {
                let code = |xid: Xid| Ok(Value::Int(i64::from(xid.code)));
                readings[index.0] = view.last_xid().map_or(Err(Reason::NoData), code);
            }
        }
        readings
    }

    /// Links, peers and instances of a GPU, or what belongs to none, in order.
    fn parts(&mut self, gpu: &GpuBoard) -> Vec<PartView> {
        let mut parts = Vec::new();
        for lane in &gpu.lanes {
            for kept in lane.parts.iter().filter(|kept| kept.part.entity != Entity::Gpu) {
                let slots = kept.part.slots();
                parts.push(PartView {
                    entity: kept.part.entity.clone(),
                    watches: Arc::clone(&kept.part.watches),
                    readings: slots.map(|slot| self.reading(lane, &kept.part, slot)).collect(),
                });
            }
        }
        parts.sort_by(|one, other| one.entity.cmp(&other.entity));
        parts
    }

    /// The reading of a slot, unless it is too old.
    fn reading(&mut self, lane: &LaneBoard, part: &Part, slot: SlotIndex) -> Reading {
        if let Some(reason) = lane.down {
            return Err(reason);
        }
        let settings = &self.shared.settings;
        let read = part.at(slot);
        let value = read.reading.as_ref().map_err(|reason| *reason)?;
        let at = read.at.ok_or(Reason::NoData)?;
        let own = self.plan.watches[part.watches[slot.0]].pace.period(settings.interval);
        let period = part.slower.get(&slot).map_or(own, |slower| own.max(*slower));
        let late_after = settings.late_after(self.in_ticks(period).max(lane.cadence));
        self.expires(at + late_after, Reason::Late).map(|()| value.clone())
    }

    /// A period as passes can keep it: they begin at ticks.
    fn in_ticks(&self, period: Duration) -> Duration {
        let tick = self.plan.tick.as_nanos().max(1);
        let ticks = u32::try_from(period.as_nanos().div_ceil(tick)).unwrap_or(u32::MAX);
        self.plan.tick.saturating_mul(ticks)
    }

    /// Remembers the labels of a GPU that is up, and its instances, to show them while it is down.
    fn keep_labels(&self, gpu: &mut GpuBoard, view: &GpuView) {
        let instances = view.parts.iter().filter_map(|part| match &part.entity {
            Entity::Instance(instance) => Some(instance),
            _ => None,
        });
        if !instances.clone().eq(&gpu.history.instances) {
            let now = instances.map(Arc::clone).collect();
            let before = std::mem::replace(&mut gpu.history.instances, now);
            // One that is made under a number that was used has not had the XIDs of the one before.
            let now = &gpu.history.instances;
            let has =
                |all: &[Arc<Instance>], number| all.iter().any(|it| it.gpu_instance == number);
            let stayed = |number| has(&before, number) && has(now, number);
            if !gpu.history.xids.last_of_instances.keys().all(|number| stayed(*number)) {
                Arc::make_mut(&mut gpu.history.xids).retain_instances(stayed);
            }
        }
        gpu.history.labels.clear();
        let is_label = |(_, watch): &(WatchIndex, &Watch)| watch.kind == Kind::Label;
        for (index, _) in WatchIndex::enumerate(&self.plan.watches).filter(is_label) {
            if let Some(Ok(value)) = view.reading(index) {
                gpu.history.labels.push((index, value.clone()));
            }
        }
    }

    /// What follows from the readings of a GPU that is up, and from those before.
    fn derive(&self, history: &mut History, view: &mut GpuView) {
        let elapsed = self.now.saturating_duration_since(self.shared.epoch);
        let read = |field: FieldId| view.readings.get(self.plan.positions.get(&field)?.0);
        if let Some(events) = &mut history.clock_events {
            view.clock_events = events.view(elapsed, read);
        }
        if self.shared.judges_health {
            let period = Pace::Slow.period(self.shared.settings.interval);
            let is_good = |at: &Moment| self.now.saturating_duration_since(*at) <= 2 * period;
            let judged = history.health.as_ref().filter(|(at, _)| is_good(at));
            view.health = judged.map(|(_, health)| health.clone()).unwrap_or_default();
        } else if self.plan.assesses_health() {
            let (trends, xids) = (&history.trends, &*history.xids);
            view.health = health::assess(&Patient { read, trends, xids, now: self.now });
        }
        view.calls = Arc::clone(&history.calls);
        let extent = |quantity: Quantity| {
            let held = history.extents.get(&quantity)?.window.summary(elapsed)?;
            let (min, mean, max) = (held.min, held.mean, held.max);
            Some(Extent { quantity, min, mean, max, from_driver: held.from_driver })
        };
        view.extents = self.plan.quantities.iter().copied().filter_map(extent).collect();
    }

    fn xids_in_window(&self, history: &History) -> Vec<(u32, u64)> {
        let elapsed = self.now.saturating_duration_since(self.shared.epoch);
        let counts = history.xid_window.as_ref().map(|counts| counts.at(elapsed));
        counts.into_iter().flatten().collect()
    }
}

/// An instance of a GPU that is down: it has its XIDs still.
fn nothing_of(instance: &Arc<Instance>) -> PartView {
    let entity = Entity::Instance(Arc::clone(instance));
    PartView { entity, watches: Arc::default(), readings: Vec::new() }
}

/// The reason that the readings of a GPU that is down carry.
fn reason(down: Down) -> Reason {
    match down {
        Down::Late => Reason::Late,
        Down::Lost | Down::Missing | Down::NotInitialized => Reason::Lost,
        Down::NotPermitted => Reason::NotPermitted,
        Down::Failed => Reason::Failed,
        Down::Starting | Down::SourceDown | Down::NoThread => Reason::NoData,
    }
}

#[cfg(test)]
mod tests {
    use model::{FieldId, Identity, ReaderKind, TimedReading, XidEvent};

    use super::*;
    use crate::Settings;
    use crate::board::{Busy, LanePart};

    const FAST: WatchIndex = WatchIndex(0);
    const SLOW: WatchIndex = WatchIndex(1);
    const XID: WatchIndex = WatchIndex(2);

    /// One GPU whose main lane has read both of its watches once, at `at`.
    struct Scene {
        shared: Shared,
        at: Moment,
    }

    impl Scene {
        fn new(interval: Duration) -> Self {
            let watch = |id, pace| Watch {
                field: FieldId(id),
                name: "name".into(),
                kind: Kind::Gauge,
                help: "help".into(),
                pace,
                cumulative: false,
            };
            let watches =
                [watch(150, Pace::Every), watch(310, Pace::Slow), watch(230, Pace::Every)];
            let settings = Settings::new(interval);
            let shared = Shared::new("test", Arc::new(watches), settings);
            let at = shared.epoch + Duration::from_secs(1);
            let lane = |kind, watches: &[WatchIndex]| LaneBoard {
                id: 1,
                name: if kind == ReaderKind::Main { "main" } else { "events" },
                kind,
                parts: vec![filled(watches, at)],
                down: None,
                last_ok: Some(at),
                busy: Arc::new(Busy::new(shared.epoch)),
                cadence: interval,
                delivers_xids: kind == ReaderKind::Events,
                detained: false,
                has_thread: true,
            };
            let lanes =
                vec![lane(ReaderKind::Main, &[FAST, SLOW]), lane(ReaderKind::Events, &[XID])];
            let mut board = shared.board();
            board.source.up = Ok(());
            let gpu = board.gpu(0);
            gpu.listed = true;
            gpu.lanes = lanes;
            drop(board);
            Self { shared, at }
        }

        fn after(&self, millis: u64) -> Snapshot {
            let mut board = self.shared.board();
            self.shared.compose(&mut board, self.at + Duration::from_millis(millis))
        }

        fn with(self, change: impl FnOnce(&mut GpuBoard)) -> Self {
            change(self.shared.board().gpu(0));
            self
        }
    }

    const SECOND: Duration = Duration::from_secs(1);

    fn filled(watches: &[WatchIndex], at: Moment) -> LanePart {
        let mut kept = LanePart::new(Entity::Gpu, &Arc::from(watches));
        let read = TimedReading { reading: Ok(Value::Int(61)), at: Some(at) };
        kept.part.readings.fill(read);
        kept
    }

    fn xid(code: u32) -> XidEvent {
        let xid = Xid { code, message: "?", class: "?", action: "?", critical: false };
        XidEvent { xid, instance: None, before: None }
    }

    #[test]
    fn a_reading_lives_for_two_of_its_intervals() {
        let scene = Scene::new(SECOND);
        assert_eq!(scene.after(2000).gpus[0].readings[FAST.0], Ok(Value::Int(61)));
        let late = scene.after(2001);
        assert_eq!(late.gpus[0].up, Err(Down::Late));
        assert_eq!(late.gpus[0].readings[FAST.0], Err(Reason::Late));
        assert_eq!(late.gpus[0].readings[SLOW.0], Err(Reason::Late), "a GPU is down as a whole");
    }

    #[test]
    fn a_slow_reading_lives_for_two_slow_intervals() {
        let scene = Scene::new(SECOND);
        let pass = |millis| {
            let at = scene.at + Duration::from_millis(millis);
            let mut board = scene.shared.board();
            let main = &mut board.gpu(0).lanes[0];
            main.parts[0].part.at_mut(SlotIndex(FAST.0)).at = Some(at);
            main.last_ok = Some(at);
        };
        pass(20_000);
        assert_eq!(scene.after(20_000).gpus[0].readings[SLOW.0], Ok(Value::Int(61)));
        assert_eq!(scene.after(20_001).gpus[0].readings[SLOW.0], Err(Reason::Late));
        assert_eq!(scene.after(20_001).gpus[0].readings[FAST.0], Ok(Value::Int(61)));
    }

    #[test]
    fn what_is_read_more_seldom_lives_longer() {
        let scene = Scene::new(SECOND).with(|gpu| {
            gpu.lanes[0].parts[0].part.slower.insert(SlotIndex(FAST.0), 10 * SECOND);
        });
        scene.shared.board().gpu(0).lanes[0].last_ok = Some(scene.at + 20 * SECOND);
        assert_eq!(scene.after(20_000).gpus[0].readings[FAST.0], Ok(Value::Int(61)));
        assert_eq!(scene.after(20_001).gpus[0].readings[FAST.0], Err(Reason::Late));
    }

    #[test]
    fn parts_come_with_their_gpu_and_grow_late_with_their_watches() {
        let scene = Scene::new(SECOND).with(|gpu| {
            let lane = &mut gpu.lanes[0];
            for link in [1, 0] {
                let mut part = filled(&[FAST, SLOW], lane.last_ok.unwrap());
                part.part.entity = Entity::Link(link);
                lane.parts.push(part);
            }
        });
        let snapshot = scene.after(0);
        let entities: Vec<&Entity> = snapshot.gpus[0].parts.iter().map(|p| &p.entity).collect();
        assert_eq!(entities, [&Entity::Link(0), &Entity::Link(1)]);
        assert_eq!(snapshot.gpus[0].parts[0].reading(FAST), Some(&Ok(Value::Int(61))));
        assert!(scene.after(2001).gpus[0].parts.is_empty(), "its GPU is down");
        scene.shared.board().gpu(0).lanes[0].last_ok = Some(scene.at + 5 * SECOND);
        let later = scene.after(5000);
        assert_eq!(later.gpus[0].parts[0].reading(FAST), Some(&Err(Reason::Late)));
        assert_eq!(later.gpus[0].parts[0].reading(SLOW), Some(&Ok(Value::Int(61))));
    }

    #[test]
    fn silence_is_known_of_a_gpu_that_the_source_of_xids_tells_apart() {
        let scene = Scene::new(SECOND).with(|gpu| gpu.lanes[1].delivers_xids = false);
        let listening = |scene: &Scene| scene.after(0).gpus[0].xids.listening;
        assert!(!listening(&scene));
        assert_eq!(scene.after(0).xid_source, None);
        scene.shared.board().gpu(0).lanes[1].delivers_xids = true;
        assert!(listening(&scene));
        scene.shared.board().xid_authority = XidAuthority::KernelLog;
        assert!(!listening(&scene), "lines of the log have a PCI address");
        let identity = Identity { index: Some(0), ..on_bus("0A") };
        scene.shared.board().identify(0, Arc::new(identity));
        assert!(listening(&scene));
        assert_eq!(scene.after(0).xid_source, Some(XidSource::KernelLog));
    }

    fn on_bus(bus: &str) -> Identity {
        let pci_bus_id = Some(format!("00000000:{bus}:00.0"));
        Identity { uuid: Some(format!("GPU-{bus}")), pci_bus_id, ..Identity::default() }
    }

    /// The index, the bus and the state of each GPU.
    fn states(snapshot: &Snapshot) -> Vec<(Option<u32>, &'static str, Option<Down>)> {
        let bus = |view: &GpuView| {
            let uuid = view.gpu.identity.as_ref().and_then(|identity| identity.uuid.as_deref());
            ["A", "B"].into_iter().find(|bus| uuid.is_some_and(|uuid| uuid.ends_with(bus)))
        };
        let state = |view: &GpuView| (view.gpu.index, bus(view).unwrap_or("?"), view.up.err());
        snapshot.gpus.iter().map(state).collect()
    }

    #[test]
    fn a_gpu_that_was_lost_before_the_start_is_known_by_its_place() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        board.gpu(1).list(true);
        board.listed = 2;
        drop(board);
        scene.shared.note_bus(vec![on_bus("0B")]);
        assert_eq!(states(&scene.after(0))[1], (Some(1), "?", Some(Down::Starting)), "not sure");
        scene.shared.board().identify(0, Arc::new(Identity { index: Some(0), ..on_bus("0A") }));
        scene.shared.note_bus(vec![on_bus("0B"), on_bus("0A")]);
        assert_eq!(states(&scene.after(0))[1], (Some(1), "B", Some(Down::Starting)));
    }

    #[test]
    fn a_gpu_that_the_driver_does_not_list_is_shown_once_that_is_certain() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        board.listed = 1;
        board.identify(0, Arc::new(Identity { index: Some(0), ..on_bus("0A") }));
        let now = Moment::now();
        let both = || vec![on_bus("0A"), on_bus("0B")];
        assert!(board.note_bus(both(), true, now));
        drop(board);
        assert_eq!(scene.after(0).gpus.len(), 1, "it may be about to be listed");
        scene.shared.board().note_bus(both(), true, now + 9 * SECOND);
        let not_initialized = (None, "B", Some(Down::NotInitialized));
        assert_eq!(states(&scene.after(0))[1], not_initialized);
        // Its XIDs are its own, and go with it once it is listed.
        let mut board = scene.shared.board();
        let history = &mut board.unlisted[0].history;
        Arc::make_mut(&mut history.xids).record(xid(79), None);
        board.gpu(1).list(true);
        board.identify(1, Arc::new(Identity { index: Some(1), ..on_bus("0B") }));
        drop(board);
        let snapshot = scene.after(0);
        assert_eq!(states(&snapshot)[1..], [(Some(1), "B", Some(Down::Starting))]);
        assert_eq!(snapshot.gpus[1].xids.last.unwrap().code, 79);
        // One that is not listed any more is missing only if it is not on the bus either.
        let mut board = scene.shared.board();
        board.gpu(1).list(false);
        board.listed = 1;
        board.note_bus(both(), true, now + 20 * SECOND);
        drop(board);
        assert_eq!(states(&scene.after(0))[1..], [(Some(1), "B", Some(Down::NotInitialized))]);
        scene.shared.board().note_bus(vec![on_bus("0A")], true, now + 25 * SECOND);
        assert_eq!(states(&scene.after(0))[1..], [(Some(1), "B", Some(Down::Missing))]);
    }

    #[test]
    fn a_gpu_that_is_missing_can_be_forgotten() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        board.identify(0, identity(0, "GPU-a"));
        board.identify(0, identity(0, "GPU-b"));
        board.gpu(1).list(true);
        board.identify(1, identity(1, "GPU-c"));
        board.gpu(1).list(false);
        drop(board);
        assert_eq!(scene.after(0).gpus.len(), 3);
        scene.shared.forget_missing(3600 * SECOND);
        assert_eq!(scene.after(0).gpus.len(), 3, "not yet");
        scene.shared.forget_missing(Duration::ZERO);
        assert_eq!(scene.after(0).gpus.len(), 1);
        // One that was asked for by number is awaited for ever.
        let mut scene = Scene::new(SECOND);
        scene.shared.settings.gpus = crate::Selection::Only(vec![0, 7]);
        let mut board = scene.shared.board();
        board.gpu(7).list(false);
        drop(board);
        scene.shared.forget_missing(Duration::ZERO);
        assert_eq!(scene.after(0).gpus.len(), 2);
    }

    #[test]
    fn an_instance_that_is_made_again_has_not_had_the_xids_of_the_one_before() {
        let instance = |number: u32| {
            Arc::new(Instance {
                gpu_instance: number,
                compute_instance: None,
                number,
                profile: "1g.10gb".into(),
            })
        };
        let scene = Scene::new(SECOND);
        let at = scene.at;
        let show = |numbers: &[u32]| {
            let mut board = scene.shared.board();
            let lane = &mut board.gpu(0).lanes[0];
            lane.parts.truncate(1);
            for number in numbers {
                let mut part = filled(&[FAST], at);
                part.part.entity = Entity::Instance(instance(*number));
                lane.parts.push(part);
            }
            drop(board);
            scene.after(0)
        };
        show(&[3, 4]);
        let of = |code, instance| XidEvent { instance: Some(instance), ..xid(code) };
        let mut board = scene.shared.board();
        let log = Arc::make_mut(&mut board.gpu(0).history.xids);
        log.record(of(43, 3), None);
        log.record(of(31, 4), None);
        drop(board);
        let last = |snapshot: &Snapshot, number| {
            snapshot.gpus[0].last_xid_of(&instance(number)).map(|xid| xid.code)
        };
        assert_eq!(last(&show(&[3, 4]), 3), Some(43));
        show(&[4]);
        let again = show(&[3, 4]);
        assert_eq!((last(&again, 3), last(&again, 4)), (Some(0), Some(31)));
        assert_eq!(again.gpus[0].xids.counts[&43].count, 1);
    }

    #[test]
    fn a_snapshot_knows_until_when_it_is_good() {
        let scene = Scene::new(SECOND);
        assert_eq!(scene.after(0).good_until, scene.at + 2 * SECOND);
        let scene = Scene::new(30 * SECOND).with(|gpu| {
            let busy = &gpu.lanes[0].busy;
            busy.begin(gpu.lanes[0].last_ok.unwrap() + 30 * SECOND);
        });
        assert_eq!(scene.after(30_000).good_until, scene.at + 35 * SECOND);
        assert_eq!(
            scene.after(35_001).gpus[0].up,
            Err(Down::Late),
            "a long interval hides no hang"
        );
    }

    #[test]
    fn short_intervals_do_not_flicker() {
        let scene = Scene::new(Duration::from_millis(50));
        assert!(scene.after(1000).gpus[0].up.is_ok());
        assert_eq!(scene.after(1001).gpus[0].up, Err(Down::Late));
    }

    #[test]
    fn why_a_gpu_is_down() {
        let lost = Scene::new(SECOND).with(|gpu| gpu.lanes[0].down = Some(Reason::Lost));
        assert_eq!(lost.after(0).gpus[0].up, Err(Down::Lost));
        assert_eq!(lost.after(0).gpus[0].readings[FAST.0], Err(Reason::Lost));
        let missing = Scene::new(SECOND).with(|gpu| gpu.listed = false);
        assert_eq!(missing.after(0).gpus[0].up, Err(Down::Missing));
        let fresh = Scene::new(SECOND).with(|gpu| gpu.lanes[0].last_ok = None);
        assert_eq!(fresh.after(0).gpus[0].up, Err(Down::Starting));
        let closed = Scene::new(SECOND);
        closed.shared.board().source.up = Err("gone".to_owned());
        assert_eq!(closed.after(0).gpus[0].up, Err(Down::SourceDown));
    }

    #[test]
    fn a_lane_aside_that_fails_costs_its_own_watches() {
        let scene = Scene::new(SECOND).with(|gpu| {
            gpu.lanes[1].kind = ReaderKind::Background;
            let at = gpu.lanes[0].last_ok.unwrap();
            gpu.lanes[1].parts = vec![filled(&[SLOW], at)];
            gpu.lanes[0].parts = vec![filled(&[FAST, XID], at)];
            gpu.lanes[1].down = Some(Reason::Failed);
        });
        let snapshot = scene.after(0);
        assert!(snapshot.gpus[0].up.is_ok());
        assert_eq!(snapshot.gpus[0].readings[SLOW.0], Err(Reason::Failed));
        assert_eq!(snapshot.gpus[0].readings[FAST.0], Ok(Value::Int(61)));
    }

    #[test]
    fn silence_is_zero_only_while_somebody_listens() {
        let scene = Scene::new(SECOND);
        let reading = |scene: &Scene, millis| scene.after(millis).gpus[0].readings[XID.0].clone();
        assert_eq!(reading(&scene, 0), Ok(Value::Int(0)));
        let deaf = Scene::new(SECOND).with(|gpu| gpu.lanes[1].delivers_xids = false);
        assert_eq!(reading(&deaf, 0), Err(Reason::NoData));
        let stuck = Scene::new(SECOND).with(|gpu| {
            let since = gpu.lanes[1].last_ok.unwrap();
            gpu.lanes[1].busy.begin(since);
            gpu.lanes[0].last_ok = Some(since + 10 * SECOND);
        });
        assert_eq!(reading(&stuck, 2000), Ok(Value::Int(0)));
        assert_eq!(reading(&stuck, 2001), Err(Reason::NoData), "XIDs are no longer delivered");
    }

    #[test]
    fn an_xid_outlives_its_gpu_and_so_do_the_labels_of_its_series() {
        let scene = Scene::new(SECOND).with(|gpu| {
            Arc::make_mut(&mut gpu.history.xids).record(xid(79), None);
        });
        let mut watches = scene.shared.board().plan.watches.to_vec();
        watches[SLOW.0].kind = Kind::Label;
        let plan = Plan::new(watches.into(), &scene.shared.settings);
        scene.shared.board().plan = Arc::new(plan);
        assert_eq!(scene.after(0).gpus[0].readings[XID.0], Ok(Value::Int(79)));
        let down = &scene.after(2001).gpus[0];
        assert!(down.up.is_err());
        assert_eq!(down.last_xid().map(|xid| xid.code), Some(79));
        assert_eq!(down.readings[SLOW.0], Ok(Value::Int(61)), "a label stays");
        assert_eq!(down.readings[FAST.0], Err(Reason::Late));
    }

    #[test]
    fn passes_longer_than_the_interval_are_not_late_by_nature() {
        let scene = Scene::new(SECOND).with(|gpu| gpu.lanes[0].cadence = 2 * SECOND);
        assert!(scene.after(4000).gpus[0].up.is_ok());
        assert_eq!(scene.after(4001).gpus[0].up, Err(Down::Late));
    }

    #[test]
    fn a_pass_that_is_longer_than_the_interval_skips_ticks_but_a_hang_is_no_cadence() {
        let settings = Scene::new(SECOND).shared.settings;
        assert_eq!(settings.cadence(SECOND, SECOND / 5), SECOND);
        assert_eq!(settings.cadence(SECOND, SECOND * 6 / 5), 2 * SECOND);
        assert_eq!(settings.cadence(SECOND, 3600 * SECOND), 5 * SECOND);
        assert_eq!(settings.pass_deadline(2 * SECOND), 4 * SECOND);
    }

    #[test]
    fn what_was_heard_before_a_gpu_was_known_is_its_own() {
        let scene = Scene::new(SECOND).with(|gpu| {
            Arc::make_mut(&mut gpu.history.xids).record(xid(79), None);
        });
        scene.shared.board().identify(0, identity(0, "GPU-a"));
        assert_eq!(scene.after(0).gpus[0].xids.counts[&79].count, 1);
    }

    #[test]
    fn a_lane_that_is_still_inside_the_driver_has_no_place_at_another_gpu() {
        let scene = Scene::new(SECOND).with(|gpu| gpu.lanes[1].detained = true);
        let mut board = scene.shared.board();
        board.identify(0, identity(0, "GPU-a"));
        assert_eq!(board.gpu(0).lanes.len(), 2, "its own GPU");
        board.identify(0, identity(0, "GPU-b"));
        assert_eq!(board.gpu(0).lanes.len(), 1);
    }

    #[test]
    fn another_plan_makes_no_gap() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        let mut watches: Vec<Watch> = board.plan.watches.to_vec();
        watches.reverse();
        let other = Watch { field: FieldId(203), ..watches[0].clone() };
        watches.push(other);
        let plan = Arc::new(Plan::new(watches.into(), &scene.shared.settings));
        board.replan(&plan);
        drop(board);
        let snapshot = scene.after(0);
        let readings = &snapshot.gpus[0].readings;
        assert_eq!(
            readings[..],
            [Ok(Value::Int(0)), Ok(Value::Int(61)), Ok(Value::Int(61)), Err(Reason::NotServed)]
        );
        assert_eq!(scene.after(2001).gpus[0].readings[1], Err(Reason::Late), "it is not fresher");
    }

    fn identity(index: u32, uuid: &str) -> Arc<Identity> {
        let uuid = Some(uuid.to_owned());
        Arc::new(Identity { index: Some(index), uuid, ..Identity::default() })
    }

    #[test]
    fn a_gpu_that_another_one_replaced_is_remembered_as_missing() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        board.identify(0, identity(0, "GPU-a"));
        board.identify(0, identity(0, "GPU-b"));
        drop(board);
        let snapshot = scene.after(0);
        assert_eq!(snapshot.gpus.len(), 2);
        assert_eq!(snapshot.gpus[1].up, Err(Down::Missing));
        assert_eq!(snapshot.gpus[1].gpu.identity.as_ref().unwrap().uuid.as_deref(), Some("GPU-a"));
        let mut board = scene.shared.board();
        board.gpu(1).listed = true;
        board.identify(1, identity(1, "GPU-a"));
        drop(board);
        let uuids = |snapshot: &Snapshot| -> Vec<String> {
            let identities = snapshot.gpus.iter().filter_map(|view| view.gpu.identity.clone());
            identities.filter_map(|identity| identity.uuid.clone()).collect()
        };
        assert_eq!(uuids(&scene.after(0)), ["GPU-b", "GPU-a"], "it is back, under a new index");
    }

    #[test]
    fn what_is_known_of_a_gpu_moves_with_it() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        for (index, uuid) in [(0, "GPU-a"), (1, "GPU-b"), (2, "GPU-c")] {
            board.gpu(index).listed = true;
            board.identify(index, identity(index, uuid));
            let log = &mut board.gpu(index).history.xids;
            Arc::make_mut(log).record(xid(10 + index), None);
        }
        // GPU-a was taken out: the others move up, in whatever order they answer.
        board.gpu(2).listed = false;
        board.identify(1, identity(1, "GPU-c"));
        board.identify(0, identity(0, "GPU-b"));
        board.forget_empty_places(|_| false);
        drop(board);
        let snapshot = scene.after(0);
        let known: Vec<(u32, &str, u32)> = snapshot
            .gpus
            .iter()
            .map(|view| {
                let identity = view.gpu.identity.as_ref().unwrap();
                (
                    view.gpu.index.unwrap(),
                    identity.uuid.as_deref().unwrap(),
                    view.xids.last.unwrap().code,
                )
            })
            .collect();
        assert_eq!(known, [(0, "GPU-b", 11), (1, "GPU-c", 12), (0, "GPU-a", 10)]);
        assert_eq!(snapshot.gpus[2].up, Err(Down::Missing));
        let shown = &snapshot.gpus[0].readings[FAST.0];
        assert!(shown.is_err(), "what was read of another GPU");
    }

    #[test]
    fn gpus_that_are_gone_take_bounded_room() {
        let scene = Scene::new(SECOND);
        let mut board = scene.shared.board();
        for serial in 0..1000 {
            board.identify(0, identity(0, &format!("GPU-{serial}")));
        }
        assert!(board.former.len() <= 64);
    }
}
