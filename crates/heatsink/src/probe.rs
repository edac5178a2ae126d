//! Whether a new session with the driver would read a GPU that is down in this one: tried in a process
//! of its own, so that what hangs or fails there harms nothing here.

use std::ffi::OsString;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use model::Identity;
use sampler::{DownGpu, GpuProbe, ProbeError};

use crate::cli::{self, PROBE_GPU, ProbeArgs};
use crate::{DONE, NO};

/// How long the process may take.
const DEADLINE: Duration = Duration::from_secs(15);

/// From one look at whether it has ended to the next.
const LOOK: Duration = Duration::from_millis(20);

/// This very program, however it was replaced on disk meanwhile.
const MYSELF: &str = "/proc/self/exe";

/// Probes GPUs through NVML, with the library at this path.
pub(crate) fn gpu_probe(library: Option<&Path>) -> GpuProbe {
    let library = library.map(|path| path.as_os_str().to_owned());
    // A process that cannot be killed is inside the driver; a second one would be stuck there, too.
    let stuck: Mutex<Option<Child>> = Mutex::default();
    GpuProbe(Arc::new(move |gpu| {
        let mut stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = stuck.as_mut()
            && matches!(child.try_wait(), Ok(None))
        {
            return Err(ProbeError::LastHangs);
        }
        *stuck = None;
        let (result, child) = probe(library.as_ref(), gpu)?;
        *stuck = child;
        result
    }))
}

/// The result, and the process if it could not be ended.
type Probed = (Result<(), ProbeError>, Option<Child>);

fn probe(library: Option<&OsString>, gpu: &DownGpu) -> Result<Probed, ProbeError> {
    let mut command = Command::new(MYSELF);
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
            None if began.elapsed() < DEADLINE => thread::sleep(LOOK),
            None => break,
        }
    }
    // It may have ended just now, or be unkillable.
    let _ = child.kill();
    thread::sleep(LOOK * 5);
    let ended = matches!(child.try_wait(), Ok(Some(_)));
    Ok((Err(ProbeError::Hangs), (!ended).then_some(child)))
}

/// `heatsink probe-gpu`.
pub(crate) fn run(args: &ProbeArgs) -> u8 {
    let wanted = Identity {
        index: args.index,
        uuid: args.uuid.clone(),
        pci_bus_id: args.pci_bus_id.clone(),
        model_name: None,
    };
    match nvml::probe(cli::path(&args.nvml_library), &wanted) {
        Ok(()) => DONE,
        Err(_) => NO,
    }
}
