//! Child processes that end with this one, and signals to this one.

use std::fs::File;
use std::io;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// Time between two checks for a signal.
const POLL_INTERVAL: Duration = Duration::from_millis(100);

/// Whether a signal came. The command then ends with an error, so that all is restored on the way.
pub(super) struct Interrupt(Arc<AtomicBool>);

impl Interrupt {
    pub(super) fn new() -> Result<Self> {
        let flag = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&flag))?;
        }
        Ok(Self(flag))
    }

    /// Sleeps, or returns an error if a signal came.
    pub(super) fn sleep(&self, time: Duration) -> Result<()> {
        let until = Instant::now() + time;
        loop {
            ensure!(!self.0.load(Ordering::Relaxed), "interrupted by a signal");
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Ok(());
            }
            thread::sleep(left.min(POLL_INTERVAL));
        }
    }
}

/// A child process. Dropping it ends it.
pub(super) struct Process(Child);

impl Process {
    /// Starts a process whose output goes into a file.
    pub(super) fn start(command: &mut Command, log: &Path) -> io::Result<Self> {
        let log = File::create(log)?;
        let command = command.stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        Ok(Self(command.spawn()?))
    }

    /// The status of a process that has ended.
    pub(super) fn status(&mut self) -> Option<ExitStatus> {
        self.0.try_wait().ok().flatten()
    }

    /// Waits for its end.
    pub(super) fn wait(&mut self, interrupt: &Interrupt) -> Result<ExitStatus> {
        loop {
            match self.0.try_wait()? {
                Some(status) => return Ok(status),
                None => interrupt.sleep(POLL_INTERVAL)?,
            }
        }
    }

    /// Sends SIGTERM and waits for the end.
    pub(super) fn terminate(&mut self) -> io::Result<ExitStatus> {
        if self.status().is_none() {
            let pid = self.0.id().to_string();
            if !Command::new("sh").args(["-c", "kill \"$0\"", &pid]).status()?.success() {
                self.0.kill()?;
            }
        }
        self.0.wait()
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // It may have ended already.
        let _ = self.terminate();
    }
}

/// `exit status 1`, or the signal.
pub(super) fn describe(status: ExitStatus) -> String {
    status.to_string().replacen("exit status:", "exit status", 1)
}
