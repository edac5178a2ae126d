//! Finds out in a process of its own whether a new session with the driver would read a GPU that is
//! down in this one. A call that hangs or fails there does not affect this process.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::Result;
use model::Identity;
use sampler::{Suspect, Trial};

use crate::cli::{Args, PROBE_GPU};
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags::{INDEX, NVML_LIBRARY, PCI_BUS_ID, UUID};

/// How long the process may take.
const TIMEOUT: Duration = Duration::from_secs(15);

/// Time between two checks whether it has ended.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// The program that is running, even if its file was replaced.
const THIS_PROGRAM: &str = "/proc/self/exe";

/// Tries GPUs through NVML, with the library at this path.
pub(crate) fn trial(library: Option<PathBuf>) -> Trial {
    // A process that cannot be killed is stuck inside the driver; a second one would be stuck as well.
    let stuck: Mutex<Option<Child>> = Mutex::default();
    Trial(Arc::new(move |suspect| {
        let mut stuck = stuck.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(child) = stuck.as_mut()
            && matches!(child.try_wait(), Ok(None))
        {
            return Err("the last process that tried hangs in the driver".to_owned());
        }
        *stuck = None;
        let (result, child) = attempt(library.as_deref(), suspect)?;
        *stuck = child;
        result
    }))
}

/// The result, and the process if it could not be ended.
type Attempt = (Result<(), String>, Option<Child>);

fn attempt(library: Option<&Path>, suspect: &Suspect) -> Result<Attempt, String> {
    let mut command = Command::new(THIS_PROGRAM);
    command.arg(PROBE_GPU);
    if let Some(library) = library {
        command.arg("--nvml-library").arg(library);
    }
    let identity = suspect.identity.as_deref();
    let uuid = identity.and_then(|identity| identity.uuid.as_ref());
    let address = identity.and_then(|identity| identity.pci_bus_id.as_ref());
    command.arg("--index").arg(suspect.index.to_string());
    match (uuid, address) {
        (Some(uuid), _) => command.arg("--uuid").arg(uuid),
        (None, Some(address)) => command.arg("--pci-bus-id").arg(address),
        (None, None) => &mut command,
    };
    command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
    let mut child =
        command.spawn().map_err(|error| format!("no process to try it with: {error}"))?;
    let began = Instant::now();
    loop {
        match child.try_wait() {
            Ok(Some(status)) if status.success() => return Ok((Ok(()), None)),
            Ok(Some(_)) => {
                return Ok((Err("a new process cannot read it either".to_owned()), None));
            }
            Ok(None) if began.elapsed() < TIMEOUT => thread::sleep(POLL_INTERVAL),
            Ok(None) => break,
            Err(error) => return Err(format!("no process to try it with: {error}")),
        }
    }
    // It may have ended just now, or be unkillable.
    let _ = child.kill();
    thread::sleep(POLL_INTERVAL * 5);
    let ended = matches!(child.try_wait(), Ok(Some(_)));
    Ok((Err("a new process hangs in the driver".to_owned()), (!ended).then_some(child)))
}

/// `heatsink probe-gpu`.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let identity = Identity {
        index: args.get(&INDEX)?,
        uuid: args.get(&UUID)?,
        pci_bus_id: args.get(&PCI_BUS_ID)?,
        model_name: None,
    };
    let probed = nvml::probe(args.get(&NVML_LIBRARY)?.as_deref(), &identity);
    Ok(Exit::with(if probed.is_ok() { EXIT_OK } else { EXIT_UNHEALTHY }))
}
