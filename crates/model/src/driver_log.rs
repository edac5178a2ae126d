//! Messages of the driver in the kernel log, other than the XIDs of GPUs.

use std::collections::BTreeMap;
use std::time::SystemTime;

use crate::tally::Tally;

/// A failure of the driver that has no XID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DriverError {
    /// A GPU has fallen off the bus, without an XID 79.
    FallenOffBus,
    /// The driver could not initialize an adapter.
    InitFailed,
    /// The driver could not bind to a device.
    ProbeFailed,
}

impl DriverError {
    /// The word used in labels and logs.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::FallenOffBus => "fallen_off_bus",
            Self::InitFailed => "init_failed",
            Self::ProbeFailed => "probe_failed",
        }
    }
}

/// Counts from the kernel log, other than those of the XIDs of GPUs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DriverLog {
    /// Errors of NVSwitches, by PCI address and code.
    pub sxids: BTreeMap<(String, u32), Tally>,
    /// Errors of the driver, by PCI address.
    pub errors: BTreeMap<(String, DriverError), Tally>,
    /// Records that were lost before they could be read or counted.
    pub lost: u64,
}

impl DriverLog {
    /// The limit of series of each kind, far above what a machine has.
    pub const MOST: usize = 512;

    /// Counts an error of an NVSwitch. Returns its new count, or 0 if [`DriverLog::MOST`] is reached.
    /// `birth` is the birth of a series that begins with it.
    pub fn count_sxid(&mut self, pci_bus_id: &str, code: u32, birth: Option<SystemTime>) -> u64 {
        count(&mut self.sxids, (pci_bus_id.to_owned(), code), birth)
    }

    /// Counts an error of the driver. Returns its new count, or 0 if [`DriverLog::MOST`] is reached.
    /// `birth` is the birth of a series that begins with it.
    pub fn count_error(
        &mut self,
        pci_bus_id: &str,
        error: DriverError,
        birth: Option<SystemTime>,
    ) -> u64 {
        count(&mut self.errors, (pci_bus_id.to_owned(), error), birth)
    }

    /// All counts that have a birth.
    pub fn tallies_mut(&mut self) -> impl Iterator<Item = &mut Tally> {
        self.sxids.values_mut().chain(self.errors.values_mut())
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, Tally>, key: K, birth: Option<SystemTime>) -> u64 {
    if counts.len() >= DriverLog::MOST && !counts.contains_key(&key) {
        return 0;
    }
    counts.entry(key).or_default().add(birth)
}
