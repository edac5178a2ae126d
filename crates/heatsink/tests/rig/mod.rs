//! A machine to test on: a folder with the test libraries in it, control files for faults, and the
//! built binary over all of them.
//!
//! Tests that are built as `dcgm` read through DCGM's test library, whose engine reads the driver's;
//! all others read the driver's directly. So the tests in `suite` are run both ways.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fake_nvml::control::Control;
use tempfile::TempDir;
use testkit::exporter::{Exporter, repository_file};
use testkit::page::{Page, metric};

/// The binary under test.
pub(crate) const BINARY: &str = env!("CARGO_BIN_EXE_heatsink");

/// What most waits may take: many times what they need, since the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(15);

/// Whether these tests read through DCGM.
pub(crate) fn through_dcgm() -> bool {
    module_path!().starts_with("dcgm::")
}

/// The machine.
pub(crate) struct Rig {
    folder: TempDir,
    /// What the driver does.
    pub(crate) control: Control,
    /// What DCGM's engine does.
    pub(crate) engine: Control,
    environment: Vec<(String, String)>,
}

impl Rig {
    /// Eight steady H100s.
    pub(crate) fn new() -> Self {
        let rig = Self::without_library();
        rig.install();
        rig
    }

    /// One of the machines of `fixtures/machines`.
    pub(crate) fn machine(name: &str) -> Self {
        let fixture = repository_file(&format!("fixtures/machines/{name}.toml"));
        Self::new().with("FAKE_NVML_FIXTURE", &fixture.display().to_string())
    }

    /// A machine whose driver library is not there yet.
    pub(crate) fn without_library() -> Self {
        let folder = TempDir::new().expect("a temporary folder");
        let control = Control::new(folder.path().join("control"));
        let engine = Control::new(folder.path().join("engine"));
        control.clear();
        engine.clear();
        let library = folder.path().join("libnvidia-ml.so.1");
        let environment = vec![
            ("FAKE_DCGM_NVML".to_owned(), library.display().to_string()),
            ("FAKE_DCGM_CONTROL".to_owned(), engine.path().display().to_string()),
            ("FAKE_NVML_CONTROL".to_owned(), control.path().display().to_string()),
            ("NODE_NAME".to_owned(), "node-1".to_owned()),
            // That of the machine under the test has nothing to do with its GPUs.
            ("HEATSINK_KERNEL_LOG".to_owned(), "none".to_owned()),
        ];
        Self { folder, control, engine, environment }
    }

    /// Adds a variable to the environment.
    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.environment.push((name.to_owned(), value.to_owned()));
        self
    }

    /// Puts the libraries in their place.
    pub(crate) fn install(&self) {
        fake_nvml::install_in(self.folder.path());
        if through_dcgm() {
            fake_dcgm::install_in(self.folder.path());
        }
    }

    /// Where DCGM's library is, or will be.
    pub(crate) fn dcgm_library(&self) -> PathBuf {
        self.folder.path().join("libdcgm.so.4")
    }

    /// Where the library is, or will be.
    pub(crate) fn library(&self) -> PathBuf {
        self.folder.path().join("libnvidia-ml.so.1")
    }

    /// A file of this machine.
    pub(crate) fn file(&self, name: &str, content: impl AsRef<[u8]>) -> String {
        let path = self.folder.path().join(name);
        std::fs::write(&path, content).expect("the temporary folder can be written");
        path.display().to_string()
    }

    /// The environment of the binary.
    pub(crate) fn environment(&self) -> Vec<(&str, &str)> {
        self.environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect()
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

    /// Starts the binary, and waits until as many GPUs answer.
    pub(crate) fn started(&self, args: &[&str], gpus: usize) -> Exporter {
        let exporter = self.start(args);
        exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == gpus);
        exporter
    }
}

/// No scrape may take longer, whatever a GPU or an engine does.
pub(crate) const SCRAPE: Duration = Duration::from_secs(1);

/// Watches a running exporter for `time`; every page must satisfy `always`.
pub(crate) fn watch(exporter: &Exporter, time: Duration, always: impl Fn(&Page)) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let answer = exporter.get("/metrics");
        assert!(answer.took < SCRAPE, "a scrape took {:?}", answer.took);
        assert_eq!(answer.status, 200);
        always(&Page::parse(&answer.body).expect("a well-formed page"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

/// How many GPUs are up.
pub(crate) fn up(page: &Page) -> usize {
    page.samples("heatsink_gpu_up").iter().filter(|sample| sample.value == 1.0).count()
}

/// Whether GPU `index` has no series that a driver call serves.
pub(crate) fn is_absent(page: &Page, index: u32) -> bool {
    let index = index.to_string();
    !page
        .all_samples()
        .any(|sample| sample.name.starts_with("DCGM_FI") && sample.label("gpu") == Some(&index))
}

/// Whether GPU `index` shows a temperature.
pub(crate) fn is_present(page: &Page, index: u32) -> bool {
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", index.to_string()).is_in(page)
}

/// Why GPU `index` is down.
pub(crate) fn down(page: &Page, index: u32) -> Option<String> {
    let index = index.to_string();
    let samples = page.samples("heatsink_gpu_down_info");
    let sample = samples.into_iter().find(|sample| sample.label("gpu") == Some(&index))?;
    sample.label("reason").map(str::to_owned)
}
