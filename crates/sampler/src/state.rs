//! What is known of the GPUs and of the machine, fresh or not: plain data, to which the time is passed.

mod apply;
mod availability;
mod births;
pub(crate) mod clock_events;
mod counter;
pub(crate) mod gpu;
pub(crate) mod health;
mod history;
mod identity;
pub(crate) mod kernel_messages;
pub(crate) mod log_line;
pub(crate) mod outcome;
pub(crate) mod plan;
pub(crate) mod reader;
pub(crate) mod recovery;
mod rolling;
mod series_labels;
mod snapshot;
#[cfg(test)]
mod test_state;
mod unread_messages;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::SystemTime;

use model::{DriverLog, Moment, Process, SourceView, Watch};

use crate::settings::Settings;
pub(crate) use availability::MAX_AGE;
use gpu::{AbsentGpu, GpuState};
use plan::Plan;
use reader::{ReaderId, ReaderState, Target};
use unread_messages::UnreadMessages;

/// All that is known, fresh or not.
pub(crate) struct State {
    pub(crate) settings: Arc<Settings>,
    /// Ticks and windows are counted from this moment.
    pub(crate) epoch: Moment,
    /// Whether the source assesses the health of GPUs itself.
    pub(crate) source_assesses_health: bool,
    /// What is read.
    pub(crate) plan: Arc<Plan>,
    pub(crate) source: SourceView,
    /// Since when the source is being opened, if no session is open meanwhile.
    pub(crate) connecting_since: Option<Moment>,
    /// By index.
    pub(crate) gpus: Vec<GpuState>,
    /// NVSwitches and CPUs, which belong to no GPU.
    pub(crate) machine: GpuState,
    /// How many GPUs the session lists.
    pub(crate) listed: usize,
    /// When the session began.
    pub(crate) session_began: Option<Moment>,
    /// GPUs whose index another GPU has now.
    pub(crate) former: Vec<AbsentGpu>,
    /// GPUs that are on the bus and that the driver does not list.
    pub(crate) unlisted: Vec<AbsentGpu>,
    /// When GPUs on the bus were first seen that the driver may still list, by PCI address.
    pub(crate) unsettled: BTreeMap<String, Moment>,
    /// The PCI addresses of all GPUs on the bus.
    pub(crate) on_bus: BTreeSet<String>,
    pub(crate) xid_authority: XidAuthority,
    /// Whether XIDs were counted from events before the kernel log was open.
    pub(crate) events_counted_first: bool,
    /// Counts from the kernel log other than XIDs; `None` until the log is read.
    pub(crate) driver_log: Option<Arc<DriverLog>>,
    /// The messages of the kernel log for the one who follows them.
    pub(crate) log_messages: UnreadMessages,
    /// Reader threads that were started again, or could not be started.
    pub(crate) reader_restarts: u64,
    pub(crate) process: Process,
    /// The birth of all that is counted from 0: the start of this process, until it is forgotten.
    pub(crate) counting_since: Option<SystemTime>,
    pub(crate) unpublished: Unpublished,
    /// When the current snapshot was built; before the first one, the start of this process.
    pub(crate) published: SystemTime,
}

/// Whether there is something that no snapshot has yet.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Unpublished {
    Nothing,
    /// Something that can wait for the next tick.
    AtTick,
    /// Something to publish at once.
    AtOnce,
}

/// The source that XIDs are counted from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum XidAuthority {
    KernelLog,
    /// The events that readers wait for.
    Events,
}

impl State {
    pub(crate) fn new(
        source: &'static str,
        watches: Arc<[Watch]>,
        settings: Arc<Settings>,
        process: Process,
        now: Moment,
    ) -> Self {
        Self {
            plan: Arc::new(Plan::new(watches, &settings)),
            settings,
            epoch: now,
            source_assesses_health: false,
            source: SourceView {
                name: source,
                up: Err(SourceView::BEING_OPENED.to_owned()),
                driver_version: None,
                needs_restart: None,
            },
            connecting_since: None,
            gpus: Vec::new(),
            machine: GpuState::new(0),
            listed: 0,
            session_began: None,
            former: Vec::new(),
            unlisted: Vec::new(),
            unsettled: BTreeMap::new(),
            on_bus: BTreeSet::new(),
            xid_authority: XidAuthority::Events,
            events_counted_first: false,
            driver_log: None,
            log_messages: UnreadMessages::default(),
            reader_restarts: 0,
            unpublished: Unpublished::AtTick,
            published: process.started,
            counting_since: Some(process.started),
            process,
        }
    }

    /// Notes that there is something to publish.
    pub(crate) fn mark(&mut self, news: Unpublished) {
        self.unpublished = self.unpublished.max(news);
    }

    /// The GPU with this index, added if it is new; the list stays sorted.
    pub(crate) fn gpu(&mut self, index: u32) -> &mut GpuState {
        let at = self.gpus.binary_search_by_key(&index, |gpu| gpu.index).unwrap_or_else(|at| {
            self.gpus.insert(at, GpuState::new(index));
            at
        });
        &mut self.gpus[at]
    }

    /// What a reader reads, added if it is new.
    pub(crate) fn add(&mut self, target: Target) -> &mut GpuState {
        match target {
            Target::Gpu(index) => self.gpu(index),
            Target::Machine => &mut self.machine,
        }
    }

    /// What a reader reads, if it is known.
    pub(crate) fn get_mut(&mut self, target: Target) -> Option<&mut GpuState> {
        let Target::Gpu(index) = target else { return Some(&mut self.machine) };
        let at = self.gpus.binary_search_by_key(&index, |gpu| gpu.index).ok()?;
        self.gpus.get_mut(at)
    }

    /// All readers, each with its target.
    pub(crate) fn readers_mut(&mut self) -> impl Iterator<Item = (Target, &mut ReaderState)> {
        let gpus = self.gpus.iter_mut().map(|gpu| (Target::Gpu(gpu.index), gpu));
        let all = gpus.chain([(Target::Machine, &mut self.machine)]);
        all.flat_map(|(target, gpu)| gpu.readers.iter_mut().map(move |reader| (target, reader)))
    }

    /// Changes to another plan, with all that was read for the plan before. Readers of that plan
    /// write nothing more; those that wait for events have no watches, and go on.
    pub(crate) fn change_plan(&mut self, plan: &Arc<Plan>) {
        let before = std::mem::replace(&mut self.plan, Arc::clone(plan));
        let absent = self.former.iter_mut().chain(&mut self.unlisted);
        let histories = absent.map(|gpu| &mut gpu.history);
        for history in self.gpus.iter_mut().map(|gpu| &mut gpu.history).chain(histories) {
            history.change_plan(plan, &before);
        }
        for (_, reader) in self.readers_mut() {
            reader.change_plan(plan, &before);
        }
    }

    /// Notes that a reader has no thread. Its GPU is down for that reason.
    pub(crate) fn lose_thread(&mut self, id: ReaderId) {
        let gpu = self.get_mut(id.target);
        if let Some(reader) = gpu.and_then(|gpu| gpu.reader_mut(id.number)) {
            reader.has_thread = false;
            reader.delivers_xids = false;
            // A thread that ended during a pass is no longer inside the driver.
            reader.busy.end();
        }
    }
}
