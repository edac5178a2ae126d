//! Where lanes leave what they read, and where the supervisor finds it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::fmt;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, OnceLock, PoisonError};
use std::thread::Thread;
use std::time::{Duration, SystemTime};

use arc_swap::ArcSwap;
use model::{
    Down, DriverEvent, DriverLog, Entity, FieldId, Health, Identity, Instance, Kind, Moment, Part,
    Process, Quantity, Reader, ReaderKind, Reason, SlotIndex, Snapshot, SourceView, Value, Watch,
    WatchIndex, XidCount, XidLog, field,
};

use crate::clock_events::{self, ClockEvents};
use crate::growth::Growth;
use crate::health::Trends;
use crate::plan::{self, Plan};
use crate::process;
use crate::rolling::{Counts, Extents};
use crate::{Selection, Settings};

/// What all threads of one sampler share.
pub(crate) struct Shared {
    pub(crate) settings: Settings,
    /// Whether the source itself judges how GPUs are.
    pub(crate) judges_health: bool,
    /// What to say when all GPUs are late.
    pub(crate) when_all_are_late: Option<&'static str>,
    /// Ticks are counted from here, so that all lanes read at the same moments.
    pub(crate) epoch: Moment,
    pub(crate) board: Mutex<Board>,
    /// Wakes the supervisor.
    pub(crate) wake: Condvar,
    /// The thread that follows the kernel's log, which an event wakes.
    pub(crate) log_thread: OnceLock<Thread>,
    /// Threads that are parked, to be woken at the end.
    pub(crate) sleepers: Mutex<Vec<Thread>>,
    pub(crate) current: ArcSwap<Snapshot>,
}

/// All that is known, fresh or not.
pub(crate) struct Board {
    /// What is read.
    pub(crate) plan: Arc<Plan>,
    pub(crate) source: SourceView,
    /// Since when the keeper has been inside the source, opening it.
    pub(crate) connecting: Option<Moment>,
    pub(crate) gpus: Vec<GpuBoard>,
    /// What belongs to no GPU.
    pub(crate) machine: GpuBoard,
    /// How many GPUs the session lists, and when it began.
    pub(crate) listed: usize,
    pub(crate) session_began: Option<Moment>,
    /// GPUs that were there once, and whose index another one has now.
    pub(crate) former: Vec<Absent>,
    /// GPUs that are on the bus, and that the driver does not list.
    pub(crate) unlisted: Vec<Absent>,
    /// GPUs on the bus, by PCI address, of which it is not known yet whether the driver will list
    /// them, each with when it was first seen.
    unsettled: BTreeMap<String, Moment>,
    /// The PCI addresses on the bus, as it was last looked at.
    pub(crate) on_bus: Arc<BTreeSet<String>>,
    pub(crate) xid_authority: XidAuthority,
    /// Whether events were counted before the kernel's log was open.
    pub(crate) log_is_late: bool,
    /// What the kernel's log says beside XIDs; none until it is read.
    pub(crate) driver_log: Option<Arc<DriverLog>>,
    /// What it said last, the newest last.
    pub(crate) driver_events: VecDeque<DriverEvent>,
    /// How often reader threads were started again, or could not be started.
    pub(crate) reader_restarts: u64,
    pub(crate) process: Process,
    pub(crate) process_read: Moment,
    /// Whether there is something that no snapshot shows yet.
    pub(crate) dirty: bool,
    /// Whether that should not wait for the next tick.
    pub(crate) urgent: bool,
    pub(crate) stopping: bool,
    /// How many lanes of earlier sessions are still inside the driver.
    pub(crate) detained: usize,
}

/// Which source of XIDs counts.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum XidAuthority {
    /// The kernel's log.
    KernelLog,
    /// The events that readers wait for.
    Events,
}

/// A GPU that has no place among those that the driver lists.
#[derive(Clone)]
pub(crate) struct Absent {
    pub(crate) identity: Arc<Identity>,
    pub(crate) history: History,
    /// Since when.
    pub(crate) since: Moment,
}

/// Whose readings a lane brings.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Place {
    /// The GPU with this index.
    Gpu(u32),
    /// What belongs to no GPU.
    Machine,
}

impl Place {
    /// The index of the GPU, if it is one.
    pub(crate) fn gpu(self) -> Option<u32> {
        match self {
            Self::Gpu(index) => Some(index),
            Self::Machine => None,
        }
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(index) => write!(f, "gpu {index}"),
            Self::Machine => f.write_str("machine"),
        }
    }
}

/// One GPU, or all that belongs to none.
pub(crate) struct GpuBoard {
    pub(crate) index: u32,
    pub(crate) identity: Option<Arc<Identity>>,
    /// Whether the session lists it.
    pub(crate) listed: bool,
    /// Since when it is not listed any more.
    pub(crate) missing_since: Option<Moment>,
    pub(crate) lanes: Vec<LaneBoard>,
    pub(crate) history: History,
    pub(crate) pass_duration: Option<Duration>,
    /// What the last snapshot shows.
    pub(crate) state: Result<(), Down>,
    /// What the log says, so that a change is said once.
    pub(crate) said: Option<Result<(), Down>>,
}

/// What is remembered of a GPU. It belongs to the GPU, not to its index.
#[derive(Clone, Default)]
pub(crate) struct History {
    pub(crate) last_success: Option<SystemTime>,
    pub(crate) errors: Arc<BTreeMap<(FieldId, Reason), u64>>,
    pub(crate) xids: Arc<XidLog>,
    /// The label watches' last values, by position.
    pub(crate) labels: Vec<(WatchIndex, Value)>,
    /// Its instances, when it was last up.
    pub(crate) instances: Vec<Arc<Instance>>,
    /// Its XIDs of late, by code.
    pub(crate) xid_window: Option<Counts>,
    pub(crate) clock_events: Option<ClockEvents>,
    pub(crate) extents: BTreeMap<Quantity, Extent>,
    /// What its counters were of late.
    pub(crate) trends: Trends,
    /// How its subsystems are as the driver judges, and when it did.
    pub(crate) health: Option<(Moment, Vec<Health>)>,
    /// How long each kind of driver call took the last time.
    pub(crate) calls: Arc<BTreeMap<&'static str, Duration>>,
}

/// One quantity between scrapes.
#[derive(Clone)]
pub(crate) struct Extent {
    pub(crate) window: Extents,
    /// When the driver last had samples of its own; as long as it has, none are polled.
    pub(crate) from_driver: Option<Moment>,
}

impl History {
    /// Counts an XID that has been recorded in the window of its kind.
    pub(crate) fn count_in_window(&mut self, code: u32, window: Duration, elapsed: Duration) {
        let known = self.xids.counts.contains_key(&code);
        let counts = self.xid_window.get_or_insert_with(|| Counts::new(window));
        counts.add(elapsed, if known { code } else { XidLog::OTHER });
    }

    /// Adds what came before it.
    fn after(mut self, earlier: Self) -> Self {
        if !earlier.xids.counts.is_empty() || !earlier.xids.link_faults.is_empty() {
            let earlier = &*earlier.xids;
            let log = Arc::make_mut(&mut self.xids);
            log.last = log.last.or(earlier.last);
            if log.last_of_gpu.is_none() {
                log.last_of_gpu = earlier.last_of_gpu;
                for (instance, xid) in &earlier.last_of_instances {
                    log.last_of_instances.entry(*instance).or_insert(*xid);
                }
            }
            for (code, of_code) in &earlier.counts {
                let none = XidCount { count: 0, last: None, ..*of_code };
                let entry = log.counts.entry(*code).or_insert(none);
                entry.count += of_code.count;
                entry.last = entry.last.or(of_code.last);
            }
            log.critical += earlier.critical;
            for (fault, count) in &earlier.link_faults {
                *log.link_faults.entry(fault.clone()).or_insert(0) += count;
            }
        }
        self.xid_window = self.xid_window.or(earlier.xid_window);
        if !earlier.errors.is_empty() {
            let errors = Arc::make_mut(&mut self.errors);
            for (what, count) in earlier.errors.iter() {
                *errors.entry(*what).or_insert(0) += count;
            }
        }
        self.last_success = self.last_success.max(earlier.last_success);
        self
    }
}

/// What one reader has read.
pub(crate) struct LaneBoard {
    /// Distinguishes the lanes of successive sessions: a late one may not write.
    pub(crate) id: u64,
    /// Distinguishes the lanes of one GPU.
    pub(crate) name: &'static str,
    pub(crate) kind: ReaderKind,
    /// What was read, of the GPU itself and of what belongs to it.
    pub(crate) parts: Vec<LanePart>,
    pub(crate) down: Option<Reason>,
    /// When the last complete pass began.
    pub(crate) last_ok: Option<Moment>,
    pub(crate) busy: Arc<Busy>,
    /// From one pass to the next: the tick, or, where passes take longer than that, the ticks that
    /// one takes.
    pub(crate) cadence: Duration,
    /// Whether XIDs are delivered to it.
    pub(crate) delivers_xids: bool,
    /// Whether its session is over while it is still inside the driver.
    pub(crate) detained: bool,
    /// Whether it has a thread, as it should.
    pub(crate) has_thread: bool,
}

/// What one reader has read of one entity.
pub(crate) struct LanePart {
    pub(crate) part: Part,
    /// By slot, of counters: what tells a reset from nonsense.
    pub(crate) growth: BTreeMap<SlotIndex, Growth>,
}

impl LanePart {
    pub(crate) fn new(entity: Entity, watches: &Arc<[WatchIndex]>) -> Self {
        Self { part: Part::new(entity, watches), growth: BTreeMap::new() }
    }
}

impl LaneBoard {
    pub(crate) fn new(id: u64, reader: &dyn Reader, busy: &Arc<Busy>, tick: Duration) -> Self {
        Self {
            id,
            name: reader.name(),
            kind: reader.kind(),
            parts: vec![LanePart::new(Entity::Gpu, &reader.watches())],
            down: None,
            last_ok: None,
            busy: Arc::clone(busy),
            cadence: tick,
            delivers_xids: false,
            detained: false,
            has_thread: true,
        }
    }

    /// Forgets all readings.
    pub(crate) fn clear(&mut self) {
        self.parts.truncate(1);
        for LanePart { part, growth } in &mut self.parts {
            *part = Part::new(part.entity.clone(), &part.watches);
            growth.clear();
        }
    }

    /// The part of an entity, added if it is new or has other watches than it had.
    pub(crate) fn part(&mut self, new: &Part) -> &mut LanePart {
        let known = self.parts.iter().position(|kept| kept.part.entity == new.entity);
        let place = known.unwrap_or(self.parts.len());
        match self.parts.get_mut(place) {
            None => self.parts.push(LanePart::new(new.entity.clone(), &new.watches)),
            Some(kept) if kept.part.watches != new.watches => {
                *kept = LanePart::new(new.entity.clone(), &new.watches);
            }
            Some(_) => {}
        }
        &mut self.parts[place]
    }
}

/// Since when a lane has been inside its reader, readable without a lock.
pub(crate) struct Busy {
    epoch: Moment,
    /// Microseconds since the epoch, plus one; 0 means idle.
    since: AtomicU64,
}

impl Busy {
    pub(crate) fn new(epoch: Moment) -> Self {
        Self { epoch, since: AtomicU64::new(0) }
    }

    pub(crate) fn begin(&self, now: Moment) {
        let micros = (now - self.epoch).as_micros() as u64;
        self.since.store(micros + 1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    pub(crate) fn since(&self) -> Option<Moment> {
        let micros = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.epoch + Duration::from_micros(micros))
    }
}

impl Shared {
    pub(crate) fn new(source: &'static str, watches: Arc<[Watch]>, settings: Settings) -> Self {
        let now = Moment::now();
        let source = SourceView {
            name: source,
            up: Err(SourceView::BEING_OPENED.to_owned()),
            driver_version: None,
            needs_restart: None,
        };
        let process = process::usage(settings.started);
        let snapshot = Snapshot {
            watches: Arc::clone(&watches),
            gpus: Vec::new(),
            machine: Vec::new(),
            source: source.clone(),
            xid_source: None,
            driver_log: None,
            reader_restarts: 0,
            process,
            windows: settings.windows,
            good_until: now,
        };
        let board = Board {
            plan: Arc::new(Plan::new(watches, &settings)),
            source,
            connecting: None,
            gpus: Vec::new(),
            machine: GpuBoard::new(0),
            listed: 0,
            session_began: None,
            former: Vec::new(),
            unlisted: Vec::new(),
            unsettled: BTreeMap::new(),
            on_bus: Arc::default(),
            xid_authority: XidAuthority::Events,
            log_is_late: false,
            driver_log: None,
            driver_events: VecDeque::new(),
            reader_restarts: 0,
            process,
            process_read: now,
            dirty: true,
            urgent: false,
            stopping: false,
            detained: 0,
        };
        Self {
            settings,
            judges_health: false,
            when_all_are_late: None,
            epoch: now,
            board: Mutex::new(board),
            wake: Condvar::new(),
            log_thread: OnceLock::new(),
            sleepers: Mutex::default(),
            current: ArcSwap::from_pointee(snapshot),
        }
    }

    /// The board. A lane that panicked has not left it half-written: a pass is published whole.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn sleepers(&self) -> MutexGuard<'_, Vec<Thread>> {
        self.sleepers.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes which GPUs are on the bus.
    pub(crate) fn note_bus(&self, gpus: Vec<Identity>) {
        let mut board = self.board();
        if board.note_bus(gpus, self.settings.gpus == Selection::All, Moment::now()) {
            board.dirty = true;
            board.urgent = true;
            drop(board);
            self.wake.notify_all();
        }
    }

    /// Forgets GPUs that have been missing for this long, unless they were asked for.
    pub(crate) fn forget_missing(&self, after: Duration) {
        let wanted = &self.settings.gpus;
        let is_asked_for = |index: u32| *wanted != Selection::All && wanted.includes(index);
        let mut board = self.board();
        if board.forget_missing(after, is_asked_for) {
            board.dirty = true;
        }
    }

    /// Marks the board as changed, and wakes the supervisor.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.board();
        change(&mut board);
        board.dirty = true;
        board.urgent = true;
        drop(board);
        self.wake.notify_all();
    }
}

impl Board {
    /// The GPU with this index, entered if it is new; the list stays sorted.
    pub(crate) fn gpu(&mut self, index: u32) -> &mut GpuBoard {
        let position = match self.gpus.binary_search_by_key(&index, |gpu| gpu.index) {
            Ok(position) => position,
            Err(position) => {
                self.gpus.insert(position, GpuBoard::new(index));
                position
            }
        };
        &mut self.gpus[position]
    }

    /// What is at this place, entered if it is new.
    pub(crate) fn enter(&mut self, place: Place) -> &mut GpuBoard {
        match place {
            Place::Gpu(index) => self.gpu(index),
            Place::Machine => &mut self.machine,
        }
    }

    /// What is at this place, if it has been entered.
    pub(crate) fn at(&mut self, place: Place) -> Option<&mut GpuBoard> {
        let Place::Gpu(index) = place else { return Some(&mut self.machine) };
        let position = self.gpus.binary_search_by_key(&index, |gpu| gpu.index).ok()?;
        Some(&mut self.gpus[position])
    }

    /// All lanes, each with its place.
    pub(crate) fn lanes_mut(&mut self) -> impl Iterator<Item = (Place, &mut LaneBoard)> {
        let of_gpus = self.gpus.iter_mut().flat_map(|gpu| {
            let place = Place::Gpu(gpu.index);
            gpu.lanes.iter_mut().map(move |lane| (place, lane))
        });
        of_gpus.chain(self.machine.lanes.iter_mut().map(|lane| (Place::Machine, lane)))
    }

    /// Notes what the GPU at `index` has turned out to be.
    ///
    /// If another one was there before, that one is remembered as missing, unless it is elsewhere
    /// by now; and what is remembered of the new one comes with it from wherever it was.
    pub(crate) fn identify(&mut self, index: u32, identity: Arc<Identity>) {
        let is_it = |other: &Arc<Identity>| other.is_same_gpu(&identity);
        if self.gpu(index).identity.as_ref().is_some_and(is_it) {
            // It may be known better by now.
            self.gpu(index).identity = Some(identity);
            return;
        }
        let mut history = History::default();
        for absent in [&mut self.former, &mut self.unlisted] {
            if let Some(at) = absent.iter().position(|gpu| is_it(&gpu.identity)) {
                history = absent.remove(at).history;
            }
        }
        for gpu in self.gpus.iter_mut().filter(|gpu| gpu.index != index) {
            if gpu.identity.as_ref().is_some_and(is_it) {
                gpu.identity = None;
                history = std::mem::take(&mut gpu.history);
                // What was read there was of the one that has moved.
                for lane in &mut gpu.lanes {
                    lane.clear();
                    lane.last_ok = None;
                }
            }
        }
        let gpu = self.gpu(index);
        // What another GPU's readers left must not be shown as this one's.
        gpu.lanes.iter_mut().for_each(LaneBoard::clear);
        let before = gpu.identity.replace(identity);
        let earlier = std::mem::replace(&mut gpu.history, history);
        match before {
            Some(before) => {
                // Neither may a lane that is still inside the driver, for the GPU that was here.
                gpu.lanes.retain(|lane| !lane.detained);
                let since = Moment::now();
                let mut former = Absent { identity: before, history: earlier, since };
                // Silence says nothing of a GPU that is gone.
                Arc::make_mut(&mut former.history.xids).listening = false;
                self.former.push(former);
            }
            // What was heard before anybody knew of which GPU was of this one.
            None => gpu.history = std::mem::take(&mut gpu.history).after(earlier),
        }
        let surplus = self.former.len().saturating_sub(MOST_FORMER);
        self.former.drain(..surplus);
    }

    /// Goes over to another plan, with all that was read for the old one.
    pub(crate) fn replan(&mut self, plan: &Arc<Plan>) {
        let earlier = std::mem::replace(&mut self.plan, Arc::clone(plan));
        let absent = self.former.iter_mut().chain(&mut self.unlisted);
        let histories = absent.map(|gpu| &mut gpu.history);
        for history in self.gpus.iter_mut().map(|gpu| &mut gpu.history).chain(histories) {
            history.extents.retain(|quantity, _| plan.quantities.contains(quantity));
            if !plan.has(&clock_events::FAMILIES) {
                history.clock_events = None;
            }
            if !plan.has(&[field::DRIVER_CALL_DURATION_SECONDS]) {
                history.calls = Arc::default();
            }
            let labels = std::mem::take(&mut history.labels);
            let field = |index: WatchIndex| earlier.watches[index].field;
            let known: BTreeMap<FieldId, Value> =
                labels.into_iter().map(|(index, value)| (field(index), value)).collect();
            let new = WatchIndex::enumerate(&plan.watches);
            let new = new.filter(|(_, watch)| watch.kind == Kind::Label);
            history.labels.extend(
                new.filter_map(|(index, watch)| Some((index, known.get(&watch.field)?.clone()))),
            );
        }
        for (_, lane) in self.lanes_mut() {
            for kept in &mut lane.parts {
                kept.part = plan.adopt(&earlier, &kept.part);
                kept.growth.clear();
            }
        }
    }

    /// What the kernel's log says beside XIDs.
    pub(crate) fn driver_log(&mut self) -> &mut DriverLog {
        Arc::make_mut(self.driver_log.get_or_insert_default())
    }

    /// Notes that a lane has no thread. Its GPU is down for that reason.
    pub(crate) fn lose_thread(&mut self, place: Place, id: u64) {
        let lanes = self.at(place).map(|gpu| &mut gpu.lanes);
        if let Some(lane) = lanes.into_iter().flatten().find(|lane| lane.id == id) {
            lane.has_thread = false;
            lane.delivers_xids = false;
            // One that ended in the middle of a pass is inside the driver no more.
            lane.busy.end();
        }
    }

    /// Notes which GPUs are on the bus. Says whether anything is different.
    ///
    /// Those that the driver does not list are entered if all GPUs are wanted (`lists_all`).
    ///
    /// The driver counts its GPUs in the order of their addresses. So one that it lists and that has
    /// never answered is known by its place, as long as that is beyond doubt.
    pub(crate) fn note_bus(
        &mut self,
        mut gpus: Vec<Identity>,
        lists_all: bool,
        now: Moment,
    ) -> bool {
        gpus.sort_by(|one, other| one.pci_bus_id.cmp(&other.pci_bus_id));
        let address = |gpu: &Identity| gpu.pci_bus_id.clone();
        let on_bus: BTreeSet<String> = gpus.iter().filter_map(address).collect();
        let mut is_news = *self.on_bus != on_bus;
        if is_news {
            self.on_bus = Arc::new(on_bus);
        }
        if self.source.up.is_err() {
            return is_news;
        }
        is_news |= self.identify_by_place(&gpus);
        let has_unknown = self.has_unknown();
        let is_listed = |gpu: &Identity| {
            let known = self.gpus.iter().filter(|known| known.listed);
            known.filter_map(|known| known.identity.as_deref()).any(|known| known.is_same_gpu(gpu))
        };
        let rest: Vec<Identity> = gpus.into_iter().filter(|gpu| !is_listed(gpu)).collect();
        // Those that the driver lists and that nothing is known of are among the rest.
        let rest = if has_unknown { Vec::new() } else { rest };
        let is_on_bus = |gpu: &Absent| {
            let address = gpu.identity.pci_bus_id.as_ref();
            address.is_some_and(|address| self.on_bus.contains(address))
        };
        let (stays, gone) = std::mem::take(&mut self.unlisted).into_iter().partition(is_on_bus);
        let gone: Vec<Absent> = gone;
        self.unlisted = stays;
        is_news |= !gone.is_empty();
        self.former.extend(gone.into_iter().map(|gpu| Absent { since: now, ..gpu }));
        let is_rest =
            |address: &String| rest.iter().any(|gpu| gpu.pci_bus_id.as_ref() == Some(address));
        self.unsettled.retain(|address, _| is_rest(address));
        for gpu in rest.into_iter().filter(|_| lists_all) {
            let Some(address) = gpu.pci_bus_id.clone() else { continue };
            let since = *self.unsettled.entry(address).or_insert(now);
            let settled = self.session_began.map_or(since, |began| began.max(since));
            if now - settled < SETTLING
                || self.unlisted.iter().any(|it| it.identity.is_same_gpu(&gpu))
            {
                continue;
            }
            // One that was listed before has a place of its own, which says that it is missing.
            let had_place = |known: &GpuBoard| {
                known.identity.as_deref().is_some_and(|known| known.is_same_gpu(&gpu))
            };
            if self.gpus.iter().any(had_place) {
                continue;
            }
            let before = self.former.iter().position(|former| former.identity.is_same_gpu(&gpu));
            let before = before.map(|at| self.former.remove(at));
            // What was known of it is known still, whatever the driver says of it now.
            let known = before.as_ref().map(|before| &*before.identity);
            let gpu = Identity {
                uuid: gpu.uuid.or_else(|| known?.uuid.clone()),
                model_name: gpu.model_name.or_else(|| known?.model_name.clone()),
                ..gpu
            };
            let history = before.map(|before| before.history).unwrap_or_default();
            self.unlisted.push(Absent { identity: Arc::new(gpu), history, since });
            is_news = true;
        }
        is_news
    }

    /// Whether any listed GPU cannot be told from those on the bus.
    pub(crate) fn has_unknown(&self) -> bool {
        let is_unknown = |gpu: &GpuBoard| {
            let identity = gpu.identity.as_deref();
            identity.is_none_or(|identity| identity.pci_bus_id.is_none())
        };
        self.gpus.iter().any(|gpu| gpu.listed && is_unknown(gpu))
    }

    /// Gives GPUs that are listed and have never answered what is known of them by their place.
    fn identify_by_place(&mut self, gpus: &[Identity]) -> bool {
        let at = |index: u32| gpus.get(usize::try_from(index).unwrap_or(usize::MAX));
        let fits = |known: &GpuBoard| {
            let identity = known.identity.as_deref();
            identity.is_none_or(|it| at(known.index).is_some_and(|gpu| gpu.is_same_gpu(it)))
        };
        let listed = || self.gpus.iter().filter(|gpu| gpu.listed);
        if gpus.len() != self.listed || !listed().all(fits) {
            return false;
        }
        let unknown: Vec<u32> =
            listed().filter(|gpu| gpu.identity.is_none()).map(|gpu| gpu.index).collect();
        for index in &unknown {
            if let Some(gpu) = at(*index) {
                let identity = Identity { index: Some(*index), ..gpu.clone() };
                self.identify(*index, Arc::new(identity));
            }
        }
        !unknown.is_empty()
    }

    /// Forgets GPUs that have been missing for this long. Says whether there were any.
    fn forget_missing(&mut self, after: Duration, is_asked_for: impl Fn(u32) -> bool) -> bool {
        let before = (self.former.len(), self.gpus.len());
        self.former.retain(|gpu| gpu.since.elapsed() < after);
        let on_bus = &self.on_bus;
        self.gpus.retain(|gpu| {
            let is_old = gpu.missing_since.is_some_and(|since| since.elapsed() >= after);
            let address = gpu.identity.as_deref().and_then(|it| it.pci_bus_id.as_ref());
            let is_there = address.is_some_and(|address| on_bus.contains(address));
            gpu.listed || is_there || !is_old || is_asked_for(gpu.index)
        });
        before != (self.former.len(), self.gpus.len())
    }

    /// Forgets the places that nobody asked for and that no GPU has: those of GPUs that moved.
    pub(crate) fn forget_empty_places(&mut self, wanted: impl Fn(u32) -> bool) {
        self.gpus.retain(|gpu| gpu.listed || gpu.identity.is_some() || wanted(gpu.index));
    }
}

/// How many GPUs that are gone are remembered at most.
const MOST_FORMER: usize = 64;

/// How long a GPU may be on the bus before the driver lists it: while it is bound, and a new session
/// is opened for it.
const SETTLING: Duration = Duration::from_secs(8);

impl GpuBoard {
    /// Notes whether the session lists it.
    pub(crate) fn list(&mut self, listed: bool) {
        self.listed = listed;
        self.missing_since = match listed {
            true => None,
            false => self.missing_since.or_else(|| Some(Moment::now())),
        };
    }

    /// The lane that decides whether the GPU is up.
    pub(crate) fn main_lane(&self) -> Option<&LaneBoard> {
        self.lanes.iter().find(|lane| lane.kind == ReaderKind::Main)
    }

    /// Puts a new lane in the place of the one of its name, and lets it take over what that one
    /// read. That stays good until it is late, so a new session makes no gap.
    pub(crate) fn take_over(&mut self, mut lane: LaneBoard, settings: &Settings) {
        let old = self.lanes.iter().position(|old| old.name == lane.name);
        if let Some(mut old) = old.map(|position| self.lanes.swap_remove(position)) {
            let late_after = settings.late_after(settings.interval.max(old.cadence));
            // What is late by now would make this one late before it has begun.
            lane.last_ok = old.last_ok.filter(|at| at.elapsed() < late_after);
            (lane.down, lane.cadence) = (old.down, old.cadence);
            // Without what tells a reset from nonsense: what made the session new may well have
            // reset counters.
            plan::inherit(&mut lane.parts[0].part, &old.parts[0].part);
            lane.parts.extend(old.parts.drain(1..).map(|LanePart { part, .. }| {
                let growth = BTreeMap::new();
                LanePart { part, growth }
            }));
        }
        self.lanes.push(lane);
    }

    fn new(index: u32) -> Self {
        Self {
            index,
            identity: None,
            listed: false,
            missing_since: None,
            lanes: Vec::new(),
            history: History::default(),
            pass_duration: None,
            state: Err(Down::Starting),
            said: None,
        }
    }
}
