//! Prometheus and Alertmanager for tests, on free ports.

use std::fs::File;
use std::net::{Ipv4Addr, TcpListener};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU8, Ordering};
use std::thread;
use std::time::{Duration, Instant};

/// How long one may take until it is ready. Generous: the machine may be busy.
const START: Duration = Duration::from_secs(60);

/// A running server. Killed when dropped.
pub struct Server {
    child: Child,
    address: String,
    log: PathBuf,
}

/// An address on this machine with a free port: `IP:PORT`. It has an IP address of its own, so that no other process
/// takes the port meanwhile.
///
/// # Panics
///
/// When the system has none.
pub fn free_address() -> String {
    static CALLS: AtomicU8 = AtomicU8::new(1);
    let [.., high, low] = std::process::id().to_be_bytes();
    let ip = Ipv4Addr::new(127, high, low, CALLS.fetch_add(1, Ordering::Relaxed));
    let free = TcpListener::bind((ip, 0)).expect("a free port");
    free.local_addr().expect("its address").to_string()
}

/// Starts Prometheus with the configuration at `config`, and waits until it is ready. What it
/// stores and logs lies below `folder`.
///
/// # Panics
///
/// When it cannot be started, with its log.
pub fn prometheus(config: &Path, folder: &Path) -> Server {
    prometheus_of(Path::new("prometheus"), &[], config, folder)
}

/// The same with another program of Prometheus', and more arguments.
///
/// # Panics
///
/// When it cannot be started, with its log.
pub fn prometheus_of(program: &Path, arguments: &[&str], config: &Path, folder: &Path) -> Server {
    let address = free_address();
    let mut command = Command::new(program);
    command
        .args(arguments)
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.tsdb.path={}", folder.join("prometheus-data").display()))
        .arg(format!("--web.listen-address={address}"))
        .arg("--web.enable-lifecycle");
    Server::start(command, address, folder.join("prometheus.log"))
}

/// Starts Alertmanager at `address` with the configuration at `config`, and waits until it is
/// ready. What it stores and logs lies below `folder`.
///
/// # Panics
///
/// When it cannot be started, with its log.
pub fn alertmanager(address: &str, config: &Path, folder: &Path) -> Server {
    let mut command = Command::new("prometheus-alertmanager");
    command
        .arg(format!("--config.file={}", config.display()))
        .arg(format!("--storage.path={}", folder.join("alertmanager-data").display()))
        .arg(format!("--web.listen-address={address}"))
        // Alone: it needs no others, and no port for them.
        .arg("--cluster.listen-address=");
    Server::start(command, address.to_owned(), folder.join("alertmanager.log"))
}

impl Server {
    fn start(mut command: Command, address: String, log: PathBuf) -> Self {
        let output = File::create(&log).expect("a file for its log");
        let errors = output.try_clone().expect("the same file");
        let program = command.get_program().to_string_lossy().into_owned();
        let child = command.stdin(Stdio::null()).stdout(output).stderr(errors).spawn();
        let child = child.unwrap_or_else(|error| {
            panic!("{program}: {error}; `cargo xtask test` installs Debian's package")
        });
        let mut server = Self { child, address, log };
        let until = Instant::now() + START;
        while ureq::get(format!("{}/-/ready", server.url())).call().is_err() {
            let ended = server.child.try_wait().expect("the child can be asked").is_some();
            assert!(
                !ended && Instant::now() < until,
                "{program} is not ready:\n{}",
                std::fs::read_to_string(&server.log).unwrap_or_default()
            );
            thread::sleep(Duration::from_millis(50));
        }
        server
    }

    /// Where it listens: `http://IP:PORT`.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Everything it has logged so far.
    pub fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
