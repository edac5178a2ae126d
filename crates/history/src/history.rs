//! The recorded past of this process: memory and, if there is a directory, disk.

mod handover;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::ops::ControlFlow;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::sync::{Arc, Mutex, OnceLock};
use std::time::SystemTime;

use model::{HistoryView, Moment, StoreView, Tally};

use self::handover::{Batch, Handover, lock};
use crate::archive::Archive;
use crate::event::Event;
use crate::event::PreviousRun;
use crate::frame::Key;
use crate::incident::Incident;
use crate::layout::Layout;
use crate::memory::{Memory, Ring, Run};
use crate::recording::{Damage, Item, ReadError, Recording, Row, UnreadIncident};
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

/// The recorded past. One thread records, one writes to the disk if there is a directory, and any thread
/// reads.
///
/// The thread that writes holds no lock that another one needs, so that a disk that hangs holds up nothing else.
/// What is recorded is in memory at once, and is written as soon as it can be.
#[derive(Debug)]
pub struct History {
    settings: Settings,
    disk: Disk,
    /// What earlier runs left, once the directory was opened.
    previous: OnceLock<Previous>,
    /// The directory, once it was opened. Locked while something is written.
    store: Mutex<Option<Store>>,
    /// What the page shows of it.
    store_view: Mutex<Option<StoreView>>,
    handover: Handover,
    /// Errors that are none of the directory.
    errors: Mutex<BTreeMap<&'static str, u64>>,
    /// The number of this run.
    run: Run,
    /// What is in memory. Locked for as long as it takes to add a row or to copy some pointers.
    ring: Mutex<Ring>,
    view: Mutex<Arc<HistoryView>>,
    counts: Mutex<Counts>,
}

/// How many numbers of incidents are remembered. Incidents are told in the order of their numbers, but for those that
/// began at the same time.
const COUNTED: usize = 1_000;

/// The incidents of this process.
#[derive(Debug)]
struct Counts {
    began: SystemTime,
    /// The largest numbers that were counted. Smaller ones were, too.
    counted: BTreeSet<u64>,
    /// The largest number that is remembered no more.
    forgotten: u64,
    by_kind: BTreeMap<&'static str, Tally>,
    last: Option<Time>,
}

impl Counts {
    fn new(last: Option<Time>) -> Self {
        let kinds = SignKind::TRIGGERS.iter();
        Self {
            began: SystemTime::now(),
            counted: BTreeSet::new(),
            forgotten: 0,
            by_kind: kinds.map(|kind| (kind.as_str(), Tally::default())).collect(),
            last,
        }
    }

    fn note_last(&mut self, last: Option<Time>) {
        self.last = self.last.max(last);
    }

    fn add(&mut self, incident: &Incident) {
        let is_new = incident.number > self.forgotten && self.counted.insert(incident.number);
        if self.counted.len() > COUNTED {
            self.forgotten = self.counted.pop_first().unwrap_or_default();
        }
        if is_new {
            let began = self.began;
            self.by_kind.entry(incident.kind.as_str()).or_default().add(Some(began));
            self.last = self.last.max(Some(incident.began));
        }
    }
}

impl History {
    /// A history that is in memory alone until the directory is opened. Waits for no disk.
    pub fn new(settings: Settings) -> Self {
        Self::on(settings, Disk::default())
    }

    /// The same, and opens the directory, if there is one.
    pub fn open(settings: Settings) -> Self {
        Self::open_on(settings, Disk::default())
    }

    /// The same on a disk that may fail on demand.
    pub(crate) fn open_on(settings: Settings, disk: Disk) -> Self {
        let history = Self::on(settings, disk);
        history.open_directory();
        history
    }

    fn on(settings: Settings, disk: Disk) -> Self {
        let run = Run::new(wall_clock_ms());
        let history = Self {
            store_view: Mutex::new(settings.store.as_ref().map(|_| StoreView::default())),
            settings,
            disk,
            previous: OnceLock::new(),
            store: Mutex::default(),
            handover: Handover::default(),
            errors: Mutex::default(),
            ring: Mutex::new(Ring::new(run.clone())),
            run,
            view: Mutex::default(),
            counts: Mutex::new(Counts::new(None)),
        };
        history.publish(&history.memory());
        history
    }

    /// Opens the directory, if there is one. What is wrong with it is logged and counted, and memory is used
    /// alone until it can be written. Blocks while the disk does.
    pub fn open_directory(&self) {
        let Settings { store: Some(settings), boot_id } = &self.settings else {
            return;
        };
        let store = Store::new(settings.clone(), self.run.clone(), self.disk.clone());
        let mut previous = previous(&settings.directory, boot_id.as_deref());
        if store.is_locked_by_another() {
            // That one goes on.
            previous.run = None;
        }
        lock(&self.counts).note_last(previous.last_incident);
        // Later than all runs before it, even if the clock was set back since.
        self.run.exceed(previous.number);
        *lock(&self.store_view) = Some(store.view().clone());
        *lock(&self.store) = Some(store);
        // The directory is opened once.
        let _ = self.previous.set(previous);
        self.publish(&self.memory());
    }

    /// Writes what is recorded, until [`History::end`]. To be called by a thread of its own, after
    /// [`History::open_directory`].
    pub fn write_until_ended(&self) {
        loop {
            let batch = self.handover.wait();
            let is_last = batch.is_last;
            // What is wrong with one write may be right with the next one.
            let write = catch_unwind(AssertUnwindSafe(|| self.write(Moment::now(), batch)));
            self.handover.written();
            if write.is_err() {
                self.count_errors("panic", 1);
            }
            if is_last {
                return;
            }
        }
    }

    /// How the last run ended that recorded to the same directory; `None` if there is none, if it goes on, or if the
    /// directory is not open yet.
    pub fn previous_run(&self) -> Option<PreviousRun> {
        self.previous.get()?.run
    }

    /// Whether that run may have been on this host: a folder can be on a disk that machines share.
    pub fn is_of_host(&self, hostname: Option<&str>) -> bool {
        let before = self.previous.get().and_then(|previous| previous.hostname.as_deref());
        before.is_none() || hostname.is_none() || before == hostname
    }

    /// Whether another run recorded to the same directory before it was opened.
    pub fn has_previous(&self) -> bool {
        self.previous.get().is_some_and(|previous| previous.number > 0)
    }

    /// The number of the next incident: the first that none has in memory, and none had in the directory when it
    /// was opened.
    pub fn next_incident(&self) -> u64 {
        let on_disk = self.previous.get().map_or(1, |previous| previous.next_incident);
        let in_memory = self.memory().incidents.last().map_or(0, |incident| incident.number);
        on_disk.max(in_memory.saturating_add(1))
    }

    /// Adds what happened, and hands it to the thread that writes. It is written at most five seconds later, and
    /// synced at most a minute later; at once if `is_urgent`, but once a second at most. Waits for no disk.
    pub fn record(
        &self,
        now: Moment,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
        is_urgent: bool,
    ) {
        let memory = {
            let mut ring = lock(&self.ring);
            let before = ring.sequence();
            let dropped = ring.push(now, layout, row, events, is_urgent);
            let has_news = is_urgent || ring.sequence() != before || !dropped.is_empty();
            // Without a directory nothing takes it.
            if has_news && self.settings.store.is_some() {
                self.handover.add(is_urgent, &dropped);
            }
            ring.snapshot()
        };
        self.publish(&memory);
    }

    /// Keeps an incident, or its newer state, and hands it to the thread that writes. It is written and synced at
    /// once if it is new, closed, or has another verdict, and a few seconds later if not. One that is closed gets its
    /// window copied, so that it outlives its segments. Waits for no disk.
    pub fn record_incident(&self, incident: &Incident) {
        let (incident, memory) = self.keep_incident(incident);
        if self.settings.store.is_some() {
            self.handover.put(incident);
        }
        self.publish(&memory);
    }

    /// Lets the thread that writes write and sync what is left, and end. Waits for no disk.
    pub fn end(&self) {
        lock(&self.ring).finish_frame(Moment::now());
        self.handover.end();
    }

    /// [`History::record`] without a thread that writes: all is written when it returns.
    pub fn append(
        &self,
        now: Moment,
        layout: &Arc<Layout>,
        row: Option<&Row>,
        events: &[Event],
        is_urgent: bool,
    ) {
        self.record(now, layout, row, events, is_urgent);
        self.write(now, self.handover.take(now));
    }

    /// [`History::record_incident`] without a thread that writes: it is written when it returns.
    #[cfg(test)]
    pub(crate) fn put_incident(&self, incident: &Incident) {
        let (incident, memory) = self.keep_incident(incident);
        if let Some(store) = &mut *lock(&self.store) {
            store.put_incident(&incident, &memory);
            *lock(&self.store_view) = Some(store.view().clone());
        }
        self.publish(&memory);
    }

    /// [`History::end`] without a thread that writes: all is written when it returns.
    pub fn close(&self) {
        self.end();
        let now = Moment::now();
        self.write(now, self.handover.take(now));
    }

    fn keep_incident(&self, incident: &Incident) -> (Arc<Incident>, Memory) {
        let incident = Arc::new(incident.clone());
        lock(&self.counts).add(&incident);
        let mut ring = lock(&self.ring);
        ring.put_incident(Arc::clone(&incident));
        (incident, ring.snapshot())
    }

    fn write(&self, now: Moment, batch: Batch) {
        let memory = self.memory();
        if let Some(store) = &mut *lock(&self.store) {
            for incident in &batch.incidents {
                store.queue_incident(incident);
            }
            if batch.is_last {
                store.close(&memory);
            } else {
                store.write(now, &memory, batch.is_urgent);
            }
            for (sequence, rows) in batch.dropped {
                store.forget_rows(sequence, rows);
            }
            store.count_lost(batch.rows_forgotten);
            *lock(&self.store_view) = Some(store.view().clone());
        }
        self.publish(&memory);
    }

    /// Counts errors that are none of the directory. A page without one does not show them.
    pub fn count_errors(&self, reason: &'static str, count: u64) {
        *lock(&self.errors).entry(reason).or_default() += count;
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
        let mut store = lock(&self.store_view).clone();
        if let Some(store) = &mut store {
            self.complete(store, memory);
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

impl History {
    /// Adds to the view of the directory what it does not know itself.
    fn complete(&self, store: &mut StoreView, memory: &Memory) {
        let (is_stuck, is_new) = self.handover.is_stuck(Moment::now());
        if is_new {
            self.count_errors("stuck", 1);
            tracing::warn!(
                "the disk of the history does not answer; it is kept in memory meanwhile"
            );
        }
        store.is_writable &= !is_stuck;
        for (reason, count) in &*lock(&self.errors) {
            *store.errors.entry(reason).or_default() += count;
        }
        let dropped = [
            ("too_many_events", memory.dropped_events),
            ("too_many_incidents", self.handover.incidents_dropped()),
        ];
        store.errors.extend(dropped.into_iter().filter(|(_, count)| *count > 0));
    }
}

fn wall_clock_ms() -> u64 {
    u64::try_from(Time::of(SystemTime::now()).0).unwrap_or_default()
}

impl History {
    /// The directory, for reading; `None` if there is none, or nothing to read in it.
    fn archive(&self) -> Option<Archive> {
        Archive::open(&self.settings.store.as_ref()?.directory).ok()
    }

    /// Calls `take` with each incident, or why it cannot be read, the one with the largest number first, until it
    /// breaks. Of those in the directory only one is in memory at a time. Returns how many there are.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn visit_incidents(
        &self,
        take: &mut dyn FnMut(Result<Incident, UnreadIncident>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        self.visit_incidents_from(u64::MAX, take)
    }

    /// The incident with this number, or why it cannot be read, if there is one. Reads no other.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub fn incident(
        &self,
        number: u64,
    ) -> Result<Option<Result<Incident, UnreadIncident>>, ReadError> {
        let mut found = None;
        self.visit_incidents_from(number, &mut |incident| {
            let own = match &incident {
                Ok(incident) => incident.number,
                Err(unread) => unread.number(),
            };
            found = (own == number).then_some(incident);
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn visit_incidents_from(
        &self,
        largest: u64,
        take: &mut dyn FnMut(Result<Incident, UnreadIncident>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        let memory = self.memory();
        if let Some(archive) = self.archive() {
            return archive.visit_incidents_with(&memory, largest, take);
        }
        // Ended early or not: what was taken until then was taken.
        let mut newest =
            memory.incidents.iter().rev().filter(|incident| incident.number <= largest);
        let _ = newest.try_for_each(|incident| take(Ok(Incident::clone(incident))));
        Ok(memory.incidents.len())
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
