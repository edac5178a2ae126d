//! What is read of the machine: memory that is available, and memory pressure.

use std::path::Path;

/// One look at the machine's memory.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct HostReading {
    /// Memory that programs can still get, in MiB (`MemAvailable` of `/proc/meminfo`).
    pub memory_available_mib: Option<i64>,
    /// `some avg10` of `/proc/pressure/memory`, in percent.
    pub memory_pressure_some: Option<f64>,
    /// `full avg10`.
    pub memory_pressure_full: Option<f64>,
}

impl HostReading {
    /// Reads `/proc` under `root`. What cannot be read is `None`.
    pub fn now(root: &Path) -> Self {
        let _ = root;
        Self::default()
    }
}
