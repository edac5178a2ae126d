//! What the driver writes to the kernel's log beside the XIDs of GPUs.

use std::collections::BTreeMap;
use std::time::SystemTime;

/// Something that went wrong in the driver and has no XID.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum DriverError {
    /// A GPU has fallen off the bus, and no XID 79 says so.
    FallenOffBus,
    /// The driver could not initialise an adapter.
    InitFailed,
    /// The driver could not take a device over from the kernel.
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

/// One thing that the kernel's log said of a GPU or an NVSwitch, with what no counter holds.
#[derive(Clone, PartialEq, Debug)]
pub struct DriverEvent {
    /// When it happened.
    pub time: SystemTime,
    /// `00000000:1A:00.0`.
    pub pci_bus_id: String,
    /// What: `xid 79`, `sxid 20034`, `init_failed`.
    pub what: String,
    /// The process that the driver names. Of XID 119 it is often a bystander.
    pub process: Option<(Option<u32>, Option<String>)>,
    /// The NVLink, where it is about one.
    pub link: Option<u32>,
    /// `fatal`, `nonfatal`, `correctable`, where the driver says.
    pub severity: Option<&'static str>,
}

/// What was counted in the kernel's log, beside the XIDs of GPUs.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct DriverLog {
    /// Errors of NVSwitches, by PCI address and code.
    pub sxids: BTreeMap<(String, u32), u64>,
    /// Errors of the driver, by PCI address.
    pub errors: BTreeMap<(String, DriverError), u64>,
    /// Records that were lost before they could be read or counted.
    pub lost: u64,
}

impl DriverLog {
    /// More different series of each kind than a machine has, by far.
    pub const MOST: usize = 512;

    /// Counts an error of an NVSwitch. Says how many there are; none where there is no room.
    pub fn count_sxid(&mut self, pci_bus_id: &str, code: u32) -> u64 {
        count(&mut self.sxids, (pci_bus_id.to_owned(), code))
    }

    /// Counts an error of the driver. Says how many there are; none where there is no room.
    pub fn count_error(&mut self, pci_bus_id: &str, error: DriverError) -> u64 {
        count(&mut self.errors, (pci_bus_id.to_owned(), error))
    }
}

fn count<K: Ord>(counts: &mut BTreeMap<K, u64>, key: K) -> u64 {
    if counts.len() >= DriverLog::MOST && !counts.contains_key(&key) {
        return 0;
    }
    let count = counts.entry(key).or_insert(0);
    *count += 1;
    *count
}
