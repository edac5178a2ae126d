//! The health of a GPU's subsystems, in dcgm-exporter's terms.

/// The health of one subsystem of one GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    /// `PCIE`, `NVLINK`, `MEM`, `THERMAL`, `POWER`, `DRIVER` or `ALL`.
    pub subsystem: &'static str,
    /// Its health.
    pub status: HealthStatus,
    /// DCGM's name of the worst error; empty without an error.
    pub error: &'static str,
}

/// The health of a subsystem.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HealthStatus {
    /// No error was found.
    Pass,
    /// It works and needs attention.
    Warn,
    /// It should not be used.
    Fail,
}

impl HealthStatus {
    /// The sample's value: 0, 10 or 20.
    pub fn value(self) -> u64 {
        match self {
            Self::Pass => 0,
            Self::Warn => 10,
            Self::Fail => 20,
        }
    }
}
