//! A test machine: a folder with the fake libraries, control files for faults, and the built binary that
//! uses them.
//!
//! The test binary `dcgm` reads through the fake DCGM, whose engine reads the fake driver; `nvml` reads the
//! fake driver directly. So the tests in `suite` run both ways.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use fake_nvml::control::{Control, Host, HostGpu};
use tempfile::TempDir;
use testkit::exporter::{Exporter, repository_file};
use testkit::page::{Page, metric};
use testkit::pauses::{Stopwatch, may_be_late};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_heatsink");

/// Timeout of most waits: much longer than needed, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

/// Whether this test binary reads through DCGM.
pub(crate) fn through_dcgm() -> bool {
    module_path!().starts_with("dcgm::")
}

/// A test machine.
pub(crate) struct Rig {
    folder: TempDir,
    /// The control file of the fake driver.
    pub(crate) control: Control,
    /// The control file of the fake DCGM engine.
    pub(crate) engine: Control,
    environment: Vec<(String, String)>,
    gpus: Vec<HostGpu>,
    /// Number of messages in the kernel log.
    logged: AtomicU64,
}

/// The GPUs of the fake library without a fixture.
fn simulated() -> Vec<HostGpu> {
    let world = sim::World::new(sim::Scenario::steady(8), 1);
    let gpu = |gpu: &sim::GpuState| HostGpu {
        pci_address: format!("0000:{:02x}:00.0", gpu.pci_bus),
        uuid: gpu.uuid.clone(),
    };
    world.gpus().iter().map(gpu).collect()
}

fn machine_file(name: &str) -> PathBuf {
    repository_file(&format!("test/fixtures/machines/{name}.toml"))
}

impl Rig {
    /// Eight healthy H100s.
    pub(crate) fn new() -> Self {
        let rig = Self::without_library();
        rig.install();
        rig
    }

    /// One of the machines of `test/fixtures/machines`.
    pub(crate) fn machine(name: &str) -> Self {
        Self::fixture(&machine_file(name))
    }

    /// One of these machines, with its GPUs repeated up to this number.
    pub(crate) fn machine_of(name: &str, gpus: usize) -> Self {
        let rig = Self::new().with("FAKE_NVML_GPUS", &gpus.to_string());
        rig.with_fixture(&machine_file(name), Some(gpus))
    }

    /// The machine of a fixture.
    pub(crate) fn fixture(path: &Path) -> Self {
        Self::new().with_fixture(path, None)
    }

    fn with_fixture(self, path: &Path, gpus: Option<usize>) -> Self {
        let mut rig = self.with("FAKE_NVML_FIXTURE", &path.display().to_string());
        let gpus = fake_nvml::host_gpus(path, gpus);
        std::fs::remove_dir_all(rig.root()).expect("the root can be made again");
        let host = Host { root: rig.root(), gpus: gpus.clone() };
        rig.control = Control::new(rig.control.path()).with_host(host);
        rig.control.clear();
        rig.gpus = gpus;
        rig
    }

    /// Adds an empty kernel log.
    pub(crate) fn with_kernel_log(self) -> Self {
        std::fs::write(self.kernel_log(), "").expect("the temporary folder can be written");
        self
    }

    /// The path of the kernel log, in the format of `/dev/kmsg`.
    pub(crate) fn kernel_log(&self) -> PathBuf {
        self.root().join("dev/kmsg")
    }

    /// The folder that stands for `/` of the operating system.
    pub(crate) fn root(&self) -> PathBuf {
        self.folder.path().join("root")
    }

    /// The PCI address of a GPU in the kernel's form: `0000:1a:00`.
    pub(crate) fn address(&self, gpu: usize) -> &str {
        self.gpus[gpu].pci_address.trim_end_matches(".0")
    }

    /// The UUID of a GPU.
    pub(crate) fn uuid(&self, gpu: usize) -> &str {
        &self.gpus[gpu].uuid
    }

    /// A path in the temporary folder.
    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Adds these messages to the kernel log.
    pub(crate) fn log(&self, messages: &[&str]) {
        let uptime = std::fs::read_to_string("/proc/uptime").expect("Linux has it");
        let seconds: f64 = uptime.split(' ').next().expect("a number").parse().expect("a number");
        // A time that is rounded down could be before the start of heatsink.
        let micros = (seconds * 1e6) as u64 + 10_000;
        let mut log = std::fs::OpenOptions::new();
        let mut log = log.append(true).open(self.kernel_log()).expect("there is a log");
        let mut lines = String::new();
        for message in messages {
            let sequence = self.logged.fetch_add(1, Ordering::Relaxed);
            lines += &format!("4,{sequence},{micros},c;{message}\n");
        }
        log.write_all(lines.as_bytes()).expect("the log can be written");
    }

    /// Simulates an XID: adds it to the kernel log, and raises an event if the driver has events for it.
    pub(crate) fn xid(&self, gpu: usize, code: u32) {
        let address = self.address(gpu);
        self.log(&[&format!("NVRM: Xid (PCI:{address}): {code}, pid=4211, name=trainer, Ch 1")]);
        self.control.add(&[&format!("gpu {gpu} xid {code}")]);
    }

    /// A machine without a driver library.
    pub(crate) fn without_library() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let root = folder.path().join("root");
        let control = Control::new(folder.path().join("control"));
        let control = control.with_host(Host { root: root.clone(), gpus: simulated() });
        let engine = Control::new(folder.path().join("engine"));
        control.clear();
        engine.clear();
        let library = folder.path().join("libnvidia-ml.so.1");
        let environment = vec![
            ("FAKE_DCGM_NVML".to_owned(), library.display().to_string()),
            ("FAKE_DCGM_CONTROL".to_owned(), engine.path().display().to_string()),
            ("FAKE_NVML_CONTROL".to_owned(), control.path().display().to_string()),
            ("NODE_NAME".to_owned(), "node-1".to_owned()),
            // Hides the GPUs and the kernel log of the real machine. The kernel log is empty unless a
            // test adds one.
            ("HEATSINK_ROOTFS".to_owned(), root.display().to_string()),
            ("FAKE_NVML_ROOT".to_owned(), root.display().to_string()),
        ];
        let (gpus, logged) = (simulated(), AtomicU64::new(0));
        Self { folder, control, engine, environment, gpus, logged }
    }

    /// Adds a variable to the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Installs the fake libraries.
    pub(crate) fn install(&self) {
        fake_nvml::install_in(self.folder.path());
        if through_dcgm() {
            fake_dcgm::install_in(self.folder.path());
        }
    }

    /// The path of the DCGM library, installed or not.
    pub(crate) fn dcgm_library(&self) -> PathBuf {
        self.folder.path().join("libdcgm.so.4")
    }

    /// The path of the driver library, installed or not.
    pub(crate) fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// Writes a file, and returns its path.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("the temporary folder can be written");
        path.display().to_string()
    }

    /// A counters file with all of heatsink's own families.
    pub(crate) fn own_families(&self) -> String {
        let all = model::catalog::builtin::Set::All.text();
        let own: Vec<&str> = all.lines().filter(|line| line.starts_with("heatsink_")).collect();
        self.file("own-families.csv", own.join("\n"))
    }

    /// The environment of the binary.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
    }

    /// Lets every user read and write the temporary folder, because the fake library writes files there.
    pub(crate) fn open_to_all(&self) {
        open(self.folder.path(), 0o777);
    }

    /// Starts the binary as another user, through the program in `before`.
    pub(crate) fn start_through(&self, program: &str, before: &[&str], args: &[&str]) -> Exporter {
        self.open_to_all();
        let binary = self.folder.path().join("heatsink");
        std::fs::copy(BINARY, &binary).expect("the binary can be copied");
        open(&binary, 0o755);
        let (binary, library) =
            (binary.display().to_string(), self.library().display().to_string());
        let all = [before, &[&binary, "--nvml-library", &library], args].concat();
        Exporter::start(program, &all, &self.environment())
    }

    /// Starts the binary on this machine.
    pub(crate) fn start(&self, args: &[&str]) -> Exporter {
        let (nvml, dcgm) = (self.library(), self.dcgm_library());
        let (nvml, dcgm) = (nvml.display().to_string(), dcgm.display().to_string());
        let mut all = match through_dcgm() {
            true => vec!["--source", "dcgm", "--dcgm-library", &dcgm],
            false => vec!["--nvml-library", &nvml],
        };
        all.extend(args);
        Exporter::start(BINARY, &all, &self.environment())
    }

    /// Starts the binary, and waits until this many GPUs answer.
    pub(crate) fn started(&self, args: &[&str], gpus: usize) -> Exporter {
        let exporter = self.start(args);
        exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == gpus);
        exporter
    }
}

fn open(path: &Path, mode: u32) {
    let mode = std::os::unix::fs::PermissionsExt::from_mode(mode);
    std::fs::set_permissions(path, mode).expect("the temporary folder is ours");
}

/// Longest allowed time of a scrape, also with faults.
pub(crate) const SCRAPE: Duration = Duration::from_secs(1);

/// Scrapes an exporter for `time`. Each page must satisfy `always`, except for those that may have late
/// readings because the machine stood still: for each of these, another is looked at.
pub(crate) fn watch(exporter: &Exporter, time: Duration, always: impl Fn(&Page)) {
    let limit = Instant::now() + time + PATIENCE;
    let mut seen = Duration::ZERO;
    while seen < time {
        let began = Stopwatch::start();
        let answer = exporter.get("/metrics");
        assert!(answer.took < SCRAPE, "a scrape took {:?}", answer.took);
        assert_eq!(answer.status, 200);
        let page = Page::parse(&answer.body).expect("a well-formed page");
        let is_judged = !may_be_late();
        if is_judged {
            always(&page);
        }
        std::thread::sleep(Duration::from_millis(50));
        if is_judged {
            seen += began.elapsed();
        }
        assert!(Instant::now() < limit, "the machine stands still all the time");
    }
}

/// Number of GPUs that are up.
pub(crate) fn up(page: &Page) -> usize {
    page.samples("heatsink_gpu_up").iter().filter(|sample| sample.value == 1.0).count()
}

/// Whether GPU `index` has no series from driver calls.
pub(crate) fn is_absent(page: &Page, index: u32) -> bool {
    let index = index.to_string();
    !page
        .all_samples()
        .any(|sample| sample.name.starts_with("DCGM_FI") && sample.label("gpu") == Some(&index))
}

/// Whether GPU `index` has a temperature.
pub(crate) fn is_present(page: &Page, index: u32) -> bool {
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", index.to_string()).is_in(page)
}

/// The reason why GPU `index` is down.
pub(crate) fn down(page: &Page, index: u32) -> Option<String> {
    let index = index.to_string();
    let samples = page.samples("heatsink_gpu_down_info");
    let sample = samples.into_iter().find(|sample| sample.label("gpu") == Some(&index))?;
    sample.label("reason").map(str::to_owned)
}
