//! The command that runs, which ends with heatsink at the latest.

use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// The command that runs. Its process group is its own for as long as it is here: the process is not waited for
/// elsewhere, so that its number is not used again.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// Whether heatsink stops.
    is_stopped: bool,
}

/// How a command ended.
#[derive(Debug)]
pub(super) enum End {
    /// By itself, before its process group was ended.
    Ended(ExitStatus),
    /// With its process group.
    Killed,
    /// With heatsink.
    Stopped,
}

impl Running {
    /// Starts a command as the leader of a process group, and calls `started` with it.
    ///
    /// # Errors
    ///
    /// Why it cannot be started.
    pub(super) fn start<T>(
        &self,
        command: &mut Command,
        started: impl FnOnce(&mut Child) -> T,
    ) -> Result<T, String> {
        use std::os::unix::process::CommandExt as _;
        let mut state = self.lock();
        if state.is_stopped {
            return Err("heatsink stops".to_owned());
        }
        let child = command.process_group(0).spawn();
        let mut child = child.map_err(|error| format!("cannot start sh: {error}"))?;
        let result = started(&mut child);
        state.child = Some(child);
        Ok(result)
    }

    /// How it ended, once it has.
    pub(super) fn ended(&self) -> Option<End> {
        let mut state = self.lock();
        let Some(child) = &mut state.child else { return Some(End::Stopped) };
        let status = child.try_wait().ok()??;
        state.child = None;
        Some(End::Ended(status))
    }

    /// Ends its process group, of which it may have been the first to end.
    pub(super) fn kill(&self) -> End {
        let child = self.lock().child.take();
        child.map_or(End::Stopped, end)
    }

    /// Ends it because heatsink stops. No other is started.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        if let Some(child) = state.child.take() {
            end(child);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn end(mut child: Child) -> End {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Looked at without taking its status: until then the number of the group is its own.
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let has_ended =
        group.is_some_and(|group| matches!(waitid(WaitId::Pid(group), look), Ok(Some(_))));
    if let Some(group) = group {
        // All of it may have ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    match child.wait() {
        Ok(status) if has_ended => End::Ended(status),
        _ => End::Killed,
    }
}
