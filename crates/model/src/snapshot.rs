//! What is known at one moment: all that a page is made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{
    CLOCK_REASONS, ClockEvent, Down, DriverLog, Entity, Extent, FieldId, Health, Identity,
    Instance, Moment, Reading, Reason, Watch, WatchIndex, Xid, XidLog, XidSource,
};

/// Everything that is known at one moment. Immutable; a new one replaces it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What was asked for, in page order; readings are by position in it.
    pub watches: Arc<[Watch]>,
    /// By index, each with what it answered; those that have none come last.
    pub gpus: Vec<GpuView>,
    /// The machine's NVSwitches with their links, its CPUs and their cores, in order: what belongs to
    /// no GPU. Empty where the source reads none, or none now.
    pub machine: Vec<PartView>,
    /// Where the readings come from.
    pub source: SourceView,
    /// Where XIDs come from; none while nothing brings any.
    pub xid_source: Option<XidSource>,
    /// What else the kernel's log says; none where it is not read.
    pub driver_log: Option<Arc<DriverLog>>,
    /// Reader threads that were started again, or could not be started, since this process began.
    pub reader_restarts: u64,
    /// What this process uses.
    pub process: Process,
    /// The windows behind what is counted and measured over some time.
    pub windows: Windows,
    /// Until when nothing in it is too old.
    pub good_until: Moment,
}

/// How long the windows are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Windows {
    /// Of the extents; zero where there are none.
    pub extents: Duration,
    /// Of XIDs that are counted.
    pub xids: Duration,
    /// Of samples of clock event reasons that are counted.
    pub clock_events: Duration,
}

/// A GPU, present or only expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gpu {
    /// The driver's index; none if the driver does not list it.
    pub index: Option<u32>,
    /// Known once it has answered.
    pub identity: Option<Arc<Identity>>,
}

/// One GPU at one moment.
#[derive(Clone, Debug)]
pub struct GpuView {
    /// The GPU that all of this is of.
    pub gpu: Gpu,
    /// Whether it answers, or why not.
    pub up: Result<(), Down>,
    /// In the order of [`Snapshot::watches`]. Of a GPU that is down, only labels are values: the
    /// labels of its XID series must not change when the GPU goes down.
    pub readings: Vec<Reading>,
    /// Its links, peers and instances, in order; of a GPU that is down, its instances of before,
    /// without readings.
    pub parts: Vec<PartView>,
    /// What went wrong on it, as far as this process was told. Kept while the GPU is down.
    pub xids: Arc<XidLog>,
    /// XIDs of the window, by code.
    pub xids_in_window: Vec<(u32, u64)>,
    /// By place in [`CLOCK_REASONS`]: why its clocks are lower than they could be.
    pub clock_events: [ClockEvent; CLOCK_REASONS.len()],
    /// What happened between scrapes.
    pub extents: Vec<Extent>,
    /// How its subsystems are; empty unless somebody asked.
    pub health: Vec<Health>,
    /// How long each kind of driver call took the last time.
    pub calls: Arc<BTreeMap<&'static str, Duration>>,
    /// When its last complete pass ended.
    pub last_success: Option<SystemTime>,
    /// How long its last complete pass took in the driver.
    pub pass_duration: Option<Duration>,
    /// Readings that failed, by field and reason, since this process began.
    pub errors: Arc<BTreeMap<(FieldId, Reason), u64>>,
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
    /// Its reading of a watch; none if the watch is of another snapshot.
    pub fn reading(&self, watch: WatchIndex) -> Option<&Reading> {
        self.readings.get(watch.0)
    }

    /// The last XID. One that was delivered stays true when its GPU goes down; that none has
    /// happened is known only while the GPU is up and its events are listened to.
    pub fn last_xid(&self) -> Option<Xid> {
        self.xids.last.or(self.silence())
    }

    /// The last XID of one of its GPU instances, or of the GPU as a whole.
    pub fn last_xid_of(&self, instance: &Instance) -> Option<Xid> {
        self.xids.last_of(instance.gpu_instance).or(self.silence())
    }

    fn silence(&self) -> Option<Xid> {
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
    /// Whether it is open, or why not.
    pub up: Result<(), String>,
    /// The driver's version.
    pub driver_version: Option<Arc<str>>,
    /// Since when only a restart of this process would help.
    pub needs_restart: Option<Moment>,
}

impl SourceView {
    /// Why a source is not up that has neither been opened nor failed yet.
    pub const BEING_OPENED: &str = "the source is being opened";
}

/// What this process uses, as the kernel says.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Process {
    /// User and system time since it began; none if the kernel does not say.
    pub cpu: Option<Duration>,
    /// Resident memory, in bytes; none if the kernel does not say.
    pub resident_bytes: Option<u64>,
    /// When it began.
    pub started: SystemTime,
}
