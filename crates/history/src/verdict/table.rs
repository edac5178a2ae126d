//! The table of verdicts. The first row that fits is taken, so what is certain and what is severe comes first.
//!
//! Each row has a story that ends in it, and one near it that does not, in `stories.rs`.

use std::time::Duration;

use model::catalog::xid::Class;

use super::row::{ALL, Doubt, Need, Place, Row, When};
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

/// XIDs after which only a reset brings the GPU back, but those of links.
const RESET: Pattern = Pattern::Xids(&[46, 62, 64, 95, 109, 110, 119, 120, 140, 143, 156, 158]);
/// What ends a GPU before a driver is replaced.
const FAULT: Pattern =
    Pattern::OrCritical(&[Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing, Kind::EccUncorrected]);
/// A job that stopped.
const SILENT: Pattern = Pattern::Kinds(&[Kind::JobSilent]);
const NOTHING: Pattern = Pattern::Kinds(&[]);

/// The begin of the action that brings a lost GPU back.
pub(super) const RESTART: &str = "Drain the machine and start it again";

/// A sign of anything.
pub(super) const ANYWHERE: Need = Need {
    what: Pattern::Any,
    place: Place::Anywhere,
    when: When::Any,
    precedes: None,
    gpus: 1,
    lasts: Duration::ZERO,
    is_old_too: false,
};

const fn anywhere(what: Pattern) -> Need {
    Need { what, ..ANYWHERE }
}

/// Anywhere, and no later than the trigger.
const fn earlier(what: Pattern) -> Need {
    Need { when: When::Earlier, ..anywhere(what) }
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

/// The same, while it goes on.
const fn during(what: Pattern) -> Need {
    Need { when: When::GoesOn, ..shared(what) }
}

/// On GPUs of the job, however long ago.
const fn of_job(what: Pattern) -> Need {
    Need { place: Place::OfJob, is_old_too: true, ..earlier(what) }
}

/// On the same GPU, for longer than a minute.
const fn for_long(what: Pattern) -> Need {
    Need { lasts: Duration::from_secs(60), ..before(what) }
}

const HEAT: Pattern = Pattern::Kinds(&[Kind::HeatSlowdown]);
const BRAKE: Pattern = Pattern::Kinds(&[Kind::PowerBrake]);
/// What a GPU that fails does to others.
const WITH_LINKS: Pattern = Pattern::Either(&[Kind::LinkDown, Kind::GpuHung], &[74]);
/// A limit that was reached with the kill.
const LIMIT: Need =
    Need { when: When::GoesOn, ..anywhere(Pattern::Kinds(&[Kind::CgroupMemoryLimit])) };
/// A kill of which it is not known whether it was of the job.
const SOMEBODY_KILLED: Need =
    Need { when: When::Earlier, ..anywhere(Pattern::OfNobody(&[Kind::OomKill])) };

/// A job that is done ends just so.
const MAY_BE_DONE: &[Need] = &[
    anywhere(Pattern::OfNobody(&[Kind::JobSilent])),
    Need {
        when: When::Meanwhile,
        place: Place::SameGpu,
        ..anywhere(Pattern::Kinds(&[Kind::HolderEnded]))
    },
];

/// All rows, in order of precedence.
pub(super) static ROWS: &[Row] = &[
    Row {
        name: "driver_changed",
        decides: Pattern::Either(
            &[Kind::JobSilent, Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing],
            &[13, 31, 43, 45],
        ),
        needs: &[
            anywhere(Pattern::Kinds(&[Kind::DriverChanged])),
            Need { when: When::EarlierOrSeenLate, ..anywhere(Pattern::Kinds(&[Kind::SourceDown])) },
        ],
        // Who replaces a driver to repair a GPU does it after the fault.
        lacks: &[Need {
            precedes: Some(Pattern::Kinds(&[Kind::SourceDown])),
            is_old_too: true,
            ..anywhere(FAULT)
        }],
        supports: NOTHING,
        cause: "The driver was replaced{while a job ran}. {driver}.",
        actions: &[
            "Start the work on the GPUs again.",
            "Drain the machine before the driver is upgraded, and keep automatic upgrades away from it.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("HeatsinkSourceDown"),
    },
    Row {
        name: "remap_failed",
        decides: MEMORY,
        needs: &[on_same_gpu(Pattern::Kinds(&[Kind::RemapFailed]))],
        lacks: &[],
        supports: NOTHING,
        cause: "The memory of {gpus} is faulty, and could not be repaired with spare rows. {sign}.",
        actions: &[
            "Take the GPU out of service, and have its board replaced.",
            "Start the job again on another GPU.",
        ],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuRowRemapFailed"),
    },
    Row {
        name: "memory_then_lost",
        decides: GONE,
        needs: &[before(MEMORY)],
        lacks: &[],
        supports: NOTHING,
        cause: "The memory of {gpus} failed, and after that {it} did not answer any more. {need}.",
        actions: &[
            "Drain the machine and start it again.",
            "If memory errors come again, have the board replaced.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
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
        actions: &["{action}", "Start the applications again after that."],
        confidence: Confidence::Certain,
        doubt: None,
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
        doubt: None,
        runbook: Some("GpuEccUncorrectable"),
    },
    Row {
        name: "ecc_uncorrected",
        decides: Pattern::Either(&[Kind::EccUncorrected], &[48]),
        needs: &[],
        lacks: &[],
        supports: Pattern::Either(
            &[Kind::EccUncorrected, Kind::EccCorrected, Kind::RemapPending],
            &[48, 63],
        ),
        cause: "The memory of {gpus} failed. {sign}.",
        actions: &[
            "{action}",
            "{no xid}Reset the GPU at the next chance: a faulty row is replaced by a spare one then.",
            "Start the job again.",
        ],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuEccUncorrectable"),
    },
    Row {
        name: "power_then_lost",
        decides: GONE,
        needs: &[during(BRAKE)],
        // Of faults on one GPU the first is the cause.
        lacks: &[before(MEMORY), before(RESET)],
        supports: NOTHING,
        cause: "Power, maybe: {gpus} did not answer any more while the power brake was on. {need}.",
        actions: &[
            "Drain the machine and start it again.",
            "Check the power supplies of the machine, their inputs, the power cable of the GPU, and the limit of the rack.",
        ],
        confidence: Confidence::Possible,
        doubt: None,
        runbook: Some("GpuPowerBrake"),
    },
    Row {
        name: "bus_link",
        decides: OFF_BUS,
        needs: &[before(Pattern::Kinds(&[Kind::PcieDegraded]))],
        lacks: &[],
        supports: NOTHING,
        cause: "The PCIe {link} of {gpus} failed, and {it} fell off the bus. {need}.",
        actions: &[
            "Drain the machine and start it again; while its power is off, check the seat of the GPU, its riser and its cables.",
            "If it comes again in the same slot with another GPU, have the board of the machine checked.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuPcieReplays"),
    },
    Row {
        name: "heat_then_lost",
        decides: GONE,
        needs: &[before(HEAT)],
        lacks: &[],
        supports: NOTHING,
        cause: "{gpus} overheated, and did not answer any more after that. {need}.",
        actions: &[
            "Drain the machine and start it again.",
            "Check fans, air filters, the temperature of the inlet, and the contact of the cooler.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuTemperatureHigh"),
    },
    Row {
        name: "gsp",
        decides: Pattern::Xids(&[119, 120]),
        needs: &[],
        lacks: &[before(OFF_BUS)],
        supports: Pattern::Either(&[Kind::GpuHung], &[]),
        cause: "The firmware of {gpus} stopped answering the driver. {sign}.",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuXidCritical"),
    },
    Row {
        name: "off_bus",
        decides: OFF_BUS,
        needs: &[],
        // Of XIDs on one GPU the first is the cause.
        lacks: &[before(Pattern::Classes(&[Class::ResetGpu, Class::CheckNvlink]))],
        supports: Pattern::Either(&[Kind::LinkDown, Kind::GpuHung], &[74, 119]),
        cause: "{gpus} fell off the bus.",
        actions: &[
            "Drain the machine and start it again; power it off if that does not help.",
            "If the GPU is lost again, check its power, its cooling and its seat.",
        ],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuDown"),
    },
    Row {
        name: "nvlink",
        decides: LINKS,
        needs: &[],
        // A GPU that fails takes the links of its peers with it.
        lacks: &[earlier(GONE), earlier(RESET)],
        supports: Pattern::Kinds(&[Kind::NvlinkErrors]),
        cause: "An NVLink of {gpus} failed. {sign}.",
        actions: &[
            "Read the number of the link in the kernel's log, and check both of its ends.",
            "If errors go on, drain the GPUs and reset them; then ask NVIDIA or the maker of the machine.",
        ],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuNvlinkDown"),
    },
    Row {
        name: "xid_reset_gpu",
        decides: Pattern::Classes(&[Class::ResetGpu]),
        needs: &[],
        lacks: &[],
        supports: WITH_LINKS,
        cause: "{gpus} failed, and only a reset helps: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuXidCritical"),
    },
    Row {
        name: "xid_restart",
        decides: Pattern::Either(&[], &[151, 167]),
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "{gpus} failed, and the machine has to be started again: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Certain,
        doubt: None,
        runbook: Some("GpuXidCritical"),
    },
    Row {
        name: "missing",
        decides: Pattern::Kinds(&[Kind::GpuMissing]),
        needs: &[],
        lacks: &[],
        supports: WITH_LINKS,
        cause: "The driver does not list {gpus} any more.",
        actions: &[
            "Drain the machine and start it again; before that, read the kernel's log for RmInitAdapter.",
            "Look for it with lspci: if it is not there either, treat it as fallen off the bus.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuMissing"),
    },
    Row {
        name: "driver_hung",
        decides: Pattern::Kinds(&[Kind::GpuHung]),
        needs: &[Need { gpus: ALL, ..anywhere(Pattern::Kinds(&[Kind::GpuHung])) }],
        lacks: &[],
        supports: WITH_LINKS,
        cause: "The driver did not answer for any GPU: calls to it did not return, or came back too late.",
        actions: &[
            "Look for processes in state D, for a machine that is overloaded, and for messages of the driver in the kernel's log.",
            "If the driver still does not answer, drain the machine and start it again.",
        ],
        confidence: Confidence::Likely,
        doubt: Some(Doubt {
            any: &[anywhere(Pattern::Over(&[Kind::GpuHung]))],
            cause: "The driver did not answer for any GPU for a while: calls to it came back too late.",
        }),
        runbook: Some("GpuDown"),
    },
    Row {
        name: "hung",
        decides: Pattern::Kinds(&[Kind::GpuHung]),
        needs: &[],
        lacks: &[],
        supports: WITH_LINKS,
        cause: "{gpus} did not answer: calls to the driver did not return, or came back too late.",
        actions: &[
            "Look for processes in state D that use the GPU, and for XIDs in the kernel's log.",
            "Drain the GPU and reset it, or start the machine again if that fails.",
        ],
        confidence: Confidence::Likely,
        doubt: Some(Doubt {
            any: &[on_same_gpu(Pattern::Over(&[Kind::GpuHung]))],
            cause: "{gpus} did not answer for a while: calls to the driver came back too late.",
        }),
        runbook: Some("GpuDown"),
    },
    Row {
        name: "xid_update_software",
        decides: Pattern::Classes(&[Class::UpdateSoftware]),
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "The software of {gpus} failed: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuXidWarning"),
    },
    Row {
        name: "xid_contact_support",
        decides: Pattern::Classes(&[Class::ContactSupport]),
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "{gpus} reported a fault that the maker has to explain: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuXidWarning"),
    },
    Row {
        name: "power_brake_machine",
        decides: Pattern::Kinds(&[Kind::PowerBrake, Kind::JobSilent]),
        needs: &[Need { gpus: 2, when: When::GoesOn, ..anywhere(BRAKE) }, during(BRAKE)],
        lacks: &[],
        supports: NOTHING,
        cause: "Power: {need gpus} {was} slowed by the power brake of the machine.",
        actions: &[
            "Check the power supplies of the machine, their inputs, and the limit of the rack.",
            "Lower the power limit of the GPUs until that is done, so that the machine does not go down: nvidia-smi -pl.",
        ],
        confidence: Confidence::Certain,
        doubt: Some(Doubt {
            any: &[anywhere(SILENT)],
            cause: "Power, maybe: {need gpus} {was} slowed by the power brake of the machine, and the job stopped.",
        }),
        runbook: Some("GpuPowerBrake"),
    },
    Row {
        name: "power_brake",
        decides: Pattern::Either(&[Kind::PowerBrake, Kind::JobSilent], &[54]),
        needs: &[during(Pattern::Either(&[Kind::PowerBrake], &[54]))],
        lacks: &[],
        supports: NOTHING,
        cause: "Power: {need}.",
        actions: &[
            "Check the power cable and the seat of the GPU, with the machine off.",
            "Check the power supplies of the machine.",
        ],
        confidence: Confidence::Certain,
        doubt: Some(Doubt {
            any: &[anywhere(SILENT)],
            cause: "Power, maybe: {need gpus} {was} short of power, and the job stopped. {need}.",
        }),
        runbook: Some("GpuPowerBrake"),
    },
    Row {
        name: "oom_kill_limit",
        decides: Pattern::Kinds(&[Kind::OomKill]),
        needs: &[LIMIT],
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
        doubt: Some(Doubt {
            any: &[SOMEBODY_KILLED],
            cause: "A memory limit was reached, and {gpus} {freed memory} at that time. {sign}.",
        }),
        runbook: Some("GpuIncident"),
    },
    Row {
        name: "oom_kill_machine",
        decides: Pattern::Kinds(&[Kind::OomKill]),
        needs: &[],
        lacks: &[earlier(APPLICATION)],
        supports: Pattern::Either(
            &[Kind::HostMemoryPressure, Kind::GpuMemoryFreed, Kind::GpuIdle],
            &[45],
        ),
        cause: "The machine was out of memory. {sign}.",
        actions: &[
            "Find what used the memory: the kernel's log lists all processes with theirs.",
            "Set memory limits for pods and jobs, so that one cannot end another.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Certain,
        doubt: Some(Doubt {
            any: &[SOMEBODY_KILLED],
            cause: "The machine was out of memory, and {gpus} {freed memory} at that time. {sign}.",
        }),
        runbook: Some("GpuIncident"),
    },
    Row {
        name: "gpu_failed_before",
        decides: SILENT,
        needs: &[of_job(Pattern::OrCritical(&[Kind::GpuLost, Kind::GpuHung, Kind::GpuMissing]))],
        lacks: &[],
        supports: WITH_LINKS,
        cause: "{need gpus} failed, and the job stopped working. {need}.",
        actions: &[
            "{action}",
            "Drain the machine and start it again if the GPU still does not answer.",
            "Start the job again on other GPUs.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuDown"),
    },
    Row {
        name: "application_fault",
        decides: APPLICATION,
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "The application's own fault, most likely: {meaning} (XID {code}) on {gpus}.",
        actions: &[
            "{action}",
            "Run it with CUDA_LAUNCH_BLOCKING=1 or under compute-sanitizer to find the fault.",
        ],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuXidApplication"),
    },
    Row {
        name: "application_channel",
        decides: CHANNEL,
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "The application's own fault, most likely: its work on {gpus} was ended (XID {code}).",
        actions: &["{action}", "Start the application again, and read what it wrote last."],
        confidence: Confidence::Likely,
        doubt: None,
        runbook: Some("GpuXidApplication"),
    },
    Row {
        name: "heat",
        decides: Pattern::Kinds(&[Kind::HeatSlowdown, Kind::JobSilent]),
        needs: &[shared(HEAT)],
        lacks: &[],
        supports: Pattern::Kinds(&[Kind::FanFailing]),
        cause: "Heat slowed {need gpus}{for long}{and the job stopped}. {need}.",
        actions: &[
            "Check fans, air filters, the temperature of the inlet, and the contact of the cooler.",
            "Lower the power limit of the GPU until that is done: a steady lower clock slows a job less.",
        ],
        confidence: Confidence::Likely,
        doubt: Some(Doubt {
            any: MAY_BE_DONE,
            cause: "Heat, maybe: the job ended while {need gpus} {was} slowed by it. {need}.",
        }),
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
        doubt: Some(Doubt {
            any: MAY_BE_DONE,
            cause: "Memory, maybe: the job ended while the machine was short of it. {need}.",
        }),
        runbook: Some("GpuIncident"),
    },
    Row {
        name: "gpu_memory_full_for_long",
        decides: Pattern::Kinds(&[Kind::MemoryFull]),
        needs: &[for_long(Pattern::Kinds(&[Kind::GpuMemoryAlmostFull]))],
        lacks: &[],
        supports: NOTHING,
        cause: "An application that held almost all GPU memory ended: it ran out of it, or was done. {sign}.",
        actions: &[
            "Read what the application wrote last: an error of CUDA that names memory decides.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Possible,
        doubt: None,
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
        cause: "The application ran out of GPU memory, or ended just after it had filled it. {sign}.",
        actions: &[
            "Read what the application wrote last: an error of CUDA that names memory decides.",
            "Use less memory: smaller batches, shorter sequences, checkpointed activations; or look for a leak.",
            "Nothing for the GPU: it is healthy.",
        ],
        confidence: Confidence::Possible,
        doubt: None,
        runbook: Some("GpuMemoryFull"),
    },
    Row {
        name: "application_ended",
        decides: Pattern::Xids(&[45]),
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "An application was ended from outside while it used {gpus} (XID 45).",
        actions: &["{action}", "Ask who or what ended it: a user, a scheduler, a time limit."],
        confidence: Confidence::Possible,
        doubt: None,
        runbook: Some("GpuXidApplication"),
    },
    Row {
        name: "machine_restart",
        decides: Pattern::Kinds(&[Kind::MachineRestart]),
        needs: &[],
        lacks: &[],
        supports: NOTHING,
        cause: "A power cut, a kernel panic or a hard reset of the machine, unless heatsink was killed: the recording stopped. After that the machine was started again.",
        actions: &[
            "Read the event log of the management controller: ipmitool sel elist.",
            "Read the last lines of the kernel before it: journalctl -k -b -1, and /sys/fs/pstore.",
        ],
        confidence: Confidence::Possible,
        doubt: None,
        runbook: Some("GpuIncident"),
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
        supports: NOTHING,
        cause: "{gpus} reported a fault: {meaning} (XID {code}).",
        actions: &["{action}"],
        confidence: Confidence::Possible,
        doubt: None,
        runbook: Some("GpuXidWarning"),
    },
];
