//! How sentences name GPUs, processes and holders.

use crate::event::{HolderInfo, Process};
use crate::layout::GpuInfo;

/// Several GPUs: `GPU 0-3, 7`, those that the driver does not list by their PCI addresses. `None` for no GPU.
pub fn gpus_of(gpus: &[GpuInfo]) -> Option<String> {
    let mut indexes: Vec<u32> = gpus.iter().filter_map(|gpu| gpu.index).collect();
    indexes.sort_unstable();
    indexes.dedup();
    let mut names = Vec::new();
    if !indexes.is_empty() {
        names.push(format!("GPU {}", ranges(&indexes)));
    }
    names.extend(gpus.iter().filter(|gpu| gpu.index.is_none()).map(GpuInfo::name));
    (!names.is_empty()).then(|| names.join(", "))
}

/// Numbers in ascending order: `0-3, 7`.
fn ranges(numbers: &[u32]) -> String {
    let mut ranges: Vec<(u32, u32)> = Vec::new();
    for &number in numbers {
        match ranges.last_mut() {
            Some((_, last)) if last.checked_add(1) == Some(number) => *last = number,
            _ => ranges.push((number, number)),
        }
    }
    let ranges = ranges.iter().map(|(first, last)| match last - first {
        0 => first.to_string(),
        1 => format!("{first}, {last}"),
        _ => format!("{first}-{last}"),
    });
    ranges.collect::<Vec<_>>().join(", ")
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consecutive_gpus_are_joined() {
        let of = |indexes: &[u32]| {
            let gpu = |index| GpuInfo { index: Some(index), ..GpuInfo::default() };
            gpus_of(&indexes.iter().copied().map(gpu).collect::<Vec<_>>()).unwrap_or_default()
        };
        assert_eq!(of(&[7, 0, 1, 2, 2]), "GPU 0-2, 7");
        assert_eq!(of(&[4, 3, u32::MAX]), "GPU 3, 4, 4294967295");
        assert_eq!(of(&[]), "");
        let unlisted =
            GpuInfo { pci_bus_id: Some("00000000:1A:00.0".to_owned()), ..GpuInfo::default() };
        assert_eq!(gpus_of(&[unlisted]).as_deref(), Some("the GPU at 00000000:1A:00.0"));
    }
}
