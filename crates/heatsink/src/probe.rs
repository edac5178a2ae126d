//! Finds out in a process of its own whether a new session with the driver would read a GPU that is
//! down in this one. A call that hangs or fails there does not affect this process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use model::Identity;
use sampler::{DownGpu, GpuProbe, ProbeError};

use crate::cli::{Args, PROBE_GPU};
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags::{INDEX, NVML_LIBRARY, PCI_BUS_ID, UUID};

/// How long the process may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Time between two checks whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The program that is running, even if its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Probes GPUs through NVML, with the library at this path.
pub(crate) fn gpu_probe(library: Option<PathBuf>) -> GpuProbe {
    // A process that cannot be killed is stuck inside the driver; a second one would be stuck as well.
    let stuck: Mutex<Option<Child>> = Mutex::default();
    GpuProbe(Arc::new(move |gpu| {
        let mut stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = stuck.as_mut()
            && matches!(child.try_wait(), Ok(None))
        {
            return Err(ProbeError::LastHangs);
        }
        *stuck = None;
        let (result, child) = probe(library.as_deref(), gpu)?;
        *stuck = child;
        result
    }))
}

/// The result, and the process if it could not be ended.
type Probed = (Result<(), ProbeError>, Option<Child>);

fn probe(library: Option<&Path>, gpu: &DownGpu) -> Result<Probed, ProbeError> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg(PROBE_GPU);
    if let Some(library) = library {
        command.arg("--nvml-library").arg(library);
    }
    let identity = gpu.identity.as_deref();
    let uuid = identity.and_then(|identity| identity.uuid.as_ref());
    let address = identity.and_then(|identity| identity.pci_bus_id.as_ref());
    command.arg("--index").arg(gpu.index.to_string());
    match (uuid, address) {
        (Some(uuid), _) => command.arg("--uuid").arg(uuid),
        (None, Some(address)) => command.arg("--pci-bus-id").arg(address),
        (None, None) => &mut command,
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child = command.spawn()?;
    let began = Instant::now();
    loop {
        match child.try_wait()? {
            Some(status) if status.success() => return Ok((Ok(()), None)),
            Some(_) => return Ok((Err(ProbeError::Unreadable), None)),
            None if began.elapsed() < TIMEOUT => thread::sleep(POLL_INTERVAL),
            None => break,
        }
    }
    // It may have ended just now, or be unkillable.
    let _ = child.kill();
    thread::sleep(POLL_INTERVAL * 5);
    let ended = matches!(child.try_wait(), Ok(Some(_)));
    Ok((Err(ProbeError::Hangs), (!ended).then_some(child)))
}

/// `heatsink probe-gpu`.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let identity = Identity {
        index: args.get(&INDEX)?,
        uuid: args.get(&UUID)?,
        pci_bus_id: args.get(&PCI_BUS_ID)?,
        model_name: None,
        minor: None,
    };
    let probed = nvml::probe(args.get(&NVML_LIBRARY)?.as_deref(), &identity);
    Ok(Exit::with(if probed.is_ok() { EXIT_OK } else { EXIT_UNHEALTHY }))
}
