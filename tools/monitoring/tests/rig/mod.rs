//! Exporters, a real Prometheus, a real Alertmanager and a receiver of its messages.
#![allow(dead_code, reason = "no test uses all of it")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Child, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use monitoring::chain::{Chain, Target};
use monitoring::expand::Names;
use monitoring::files;
use monitoring::source::Source;
use testkit::exporter::{command, repository_file};
use testkit::server::{Server, alertmanager, prometheus};

pub(crate) mod webhook;

/// Timeout of most waits: much longer than needed, because the machine may be busy.
pub(crate) const PATIENCE: Duration = Duration::from_secs(60);

pub(crate) fn root() -> PathBuf {
    repository_file("")
}

pub(crate) fn source() -> Source {
    files::source(&root()).unwrap_or_else(|error| panic!("{error:#}"))
}

/// The program. `cargo xtask` builds it before the tests, because it belongs to another package.
pub(crate) fn binary() -> String {
    let test = std::env::current_exe().expect("a test has a path");
    let folder = test.parent().and_then(Path::parent).expect("target/debug/deps");
    let binary = folder.join("heatsink");
    assert!(binary.exists(), "{} is not there: `cargo build` first", binary.display());
    binary.to_string_lossy().into_owned()
}

/// An exporter, killed when dropped.
pub(crate) struct Exporter {
    child: Child,
    pub(crate) address: String,
}

impl Exporter {
    /// Starts the program at `host`, an address of the loopback network.
    pub(crate) fn start(host: &str, args: &[&str]) -> Self {
        Self::start_in(host, args, &[])
    }

    /// The same, with variables in its environment.
    pub(crate) fn start_in(host: &str, args: &[&str], environment: &[(&str, &str)]) -> Self {
        let port = testkit::server::free_address().rsplit(':').next().map(str::to_owned);
        let address = format!("{host}:{}", port.expect("a port"));
        let args = [args, &["--address", &address]].concat();
        let environment = [environment, &[("NODE_NAME", host)]].concat();
        let child = command(&binary(), &args, &environment)
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .spawn()
            .expect("the binary runs");
        let exporter = Self { child, address };
        wait_for("the exporter listens", PATIENCE, || {
            ureq::get(format!("http://{}/metrics", exporter.address)).call().is_ok()
        });
        exporter
    }
}

impl Drop for Exporter {
    fn drop(&mut self) {
        // The process may have ended already.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Exporters with a Prometheus, an Alertmanager and a receiver, with the shipped configurations and
/// shorter durations.
pub(crate) struct Watched {
    pub(crate) prometheus: Server,
    pub(crate) alertmanager: Server,
    pub(crate) webhook: webhook::Webhook,
    pub(crate) folder: tempfile::TempDir,
}

impl Watched {
    pub(crate) fn start(exporters: &[&Exporter], names: Names, time_scale: f64) -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let webhook = webhook::Webhook::start();
        let manager = testkit::server::free_address();
        let target =
            |exporter: &&Exporter| Target { address: exporter.address.clone(), name: None };
        let chain = Chain {
            time_scale,
            names,
            targets: exporters.iter().map(target).collect(),
            alertmanager: manager.clone(),
            webhook: webhook.url(),
        };
        let made = chain.files(&root(), &source()).unwrap_or_else(|error| panic!("{error:#}"));
        for file in made {
            fs::write(folder.path().join(&file.path), &file.text).expect("a file can be written");
        }
        let alertmanager =
            alertmanager(&manager, &folder.path().join("alertmanager.yml"), folder.path());
        let prometheus = prometheus(&folder.path().join("prometheus.yml"), folder.path());
        Self { prometheus, alertmanager, webhook, folder }
    }

    pub(crate) fn client(&self) -> monitoring::prometheus::Prometheus {
        monitoring::prometheus::Prometheus::new(&self.prometheus.url())
    }

    /// The names of the alerts that fire now, with their GPU.
    pub(crate) fn firing(&self) -> Vec<String> {
        let found = self.client().query("ALERTS{alertstate=\"firing\"}", None);
        let label = |series: &monitoring::prometheus::Series, name: &str| {
            series.labels.get(name).cloned().unwrap_or_default()
        };
        let names = found.unwrap_or_else(|error| panic!("{error:#}")).into_iter();
        names
            .map(|alert| format!("{} {}", label(&alert, "alertname"), label(&alert, "gpu")))
            .collect()
    }
}

/// Polls a condition.
///
/// # Panics
///
/// When it is still false after `timeout`.
pub(crate) fn wait_for(what: &str, timeout: Duration, mut is_true: impl FnMut() -> bool) {
    let until = Instant::now() + timeout;
    while !is_true() {
        assert!(Instant::now() < until, "not within {timeout:?}: {what}");
        thread::sleep(Duration::from_millis(50));
    }
}
