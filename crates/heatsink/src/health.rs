//! Whether data flows, and whether this process can do its work: `/ready`, `/health` and the verdict of
//! `heatsink check`.

use std::time::Duration;

use model::{Gpu, Moment, Snapshot};

/// How long library and kernel module may not fit each other before `/health` fails: during an upgrade
/// of the driver they do not.
const UPGRADE_TIME: Duration = Duration::from_secs(60);

/// What makes `/health` fail.
#[derive(Clone, Copy, Default)]
pub(crate) struct HealthRules {
    /// A driver library that has not fitted the kernel module for [`UPGRADE_TIME`].
    pub(crate) driver_upgrade: bool,
    /// No GPU has answered since the start.
    pub(crate) no_gpu: bool,
}

/// Whether this process can do its work, or why a restart may help.
pub(crate) fn health(snapshot: &Snapshot, now: Moment, rules: HealthRules) -> Result<(), String> {
    // A GPU that answered and then was lost counts: a restart does not bring it back, and would hide why
    // it was lost.
    let answered = |gpu: &Gpu| gpu.index.is_some() && gpu.identity.is_some();
    if rules.no_gpu && !snapshot.gpus.iter().any(|view| answered(&view.gpu)) {
        return Err("no GPU has answered since the start".to_owned());
    }
    match (snapshot.source.needs_restart, &snapshot.source.up) {
        (Some(since), Err(why)) if rules.driver_upgrade && now - since > UPGRADE_TIME => {
            Err(format!(
                "the kernel's module was replaced, and the driver library that this process can open \
                 does not fit it: a restart of the container may bring the new one ({why})"
            ))
        }
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
