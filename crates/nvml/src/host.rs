//! The driver and its GPUs as the operating system lists them, in `/proc/driver/nvidia` and
//! `/sys/bus/pci`.

use std::collections::BTreeMap;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::Duration;

use model::{Bus, Identity};

/// How long the driver may take to describe a GPU. It may never do so for one that is broken.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(2);

/// The folder with `proc`, `sys` and `dev`: `/`, or the host's root as a container sees it.
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

    /// The PCI addresses of the GPUs that the driver is bound to. Reading them touches no GPU. `None`
    /// where the system does not list them, as in some containers.
    pub(crate) fn bound(&self) -> Option<Vec<String>> {
        let below_proc = addresses(&self.gpus());
        below_proc.or_else(|_| addresses(&self.root.join("sys/bus/pci/drivers/nvidia"))).ok()
    }

    /// The folder with the device nodes that this process may use: its own before the host's.
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

/// The driver's GPUs on the PCI bus.
pub(crate) struct PciBus {
    host: Host,
    /// By PCI address.
    descriptions: BTreeMap<String, Description>,
}

/// The driver's description of a GPU.
enum Description {
    /// It is being read.
    Pending(Receiver<Option<Information>>),
    /// It was read, if there is one.
    Read(Option<Information>),
}

/// The lines of a GPU's description that matter here.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
struct Information {
    uuid: Option<String>,
    model_name: Option<String>,
    minor: Option<u32>,
    is_excluded: bool,
}

impl PciBus {
    pub(crate) fn new(host: Host) -> Self {
        Self { host, descriptions: BTreeMap::new() }
    }

    /// The driver's description of a GPU, read until it is complete. Reading may block in the driver, so
    /// it is done on a thread that nothing else waits for.
    fn information(&mut self, address: &str) -> Option<Information> {
        let path = self.host.gpus().join(address).join("information");
        let entry = self.descriptions.entry(address.to_owned());
        let description = entry.or_insert_with(|| start_reading(path.clone()));
        // There is a UUID once the driver has initialised the GPU.
        let is_complete =
            |it: &Option<Information>| it.as_ref().is_some_and(|it| it.uuid.is_some());
        if matches!(description, Description::Read(information) if !is_complete(information)) {
            *description = start_reading(path);
        }
        if let Description::Pending(answer) = description {
            match answer.recv_timeout(ANSWER_TIMEOUT) {
                Ok(information) => *description = Description::Read(information),
                Err(RecvTimeoutError::Disconnected) => *description = Description::Read(None),
                Err(RecvTimeoutError::Timeout) => {}
            }
        }
        match description {
            Description::Read(information) => information.clone(),
            Description::Pending(_) => None,
        }
    }

    /// Whether this process may use a GPU: a container may have been given others only.
    fn is_visible(&self, address: &str, information: Option<&Information>) -> bool {
        let has_node = |minor: u32| self.host.devices().join(format!("nvidia{minor}")).exists();
        match information {
            Some(Information { is_excluded: true, .. }) => false,
            Some(Information { minor: Some(minor), .. }) => has_node(*minor),
            // There is no device number, or no answer: then its folder has to do.
            _ => self.host.gpus().join(address).exists(),
        }
    }
}

impl Bus for PciBus {
    fn gpus(&mut self) -> io::Result<Vec<Identity>> {
        let addresses = addresses(&self.host.root.join("sys/bus/pci/drivers/nvidia"))?;
        self.descriptions.retain(|address, _| addresses.contains(address));
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
                    minor: None,
                });
            }
        }
        Ok(gpus)
    }
}

fn start_reading(path: PathBuf) -> Description {
    let (sender, answer) = mpsc::channel();
    let read = move || {
        let text = fs::read_to_string(path).ok();
        // The other end is gone only if the GPU is.
        let _ = sender.send(text.map(|text| information_in(&text)));
    };
    match thread::Builder::new().name("gpu information".to_owned()).spawn(read) {
        Ok(_) => Description::Pending(answer),
        Err(_) => Description::Read(None),
    }
}

/// The lines of `information` that matter here, such as `GPU UUID: \t GPU-…`.
fn information_in(text: &str) -> Information {
    let mut information = Information::default();
    for (key, value) in text.lines().filter_map(|line| line.split_once(':')) {
        let value = value.trim();
        // Question marks stand for what the driver has not read yet.
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
    fn the_drivers_description_of_a_gpu_is_read() {
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
    fn gpus_that_this_process_may_not_use_are_not_listed() {
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
    fn a_gpu_whose_driver_does_not_answer_is_read_by_one_thread() {
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
