//! Signs: what a detector finds in rows and events. One row per kind.

use serde::{Deserialize, Serialize};

use crate::layout::GpuInfo;
use crate::time::Time;

/// Something that may explain a failure.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Sign {
    /// What it is.
    pub kind: SignKind,
    /// The GPU, if it is about one.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub gpu: Option<GpuInfo>,
    /// The code, of an XID.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub xid: Option<u32>,
    /// When it began.
    pub from: Time,
    /// When it ended; `None` while it goes on. That of something that happens at once is `from`.
    #[serde(skip_serializing_if = "Option::is_none", default)]
    pub to: Option<Time>,
    /// Whether it opened the incident or joined it, as opposed to what only explains it.
    #[serde(default)]
    pub is_trigger: bool,
    /// What was seen, in a sentence: `GPU 2 was slowed by heat for 1 h 2 min, at up to 89 °C`.
    pub text: String,
}

/// The kinds of signs.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum SignKind {
    /// An XID.
    Xid,
    /// A GPU has fallen off the bus.
    GpuLost,
    /// A call to a GPU does not return.
    GpuHung,
    /// A GPU is not listed any more.
    GpuMissing,
    /// An uncorrected memory error was counted.
    EccUncorrected,
    /// Clocks were lowered because of heat.
    HeatSlowdown,
    /// Clocks were lowered because of an external power brake.
    PowerBrake,
    /// The kernel killed a process because memory was short.
    OomKill,
    /// GPU memory was full, and then free at once.
    MemoryFull,
    /// An NVLink went down.
    LinkDown,
    /// All GPUs of a job stopped to work together.
    JobSilent,
    /// The machine was restarted while heatsink ran.
    MachineRestart,
}

impl SignKind {
    /// Its word in labels and JSON.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Xid => "xid",
            Self::GpuLost => "gpu_lost",
            Self::GpuHung => "gpu_hung",
            Self::GpuMissing => "gpu_missing",
            Self::EccUncorrected => "ecc_uncorrected",
            Self::HeatSlowdown => "heat_slowdown",
            Self::PowerBrake => "power_brake",
            Self::OomKill => "oom_kill",
            Self::MemoryFull => "memory_full",
            Self::LinkDown => "link_down",
            Self::JobSilent => "job_silent",
            Self::MachineRestart => "machine_restart",
        }
    }

    /// The kinds that open incidents, in the order of tables.
    pub const TRIGGERS: [Self; 12] = [
        Self::Xid,
        Self::GpuLost,
        Self::GpuHung,
        Self::GpuMissing,
        Self::EccUncorrected,
        Self::HeatSlowdown,
        Self::PowerBrake,
        Self::OomKill,
        Self::MemoryFull,
        Self::LinkDown,
        Self::JobSilent,
        Self::MachineRestart,
    ];
}
