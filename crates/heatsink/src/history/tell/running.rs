//! The command that runs, which ends with heatsink at the latest.

use std::process::{Child, Command, ExitStatus};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use rustix::process::{Pid, Signal, WaitId, WaitIdOptions, kill_process_group, waitid};

/// How long a command that was killed is waited for. It does not end while it waits for a driver that hangs.
const REAPING: Duration = Duration::from_secs(2);

/// The same when heatsink stops, which takes two seconds at most.
const STOPPING: Duration = Duration::from_millis(500);

/// How often it is looked for its end meanwhile.
const POLL_INTERVAL: Duration = Duration::from_millis(10);

/// The most commands that were killed and did not end. With more, no further one is started.
const MOST_STUCK: usize = 8;

/// The command that runs. Its process group is its own for as long as it is here: the process is not waited for
/// elsewhere, so that its number is not used again.
#[derive(Debug, Default)]
pub(super) struct Running(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    child: Option<Child>,
    /// Those that were killed and have not ended.
    stuck: Vec<Child>,
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
    /// It was killed, and has not ended yet.
    Stuck,
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
        // One whose end cannot be known counts as there.
        state.stuck.retain_mut(|child| !matches!(child.try_wait(), Ok(Some(_))));
        if state.stuck.len() >= MOST_STUCK {
            return Err(format!("{MOST_STUCK} earlier ones were killed and do not end"));
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
        let Some(mut child) = self.lock().child.take() else { return End::Stopped };
        let end = end(&mut child, REAPING);
        if matches!(end, End::Stuck) {
            self.lock().stuck.push(child);
        }
        end
    }

    /// Ends it because heatsink stops. No other is started.
    pub(super) fn stop(&self) {
        let mut state = self.lock();
        state.is_stopped = true;
        if let Some(mut child) = state.child.take() {
            end(&mut child, STOPPING);
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Kills the process group of a command, and waits this long for the command's own end.
fn end(child: &mut Child, patience: Duration) -> End {
    let group = i32::try_from(child.id()).ok().and_then(Pid::from_raw);
    // Looked at without taking its status: until then the number of the group is its own.
    let look = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    let has_ended =
        group.is_some_and(|group| matches!(waitid(WaitId::Pid(group), look), Ok(Some(_))));
    if let Some(group) = group {
        // All of it may have ended.
        let _ = kill_process_group(group, Signal::KILL);
    }
    match wait(child, patience) {
        Some(status) if has_ended => End::Ended(status),
        Some(_) => End::Killed,
        None => End::Stuck,
    }
}

/// How a command ended, if it does within this time.
fn wait(child: &mut Child, patience: Duration) -> Option<ExitStatus> {
    let began = Instant::now();
    loop {
        if let Ok(Some(status)) = child.try_wait() {
            return Some(status);
        }
        if began.elapsed() >= patience {
            return None;
        }
        thread::sleep(POLL_INTERVAL);
    }
}

#[cfg(test)]
mod tests {
    use std::process::Stdio;

    use super::*;

    fn cat() -> Command {
        let mut cat = Command::new("cat");
        cat.stdin(Stdio::piped()).stdout(Stdio::null());
        cat
    }

    /// Stands for a process that waits for a driver: it runs until its input is closed.
    #[test]
    fn what_does_not_end_is_not_waited_for_and_reaped_later() {
        let mut child = cat().spawn().expect("cat");
        assert_eq!(wait(&mut child, Duration::from_millis(20)), None);
        let running = Running::default();
        running.lock().stuck.push(child);
        running.start(&mut cat(), |_| ()).expect("others are started");
        assert!(matches!(running.kill(), End::Killed));
        let mut others: Vec<Child> = (1..MOST_STUCK).map(|_| cat().spawn().expect("cat")).collect();
        running.lock().stuck.append(&mut others);
        let why = running.start(&mut cat(), |_| ()).expect_err("too many are there");
        assert!(why.contains("do not end"), "{why}");
        for child in &mut running.lock().stuck {
            drop(child.stdin.take());
            assert!(wait(child, Duration::from_secs(60)).is_some());
        }
        running.start(&mut cat(), |_| ()).expect("none is there any more");
        assert_eq!(running.lock().stuck.len(), 0);
        running.stop();
    }
}
