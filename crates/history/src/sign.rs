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

impl Sign {
    /// Whether both are about the same GPU; `false` if one of them is about none.
    pub fn is_on_same_gpu(&self, other: &Self) -> bool {
        matches!((&self.gpu, &other.gpu), (Some(one), Some(other)) if one.is_same(other))
    }

    /// Whether it was there at a time between these two, both included.
    pub fn overlaps(&self, from: Time, to: Time) -> bool {
        self.from <= to && self.to.is_none_or(|end| end >= from)
    }
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
    /// All GPUs of a job stopped working together.
    JobSilent,
    /// heatsink was cut off, and the machine was started again since.
    MachineRestart,
    /// Corrected memory errors were counted.
    EccCorrected,
    /// A faulty row of GPU memory is replaced at the next reset.
    RemapPending,
    /// A faulty row of GPU memory could not be replaced.
    RemapFailed,
    /// The PCIe link sends packets again, or has fewer lanes or a lower generation than before.
    PcieDegraded,
    /// Errors on NVLinks were counted.
    NvlinkErrors,
    /// Programs wait for memory of the machine.
    HostMemoryPressure,
    /// The memory limit of a cgroup was reached.
    CgroupMemoryLimit,
    /// GPU memory is almost full.
    GpuMemoryAlmostFull,
    /// Most of the GPU memory in use was freed at once.
    GpuMemoryFreed,
    /// Busy GPUs became idle at once.
    GpuIdle,
    /// Nothing can be read of any GPU.
    SourceDown,
    /// The driver has another version than before.
    DriverChanged,
    /// A pod or a job gave its GPUs back.
    HolderEnded,
    /// Clocks were lowered by the power limit for long.
    PowerCapped,
    /// The fan stands still or runs at full speed, and the GPU is hot.
    FanFailing,
    /// heatsink was killed, and started again.
    HeatsinkKilled,
    /// More incidents began than are kept one by one.
    MoreIncidents,
}

/// A row of the table of kinds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct KindRow {
    /// The kind.
    pub(crate) kind: SignKind,
    /// Its word in labels and JSON.
    pub(crate) word: &'static str,
    /// Whether it opens incidents; an XID and an OOM kill only if [`Sign::is_trigger`] says so.
    pub(crate) opens: bool,
    /// Whether a job that ends while it goes on, or within two minutes after, is suspected to end because of
    /// it.
    pub(crate) harms_jobs: bool,
    /// What is said of it where nothing of it was seen: `no heat slowdown`; empty if it is not mentioned.
    pub(crate) absent: &'static str,
}

const fn row(
    kind: SignKind,
    word: &'static str,
    opens: bool,
    harms_jobs: bool,
    absent: &'static str,
) -> KindRow {
    KindRow { kind, word, opens, harms_jobs, absent }
}

/// All kinds, in the order of [`SignKind`].
#[rustfmt::skip]
pub(crate) static KINDS: &[KindRow] = &[
    row(SignKind::Xid,                 "xid",                    true,  false, "XID"),
    row(SignKind::GpuLost,             "gpu_lost",               true,  true,  "lost GPU"),
    row(SignKind::GpuHung,             "gpu_hung",               true,  true,  "hung GPU"),
    row(SignKind::GpuMissing,          "gpu_missing",            true,  true,  ""),
    row(SignKind::EccUncorrected,      "ecc_uncorrected",        true,  true,  "uncorrected memory error"),
    row(SignKind::HeatSlowdown,        "heat_slowdown",          true,  true,  "slowdown by heat"),
    row(SignKind::PowerBrake,          "power_brake",            true,  true,  "power brake"),
    row(SignKind::OomKill,             "oom_kill",               true,  true,  "OOM kill"),
    row(SignKind::MemoryFull,          "memory_full",            true,  true,  "full GPU memory"),
    row(SignKind::LinkDown,            "link_down",              true,  true,  "NVLink that went down"),
    row(SignKind::JobSilent,           "job_silent",             true,  false, ""),
    row(SignKind::MachineRestart,      "machine_restart",        true,  false, ""),
    row(SignKind::EccCorrected,        "ecc_corrected",          false, false, ""),
    row(SignKind::RemapPending,        "remap_pending",          false, false, ""),
    row(SignKind::RemapFailed,         "remap_failed",           false, false, ""),
    row(SignKind::PcieDegraded,        "pcie_degraded",          false, false, "degraded PCIe link"),
    row(SignKind::NvlinkErrors,        "nvlink_errors",          false, false, ""),
    row(SignKind::HostMemoryPressure,  "host_memory_pressure",   false, true,  "memory pressure on the machine"),
    row(SignKind::CgroupMemoryLimit,   "cgroup_memory_limit",    false, false, ""),
    row(SignKind::GpuMemoryAlmostFull, "gpu_memory_almost_full", false, false, ""),
    row(SignKind::GpuMemoryFreed,      "gpu_memory_freed",       false, false, ""),
    row(SignKind::GpuIdle,             "gpu_idle",               false, false, ""),
    row(SignKind::SourceDown,          "source_down",            false, false, ""),
    row(SignKind::DriverChanged,       "driver_changed",         false, true,  ""),
    row(SignKind::HolderEnded,         "holder_ended",           false, false, ""),
    row(SignKind::PowerCapped,         "power_capped",           false, false, ""),
    row(SignKind::FanFailing,          "fan_failing",            false, false, ""),
    row(SignKind::HeatsinkKilled,      "heatsink_killed",        false, false, ""),
    row(SignKind::MoreIncidents,       "more_incidents",         false, false, ""),
];

impl SignKind {
    /// Its row in the table.
    fn row(self) -> Option<&'static KindRow> {
        KINDS.iter().find(|row| row.kind == self)
    }

    /// Its word in labels and JSON.
    pub fn as_str(self) -> &'static str {
        self.row().map_or("", |row| row.word)
    }

    /// Whether it opens incidents; an XID and an OOM kill only if [`Sign::is_trigger`] says so.
    pub fn opens(self) -> bool {
        self.row().is_some_and(|row| row.opens)
    }

    /// Whether a job that ends while it goes on, or within two minutes after, is suspected to end because of it.
    pub(crate) fn harms_jobs(self) -> bool {
        self.row().is_some_and(|row| row.harms_jobs)
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_table_has_each_kind_once_with_the_word_of_json() {
        for (row, number) in KINDS.iter().zip(0..) {
            assert_eq!(row.kind as usize, number, "{} is out of order", row.word);
            let json = serde_json::to_string(&row.kind).unwrap();
            assert_eq!(json, format!("\"{}\"", row.word));
        }
        assert_eq!(KINDS.len(), SignKind::MoreIncidents as usize + 1);
    }

    #[test]
    fn the_kinds_that_open_are_the_triggers() {
        let opening: Vec<_> = KINDS.iter().filter(|row| row.opens).map(|row| row.kind).collect();
        assert_eq!(opening, SignKind::TRIGGERS);
    }
}
