//! Events from messages of the kernel log.

use std::time::SystemTime;

use model::catalog::xid;
use model::{LogMessage, LogMessageKind};

use crate::event::{Process, What};
use crate::layout::GpuInfo;
use crate::time::Time;

/// Which messages are recorded, and with which time.
#[derive(Debug)]
pub(super) struct Messages {
    since: Option<Time>,
}

impl Messages {
    /// Of what was logged before the start, what is newer than `since` is recorded: nothing if it is `None`.
    pub(super) fn new(since: Option<Time>) -> Self {
        Self { since }
    }

    /// The time of a message on the clock of the recording, which shows `time` when the wall clock shows
    /// `wall`; `None` if it is not recorded.
    pub(super) fn time_of(
        &self,
        message: &LogMessage,
        time: Time,
        wall: SystemTime,
    ) -> Option<Time> {
        if message.is_old {
            let at = Time::of(message.time);
            return self.since.filter(|since| at > *since).map(|_| at);
        }
        let age = wall.duration_since(message.time).unwrap_or_default();
        Some(time.before(age))
    }
}

/// What a message reports, and of which GPU. XIDs only if they are counted from the kernel log.
pub(super) fn event_of(
    message: &LogMessage,
    counts_xids: bool,
    gpu_at: impl Fn(&str) -> GpuInfo,
) -> Option<(Option<GpuInfo>, What)> {
    let line = message.text.to_string();
    Some(match &message.kind {
        LogMessageKind::Xid { .. } if !counts_xids => return None,
        LogMessageKind::Xid { pci_bus_id, code, process, link, .. } => {
            let process = process.clone().map(|(pid, name)| Process { pid, name });
            let message = xid::lookup(*code).message.to_owned();
            let (code, link, line) = (*code, *link, Some(line));
            let what = What::Xid { code, message, process, link, line, count: 1 };
            (Some(gpu_at(pci_bus_id)), what)
        }
        LogMessageKind::DriverError { pci_bus_id, .. } => {
            (Some(gpu_at(pci_bus_id)), What::DriverLine { line })
        }
        // An NVSwitch is no GPU.
        LogMessageKind::Sxid { .. } | LogMessageKind::Driver => (None, What::DriverLine { line }),
        LogMessageKind::OomKill { pid, name, limited_cgroup, cgroup, anonymous_kb } => {
            let process = Process { pid: Some(*pid), name: Some(name.clone()) };
            let (limited_cgroup, cgroup) = (limited_cgroup.clone(), cgroup.clone());
            let anonymous_kb = *anonymous_kb;
            (None, What::OomKill { process, limited_cgroup, cgroup, anonymous_kb, line })
        }
    })
}
