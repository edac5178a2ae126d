//! The table of verdicts. The first row that fits is taken, so what is certain and what is severe comes first.
//!
//! Each row has a story that ends in it, and one near it that does not, in `stories.rs`.

use std::time::Duration;

use model::catalog::xid::Class;

use super::row::{Need, Place, Row};
use crate::incident::Confidence;
use crate::pattern::Pattern;
use crate::sign::SignKind as Kind;

/// XIDs of memory errors.
const MEMORY: Pattern = Pattern::Either(&[Kind::EccUncorrected], &[48, 64, 94, 95, 140, 171, 172]);
/// A GPU that has fallen off the bus.
const OFF_BUS: Pattern = Pattern::Either(&[Kind::GpuLost], &[79]);
/// A GPU that does not answer, for whatever reason.
const GONE: Pattern = Pattern::Either(&[Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing], &[79]);
/// Errors of NVLinks.
const LINKS: Pattern =
    Pattern::Either(&[Kind::LinkDown], &[74, 144, 145, 146, 147, 148, 149, 150, 155]);
/// What applications do wrong. XID 94 has the same class, and is an error of memory.
const APPLICATION: Pattern = Pattern::Classes(&[Class::RestartApplication]);
/// A verification error of a channel, which an application has caused.
const CHANNEL: Pattern = Pattern::Xids(&[43]);

/// What is told with every fault that ends jobs.
const CONSEQUENCES: Pattern = Pattern::Either(&[Kind::JobSilent, Kind::HolderEnded], &[43, 45]);
const NOTHING: Pattern = Pattern::Kinds(&[]);

const fn anywhere(what: Pattern) -> Need {
    Need { what, place: Place::Anywhere, is_before: false, gpus: 1, lasts: Duration::ZERO }
}

/// Anywhere, and no later than the trigger.
const fn earlier(what: Pattern) -> Need {
    Need { is_before: true, ..anywhere(what) }
}

const fn on_same_gpu(what: Pattern) -> Need {
    Need { place: Place::SameGpu, ..anywhere(what) }
}

/// On the same GPU, and no later than the trigger.
const fn before(what: Pattern) -> Need {
    Need { place: Place::SameGpu, ..earlier(what) }
}

/// On one of the GPUs or on the machine, and no later than the trigger.
const fn shared(what: Pattern) -> Need {
    Need { place: Place::Shared, ..earlier(what) }
}

const fn on_several(what: Pattern) -> Need {
    Need { gpus: 2, ..anywhere(what) }
}

/// On the same GPU, for ten minutes or longer.
const fn for_long(what: Pattern) -> Need {
    Need { lasts: Duration::from_secs(600), ..before(what) }
}

const HEAT: Pattern = Pattern::Kinds(&[Kind::HeatSlowdown]);
const BRAKE: Pattern = Pattern::Kinds(&[Kind::PowerBrake]);

/// All rows, in order of precedence.
pub(super) static ROWS: &[Row] = &[
    Row {
        name: "driver_changed",
        decides: Pattern::Either(
            &[Kind::JobSilent, Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing],
            &[13, 31, 43, 45],
        ),
        needs: &[anywhere(Pattern::Kinds(&[Kind::DriverChanged]))],
        lacks: &[],
        supports: Pattern::Kinds(&[Kind::SourceDown, Kind::HolderEnded]),
        cause: "The driver was replaced while a job ran. {need}.",
        actions: &[
            "Start the job again.",
            "Drain the machine before the driver is upgraded, and keep automatic upgrades away from it.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("HeatsinkSourceDown"),
    },
    Row {
        name: "power_brake_machine",
        decides: Pattern::Either(
            &[Kind::PowerBrake, Kind::JobSilent, Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing],
            &[54, 79],
        ),
        needs: &[on_several(BRAKE), shared(BRAKE)],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "Power: {gpus} were slowed by the power brake of the machine.",
        actions: &[
            "Check the power supplies of the machine, their inputs, and the limit of the rack.",
            "Lower the power limit of the GPUs until that is done, so that the machine does not go down: nvidia-smi -pl.",
        ],
        confidence: Confidence::Certain,
        runbook: Some("GpuPowerBrake"),
    },
    Row {
        name: "power_brake",
        decides: Pattern::Either(
            &[Kind::PowerBrake, Kind::JobSilent, Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing],
            &[54, 79],
        ),
        needs: &[shared(Pattern::Either(&[Kind::PowerBrake], &[54]))],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "Power: {need}.",
        actions: &[
            "Check the power cable and the seat of the GPU, with the machine off.",
            "Check the power supplies of the machine.",
        ],
        confidence: Confidence::Certain,
        runbook: Some("GpuPowerBrake"),
    },
    Row {
        name: "remap_failed",
        decides: MEMORY,
        needs: &[on_same_gpu(Pattern::Kinds(&[Kind::RemapFailed]))],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The memory of {gpus} is faulty, and could not be repaired with spare rows. {sign}.",
        actions: &[
            "Take the GPU out of service, and have its board replaced.",
            "Start the job again on another GPU.",
        ],
        confidence: Confidence::Certain,
        runbook: Some("GpuRowRemapFailed"),
    },
    Row {
        name: "memory_then_lost",
        decides: GONE,
        needs: &[before(MEMORY)],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The memory of {gpus} failed, and the GPU was lost after that. {need}.",
        actions: &[
            "Drain the machine and start it again.",
            "If memory errors come again, have the board replaced.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuEccUncorrectable"),
    },
    Row {
        name: "ecc_uncontained",
        decides: Pattern::Xids(&[95, 140, 171, 172]),
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(
            &[Kind::EccUncorrected, Kind::EccCorrected, Kind::RemapPending, Kind::JobSilent],
            &[48, 63, 64, 94, 43, 45],
        ),
        cause: "The memory of {gpus} failed, and every application on it may have been hit. {sign}.",
        actions: &["{action}", "Start the applications again after the reset."],
        confidence: Confidence::Certain,
        runbook: Some("GpuEccUncorrectable"),
    },
    Row {
        name: "ecc_contained",
        decides: Pattern::Xids(&[94]),
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(
            &[Kind::EccUncorrected, Kind::EccCorrected, Kind::RemapPending, Kind::JobSilent],
            &[48, 63, 43, 45],
        ),
        cause: "The memory of {gpus} failed, and the error stayed within one application. {sign}.",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        runbook: Some("GpuEccUncorrectable"),
    },
    Row {
        name: "ecc_uncorrected",
        decides: Pattern::Either(&[Kind::EccUncorrected], &[48]),
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(
            &[Kind::EccCorrected, Kind::RemapPending, Kind::JobSilent],
            &[63, 43, 45],
        ),
        cause: "The memory of {gpus} failed. {sign}.",
        actions: &[
            "Start the job again.",
            "Reset the GPU at the next chance: a faulty row is replaced by a spare one then.",
        ],
        confidence: Confidence::Certain,
        runbook: Some("GpuEccUncorrectable"),
    },
    Row {
        name: "bus_link",
        decides: OFF_BUS,
        needs: &[before(Pattern::Kinds(&[Kind::PcieDegraded]))],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The PCIe link of {gpus} failed, and the GPU fell off the bus. {need}.",
        actions: &[
            "Drain the machine, power it off, and check the seat of the GPU, its riser and its cables.",
            "If it comes again in the same slot with another GPU, have the board of the machine checked.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuPcieReplays"),
    },
    Row {
        name: "heat_then_lost",
        decides: GONE,
        needs: &[before(HEAT)],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "{gpus} overheated, and did not answer any more after that. {need}.",
        actions: &[
            "Drain the machine and start it again.",
            "Check fans, air filters, the temperature of the inlet, and the contact of the cooler.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuTemperatureHigh"),
    },
    Row {
        name: "gsp",
        decides: Pattern::Xids(&[119, 120]),
        needs: &[],
        lacks: &[before(OFF_BUS)],
        supports: Pattern::Either(
            &[Kind::GpuHung, Kind::GpuLost, Kind::JobSilent],
            &[43, 45, 79, 154],
        ),
        cause: "The firmware of {gpus} stopped answering the driver. {sign}.",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        runbook: Some("GpuXidCritical"),
    },
    Row {
        name: "off_bus",
        decides: OFF_BUS,
        needs: &[],
        // Of XIDs on one GPU the first is the cause.
        lacks: &[before(Pattern::Classes(&[Class::ResetGpu, Class::CheckNvlink]))],
        supports: Pattern::Either(&[Kind::LinkDown, Kind::JobSilent], &[43, 45, 119, 154]),
        cause: "{gpus} fell off the bus.",
        actions: &[
            "Drain the machine and start it again; power it off if that does not help.",
            "If the GPU is lost again, check its power, its cooling and its seat.",
        ],
        confidence: Confidence::Certain,
        runbook: Some("GpuDown"),
    },
    Row {
        name: "nvlink",
        decides: LINKS,
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(&[Kind::NvlinkErrors, Kind::JobSilent], &[43, 45]),
        cause: "An NVLink of {gpus} failed. {sign}.",
        actions: &[
            "Read the number of the link in the kernel's log, and check both of its ends.",
            "If errors go on, drain the GPUs and reset them; then ask NVIDIA or the maker of the machine.",
        ],
        confidence: Confidence::Certain,
        runbook: Some("GpuNvlinkDown"),
    },
    Row {
        name: "xid_reset_gpu",
        decides: Pattern::Classes(&[Class::ResetGpu]),
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(&[Kind::GpuHung, Kind::JobSilent], &[43, 45, 154]),
        cause: "{gpus} failed and needs a reset: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        runbook: Some("GpuXidCritical"),
    },
    Row {
        name: "xid_restart",
        decides: Pattern::Either(&[], &[151, 167]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "{gpus} failed, and the machine has to be started again: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        runbook: Some("GpuXidCritical"),
    },
    Row {
        name: "missing",
        decides: Pattern::Kinds(&[Kind::GpuMissing]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The driver does not list {gpus} any more.",
        actions: &[
            "Look for it with lspci: if it is not there either, treat it as fallen off the bus.",
            "Read the kernel's log for RmInitAdapter; then start the machine again.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuMissing"),
    },
    Row {
        name: "hung",
        decides: Pattern::Kinds(&[Kind::GpuHung]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "{gpus} hung: calls to the driver did not return.",
        actions: &[
            "Look for processes in state D that use the GPU, and for XIDs in the kernel's log.",
            "Drain the GPU and reset it, or start the machine again if that fails.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuDown"),
    },
    Row {
        name: "xid_update_software",
        decides: Pattern::Classes(&[Class::UpdateSoftware]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The software of {gpus} failed: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Likely,
        runbook: Some("GpuXidWarning"),
    },
    Row {
        name: "xid_contact_support",
        decides: Pattern::Classes(&[Class::ContactSupport]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "{gpus} reported a fault that its maker has to explain: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Likely,
        runbook: Some("GpuXidWarning"),
    },
    Row {
        name: "oom_kill_limit",
        decides: Pattern::Kinds(&[Kind::OomKill]),
        needs: &[anywhere(Pattern::Kinds(&[Kind::CgroupMemoryLimit]))],
        lacks: &[earlier(APPLICATION)],
        supports: Pattern::Either(
            &[Kind::GpuMemoryFreed, Kind::GpuIdle, Kind::JobSilent, Kind::HolderEnded],
            &[45],
        ),
        cause: "The job needed more memory of the machine than its limit. {sign}.",
        actions: &[
            "Raise the memory limit of the pod or the job, or use less: fewer loader processes, smaller batches.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Certain,
        runbook: None,
    },
    Row {
        name: "oom_kill_machine",
        decides: Pattern::Kinds(&[Kind::OomKill]),
        needs: &[],
        lacks: &[earlier(APPLICATION)],
        supports: Pattern::Either(
            &[
                Kind::HostMemoryPressure,
                Kind::GpuMemoryFreed,
                Kind::GpuIdle,
                Kind::JobSilent,
                Kind::HolderEnded,
            ],
            &[45],
        ),
        cause: "The machine was out of memory. {sign}.",
        actions: &[
            "Find what used the memory: the kernel's log lists all processes with theirs.",
            "Set memory limits for pods and jobs, so that one cannot end another.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Certain,
        runbook: None,
    },
    Row {
        name: "application_fault",
        decides: APPLICATION,
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The application's own fault, most likely: {meaning} (XID {code}) on {gpus}.",
        actions: &[
            "{action}",
            "Run it with CUDA_LAUNCH_BLOCKING=1 or under compute-sanitizer to find the fault.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuXidApplication"),
    },
    Row {
        name: "application_channel",
        decides: CHANNEL,
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "The application's own fault, most likely: its work on {gpus} was ended (XID {code}).",
        actions: &["{action}", "Start the application again, and read what it wrote last."],
        confidence: Confidence::Likely,
        runbook: Some("GpuXidApplication"),
    },
    Row {
        name: "heat",
        decides: Pattern::Kinds(&[Kind::HeatSlowdown, Kind::JobSilent]),
        needs: &[shared(HEAT)],
        lacks: &[],
        supports: Pattern::Either(&[Kind::FanFailing, Kind::JobSilent, Kind::HolderEnded], &[45]),
        cause: "Heat: {need}.",
        actions: &[
            "Check fans, air filters, the temperature of the inlet, and the contact of the cooler.",
            "Lower the power limit of the GPU until that is done: a steady lower clock slows a job less.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuThermalSlowdown"),
    },
    Row {
        name: "host_memory",
        decides: Pattern::Kinds(&[Kind::JobSilent]),
        needs: &[shared(Pattern::Kinds(&[Kind::HostMemoryPressure]))],
        lacks: &[],
        supports: Pattern::Kinds(&[Kind::HolderEnded, Kind::GpuMemoryFreed]),
        cause: "The machine was short of memory, and the job stopped working. {need}.",
        actions: &[
            "Find what uses the memory of the machine: ps aux --sort -rss.",
            "Set memory limits for pods and jobs.",
        ],
        confidence: Confidence::Possible,
        runbook: None,
    },
    Row {
        name: "gpu_memory_full_for_long",
        decides: Pattern::Kinds(&[Kind::MemoryFull]),
        needs: &[for_long(Pattern::Kinds(&[Kind::GpuMemoryAlmostFull]))],
        lacks: &[],
        supports: Pattern::Either(&[Kind::JobSilent, Kind::HolderEnded], &[45]),
        cause: "An application that held almost all GPU memory ended: it ran out of it, or was done. {sign}.",
        actions: &[
            "Read what the application wrote last: an error of CUDA that names memory decides.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Possible,
        runbook: Some("GpuMemoryFull"),
    },
    Row {
        name: "gpu_memory_full",
        decides: Pattern::Kinds(&[Kind::MemoryFull]),
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(
            &[Kind::GpuMemoryAlmostFull, Kind::JobSilent, Kind::HolderEnded],
            &[45],
        ),
        cause: "The application ran out of GPU memory. {sign}.",
        actions: &[
            "Use less memory: smaller batches, shorter sequences, checkpointed activations; or look for a leak.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Likely,
        runbook: Some("GpuMemoryFull"),
    },
    Row {
        name: "application_ended",
        decides: Pattern::Xids(&[45]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "An application was ended from outside while it used {gpus} (XID 45).",
        actions: &["{action}", "Ask who or what ended it: a user, a scheduler, a time limit."],
        confidence: Confidence::Possible,
        runbook: Some("GpuXidApplication"),
    },
    Row {
        name: "machine_restart",
        decides: Pattern::Kinds(&[Kind::MachineRestart]),
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "The machine went down without a shutdown, most likely by a power cut, a kernel panic or a hard reset.",
        actions: &[
            "Read the event log of the management controller: ipmitool sel elist.",
            "Read the last lines of the kernel before it: journalctl -k -b -1, and /sys/fs/pstore.",
        ],
        confidence: Confidence::Possible,
        runbook: None,
    },
    Row {
        name: "xid_other",
        decides: Pattern::Classes(&[
            Class::ReadRecoveryAction,
            Class::CheckUnifiedMemory,
            Class::Unclassified,
        ]),
        needs: &[],
        lacks: &[],
        supports: CONSEQUENCES,
        cause: "{gpus} reported a fault: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Possible,
        runbook: Some("GpuXidWarning"),
    },
];
