//! Where lanes leave what they read, and where the supervisor finds it.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant, SystemTime};

use arc_swap::ArcSwap;
use model::{
    Down, FieldId, Identity, Process, Reason, Rhythm, Slot, Snapshot, SourceView, Watch, XidLog,
};

use crate::Settings;
use crate::process;

/// What all threads of one sampler share.
pub(crate) struct Shared {
    pub(crate) watches: Arc<[Watch]>,
    pub(crate) settings: Settings,
    /// Ticks are counted from here, so that all lanes read at the same moments.
    pub(crate) epoch: Instant,
    pub(crate) board: Mutex<Board>,
    /// Wakes the supervisor.
    pub(crate) wake: Condvar,
    pub(crate) current: ArcSwap<Snapshot>,
}

/// All that is known, fresh or not.
pub(crate) struct Board {
    pub(crate) source: SourceView,
    /// Since when the keeper has been inside the source, opening it.
    pub(crate) connecting: Option<Instant>,
    pub(crate) gpus: Vec<GpuBoard>,
    /// GPUs that were there once, and whose index another one has now.
    pub(crate) former: Vec<Arc<Identity>>,
    pub(crate) process: Process,
    pub(crate) process_read: Instant,
    /// Whether there is something that no snapshot shows yet.
    pub(crate) dirty: bool,
    pub(crate) stopping: bool,
    /// How many lanes of earlier sessions are still inside the driver.
    pub(crate) detained: usize,
    pub(crate) sequence: u64,
}

/// One GPU.
pub(crate) struct GpuBoard {
    pub(crate) index: u32,
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) presence: Presence,
    pub(crate) lanes: Vec<LaneBoard>,
    pub(crate) last_success: Option<SystemTime>,
    pub(crate) pass_duration: Option<Duration>,
    pub(crate) errors: Arc<BTreeMap<(FieldId, Reason), u64>>,
    /// The XIDs of earlier sessions.
    pub(crate) earlier_xids: Option<XidLog>,
    pub(crate) xids: Option<Arc<XidLog>>,
    /// What the last snapshot said, so that a change is logged once.
    pub(crate) said: Option<Result<(), Down>>,
}

/// Whether the source has this GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Presence {
    /// The session lists it.
    Listed,
    /// A reader of an earlier session is still inside the driver; a second one would join it there.
    Detained,
    /// The session does not list it.
    Missing,
}

/// What one reader has read.
pub(crate) struct LaneBoard {
    /// Distinguishes the lanes of successive sessions: a late one may not write.
    pub(crate) id: u64,
    pub(crate) rhythm: Rhythm,
    /// Positions in the sampler's watches, by slot.
    pub(crate) watches: Vec<usize>,
    pub(crate) slots: Vec<Slot>,
    pub(crate) down: Option<Reason>,
    /// When the last complete pass began.
    pub(crate) last_ok: Option<Instant>,
    pub(crate) busy: Arc<Busy>,
    /// The XIDs that it has listened to.
    pub(crate) xids: Option<Arc<XidLog>>,
}

/// Since when a lane has been inside its reader, readable without a lock.
pub(crate) struct Busy {
    epoch: Instant,
    /// Microseconds since the epoch, plus one; 0 means idle.
    since: AtomicU64,
}

impl Busy {
    pub(crate) fn new(epoch: Instant) -> Self {
        Self { epoch, since: AtomicU64::new(0) }
    }

    pub(crate) fn begin(&self, now: Instant) {
        let micros = (now - self.epoch).as_micros() as u64;
        self.since.store(micros + 1, Ordering::Relaxed);
    }

    pub(crate) fn end(&self) {
        self.since.store(0, Ordering::Relaxed);
    }

    pub(crate) fn since(&self) -> Option<Instant> {
        let micros = self.since.load(Ordering::Relaxed).checked_sub(1)?;
        Some(self.epoch + Duration::from_micros(micros))
    }
}

impl Shared {
    pub(crate) fn new(source: &'static str, watches: Arc<[Watch]>, settings: Settings) -> Self {
        let now = Instant::now();
        let source = SourceView {
            name: source,
            up: Err("the source is being opened".to_owned()),
            driver_version: None,
        };
        let process = process::usage(settings.started);
        let snapshot = Snapshot {
            sequence: 0,
            watches: Arc::clone(&watches),
            gpus: Vec::new(),
            source: source.clone(),
            process,
            good_until: now,
        };
        let board = Board {
            source,
            connecting: None,
            gpus: Vec::new(),
            former: Vec::new(),
            process,
            process_read: now,
            dirty: true,
            stopping: false,
            detained: 0,
            sequence: 0,
        };
        Self {
            watches,
            settings,
            epoch: now,
            board: Mutex::new(board),
            wake: Condvar::new(),
            current: ArcSwap::from_pointee(snapshot),
        }
    }

    /// The board. A lane that panicked has not left it half-written: a pass is published whole.
    pub(crate) fn board(&self) -> MutexGuard<'_, Board> {
        self.board.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Marks the board as changed, and wakes the supervisor.
    pub(crate) fn changed(&self, change: impl FnOnce(&mut Board)) {
        let mut board = self.board();
        change(&mut board);
        board.dirty = true;
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

    /// Notes what a GPU has turned out to be. Another GPU that had its index before is remembered
    /// as missing; one that had another index before is no longer missing.
    pub(crate) fn identify(&mut self, index: u32, identity: Arc<Identity>) {
        let gpu = self.gpu(index);
        let before = gpu.identity.replace(Arc::clone(&identity));
        if let Some(before) = before
            && before.uuid != identity.uuid
        {
            gpu.earlier_xids = None;
            gpu.xids = None;
            gpu.errors = Arc::default();
            gpu.last_success = None;
            self.former.push(before);
        }
        let is_it = |other: &Identity| other.uuid == identity.uuid;
        self.former.retain(|former| !is_it(former));
        self.gpus.retain(|gpu| {
            gpu.index == index
                || gpu.presence == Presence::Listed
                || !gpu.identity.as_deref().is_some_and(is_it)
        });
        let surplus = self.former.len().saturating_sub(MOST_FORMER);
        self.former.drain(..surplus);
    }
}

/// How many GPUs that are gone are remembered at most.
const MOST_FORMER: usize = 64;

impl GpuBoard {
    fn new(index: u32) -> Self {
        Self {
            index,
            identity: None,
            presence: Presence::Missing,
            lanes: Vec::new(),
            last_success: None,
            pass_duration: None,
            errors: Arc::default(),
            earlier_xids: None,
            xids: None,
            said: None,
        }
    }

    /// Shows the XIDs of this session on top of those of earlier ones.
    pub(crate) fn show_xids(&mut self, log: &Arc<XidLog>) {
        self.xids = Some(match &self.earlier_xids {
            None => Arc::clone(log),
            Some(earlier) => {
                let mut sum = earlier.clone();
                sum.listening = log.listening;
                sum.last = log.last.or(sum.last);
                for (code, count) in &log.counts {
                    *sum.counts.entry(*code).or_insert(0) += count;
                }
                Arc::new(sum)
            }
        });
    }
}
