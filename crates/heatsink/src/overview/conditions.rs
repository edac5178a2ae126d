//! What can be wrong with a GPU: one row per condition, the worst first.

use std::time::Duration;

use model::catalog::{self, xid};
use model::{Down, Xid, field};

use super::readings::{Readings, ago};

/// How bad a condition is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum Severity {
    /// An operator has to act now.
    Critical,
    /// It works, and needs attention.
    Warning,
    /// Nothing is known yet.
    Unknown,
    /// No condition holds.
    Healthy,
}

impl Severity {
    /// The class in the style sheet.
    pub(super) fn class(self) -> &'static str {
        match self {
            Self::Critical => "bad",
            Self::Warning => "warn",
            Self::Unknown => "unknown",
            Self::Healthy => "healthy",
        }
    }
}

/// Something that is wrong with a GPU.
pub(super) struct Condition {
    pub(super) severity: Severity,
    /// The text for one GPU: `GPU 2 is down`.
    pub(super) one: &'static str,
    /// The text for several GPUs.
    pub(super) many: &'static str,
    /// The page of docs/runbooks that is about it.
    pub(super) runbook: Option<&'static str>,
    /// The readings, and what to do; none if the condition does not hold.
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
            let code = gpu.recovery_action.filter(|code| *code != 0.0)?;
            let action = catalog::in_words(field::GET_GPU_RECOVERY_ACTION, code as i64)?;
            Some(format!("The driver requests: {action}."))
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
        one: "is slowed down by its hardware because of heat",
        many: "are slowed down by their hardware because of heat",
        runbook: Some("GpuHardwareSlowdown"),
        test: |gpu| {
            let holds = gpu.is_slowed_by("hw_thermal");
            holds.then(|| format!("{}Stop what runs on it, and check its cooling.", heat(gpu)))
        },
    },
    Condition {
        severity: Severity::Critical,
        one: "is slowed down by the power brake",
        many: "are slowed down by the power brake",
        runbook: Some("GpuPowerBrake"),
        test: |gpu| {
            let holds = gpu.is_slowed_by("hw_power_brake");
            holds.then(|| {
                "The machine's power delivery asks the GPU to draw less. Check power supplies and \
                 cables."
                    .into()
            })
        },
    },
    Condition {
        severity: Severity::Warning,
        one: "is slowed down by heat",
        many: "are slowed down by heat",
        runbook: Some("GpuThermalSlowdown"),
        test: |gpu| {
            let holds = gpu.is_slowed_by("sw_thermal");
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
            // A GPU that slows down by heat has that condition already.
            let is_slow = ["sw_thermal", "hw_thermal"].iter().any(|name| gpu.is_slowed_by(name));
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
            holds.then(|| "It has not answered yet.".into())
        },
    },
];

fn down(gpu: &Readings<'_>) -> Option<String> {
    let why = match gpu.view.up.err()? {
        Down::Starting => return None,
        Down::Late => {
            "A driver call does not return. Look for processes in state D and for XIDs; \
             reset the GPU; if that fails, reboot."
        }
        Down::Lost => {
            "It has fallen off the bus or is being reset. If it does not come back, reboot the machine; check power, cooling and seating."
        }
        Down::Missing => {
            "The driver does not list it, and it is not on the PCI bus. Look for it with lspci; reboot \
             the machine."
        }
        Down::NotInitialized => {
            "It is on the PCI bus, and the driver does not list it. The kernel log says why \
             (RmInitAdapter); reboot the machine."
        }
        Down::NoThread => {
            "The system gives heatsink no thread to read it with. Raise the limit on tasks; the GPU \
             is probably healthy."
        }
        Down::NotPermitted => {
            "The driver denies access to heatsink. Check its rights, and the devices of its container."
        }
        Down::Failed => {
            "The driver answers every call with an error. heatsink's log has the error; reset the GPU."
        }
        Down::SourceDown => "The source is not open, so its state is not known.",
    };
    Some(match gpu.last_answer() {
        Some(age) => format!("{why} It last answered {}.", ago(age)),
        None => why.to_owned(),
    })
}

/// The temperature of the GPU, as a sentence with a space after it; empty without a reading.
fn heat(gpu: &Readings<'_>) -> String {
    match (gpu.temperature, gpu.slowdown_temperature) {
        (Some(temperature), Some(limit)) => {
            format!("Its temperature is {temperature:.0} °C, and it slows down at {limit:.0} °C. ")
        }
        (Some(temperature), None) => format!("Its temperature is {temperature:.0} °C. "),
        (None, _) => String::new(),
    }
}

/// `XID 48, Double-bit ECC error, 5 min ago. Drain ...`
pub(super) fn xid((xid, age): (Xid, Duration)) -> String {
    let Xid { code, message, action, .. } = xid;
    format!("XID {code}, {message}, {}. {action}", ago(age))
}
