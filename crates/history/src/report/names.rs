//! How sentences name GPUs, processes and holders.

use crate::event::{HolderInfo, Process};
use crate::layout::GpuInfo;
use crate::wording;

/// Several GPUs: `GPU 0-3, 7`, those that the driver does not list by their PCI addresses. `None` for no GPU.
pub fn gpus_of(gpus: &[GpuInfo]) -> Option<String> {
    (!gpus.is_empty()).then(|| wording::gpus(gpus))
}

/// `python, pid 4711`; `None` if nothing is known of it.
pub(super) fn process_name(process: &Process) -> Option<String> {
    match (&process.name, process.pid) {
        (Some(name), Some(pid)) => Some(format!("{name}, pid {pid}")),
        (Some(name), None) => Some(name.clone()),
        (None, Some(pid)) => Some(format!("pid {pid}")),
        (None, None) => None,
    }
}

/// A holder with the name of its container: `pod ml/pretrain-0, container train`.
pub(super) fn holder_name(holder: &HolderInfo) -> String {
    match holder {
        HolderInfo::Pod { container, .. } if !container.is_empty() => {
            format!("{}, container {container}", holder.name())
        }
        _ => holder.name(),
    }
}
