//! Lines for the log. They are made while the state is locked and written after it is unlocked: a log
//! that is not read must not block the other threads.

use std::borrow::Cow;
use std::sync::Arc;

use model::{Down, Identity, Reason, Xid};

/// The process that an XID names: its number and its name.
pub(crate) type Process = (Option<u32>, Option<String>);

/// A line for the log.
pub(crate) enum LogLine {
    /// An XID was counted for the `count`th time.
    Xid { gpu: Option<u32>, xid: Xid, count: u64, process: Option<Process> },
    /// A field failed for the first time, for this reason.
    Unreadable { gpu: Option<u32>, watch: Arc<str>, reason: Reason },
    /// The kernel log reported something other than an XID for the `count`th time.
    KernelLog { pci_bus_id: String, what: String, count: u64 },
    /// Records of the kernel log were lost.
    Lost { records: u64 },
    /// A GPU went up or down.
    Availability {
        gpu: u32,
        /// Whether the settings name the GPUs to read.
        is_selected: bool,
        identity: Option<Arc<Identity>>,
        before: Option<Result<(), Down>>,
        up: Result<(), Down>,
    },
}

impl LogLine {
    /// Writes the line.
    pub(crate) fn write(self) {
        match self {
            Self::Xid { gpu, xid: Xid { code, message, .. }, count, process } => {
                let (pid, process) = process.unwrap_or_default();
                let times =
                    if count == 1 { String::new() } else { format!(", {count} times by now") };
                tracing::warn!(gpu, xid = code, pid, process, "XID: {message}{times}");
            }
            Self::Unreadable { gpu, watch, reason } => {
                tracing::warn!(gpu, "cannot read {watch}: {reason}");
            }
            Self::KernelLog { pci_bus_id, what, count } => {
                tracing::warn!(pci_bus_id, count, "the kernel's log reports: {what}");
            }
            Self::Lost { records } => tracing::warn!(
                "{records} records of the kernel's log were lost before they could be read"
            ),
            Self::Availability { gpu, is_selected, identity, before, up } => {
                let uuid = identity.as_ref().and_then(|identity| identity.uuid.as_deref());
                match up {
                    Ok(()) if matches!(before, None | Some(Err(Down::Starting))) => {
                        tracing::info!(gpu, uuid, "answers");
                    }
                    Ok(()) => tracing::info!(gpu, uuid, "answers again"),
                    // Every GPU is starting at first. Why the source is down has its own line.
                    Err(Down::Starting | Down::SourceDown) => {}
                    Err(Down::Missing) if is_selected => tracing::warn!(
                        "-d, --devices (DCGM_EXPORTER_DEVICES_STR) asks for GPU {gpu}, which the \
                         driver does not list; its heatsink_gpu_up is 0 until it does"
                    ),
                    Err(down) => tracing::warn!(gpu, uuid, "{}", warning(down)),
                }
            }
        }
    }
}

fn warning(down: Down) -> Cow<'static, str> {
    Cow::Borrowed(match down {
        Down::Missing => {
            "the driver does not list this GPU any more; its heatsink_gpu_up is 0 until it does"
        }
        Down::NotInitialized => "on the PCI bus, and not listed by the driver",
        Down::NoThread => {
            "no thread reads it; if there can be none, raise the limit on tasks (TasksMax=, \
             pids.max)"
        }
        Down::Late => "a driver call does not come back; its series are absent until it does",
        _ => return Cow::Owned(format!("down: {down}; its series are absent")),
    })
}

/// Whether the `count`th event of a kind has a line: the first, the tenth, the hundredth and so on,
/// since XIDs may come by the thousand.
pub(crate) fn is_logged(count: u64) -> bool {
    count.checked_ilog10().is_some_and(|power| count == 10u64.pow(power))
}
