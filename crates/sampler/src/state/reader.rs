//! What one reader has read, and how the reader itself is doing.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use model::{Entity, Moment, Part, ReaderKind, Reason, SlotIndex, WatchIndex};

use crate::state::counter::CounterCheck;
use crate::state::plan::Plan;

/// What a reader reads.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Target {
    /// The GPU with this index.
    Gpu(u32),
    /// NVSwitches and CPUs, which belong to no GPU.
    Machine,
}

impl Target {
    /// The index of the GPU, if it is one.
    pub(crate) fn gpu(self) -> Option<u32> {
        match self {
            Self::Gpu(index) => Some(index),
            Self::Machine => None,
        }
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Gpu(index) => write!(f, "gpu {index}"),
            Self::Machine => f.write_str("machine"),
        }
    }
}

/// One reader thread. Numbers are not used again, so a thread of an earlier session that returns
/// late cannot write to the state.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct ReaderId {
    pub(crate) target: Target,
    /// From 1.
    pub(crate) number: u64,
}

/// What one reader has read.
pub(crate) struct ReaderState {
    /// The number of its thread; [`ReaderState::RETIRED`] once no thread may write to it.
    pub(crate) number: u64,
    /// Unique among the readers of one target.
    pub(crate) name: &'static str,
    pub(crate) kind: ReaderKind,
    /// The readings of the GPU itself come first, then those of its smaller entities.
    pub(crate) parts: Vec<ReaderPart>,
    /// Why the last pass failed, if it did.
    pub(crate) down: Option<Reason>,
    /// When the last complete pass began.
    pub(crate) last_ok: Option<Moment>,
    pub(crate) busy: Arc<BusySince>,
    /// From one pass to the next: a tick, or the ticks that a pass takes if it takes longer.
    pub(crate) cadence: Duration,
    /// Whether the driver delivers XIDs to it.
    pub(crate) delivers_xids: bool,
    /// Whether its session is over while it is still inside the driver.
    pub(crate) stuck: bool,
    pub(crate) has_thread: bool,
}

/// What one reader has read of one entity.
pub(crate) struct ReaderPart {
    pub(crate) part: Part,
    /// The checks of counters that fall, by slot.
    pub(crate) counters: BTreeMap<SlotIndex, CounterCheck>,
}

impl ReaderPart {
    pub(crate) fn new(part: Part) -> Self {
        Self { part, counters: BTreeMap::new() }
    }
}

impl ReaderState {
    /// The number of a reader to which no thread may write.
    pub(crate) const RETIRED: u64 = 0;

    pub(crate) fn new(
        number: u64,
        name: &'static str,
        kind: ReaderKind,
        watches: &Arc<[WatchIndex]>,
        busy: &Arc<BusySince>,
        tick: Duration,
    ) -> Self {
        Self {
            number,
            name,
            kind,
            parts: vec![ReaderPart::new(Part::new(Entity::Gpu, watches))],
            down: None,
            last_ok: None,
            busy: Arc::clone(busy),
            cadence: tick,
            delivers_xids: false,
            stuck: false,
            has_thread: true,
        }
    }

    /// Forgets all readings.
    pub(crate) fn clear(&mut self) {
        self.parts.truncate(1);
        for kept in &mut self.parts {
            *kept = ReaderPart::new(Part::new(kept.part.entity.clone(), &kept.part.watches));
        }
    }

    /// Changes to another plan, with all that was read for the plan before. A thread that reads for
    /// that plan writes nothing more.
    pub(crate) fn change_plan(&mut self, plan: &Plan, before: &Plan) {
        if self.kind != ReaderKind::Events {
            self.number = Self::RETIRED;
        }
        for kept in &mut self.parts {
            *kept = ReaderPart::new(plan.adopt(before, &kept.part));
        }
    }

    /// The readings of an entity; empty if the entity is new or has other watches than before.
    pub(crate) fn part(&mut self, entity: &Entity, watches: &Arc<[WatchIndex]>) -> &mut ReaderPart {
        let new = || ReaderPart::new(Part::new(entity.clone(), watches));
        let known = self.parts.iter().position(|kept| kept.part.entity == *entity);
        let at = known.unwrap_or(self.parts.len());
        match self.parts.get_mut(at) {
            None => self.parts.push(new()),
            Some(kept) if kept.part.watches != *watches => *kept = new(),
            Some(_) => {}
        }
        &mut self.parts[at]
    }
}

/// Since when a reader thread has been inside its reader. Read without a lock.
pub(crate) struct BusySince {
    epoch: Moment,
    /// Microseconds since the epoch, plus one; 0 if the thread is idle.
    since: AtomicU64,
}

impl BusySince {
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
