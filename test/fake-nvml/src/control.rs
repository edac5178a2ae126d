//! The control file: faults on command, while the program under test runs.
//!
//! A text file, one command a line; `#` starts a comment. The library looks for a change at most
//! every 5 ms, within calls. A line is in force while it is in the file; one that is not
//! understood is named once on stderr and ignored.
//!
//! | line | effect |
//! |---|---|
//! | `gpu 3 hang` | every call on GPU 3 blocks until the line is gone; waiting for events goes on |
//! | `gpu 3 hang-calls FUNCTION,FUNCTION` | only these block |
//! | `gpu 2 lost` | `GPU_IS_LOST` from every call on GPU 2, getting its handle included |
//! | `gpu 2 lost until-init` | the same, and a session that has seen it never sees GPU 2 again, as after a reset |
//! | `gpu 1 slow 200` | each call takes 200 ms longer; `gpu 1 slow 200 FUNCTION`: only that one |
//! | `gpu 0 unsupported TARGET` | `NOT_SUPPORTED` |
//! | `gpu 0 denied TARGET` | `NO_PERMISSION` |
//! | `gpu 4 fail TARGET` | `UNKNOWN` |
//! | `gpu 5 xid 31` | one XID event, see below; none for 79, 119, 120 and others that the driver only prints |
//! | `gpu 5 xid 43 instance 2` | the same, of a GPU instance; `instance 2 compute 0`: and of the compute instance in it |
//! | `gpu 0 spike QUANTITY 200 900000` | for 200 ms, samples are 900000, see below |
//! | `gpu 2 set QUANTITY 96` | the quantity of a simulated GPU is 96, see below |
//! | `gpu 2 silent` | its process does nothing, and keeps its memory |
//! | `gpu 2 idle` | it has no process: the same, and its memory is free |
//! | `gpu 6 mig on` | MIG mode on, so no utilization, encoder nor decoder; `off` turns it off |
//! | `gpu 6 mig-create 3 1g.10gb` | GPU instance 3, with one compute instance; with `bare` behind it, none |
//! | `gpu 6 mig-destroy 3` | GPU instance 3 is removed, with its compute instances |
//! | `gpus 7` | the driver lists only the first 7 to a session that begins now; handles of the others answer `GPU_IS_LOST` |
//! | `init mismatch` | `LIB_RM_VERSION_MISMATCH` from `nvmlInit` and from calls in a live session |
//! | `init not-loaded` | `DRIVER_NOT_LOADED` from `nvmlInit` |
//! | `init hang` | `nvmlInit` blocks until the line is gone |
//! | `driver 570.86.10` | the driver's version |
//! | `nonsense 0 TARGET 808334905` | the first number that GPU 0 answers |
//!
//! `FUNCTION` is a name such as `nvmlDeviceGetPowerUsage`, `TARGET` is one of these, or `field 82`
//! for a field value, or `gpm` for GPM as a whole.
//!
//! Instances are created and destroyed in the order of the lines, from those of the fixture on,
//! and are there while MIG is on.
//!
//! Each `xid` line is one event. It is identified by its position among the `xid` lines of its GPU, so
//! lines that are [added](Control::add) are new events; when there are fewer lines than before,
//! those that remain count as delivered. An event waits for the first event set that registers
//! the GPU. It goes to every set that is registered when it is delivered, once to each, and is not
//! delivered again in the same process, not even after the library was unloaded or replaced.
//!
//! `set`, `silent` and `idle` change what the simulation says while they are in force; they have no effect on
//! a fixture or a frozen simulation. `QUANTITY` is `temperature` or `memory_temperature` (°C), `power` (W),
//! `sm_clock` (MHz), `clock_reasons` (NVML's bits), `memory_used` (MiB), `ecc_corrected`, `ecc_uncorrected`,
//! `rows_remapped`, `remap_pending`, `remap_failed` (0 or 1), `links_down` (how many NVLinks), `pcie_lanes` or
//! `pcie_replays`.
//!
//! A `spike` begins when the library sees its line, and is in the samples that `nvmlDeviceGetSamples`
//! returns of that time, nowhere else. `QUANTITY` is `power` (mW), `gpu_utilization` or `memory_utilization`
//! (percent), `sm_clock` or `memory_clock` (MHz). As for events, lines that are added are new.

use crate::xid::is_raised;
use std::{
    fs::{self, File},
    io::{self, Write},
    path::{Path, PathBuf},
    sync::atomic::{AtomicU64, Ordering},
    time::{Duration, SystemTime},
};

/// Writes a control file, each time as a whole, so that no reader sees half of one.
#[derive(Debug)]
pub struct Control {
    path: PathBuf,
    writes: AtomicU64,
    host: Option<Host>,
}

/// The files of the kernel's module about its GPUs, below a root of the test: in
/// `proc/driver/nvidia`, `sys/bus/pci` and `dev`. As many are bound to it as `gpus` says.
#[derive(Debug)]
pub struct Host {
    /// Below which that is.
    pub root: PathBuf,
    /// The GPUs, in the driver's order.
    pub gpus: Vec<HostGpu>,
}

/// A GPU as the kernel's module knows it.
#[derive(Clone, Debug)]
pub struct HostGpu {
    /// `0000:1a:00.0`.
    pub pci_address: String,
    /// `GPU-` and a UUID.
    pub uuid: String,
}

impl Host {
    /// Shows the first `bound` GPUs, and no others.
    fn show(&self, bound: usize) -> io::Result<()> {
        let module = self.root.join("proc/driver/nvidia");
        let (listed, driver) = (module.join("gpus"), self.root.join("sys/bus/pci/drivers/nvidia"));
        for folder in [&listed, &driver, &self.root.join("dev")] {
            fs::create_dir_all(folder)?;
        }
        for (minor, HostGpu { pci_address, uuid }) in self.gpus.iter().enumerate() {
            let folders = [listed.join(pci_address), driver.join(pci_address)];
            if minor >= bound {
                for folder in folders.iter().filter(|folder| folder.exists()) {
                    fs::remove_dir_all(folder)?;
                }
                continue;
            }
            for folder in &folders {
                fs::create_dir_all(folder)?;
            }
            let information = folders[0].join("information");
            if !information.exists() {
                let text = format!(
                    "Model: \t\t NVIDIA H100 80GB HBM3\nIRQ:   \t\t 98\nGPU UUID: \t {uuid}\n\
                     Bus Type: \t PCIe\nBus Location: \t {pci_address}\n\
                     Device Minor: \t {minor}\nGPU Excluded:\t No\n"
                );
                fs::write(information, text)?;
            }
            fs::write(self.root.join(format!("dev/nvidia{minor}")), "")?;
        }
        Ok(())
    }
}

/// The XIDs of one GPU in a text of commands that the driver only prints: DCGM reads them in the kernel's
/// log of its machine.
#[must_use]
pub fn printed_xids(commands: &str, gpu: u32) -> Vec<u32> {
    let words = |line: &str| line.split_whitespace().map(str::to_owned).collect::<Vec<_>>();
    let xid = |words: Vec<String>| match words.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        ["gpu", index, "xid", code, ..] if index.parse() == Ok(gpu) => code.parse().ok(),
        _ => None,
    };
    let xids = commands.lines().map(words).filter_map(xid);
    xids.filter(|code| !is_raised(*code)).collect()
}

impl Control {
    /// A control file at `path`, which is written only by the methods below.
    pub fn new(path: impl Into<PathBuf>) -> Self {
        Self { path: path.into(), writes: AtomicU64::new(0), host: None }
    }

    /// Lets the kernel's module show its GPUs, too.
    #[must_use]
    pub fn with_host(mut self, host: Host) -> Self {
        self.host = Some(host);
        self
    }

    /// The value for `FAKE_NVML_CONTROL`.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Lets the kernel's module be bound to the first `count` GPUs, whatever the driver lists.
    ///
    /// # Panics
    ///
    /// When there is no host, or it cannot be written.
    pub fn bind(&self, count: usize) {
        let host = self.host.as_ref().expect("a host");
        host.show(count).unwrap_or_else(|error| panic!("{}: {error}", host.root.display()));
    }

    /// Hides a GPU from this machine, as from a container that was given others.
    ///
    /// # Panics
    ///
    /// When there is no host, or it cannot be written.
    pub fn hide(&self, gpu: usize) {
        let host = self.host.as_ref().expect("a host");
        let node = host.root.join(format!("dev/nvidia{gpu}"));
        fs::remove_file(&node).unwrap_or_else(|error| panic!("{}: {error}", node.display()));
    }

    /// Puts these commands in force, and no others.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn set(&self, commands: &[&str]) {
        let text: String = commands.iter().flat_map(|line| [line, "\n"]).collect();
        self.write(&text);
    }

    /// Puts these commands in force beside those that are.
    ///
    /// # Panics
    ///
    /// When the file cannot be read or written.
    pub fn add(&self, commands: &[&str]) {
        let mut text = match fs::read_to_string(&self.path) {
            Ok(text) => text,
            Err(error) if error.kind() == io::ErrorKind::NotFound => String::new(),
            Err(error) => panic!("cannot read {}: {error}", self.path.display()),
        };
        text.extend(commands.iter().flat_map(|line| [line, "\n"]));
        self.write(&text);
    }

    /// Ends every fault.
    ///
    /// # Panics
    ///
    /// When the file cannot be written.
    pub fn clear(&self) {
        self.write("");
    }

    fn write(&self, text: &str) {
        self.replace(text)
            .unwrap_or_else(|error| panic!("cannot write {}: {error}", self.path.display()));
    }

    fn replace(&self, text: &str) -> io::Result<()> {
        let mut name = self.path.as_os_str().to_owned();
        name.push(".new");
        let fresh = PathBuf::from(name);
        let mut file = File::create(&fresh)?;
        file.write_all(text.as_bytes())?;
        // The kernel updates file times every few milliseconds; two quick writes of one length must
        // differ all the same.
        let ordinal = self.writes.fetch_add(1, Ordering::Relaxed);
        file.set_modified(SystemTime::now() + Duration::from_nanos(ordinal))?;
        drop(file);
        // What is taken out is gone from the driver first, what is put in is there first.
        fs::rename(&fresh, &self.path)?;
        if let Some(host) = &self.host {
            let mut listed =
                text.lines().filter_map(|line| line.trim().strip_prefix("gpus ")?.parse().ok());
            host.show(listed.next_back().unwrap_or(host.gpus.len()))?;
        }
        Ok(())
    }
}
