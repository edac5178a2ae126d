//! What can be wrong with a GPU: one row per condition, the worst first.

use std::time::Duration;

use model::catalog::xid;
use model::{Down, Xid};

use super::readings::{Readings, ago};

/// How bad a condition is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Severity {
    /// The GPU needs a person now.
    Critical,
    /// It works, and needs attention.
    Warning,
    /// Nothing is known yet.
    Unknown,
    /// No condition holds.
    Well,
}

impl Severity {
    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Critical => "bad",
            Self::Warning => "warn",
            Self::Unknown => "unknown",
            Self::Well => "well",
        }
    }
}

/// Something that is wrong with a GPU.
pub(super) struct Condition {
    pub(super) severity: Severity,
    /// What is said of one GPU: `GPU 2 is down`.
    pub(super) one: &'static str,
    /// What is said of several.
    pub(super) many: &'static str,
    /// The page of docs/runbooks that is about it.
    pub(super) runbook: Option<&'static str>,
    /// What is read, and what to do; none if the condition does not hold.
    pub(super) test: fn(&Readings<'_>) -> Option<String>,
}

/// All conditions. A GPU is in the state of the first that holds.
pub(super) static CONDITIONS: &[Condition] = &[
    Condition {
        severity: Severity::Critical,
        one: "is down",
        many: "are down",
        runbook: Some("GpuDown"),
        test: down,
    },
    Condition {
        severity: Severity::Critical,
        one: "needs a recovery action",
        many: "need a recovery action",
        runbook: Some("GpuRecoveryActionRequired"),
        test: |gpu| {
            let action = recovery_action(gpu.recovery_action?)?;
            Some(format!("The driver asks for it: {action}."))
        },
    },
    Condition {
        severity: Severity::Critical,
        one: "reported a critical XID",
        many: "reported critical XIDs",
        runbook: Some("GpuXidCritical"),
        test: |gpu| gpu.recent_xid(xid::Severity::Critical).map(xid),
    },
    Condition {
        severity: Severity::Critical,
        one: "has uncorrectable memory errors",
        many: "have uncorrectable memory errors",
        runbook: Some("GpuEccUncorrectable"),
        test: |gpu| {
            let count = gpu.uncorrectable_errors.filter(|count| *count > 0.0)?;
            let errors = if count == 1.0 { "error" } else { "errors" };
            Some(format!(
                "{count} double-bit {errors} since the driver was loaded or the GPU was reset. Drain \
                 the GPU and reset it."
            ))
        },
    },
    Condition {
        severity: Severity::Critical,
        one: "cannot remap a faulty memory row",
        many: "cannot remap faulty memory rows",
        runbook: Some("GpuRowRemapFailed"),
        test: |gpu| {
            let holds = gpu.row_remap_failure? > 0.0;
            holds.then(|| "Faulty memory stays in use. Drain the GPU and have it replaced.".into())
        },
    },
    Condition {
        severity: Severity::Critical,
        one: "is slowed down by its hardware for heat",
        many: "are slowed down by their hardware for heat",
        runbook: Some("GpuHardwareSlowdown"),
        test: |gpu| {
            let holds = gpu.is_held_back_by("hw_thermal");
            holds.then(|| format!("{}Stop what runs on it, and check its cooling.", heat(gpu)))
        },
    },
    Condition {
        severity: Severity::Critical,
        one: "is slowed down by the power brake",
        many: "are slowed down by the power brake",
        runbook: Some("GpuPowerBrake"),
        test: |gpu| {
            let holds = gpu.is_held_back_by("hw_power_brake");
            holds.then(|| {
                "The machine's power delivery asks the GPU to draw less. Check power supplies and \
                 cables."
                    .into()
            })
        },
    },
    Condition {
        severity: Severity::Warning,
        one: "is slowed down for heat",
        many: "are slowed down for heat",
        runbook: Some("GpuThermalSlowdown"),
        test: |gpu| {
            let holds = gpu.is_held_back_by("sw_thermal");
            holds.then(|| {
                format!(
                    "{}A job over several GPUs runs at the pace of this one. Check its cooling.",
                    heat(gpu)
                )
            })
        },
    },
    Condition {
        severity: Severity::Warning,
        one: "is near its temperature limit",
        many: "are near their temperature limits",
        runbook: Some("GpuTemperatureHigh"),
        test: |gpu| {
            // One that slows down for heat is there already.
            let is_slow = ["sw_thermal", "hw_thermal"].iter().any(|name| gpu.is_held_back_by(name));
            (gpu.is_hot() && !is_slow).then(|| format!("{}Check its cooling.", heat(gpu)))
        },
    },
    Condition {
        severity: Severity::Warning,
        one: "reported an XID",
        many: "reported XIDs",
        runbook: Some("GpuXidWarning"),
        test: |gpu| gpu.recent_xid(xid::Severity::Warning).map(xid),
    },
    Condition {
        severity: Severity::Warning,
        one: "needs a reset to remap memory rows",
        many: "need a reset to remap memory rows",
        runbook: Some("GpuResetPending"),
        test: |gpu| {
            let holds = gpu.row_remap_pending? > 0.0;
            holds.then(|| "Reset the GPU when its job ends.".into())
        },
    },
    Condition {
        severity: Severity::Unknown,
        one: "is starting",
        many: "are starting",
        runbook: None,
        test: |gpu| {
            let holds = gpu.view.up == Err(Down::Starting);
            holds.then(|| "Its first answer is awaited.".into())
        },
    },
];

fn down(gpu: &Readings<'_>) -> Option<String> {
    let why = match gpu.view.up.err()? {
        Down::Starting => return None,
        Down::Late => {
            "A call to the driver does not come back. Look for processes in state D and for XIDs; \
             reset the GPU, or else reboot."
        }
        Down::Lost => {
            "It has fallen off the bus or is being reset. If it does not come back, start the machine \
             again; check power, cooling and seating."
        }
        Down::Missing => {
            "The driver does not list it, and it is not on the PCI bus. Look for it with lspci; start \
             the machine again."
        }
        Down::NotInitialized => {
            "It is on the PCI bus, and the driver does not list it. The kernel's log says why \
             (RmInitAdapter); start the machine again."
        }
        Down::NoThread => {
            "The system gives heatsink no thread to read it with. Raise the limit on tasks; the GPU \
             is most likely well."
        }
        Down::NotPermitted => {
            "The driver refuses heatsink. Check its rights, and the devices of its container."
        }
        Down::Failed => {
            "The driver answers every call with an error. heatsink's log has it; reset the GPU."
        }
        Down::SourceDown => "The source is not open, so nothing is known of it.",
    };
    Some(match gpu.last_answer() {
        Some(age) => format!("{why} It last answered {}.", ago(age)),
        None => why.to_owned(),
    })
}

/// How hot the GPU is, as a sentence with a space after it; empty if that is not read.
fn heat(gpu: &Readings<'_>) -> String {
    match (gpu.temperature, gpu.slowdown_temperature) {
        (Some(temperature), Some(limit)) => {
            format!("Its temperature is {temperature:.0} °C, and it slows down at {limit:.0} °C. ")
        }
        (Some(temperature), None) => format!("Its temperature is {temperature:.0} °C. "),
        (None, _) => String::new(),
    }
}

/// What the driver asks for, by the number of the field.
fn recovery_action(code: f64) -> Option<&'static str> {
    match code {
        1.0 => Some("reset the GPU"),
        2.0 => Some("reboot the machine"),
        3.0 => Some("drain peer-to-peer traffic"),
        4.0 => Some("drain the GPU and reset it"),
        _ => None,
    }
}

/// `XID 48, Double-bit ECC error, 5 min ago. Drain ...`
pub(super) fn xid((xid, age): (Xid, Duration)) -> String {
    let Xid { code, message, action, .. } = xid;
    format!("XID {code}, {message}, {}. {action}", ago(age))
}
