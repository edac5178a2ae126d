//! Whether data flows, and whether this process can do its work: `/ready`, `/health` and the verdict of
//! `heatsink check`.

use std::time::Duration;

use model::{Gpu, Moment, Snapshot};

/// How long library and kernel module may not fit each other before `/health` fails: during an upgrade
/// of the driver they do not.
const UPGRADE_TIME: Duration = Duration::from_secs(60);

/// Whether this process can do its work, or why only a restart would help.
pub(crate) fn health(snapshot: &Snapshot, now: Moment) -> Result<(), String> {
    match (snapshot.source.needs_restart, &snapshot.source.up) {
        (Some(since), Err(why)) if now - since > UPGRADE_TIME => Err(format!(
            "the kernel's module was replaced, and the driver library that this process can open does \
             not fit it: a restart of the container may bring the new one ({why})"
        )),
        _ => Ok(()),
    }
}

/// Whether data flows, or why not.
pub(crate) fn readiness(snapshot: &Snapshot) -> Result<(), String> {
    snapshot.source.up.clone()?;
    if snapshot.gpus.iter().any(|view| view.up.is_ok()) {
        return Ok(());
    }
    match snapshot.gpus.first().and_then(|view| view.up.err()) {
        Some(down) => Err(format!("no GPU answers; the first is down: {down}")),
        None => Err("the driver lists no GPU".to_owned()),
    }
}

/// How many GPUs answer, of how many.
pub(crate) fn answering(snapshot: &Snapshot) -> (usize, usize) {
    (snapshot.gpus.iter().filter(|view| view.up.is_ok()).count(), snapshot.gpus.len())
}

/// The name of a GPU for people: its index, or its PCI address.
pub(crate) fn gpu_name(gpu: &Gpu) -> String {
    let address = || gpu.identity.as_deref()?.pci_bus_id.clone();
    gpu.index.map(|index| index.to_string()).or_else(address).unwrap_or_default()
}
