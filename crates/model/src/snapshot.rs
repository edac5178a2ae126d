//! The snapshot: the input of a page.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{
    CLOCK_REASONS, ClockEvent, Down, DriverLog, Entity, Extent, FieldId, Health, Identity,
    Instance, Moment, Reading, Reason, Watch, WatchIndex, Xid, XidLog, XidSource,
};

/// All readings and states at one moment. Immutable: a new snapshot replaces it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// The watches, in page order. [`WatchIndex`] is a position in it.
    pub watches: Arc<[Watch]>,
    /// The GPUs by index; those without an index come last.
    pub gpus: Vec<GpuView>,
    /// NVSwitches with their links, and CPUs with their cores, in order. Empty if the source does not
    /// read them.
    pub machine: Vec<PartView>,
    /// The source of the readings.
    pub source: SourceView,
    /// The source of XIDs; `None` while there is none.
    pub xid_source: Option<XidSource>,
    /// Other counts from the kernel log; `None` if it is not read.
    pub driver_log: Option<Arc<DriverLog>>,
    /// Reader threads that were restarted or could not start, since the start of this process.
    pub reader_restarts: u64,
    /// The resource usage of this process.
    pub process: Process,
    /// A time at which everything that this process counts from 0 was 0: its start. `None` if the wall
    /// clock was earlier than that since.
    pub counting_since: Option<SystemTime>,
    /// The lengths of the windows.
    pub windows: Windows,
    /// The moment at which its first reading becomes late.
    pub good_until: Moment,
}

/// The lengths of the windows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// The window of minimum, mean and maximum; zero if it is disabled.
    pub extents: Duration,
    /// The window in which XIDs are counted.
    pub xids: Duration,
    /// The window in which samples of clock event reasons are counted.
    pub clock_events: Duration,
}

/// A GPU, present or only expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gpu {
    /// The driver's index; `None` if the driver does not list it.
    pub index: Option<u32>,
    /// Its identity, once it has answered.
    pub identity: Option<Arc<Identity>>,
}

impl Gpu {
    /// A GPU that is on the bus, or was there: it has an index only if the driver gave it one.
    pub fn absent(identity: &Arc<Identity>) -> Self {
        Self { index: identity.index, identity: Some(Arc::clone(identity)) }
    }
}

/// One GPU at one moment.
#[derive(Clone, Debug)]
pub struct GpuView {
    /// The GPU.
    pub gpu: Gpu,
    /// Whether it is up, or the reason why it is down.
    pub up: Result<(), Down>,
    /// Its readings in the order of [`Snapshot::watches`]. If the GPU is down, only labels have values,
    /// so that the labels of its XID series do not change.
    pub readings: Vec<Reading>,
    /// Its links, peers and instances, in order. If the GPU is down, its last known instances without
    /// readings.
    pub parts: Vec<PartView>,
    /// Its XIDs. They are kept while the GPU is down.
    pub xids: Arc<XidLog>,
    /// XIDs of the window, by code.
    pub xids_in_window: Vec<(u32, u64)>,
    /// Its clock event reasons, by position in [`CLOCK_REASONS`].
    pub clock_events: [ClockEvent; CLOCK_REASONS.len()],
    /// Minimum, mean and maximum of its quantities in the window.
    pub extents: Vec<Extent>,
    /// The health of its subsystems; empty unless health families are selected.
    pub health: Vec<Health>,
    /// Last duration of each kind of driver call.
    pub calls: Arc<BTreeMap<&'static str, Duration>>,
    /// When its last complete pass ended.
    pub last_success: Option<SystemTime>,
    /// Duration of the driver calls of its last complete pass.
    pub pass_duration: Option<Duration>,
    /// Number of failed readings by field and reason, since the start of this process.
    pub errors: Arc<BTreeMap<(FieldId, Reason), u64>>,
    /// [`Snapshot::counting_since`] for what this process counts of the GPU. `None` also if the GPU has
    /// other labels by now than when its counts were first shown.
    pub counting_since: Option<SystemTime>,
}

/// One entity of a GPU at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct PartView {
    /// The entity that the readings are of.
    pub entity: Entity,
    /// Its watches, ascending.
    pub watches: Arc<[WatchIndex]>,
    /// The readings, in the order of `watches`.
    pub readings: Vec<Reading>,
}

impl PartView {
    /// Its reading of a watch, if it has one.
    pub fn reading(&self, watch: WatchIndex) -> Option<&Reading> {
        let slot = self.watches.binary_search(&watch).ok()?;
        self.readings.get(slot)
    }
}

impl GpuView {
    /// Its reading of a watch; `None` if the watch is of another snapshot.
    pub fn reading(&self, watch: WatchIndex) -> Option<&Reading> {
        self.readings.get(watch.0)
    }

    /// The last XID. It stays when the GPU goes down. [`Xid::NONE`] only if the GPU is up and its XIDs
    /// would be seen.
    pub fn last_xid(&self) -> Option<Xid> {
        self.xids.last.or(self.no_xid())
    }

    /// The last XID of one of its GPU instances, or of the GPU as a whole.
    pub fn last_xid_of(&self, instance: &Instance) -> Option<Xid> {
        self.xids.last_of(instance.gpu_instance).or(self.no_xid())
    }

    fn no_xid(&self) -> Option<Xid> {
        (self.xids.listening && self.up.is_ok()).then_some(Xid::NONE)
    }

    /// Its instances.
    pub fn instances(&self) -> impl Iterator<Item = (&Instance, &PartView)> {
        self.parts.iter().filter_map(|part| match &part.entity {
            Entity::Instance(instance) => Some((&**instance, part)),
            _ => None,
        })
    }
}

/// The source at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct SourceView {
    /// `nvml`, `dcgm` or `sim`.
    pub name: &'static str,
    /// Whether it is open, or the error.
    pub up: Result<(), String>,
    /// The driver's version.
    pub driver_version: Option<Arc<str>>,
    /// Since when only a restart of this process helps.
    pub needs_restart: Option<Moment>,
}

impl SourceView {
    /// The error of a source that is still being opened.
    pub const BEING_OPENED: &str = "the source is being opened";
}

/// The resource usage of this process, from the kernel.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Process {
    /// User and system time since its start; `None` if unknown.
    pub cpu: Option<Duration>,
    /// Resident memory, in bytes; `None` if unknown.
    pub resident_bytes: Option<u64>,
    /// When it began.
    pub started: SystemTime,
}
