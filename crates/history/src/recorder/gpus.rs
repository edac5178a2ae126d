//! The GPUs of the layout, and what is remembered of each from one observation to the next.

use std::collections::BTreeSet;
use std::time::SystemTime;

use model::{GpuView, Snapshot, Value, WatchIndex, field};

use super::availability::GpuAvailability;
use super::holders::KnownHolders;
use super::xids::XidCounts;
use crate::layout::GpuInfo;

/// The most GPUs that are recorded, more than a machine has.
const MOST_GPUS: usize = 128;

/// The GPUs, in the order of their columns.
#[derive(Default, Debug)]
pub(super) struct Gpus(Vec<RecordedGpu>);

/// A GPU of the layout.
#[derive(Default, Debug)]
pub(super) struct RecordedGpu {
    pub(super) info: GpuInfo,
    /// Its position in the current snapshot; `None` if it is not there any more.
    at: Option<usize>,
    pub(super) passes: Passes,
    pub(super) availability: GpuAvailability,
    pub(super) xids: XidCounts,
    pub(super) holders: KnownHolders,
}

impl RecordedGpu {
    /// The GPU in the snapshot that was followed last.
    pub(super) fn view<'a>(&self, snapshot: &'a Snapshot) -> Option<&'a GpuView> {
        snapshot.gpus.get(self.at?)
    }
}

impl Gpus {
    /// Finds each GPU of the snapshot, and adds those that are new. Returns whether a GPU is new or has
    /// another identity.
    pub(super) fn follow(&mut self, snapshot: &Snapshot) -> bool {
        let serial = model::watch_of(&snapshot.watches, field::SERIAL);
        self.0.iter_mut().for_each(|gpu| gpu.at = None);
        let taken: BTreeSet<u32> = snapshot.gpus.iter().filter_map(|view| view.gpu.index).collect();
        let mut has_changed = false;
        for (at, view) in snapshot.gpus.iter().enumerate() {
            let info = info(view, serial);
            // Two GPUs never are the same one.
            let known = self.0.iter_mut().filter(|gpu| gpu.at.is_none());
            if let Some(known) = known.into_iter().find(|gpu| gpu.info.is_same(&info)) {
                known.at = Some(at);
                let info = completed(info, &known.info, &taken);
                has_changed |= known.info != info;
                known.info = info;
            } else if self.0.len() < MOST_GPUS {
                self.0.push(RecordedGpu { info, at: Some(at), ..RecordedGpu::default() });
                has_changed = true;
            }
        }
        has_changed
    }

    /// Drops the GPUs that are not in the snapshot, which changes columns.
    pub(super) fn forget_absent(&mut self) {
        self.0.retain(|gpu| gpu.at.is_some());
    }

    pub(super) fn infos(&self) -> Vec<GpuInfo> {
        self.0.iter().map(|gpu| gpu.info.clone()).collect()
    }

    pub(super) fn iter_mut(&mut self) -> impl Iterator<Item = &mut RecordedGpu> {
        self.0.iter_mut()
    }
}

fn info(view: &GpuView, serial: Option<WatchIndex>) -> GpuInfo {
    let serial = match serial.and_then(|watch| view.reading(watch)) {
        Some(Ok(Value::Text(serial))) => Some(serial.to_string()),
        _ => None,
    };
    let identity = view.gpu.identity.as_deref().cloned().unwrap_or_default();
    GpuInfo {
        index: view.gpu.index,
        uuid: identity.uuid,
        pci_bus_id: identity.pci_bus_id,
        model_name: identity.model_name,
        serial,
        minor: identity.minor,
    }
}

/// What a GPU says of itself, completed by what it said before: it stays the same GPU while it does not
/// answer. It has its last index until another GPU has that: one of `taken`.
fn completed(now: GpuInfo, before: &GpuInfo, taken: &BTreeSet<u32>) -> GpuInfo {
    GpuInfo {
        index: now.index.or_else(|| before.index.filter(|index| !taken.contains(index))),
        uuid: now.uuid.or_else(|| before.uuid.clone()),
        pci_bus_id: now.pci_bus_id.or_else(|| before.pci_bus_id.clone()),
        model_name: now.model_name.or_else(|| before.model_name.clone()),
        serial: now.serial.or_else(|| before.serial.clone()),
        minor: now.minor.or(before.minor),
    }
}

/// When passes over a GPU ended, which tells whether there is something new to record.
#[derive(Default, Debug)]
pub(super) struct Passes {
    last: Option<SystemTime>,
    /// The last one before this interval began.
    before_interval: Option<SystemTime>,
    /// The last one that is in a row.
    recorded: Option<SystemTime>,
}

impl Passes {
    /// Notes the last pass; `is_new` if this is the first observation in an interval.
    pub(super) fn observe(&mut self, last_success: Option<SystemTime>, is_new: bool) {
        if is_new {
            self.before_interval = self.last;
        }
        self.last = last_success.or(self.last);
    }

    /// Whether a pass ended in this interval.
    pub(super) fn has_new_in_interval(&self) -> bool {
        self.last != self.before_interval
    }

    /// Whether a pass ended since the last call. If not, its readings are in a row already.
    pub(super) fn take_new(&mut self) -> bool {
        std::mem::replace(&mut self.recorded, self.last) != self.last
    }
}
