//! The service as it will run: Debian's package installed into a Debian whose own systemd is booted, in
//! namespaces of its own, with the test library in the driver's place.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{package, rootfs, trial};
use crate::run::{quietly, run};

/// What a busy machine may take.
const PATIENCE: Duration = Duration::from_secs(60);

/// What a process can do at once, and what it could ever do, as `/proc` says it: CAP_SYSLOG, or nothing.
const CAP_SYSLOG: &str = "CapEff:\t0000000400000000\nCapBnd:\t0000000400000000\n";
const NO_CAPABILITY: &str = "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n";

/// Tries the unit, its options, and what the package's scripts do about a service that runs.
///
/// Gives back why it cannot be done here, if so.
pub(crate) fn check(root: &Path) -> Result<Option<String>> {
    let namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork"];
    let mut possible = Command::new("unshare");
    possible.args(namespaces).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if let Err(error) = quietly(&mut possible) {
        return Ok(Some(format!("no namespaces can be made here: {error:#}")));
    }
    let debian = rootfs::fresh(root, "booted")?;
    run(Command::new("cp").arg(package::file(root)).arg(debian.join("heatsink.deb")))?;
    trial::with_driver(root, &debian)?;
    let mut boot = Command::new("unshare");
    boot.args(namespaces).arg(root.join("tools/scripts/boot-debian.sh")).arg(&debian);
    let booted = Booted::new(boot, &debian)?;
    booted.wait("systemd is up", || {
        let state = booted.said(&["systemctl", "is-system-running"]).unwrap_or_default();
        // Something of Debian's own may not like to have no devices.
        Ok(["running", "degraded"].contains(&state.trim()))
    })?;
    let tried = tries(&booted);
    if tried.is_err() {
        println!(
            "{}",
            booted.said(&["journalctl", "--no-pager", "--lines=40"]).unwrap_or_default()
        );
    }
    drop(booted);
    tried?;
    rootfs::remove(&debian)?;
    Ok(None)
}

fn tries(booted: &Booted) -> Result<()> {
    // Installed, and running at once. There is no kernel's log to read here: it has to go on without.
    booted.said(&["dpkg", "--install", "/heatsink.deb"])?;
    booted.wait("the service says how it goes", || {
        Ok(booted.property("StatusText")? == "8 of 8 GPUs answer")
    })?;
    let pid = booted.property("MainPID")?;
    let page = booted.page()?;
    ensure!(page.contains("DCGM_FI_DEV_GPU_TEMP{"), "no temperature on the page:\n{page}");
    ensure!(page.contains("heatsink_source_info{source=\"nvml\""), "not from NVML");
    let status = booted.said(&["cat", &format!("/proc/{pid}/status")])?;
    for wanted in [CAP_SYSLOG, "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.contains(wanted), "no `{wanted}` in\n{status}");
    }
    ensure!(!status.contains("Uid:\t0"), "it runs as root:\n{status}");
    println!(
        "running as a user that systemd made up, with CAP_SYSLOG alone, behind a filter of system calls"
    );

    // Its counters files again, in the same process.
    booted.said(&["systemctl", "reload", "heatsink"])?;
    booted.wait("the log says so", || Ok(booted.log()?.contains("INFO serving 70 rows")))?;
    ensure!(booted.property("MainPID")? == pid, "a reload has restarted it");

    // An upgrade starts the new one; a purge ends all.
    booted.said(&["dpkg", "--install", "/heatsink.deb"])?;
    booted.wait("the upgrade has restarted it", || {
        Ok(booted.property("MainPID")? != pid && booted.is_active("heatsink.service"))
    })?;

    // One that hangs is killed by the watchdog, and comes back.
    booted.drop_in("patience.conf", "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")?;
    booted.said(&["systemctl", "restart", "heatsink"])?;
    let pid = booted.property("MainPID")?;
    booted.said(&["sh", "-c", &format!("kill -STOP {pid}")])?;
    booted.wait("the watchdog has restarted it", || {
        let now = booted.property("MainPID")?;
        Ok(now != pid && now != "0" && booted.is_active("heatsink.service"))
    })?;
    println!("restarted by the watchdog when it hung, and by an upgrade");

    // Without the kernel's log, on request.
    let option = booted.read("usr/share/doc/heatsink/examples/no-kernel-log.conf")?;
    booted.drop_in("no-kernel-log.conf", &option)?;
    booted.said(&["systemctl", "restart", "heatsink"])?;
    booted.wait("it serves without the kernel's log", || {
        Ok(booted.property("StatusText")? == "8 of 8 GPUs answer")
    })?;
    let pid = booted.property("MainPID")?;
    let status = booted.said(&["cat", &format!("/proc/{pid}/status")])?;
    ensure!(status.contains(NO_CAPABILITY), "no `{NO_CAPABILITY}` in\n{status}");

    // A socket in place of the port: started by whoever asks.
    booted.said(&["systemctl", "disable", "--now", "heatsink.service"])?;
    ensure!(booted.page().is_err(), "stopped, and it still answers");
    booted.said(&["systemctl", "enable", "--now", "heatsink.socket"])?;
    ensure!(!booted.is_active("heatsink.service"), "started before anybody asked");
    booted.wait("the first who asks starts it", || Ok(booted.page().is_ok()))?;
    ensure!(booted.is_active("heatsink.service"), "somebody else answers");
    println!("started by its socket");

    booted.said(&["dpkg", "--purge", "heatsink"])?;
    ensure!(!booted.is_active("heatsink.service"), "purged, and it still runs");
    ensure!(!booted.is_active("heatsink.socket"), "purged, and its socket is still open");
    let left = booted.said(&[
        "find",
        "/etc/systemd/system",
        "-name",
        "heatsink.service",
        "-o",
        "-name",
        "heatsink.socket",
    ])?;
    ensure!(left.trim().is_empty(), "purged, and left behind: {left}");
    Ok(())
}

/// A Debian whose systemd runs. Ends with this.
struct Booted {
    starter: Child,
    /// systemd, as this machine numbers it.
    pid: u32,
    folder: PathBuf,
}

impl Booted {
    fn new(mut boot: Command, folder: &Path) -> Result<Self> {
        // unshare complains about how it ends, which is as it should be.
        let log = folder.with_extension("log");
        let errors = std::fs::File::create(&log).context("cannot make a file for the log")?;
        let starter = boot.stdin(Stdio::null()).stderr(errors).spawn();
        let starter = starter.context("unshare could not be started")?;
        let children = format!("/proc/{0}/task/{0}/children", starter.id());
        let mut booted = Self { starter, pid: 0, folder: folder.to_owned() };
        let until = Instant::now() + PATIENCE;
        while booted.pid == 0 {
            ensure!(Instant::now() < until, "systemd does not start: see {}", log.display());
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            booted.pid = text.trim().parse().unwrap_or(0);
            sleep(Duration::from_millis(50));
        }
        Ok(booted)
    }

    /// What a command inside says.
    fn said(&self, command: &[&str]) -> Result<String> {
        let mut enter = Command::new("nsenter");
        enter.arg("--target").arg(self.pid.to_string());
        enter.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--wd"]);
        enter
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"])
            .args(command);
        quietly(&mut enter)
    }

    /// The page, asked for from inside.
    fn page(&self) -> Result<String> {
        // Bash speaks TCP; there is no other client in a base system.
        let ask = "exec 3<>/dev/tcp/127.0.0.1/9400 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
        let answer = self.said(&["timeout", "5", "bash", "-c", ask])?;
        ensure!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "{answer}");
        Ok(answer)
    }

    fn property(&self, name: &str) -> Result<String> {
        let said =
            self.said(&["systemctl", "show", "--value", "--property", name, "heatsink.service"])?;
        Ok(said.trim().to_owned())
    }

    fn is_active(&self, unit: &str) -> bool {
        self.said(&["systemctl", "is-active", "--quiet", unit]).is_ok()
    }

    fn log(&self) -> Result<String> {
        self.said(&["journalctl", "--no-pager", "--unit=heatsink.service"])
    }

    fn read(&self, path: &str) -> Result<String> {
        self.said(&["cat", &format!("/{path}")])
    }

    fn drop_in(&self, name: &str, text: &str) -> Result<()> {
        let folder = self.folder.join("etc/systemd/system/heatsink.service.d");
        std::fs::create_dir_all(&folder).context("cannot make a folder")?;
        std::fs::write(folder.join(name), text).context("cannot write a drop-in")?;
        self.said(&["systemctl", "daemon-reload"]).map(drop)
    }

    fn wait(&self, what: &str, mut is_so: impl FnMut() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + PATIENCE;
        loop {
            match is_so() {
                Ok(true) => return Ok(()),
                result if Instant::now() > until => {
                    result?;
                    bail!("not within {PATIENCE:?}: {what}");
                }
                _ => sleep(Duration::from_millis(200)),
            }
        }
    }
}

impl Drop for Booted {
    fn drop(&mut self) {
        // The first process of its namespace: all others end with it.
        let _ = Command::new("kill").args(["-KILL", &self.pid.to_string()]).status();
        let _ = self.starter.wait();
    }
}
