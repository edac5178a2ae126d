//! What the operating system says of the driver and its GPUs: below `/proc/driver/nvidia`, and below
//! `/sys/bus/pci`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use model::{Bus, Identity};

/// How long the driver may take to say what a GPU is. It may never answer for one that is broken.
const PATIENCE: Duration = Duration::from_secs(2);

/// Where the operating system is looked at: `/`, or the host's root as a container sees it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Host {
    root: PathBuf,
}

impl Host {
    pub(crate) fn new(root: &Path) -> Self {
        Self { root: root.to_owned() }
    }

    /// The version of the kernel's module, as `550.163.01`; none while none is loaded.
    pub(crate) fn module_version(&self) -> Option<String> {
        let text = fs::read_to_string(self.root.join("proc/driver/nvidia/version")).ok()?;
        version_in(&text)
    }

    /// The PCI addresses that the driver is bound to. Telling a GPU that came or went by them touches
    /// no GPU. None where the system does not say, as in some containers.
    pub(crate) fn bound(&self) -> Option<Vec<String>> {
        let below_proc = addresses(&self.gpus());
        below_proc.or_else(|_| addresses(&self.root.join("sys/bus/pci/drivers/nvidia"))).ok()
    }

    /// Where the device nodes are that this process may use: its own, whatever the host has.
    fn devices(&self) -> PathBuf {
        let own = Path::new("/dev");
        if own.join("nvidiactl").exists() { own.to_owned() } else { self.root.join("dev") }
    }

    fn gpus(&self) -> PathBuf {
        self.root.join("proc/driver/nvidia/gpus")
    }
}

/// `NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 …`, or of the open module
/// `NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release Build …`.
fn version_in(text: &str) -> Option<String> {
    let line = text.lines().find(|line| line.starts_with("NVRM version:"))?;
    let is_version =
        |word: &&str| word.contains('.') && word.chars().all(|c| c.is_ascii_digit() || c == '.');
    line.split_whitespace().find(is_version).map(str::to_owned)
}

/// The names in a folder that are PCI addresses, sorted.
fn addresses(folder: &Path) -> io::Result<Vec<String>> {
    let names =
        fs::read_dir(folder)?.filter_map(|entry| entry.ok()?.file_name().into_string().ok());
    let mut addresses: Vec<String> = names.filter(|name| canonical(name).is_some()).collect();
    addresses.sort();
    Ok(addresses)
}

/// `0000:1a:00.0` as NVML spells it: `00000000:1A:00.0`.
fn canonical(address: &str) -> Option<String> {
    let (domain, rest) = address.split_once(':')?;
    let (bus, rest) = rest.split_once(':')?;
    let (device, function) = rest.split_once('.')?;
    let hex = |text: &str| u32::from_str_radix(text, 16).ok();
    let (domain, bus, device) = (hex(domain)?, hex(bus)?, hex(device)?);
    Some(format!("{domain:08X}:{bus:02X}:{device:02X}.{function}"))
}

/// The PCI bus, as far as the driver's GPUs are on it.
pub(crate) struct PciBus {
    host: Host,
    known: BTreeMap<String, Known>,
}

enum Known {
    /// The driver has not said yet what it is.
    Asked(Receiver<Option<Information>>),
    /// The driver has said it, or that it does not know.
    Said(Option<Information>),
}

/// What the driver says of a GPU.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Information {
    uuid: Option<String>,
    model_name: Option<String>,
    minor: Option<u32>,
    is_excluded: bool,
}

impl PciBus {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, known: BTreeMap::new() }
    }

    /// What the driver says of a GPU, asked until it says all. Reading it may block in the driver, so a
    /// thread that nothing else waits for does.
    fn information(&mut self, address: &str) -> Option<Information> {
        let path = self.host.gpus().join(address).join("information");
        let known = self.known.entry(address.to_owned()).or_insert_with(|| ask(path.clone()));
        // The driver knows a UUID once it has initialised the GPU.
        if matches!(known, Known::Said(said) if said.as_ref().is_none_or(|it| it.uuid.is_none())) {
            *known = ask(path);
        }
        if let Known::Asked(answer) = known {
            match answer.recv_timeout(PATIENCE) {
                Ok(said) => *known = Known::Said(said),
                Err(RecvTimeoutError::Disconnected) => *known = Known::Said(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        match known {
            Known::Said(said) => said.clone(),
            Known::Asked(_) => None,
        }
    }

    /// Whether this process may use a GPU: a container may have been given others only.
    fn is_visible(&self, address: &str, information: Option<&Information>) -> bool {
        let has_node = |minor: u32| self.host.devices().join(format!("nvidia{minor}")).exists();
        match information {
            Some(Information { is_excluded: true, .. }) => false,
            Some(Information { minor: Some(minor), .. }) => has_node(*minor),
            // The driver does not say, or does not answer: then its folder has to do.
            _ => self.host.gpus().join(address).exists(),
        }
    }
}

impl Bus for PciBus {
    fn gpus(&mut self) -> io::Result<Vec<Identity>> {
        let addresses = addresses(&self.host.root.join("sys/bus/pci/drivers/nvidia"))?;
        self.known.retain(|address, _| addresses.contains(address));
        let mut gpus = Vec::new();
        for address in addresses {
            let information = self.information(&address);
            if self.is_visible(&address, information.as_ref()) {
                let Information { uuid, model_name, .. } = information.unwrap_or_default();
                gpus.push(Identity {
                    index: None,
                    uuid,
                    pci_bus_id: canonical(&address),
                    model_name,
                });
            }
        }
        Ok(gpus)
    }
}

fn ask(path: PathBuf) -> Known {
    let (tell, answer) = mpsc::channel();
    let read = move || {
        let text = fs::read_to_string(path).ok();
        // The other end waits no longer only if the GPU is gone.
        let _ = tell.send(text.map(|text| information_in(&text)));
    };
    match thread::Builder::new().name("gpu information".to_owned()).spawn(read) {
        Ok(_) => Known::Asked(answer),
        Err(_) => Known::Said(None),
    }
}

/// The lines of `information` that matter here, such as `GPU UUID: \t GPU-…`.
fn information_in(text: &str) -> Information {
    let mut information = Information::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        // What the driver has not read yet is question marks.
        let is_known = !value.is_empty() && !value.contains('?');
        match key.trim() {
            "GPU UUID" if is_known => information.uuid = Some(value.to_owned()),
            "Model" if is_known => information.model_name = Some(value.to_owned()),
            "Device Minor" => information.minor = value.parse().ok(),
            "GPU Excluded" => information.is_excluded = value == "Yes",
            _ => {}
        }
    }
    information
}

#[cfg(test)]
mod tests {
    use super::*;

    const INFORMATION: &str = "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 98\n\
        GPU UUID: \t GPU-5a1c6a36-6d5c-4d0e-8a0e-1f7a6d9e3b11\nVideo BIOS: \t 96.00.89.00.01\n\
        Bus Type: \t PCIe\nBus Location: \t 0000:1a:00.0\nDevice Minor: \t 0\n\
        GPU Excluded:\t No\n";

    #[test]
    fn versions_of_both_kinds_of_module_are_found() {
        let closed = "NVRM version: NVIDIA UNIX x86_64 Kernel Module  550.163.01  Tue Apr  8 2025\n\
                      GCC version:  gcc version 12.2.0 (Debian 12.2.0-14)\n";
        assert_eq!(version_in(closed).as_deref(), Some("550.163.01"));
        let open = "NVRM version: NVIDIA UNIX Open Kernel Module for x86_64  570.86.10  Release\n";
        assert_eq!(version_in(open).as_deref(), Some("570.86.10"));
        assert_eq!(version_in("GCC version: 12.2.0\n"), None);
        assert_eq!(version_in("NVRM version: none\n"), None);
    }

    #[test]
    fn what_the_driver_says_of_a_gpu_is_read() {
        let information = information_in(INFORMATION);
        assert_eq!(information.model_name.as_deref(), Some("NVIDIA H100 80GB HBM3"));
        assert!(information.uuid.is_some_and(|uuid| uuid.starts_with("GPU-5a1c")));
        assert_eq!((information.minor, information.is_excluded), (Some(0), false));
        let unread =
            INFORMATION.replace("GPU-5a1c6a36-6d5c-4d0e-8a0e-1f7a6d9e3b11", "GPU-????????");
        assert_eq!(information_in(&unread).uuid, None);
        assert_eq!(information_in("\u{0}:\n::::\nDevice Minor: -1\n"), Information::default());
    }

    #[test]
    fn addresses_are_spelled_as_nvml_does() {
        assert_eq!(canonical("0000:1a:00.0").as_deref(), Some("00000000:1A:00.0"));
        assert_eq!(canonical("10000:0a:1f.1").as_deref(), Some("00010000:0A:1F.1"));
        for bad in ["bind", "module", "0000:1a:00", "x:1a:00.0", ""] {
            assert_eq!(canonical(bad), None, "{bad}");
        }
    }

    fn gpu(root: &Path, address: &str, minor: u32, information: &str) {
        let folders = ["proc/driver/nvidia/gpus", "sys/bus/pci/drivers/nvidia"];
        for folder in folders {
            fs::create_dir_all(root.join(folder).join(address)).unwrap();
        }
        fs::create_dir_all(root.join("dev")).unwrap();
        let information = information.replace("Minor: \t 0", &format!("Minor: \t {minor}"));
        fs::write(root.join(folders[0]).join(address).join("information"), information).unwrap();
        fs::write(root.join("dev").join(format!("nvidia{minor}")), "").unwrap();
    }

    #[test]
    fn gpus_that_this_process_may_not_use_are_none_of_its_business() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        gpu(root, "0000:1a:00.0", 0, INFORMATION);
        gpu(root, "0000:1b:00.0", 1, INFORMATION);
        gpu(root, "0000:1c:00.0", 2, &INFORMATION.replace("\t No", "\t Yes"));
        gpu(root, "0000:1d:00.0", 3, "");
        // Without a device node, and without a folder: as in a container that was given others.
        fs::remove_file(root.join("dev/nvidia1")).unwrap();
        fs::create_dir_all(root.join("sys/bus/pci/drivers/nvidia/0000:1e:00.0")).unwrap();
        fs::write(root.join("sys/bus/pci/drivers/nvidia/new_id"), "").unwrap();
        let gpus = PciBus::new(Host::new(root)).gpus().unwrap();
        let addresses: Vec<_> = gpus.iter().filter_map(|gpu| gpu.pci_bus_id.as_deref()).collect();
        assert_eq!(addresses, ["00000000:1A:00.0", "00000000:1D:00.0"]);
        assert!(gpus[0].uuid.is_some() && gpus[1].uuid.is_none());
        assert!(PciBus::new(Host::new(&root.join("nowhere"))).gpus().is_err());
    }

    #[test]
    fn a_gpu_whose_driver_does_not_answer_keeps_nothing_waiting_twice() {
        let folder = tempfile::tempdir().unwrap();
        let root = folder.path();
        gpu(root, "0000:1a:00.0", 0, INFORMATION);
        let information = root.join("proc/driver/nvidia/gpus/0000:1a:00.0/information");
        fs::remove_file(&information).unwrap();
        // Reading a pipe that nothing writes to blocks.
        let made = std::process::Command::new("mkfifo").arg(&information).status().unwrap();
        assert!(made.success());
        let mut bus = PciBus::new(Host::new(root));
        let gpus = bus.gpus().unwrap();
        assert_eq!(gpus.len(), 1);
        assert_eq!((gpus[0].uuid.as_deref(), gpus[0].index), (None, None));
        fs::write(&information, INFORMATION).unwrap();
        assert!(bus.gpus().unwrap()[0].uuid.is_some(), "the first reader has got its answer");
    }
}
