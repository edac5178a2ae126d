//! The recorded past of this process: memory and, if there is a directory, disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::{HistoryView, Moment, Tally};

use crate::archive::Archive;
use crate::event::Event;
use crate::event::PreviousRun;
use crate::frame::Key;
use crate::incident::Incident;
use crate::layout::Layout;
use crate::memory::{Memory, Ring, Run};
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::replay::Replay;
use crate::sign::SignKind;
use crate::store::{Disk, Previous, Store, StoreSettings, previous};
use crate::time::{Range, Time};

/// How much is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Settings {
    /// The directory; `None` for memory alone.
    pub store: Option<StoreSettings>,
    /// The kernel's id of this boot.
    pub boot_id: Option<String>,
}

/// The recorded past. One thread appends; any thread reads.
///
/// The thread that appends does all the work on the disk, and holds no lock that a reader needs meanwhile.
#[derive(Debug)]
pub struct History {
    directory: Option<PathBuf>,
    previous: Previous,
    /// The directory. Locked while something is written: readers do not need it.
    store: Option<Mutex<Store>>,
    /// What is in memory. Locked for as long as it takes to add a row or to copy some pointers.
    ring: Mutex<Ring>,
    view: Mutex<Arc<HistoryView>>,
    counts: Mutex<Counts>,
}

/// The incidents of this process.
#[derive(Debug)]
struct Counts {
    began: SystemTime,
    /// The numbers that were counted.
    counted: BTreeSet<u64>,
    by_kind: BTreeMap<&'static str, Tally>,
    last: Option<Time>,
}

impl Counts {
    fn new(last: Option<Time>) -> Self {
        let kinds = SignKind::TRIGGERS.iter();
        Self {
            began: SystemTime::now(),
            counted: BTreeSet::new(),
            by_kind: kinds.map(|kind| (kind.as_str(), Tally::default())).collect(),
            last,
        }
    }

    fn add(&mut self, incident: &Incident) {
        if self.counted.insert(incident.number) {
            let began = self.began;
            self.by_kind.entry(incident.kind.as_str()).or_default().add(Some(began));
            self.last = self.last.max(Some(incident.began));
        }
    }
}

impl History {
    /// Opens the directory, if there is one. What is wrong with it is logged and counted, and memory is used
    /// alone until it can be written.
    pub fn open(settings: Settings) -> Self {
        Self::open_on(settings, Disk::default())
    }

    /// The same on a disk that may fail on demand.
    pub(crate) fn open_on(settings: Settings, disk: Disk) -> Self {
        let Settings { store, boot_id } = settings;
        let directory = store.as_ref().map(|store| store.directory.clone());
        let previous = directory.as_deref().map(|path| previous(path, boot_id.as_deref()));
        let previous = previous.unwrap_or_default();
        // Later than all runs before it, even if the clock was set back since.
        let run = Run::new(wall_clock_ms().max(previous.number.saturating_add(1)));
        let store = store.map(|settings| Mutex::new(Store::new(settings, run.clone(), disk)));
        let history = Self {
            directory,
            store,
            ring: Mutex::new(Ring::new(run)),
            view: Mutex::default(),
            counts: Mutex::new(Counts::new(previous.last_incident)),
            previous,
        };
        history.publish(&history.memory());
        history
    }

    /// How the last run ended that recorded to the same directory; `None` if there is none.
    pub fn previous_run(&self) -> Option<PreviousRun> {
        self.previous.run
    }

    /// The number of the next incident: the first that no incident of the directory had when it was opened.
    pub fn next_incident(&self) -> u64 {
        self.previous.incident.saturating_add(1)
    }

    /// Adds what was recorded. It is written to disk at most five seconds later, and synced at most a minute
    /// later; at once if `is_urgent`. Blocks while the disk does.
    pub fn append(
        &self,
        now: Moment,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
        is_urgent: bool,
    ) {
        let (dropped, memory) = {
            let mut ring = lock(&self.ring);
            (ring.push(now, layout, row, events, is_urgent), ring.snapshot())
        };
        if let Some(store) = &self.store {
            let mut store = lock(store);
            store.write(now, &memory, is_urgent);
            dropped.iter().for_each(|block| store.forget(block));
        }
        self.publish(&memory);
    }

    /// Stores an incident, or its newer state, and syncs it. One that is closed gets its window copied, so
    /// that it outlives its segments.
    pub fn put_incident(&self, incident: &Incident) {
        let incident = Arc::new(incident.clone());
        let memory = {
            let mut ring = lock(&self.ring);
            ring.put_incident(Arc::clone(&incident));
            ring.snapshot()
        };
        if let Some(store) = &self.store {
            let mut store = lock(store);
            store.put_incident(&incident, &memory);
        }
        lock(&self.counts).add(&incident);
        self.publish(&memory);
    }

    /// Writes and syncs what is left.
    pub fn close(&self) {
        lock(&self.ring).finish_frame(Moment::now());
        let memory = self.memory();
        if let Some(store) = &self.store {
            lock(store).close(&memory);
        }
        self.publish(&memory);
    }

    /// What the page shows. The same pointer as long as nothing changed.
    pub fn view(&self) -> Arc<HistoryView> {
        Arc::clone(&lock(&self.view))
    }

    /// What is in memory, for as long as the answer is used. Appending goes on meanwhile.
    pub fn memory(&self) -> Arc<Memory> {
        Arc::new(lock(&self.ring).snapshot())
    }

    fn publish(&self, memory: &Memory) {
        let mut store = self.store.as_ref().map(|store| lock(store).view().clone());
        if let Some(store) = store.as_mut().filter(|_| memory.dropped_events > 0) {
            store.errors.insert("too_many_events", memory.dropped_events);
        }
        let counts = lock(&self.counts);
        let view = HistoryView {
            incidents: counts.by_kind.clone(),
            last_incident: counts.last.map(Time::to_system),
            memory_bytes: memory.bytes() as u64,
            memory_oldest: memory.oldest_row().map(Time::to_system),
            store,
        };
        drop(counts);
        let mut current = lock(&self.view);
        if **current != view {
            *current = Arc::new(view);
        }
    }
}

/// A thread that panicked while it held a lock has left nothing half done that a reader could see.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn wall_clock_ms() -> u64 {
    u64::try_from(Time::of(SystemTime::now()).0).unwrap_or_default()
}

impl History {
    /// The directory, for reading; `None` if there is none, or nothing to read in it.
    fn archive(&self) -> Option<Archive> {
        Archive::open(self.directory.as_deref()?).ok()
    }
}

/// Memory for the last hour, and the directory for what is older. Opens files.
impl Recording for History {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let memory = self.memory();
        let mut replay = Replay::new(range, take);
        let mut flow = ControlFlow::Continue(());
        if let Some(archive) = self.archive() {
            let first = memory.first_sequence();
            let before = first.map(|sequence| Key { run: memory.run, sequence });
            flow = archive.replay(before, &mut replay)?;
        }
        if flow.is_continue() {
            // Ended early or not: what was read until then was read.
            let _ = memory.replay(&mut replay);
        }
        Ok(replay.damage)
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        let memory = self.memory();
        match self.archive() {
            Some(archive) => archive.incidents_with(&memory),
            None => memory.incidents(),
        }
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        let of_archive = match self.archive() {
            Some(archive) => archive.extent()?,
            None => None,
        };
        let both = of_archive.into_iter().chain(self.memory().extent()?);
        Ok(both.reduce(Range::joined))
    }
}
