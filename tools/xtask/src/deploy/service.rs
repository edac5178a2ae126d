//! The service: Debian's package installed into a Debian whose systemd is booted in namespaces, with the
//! fake driver library.

use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::thread::sleep;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, bail, ensure};

use super::{package, rootfs, trial};
use crate::run::{quietly, run};

/// Long enough for a busy machine.
const TIMEOUT: Duration = Duration::from_secs(60);

/// The effective and bounding capabilities in `/proc`: CAP_SYSLOG, or none.
const CAP_SYSLOG: &str = "CapEff:\t0000000400000000\nCapBnd:\t0000000400000000\n";
const NO_CAPABILITY: &str = "CapEff:\t0000000000000000\nCapBnd:\t0000000000000000\n";

/// Checks the unit, its options, and the package's scripts on a running service.
///
/// Returns the reason if this machine cannot run it.
pub(crate) fn check(root: &Path) -> Result<Option<String>> {
    let namespaces = ["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--fork"];
    let mut possible = Command::new("unshare");
    possible.args(namespaces).args(["mount", "-t", "tmpfs", "tmpfs", "/mnt"]);
    if let Err(error) = quietly(&mut possible) {
        return Ok(Some(format!("no namespaces can be created: {error:#}")));
    }
    let debian = rootfs::fresh(root, "booted")?;
    run(Command::new("cp").arg(package::file(root)).arg(debian.join("heatsink.deb")))?;
    trial::with_driver(root, &debian)?;
    let mut boot = Command::new("unshare");
    boot.args(namespaces).arg(root.join("tools/scripts/boot-debian.sh")).arg(&debian);
    let booted = Booted::new(boot, &debian)?;
    booted.wait("systemd is up", || {
        let state = booted.output(&["systemctl", "is-system-running"]).unwrap_or_default();
        // Some of Debian's units may fail without devices.
        Ok(["running", "degraded"].contains(&state.trim()))
    })?;
    let result = check_service(&booted);
    if result.is_err() {
        println!(
            "{}",
            booted.output(&["journalctl", "--no-pager", "--lines=40"]).unwrap_or_default()
        );
    }
    drop(booted);
    result?;
    rootfs::remove(&debian)?;
    Ok(None)
}

fn check_service(booted: &Booted) -> Result<()> {
    // Earlier versions ran as a dynamic user of the same name, which ends with their unit.
    let earlier = ["--unit=earlier", "--property=DynamicUser=yes", "--property=User=heatsink"];
    booted.output(&[&["systemd-run"], &earlier[..], &["sleep", "infinity"]].concat())?;

    // Installed and started. There is no kernel log to read in the namespaces: it has to run without.
    booted.output(&["dpkg", "--install", "/heatsink.deb"])?;
    booted.output(&["systemctl", "stop", "earlier"])?;
    let user = booted.output(&["getent", "--service=files", "passwd", "heatsink"]);
    ensure!(user.is_ok(), "the dynamic user of an earlier version hid that there was no user");
    booted.wait("the service reports its GPUs", || {
        Ok(booted.property("StatusText")? == "8 of 8 GPUs answer")
    })?;
    let pid = booted.property("MainPID")?;
    let page = booted.page()?;
    ensure!(page.contains("DCGM_FI_DEV_GPU_TEMP{"), "no temperature on the page:\n{page}");
    ensure!(page.contains("heatsink_source_info{source=\"nvml\""), "not from NVML");
    let status = booted.output(&["cat", &format!("/proc/{pid}/status")])?;
    for expected in [CAP_SYSLOG, "NoNewPrivs:\t1", "Seccomp:\t2"] {
        ensure!(status.contains(expected), "no `{expected}` in\n{status}");
    }
    ensure!(!status.contains("Uid:\t0"), "it runs as root:\n{status}");
    println!("running as a system user, with CAP_SYSLOG alone and a filter of system calls");

    // The history is there, and readable by root and the group.
    let state = booted.output(&["stat", "--format=%A %U %G", "/var/lib/heatsink"])?;
    ensure!(state.trim() == "drwxr-x--- heatsink heatsink", "/var/lib/heatsink: {state}");
    booted.wait("the history is written", || {
        let files = ["find", "/var/lib/heatsink", "-type", "f", "-printf", "%m %g\\n"];
        let files = booted.output(&files)?;
        ensure!(files.lines().all(|file| file == "640 heatsink"), "files of the history: {files}");
        Ok(!files.is_empty())
    })?;

    // A reload reads the counters files again, in the same process.
    booted.output(&["systemctl", "reload", "heatsink"])?;
    booted.wait("the log reports the reload", || {
        Ok(booted.log()?.contains("INFO serving 80 rows"))
    })?;
    ensure!(booted.property("MainPID")? == pid, "a reload has restarted it");

    // An upgrade restarts it.
    booted.output(&["dpkg", "--install", "/heatsink.deb"])?;
    booted.wait("the upgrade has restarted it", || {
        Ok(booted.property("MainPID")? != pid && booted.is_active("heatsink.service"))
    })?;

    // The watchdog restarts a process that hangs.
    booted.drop_in("patience.conf", "[Service]\nWatchdogSec=2s\nRestartSec=100ms\n")?;
    booted.output(&["systemctl", "restart", "heatsink"])?;
    let pid = booted.property("MainPID")?;
    booted.output(&["sh", "-c", &format!("kill -STOP {pid}")])?;
    booted.wait("the watchdog has restarted it", || {
        let now = booted.property("MainPID")?;
        Ok(now != pid && now != "0" && booted.is_active("heatsink.service"))
    })?;
    println!("restarted by the watchdog when it hung, and by an upgrade");

    // The option without the kernel log.
    let option = booted.read("usr/share/doc/heatsink/examples/no-kernel-log.conf")?;
    booted.drop_in("no-kernel-log.conf", &option)?;
    booted.output(&["systemctl", "restart", "heatsink"])?;
    booted.wait("it serves without the kernel's log", || {
        Ok(booted.property("StatusText")? == "8 of 8 GPUs answer")
    })?;
    let pid = booted.property("MainPID")?;
    let status = booted.output(&["cat", &format!("/proc/{pid}/status")])?;
    ensure!(status.contains(NO_CAPABILITY), "no `{NO_CAPABILITY}` in\n{status}");

    // The option with a socket: the first connection starts the service.
    booted.output(&["systemctl", "disable", "--now", "heatsink.service"])?;
    ensure!(booted.page().is_err(), "stopped, and it still answers");
    booted.output(&["systemctl", "enable", "--now", "heatsink.socket"])?;
    ensure!(!booted.is_active("heatsink.service"), "started before the first connection");
    booted.wait("the first connection starts it", || Ok(booted.page().is_ok()))?;
    ensure!(booted.is_active("heatsink.service"), "another process answers");
    println!("started by its socket");

    booted.output(&["dpkg", "--purge", "heatsink"])?;
    ensure!(!booted.is_active("heatsink.service"), "purged, and it still runs");
    ensure!(!booted.is_active("heatsink.socket"), "purged, and its socket is still open");
    let left = booted.output(&[
        "find",
        "/etc/systemd/system",
        "-name",
        "heatsink.service",
        "-o",
        "-name",
        "heatsink.socket",
    ])?;
    ensure!(left.trim().is_empty(), "purged, but left: {left}");
    let state = booted.output(&["test", "-e", "/var/lib/heatsink"]);
    ensure!(state.is_err(), "purged, but /var/lib/heatsink is left");
    Ok(())
}

/// A Debian with a running systemd, killed when dropped.
struct Booted {
    starter: Child,
    /// systemd's process ID outside of its namespace.
    pid: u32,
    folder: PathBuf,
}

impl Booted {
    fn new(mut boot: Command, folder: &Path) -> Result<Self> {
        // unshare reports that systemd was killed, as it should be.
        let log = folder.with_extension("log");
        let errors = std::fs::File::create(&log).context("cannot make a file for the log")?;
        let starter = boot.stdin(Stdio::null()).stderr(errors).spawn();
        let starter = starter.context("unshare could not be started")?;
        let children = format!("/proc/{0}/task/{0}/children", starter.id());
        let mut booted = Self { starter, pid: 0, folder: folder.to_owned() };
        let until = Instant::now() + TIMEOUT;
        while booted.pid == 0 {
            ensure!(Instant::now() < until, "systemd does not start: see {}", log.display());
            let text = std::fs::read_to_string(&children).unwrap_or_default();
            booted.pid = text.trim().parse().unwrap_or(0);
            sleep(Duration::from_millis(50));
        }
        Ok(booted)
    }

    /// The output of a command inside.
    fn output(&self, command: &[&str]) -> Result<String> {
        let mut enter = Command::new("nsenter");
        enter.arg("--target").arg(self.pid.to_string());
        enter.args(["--mount", "--pid", "--net", "--uts", "--ipc", "--cgroup", "--root", "--wd"]);
        enter
            .args(["env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin", "LC_ALL=C.UTF-8"])
            .args(command);
        quietly(&mut enter)
    }

    /// The page, requested from inside.
    fn page(&self) -> Result<String> {
        // The base system has no other client than bash's /dev/tcp.
        let request = "exec 3<>/dev/tcp/127.0.0.1/9400 && printf 'GET /metrics HTTP/1.0\\r\\n\\r\\n' >&3 && cat <&3";
        let answer = self.output(&["timeout", "5", "bash", "-c", request])?;
        ensure!(answer.starts_with("HTTP/1.") && answer.contains(" 200 "), "{answer}");
        Ok(answer)
    }

    fn property(&self, name: &str) -> Result<String> {
        let output =
            self.output(&["systemctl", "show", "--value", "--property", name, "heatsink.service"])?;
        Ok(output.trim().to_owned())
    }

    fn is_active(&self, unit: &str) -> bool {
        self.output(&["systemctl", "is-active", "--quiet", unit]).is_ok()
    }

    fn log(&self) -> Result<String> {
        self.output(&["journalctl", "--no-pager", "--unit=heatsink.service"])
    }

    fn read(&self, path: &str) -> Result<String> {
        self.output(&["cat", &format!("/{path}")])
    }

    fn drop_in(&self, name: &str, text: &str) -> Result<()> {
        let folder = self.folder.join("etc/systemd/system/heatsink.service.d");
        std::fs::create_dir_all(&folder).context("cannot make a folder")?;
        std::fs::write(folder.join(name), text).context("cannot write a drop-in")?;
        self.output(&["systemctl", "daemon-reload"]).map(drop)
    }

    fn wait(&self, what: &str, mut is_true: impl FnMut() -> Result<bool>) -> Result<()> {
        let until = Instant::now() + TIMEOUT;
        loop {
            match is_true() {
                Ok(true) => return Ok(()),
                result if Instant::now() > until => {
                    result?;
                    bail!("not within {TIMEOUT:?}: {what}");
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
