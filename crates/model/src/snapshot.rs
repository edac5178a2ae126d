//! What is known at one moment: all that a page is made of.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant, SystemTime};

use crate::{Down, FieldId, Identity, Reading, Reason, Watch, Xid, XidLog};

/// Everything that is known at one moment. Immutable; a new one replaces it.
#[derive(Clone, Debug)]
pub struct Snapshot {
    /// What was asked for, in page order; readings are by position in it.
    pub watches: Arc<[Watch]>,
    /// By index, each with what it answered.
    pub gpus: Vec<GpuView>,
    /// Where the readings come from.
    pub source: SourceView,
    /// What this process uses.
    pub process: Process,
    /// Until when nothing in it is too old.
    pub good_until: Instant,
}

/// A GPU, present or only expected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Gpu {
    /// The driver's index.
    pub index: u32,
    /// Known once it has answered.
    pub identity: Option<Arc<Identity>>,
}

/// One GPU at one moment.
#[derive(Clone, Debug)]
pub struct GpuView {
    /// Which.
    pub gpu: Gpu,
    /// Whether it answers, or why not.
    pub up: Result<(), Down>,
    /// By position in [`Snapshot::watches`]. Of a GPU that is down, only labels are values: the
    /// series of its XIDs must not change its name when the GPU goes.
    pub readings: Vec<Reading>,
    /// What went wrong on it, as far as this process was told. Kept while the GPU is down.
    pub xids: Arc<XidLog>,
    /// When its last complete pass ended.
    pub last_success: Option<SystemTime>,
    /// How long its last complete pass took in the driver.
    pub pass_duration: Option<Duration>,
    /// Readings that failed, by field and reason, since this process began.
    pub errors: Arc<BTreeMap<(FieldId, Reason), u64>>,
}

impl GpuView {
    /// The last XID. One that was delivered stays true when its GPU goes down; that none has
    /// happened is known only while the GPU is up and its events are listened to.
    pub fn last_xid(&self) -> Option<Xid> {
        let silence = (self.xids.listening && self.up.is_ok()).then_some(Xid::NONE);
        self.xids.last.or(silence)
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
