//! How a GPU's subsystems are, in dcgm-exporter's terms.

/// One subsystem of one GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Health {
    /// `PCIE`, `NVLINK`, `MEM`, `THERMAL`, `POWER`, `DRIVER` or `ALL`.
    pub subsystem: &'static str,
    /// How it is.
    pub status: HealthStatus,
    /// The worst that was found, by DCGM's name for it; empty where nothing was.
    pub error: &'static str,
}

/// How a subsystem is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum HealthStatus {
    /// Nothing was found.
    Pass,
    /// It works, and needs attention.
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
