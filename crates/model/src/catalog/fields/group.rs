//! The groups of fields in tables for people.

/// The group of a field in tables for people.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Group {
    /// Names, numbers, versions and licences of the device.
    Identity,
    /// Clocks, performance state, and why the clocks are what they are.
    Clocks,
    /// Temperatures, their thresholds, and the fan.
    Heat,
    /// Power, energy, and their limits.
    Power,
    /// Share of time in which something was busy.
    Use,
    /// The size of memories and how much of them is used.
    Memory,
    /// XIDs, ECC, repair of memory, health.
    Errors,
    /// The PCIe link.
    Pcie,
    /// NVLinks, the NVLink fabric, connections to other GPUs, and the link to the CPU.
    Nvlink,
    /// Performance counters of the chip.
    Profiling,
    /// heatsink itself: its source, its configuration, its process.
    Heatsink,
}

impl Group {
    /// All groups, in the order of tables.
    pub const ALL: [Self; 11] = [
        Self::Heat,
        Self::Power,
        Self::Clocks,
        Self::Use,
        Self::Memory,
        Self::Errors,
        Self::Pcie,
        Self::Nvlink,
        Self::Profiling,
        Self::Identity,
        Self::Heatsink,
    ];

    /// The word used in tables.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Identity => "identity",
            Self::Clocks => "clocks",
            Self::Heat => "heat",
            Self::Power => "power",
            Self::Use => "use",
            Self::Memory => "memory",
            Self::Errors => "errors",
            Self::Pcie => "pcie",
            Self::Nvlink => "nvlink",
            Self::Profiling => "profiling",
            Self::Heatsink => "heatsink",
        }
    }
}
