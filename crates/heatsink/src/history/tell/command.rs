//! Runs the command.

use std::collections::BTreeMap;
use std::io::{self, PipeReader, Read, Write};
use std::process::{ChildStdin, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use history::incident::Incident;
use history::recording::Recording;
use history::report::{self, Style};
use rustix::event::{PollFd, PollFlags, poll};

use super::super::headline::headline;
use super::alert::{News, Telling, rfc3339};
use super::limit::Limit;
use super::running::{End, Running};

/// How long the command and everything it starts may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often it is looked whether the command has ended, once it has closed its output.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Columns of the report.
const WIDTH: usize = 80;

/// The most bytes of the command's output that are logged; the rest is read and dropped.
const MOST_OUTPUT: usize = 64 << 10;

/// Variables of heatsink's own that the command does not get: a secret, and what is between systemd and heatsink.
const NOT_INHERITED: [&str; 7] = [
    "HEATSINK_INCIDENT_WEBHOOK",
    "NOTIFY_SOCKET",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
];

/// Runs the command for all news that an incident opened, one at a time and not too often. `dropped` counts
/// news that did not fit into the queue.
pub(super) fn run(
    command: &str,
    news: Receiver<News>,
    recording: &dyn Recording,
    dropped: &AtomicU64,
    telling: &Telling,
    running: &Running,
) {
    let mut limit = Limit::new();
    loop {
        let received = match limit.wait(Instant::now()) {
            None => news.recv().map_err(RecvTimeoutError::from),
            Some(time) => news.recv_timeout(time),
        };
        match received {
            Ok(news) if news.ended.is_some() => {}
            Ok(news) => limit.put(news.incident),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        limit.skip(dropped.swap(0, Ordering::Relaxed));
        let Some((incident, not_told)) = limit.take(Instant::now()) else { continue };
        let text = report(&incident, recording, not_told, telling);
        let variables = variables(&incident, not_told, telling);
        match execute(command, &text, &variables, DEADLINE, running) {
            Ok(()) => tracing::info!("ran --on-incident for incident {}", incident.number),
            Err(why) => {
                let number = incident.number;
                tracing::warn!("--on-incident failed for incident {number}: {why}");
            }
        }
    }
}

fn report(
    incident: &Incident,
    recording: &dyn Recording,
    not_told: u64,
    telling: &Telling,
) -> String {
    let Telling { zone, has_folder } = telling;
    let style = Style { width: WIDTH, has_colour: false, time_zone: zone.clone() };
    let mut text = report::of_incident(incident, recording, &style)
        .unwrap_or_else(|error| format!("{}\n\n{error}\n", headline(incident, zone)));
    if not_told > 0 {
        let (incidents, were) =
            if not_told == 1 { ("incident", "was") } else { ("incidents", "were") };
        let more = if *has_folder { ": heatsink incidents" } else { "" };
        text += &format!(
            "\n{not_told} more {incidents} {were} not told, to limit the number of messages{more}\n"
        );
    }
    text
}

/// What the command finds in its environment.
fn variables(
    incident: &Incident,
    not_told: u64,
    telling: &Telling,
) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("HEATSINK_INCIDENT_NUMBER", incident.number.to_string()),
        ("HEATSINK_INCIDENT_KIND", incident.kind.as_str().to_owned()),
        ("HEATSINK_INCIDENT_VERDICT", headline(incident, &telling.zone)),
        ("HEATSINK_INCIDENT_HOST", incident.host.hostname.clone().unwrap_or_default()),
        ("HEATSINK_INCIDENT_TIME", rfc3339(incident.began)),
        ("HEATSINK_INCIDENTS_NOT_TOLD", not_told.to_string()),
    ])
}

/// The shell that runs a command.
fn shell(command: &str, variables: &BTreeMap<&'static str, String>) -> Command {
    // No system takes a variable with a zero byte, and a subject of a mail has one line.
    let variables = variables.iter().map(|(name, value)| (name, value.replace(['\0', '\n'], " ")));
    let mut shell = Command::new("sh");
    for name in NOT_INHERITED {
        shell.env_remove(name);
    }
    shell.args(["-c", command]).envs(variables);
    shell
}

/// Runs a command until it and all that it started and that writes to its output have ended.
///
/// # Errors
///
/// Why it failed, for the log.
fn execute(
    command: &str,
    report: &str,
    variables: &BTreeMap<&'static str, String>,
    deadline: Duration,
    running: &Running,
) -> Result<(), String> {
    let began = Instant::now();
    let left = || deadline.saturating_sub(began.elapsed());
    let output = io::pipe().and_then(|(output, end)| Ok((output, end.try_clone()?, end)));
    let (output, of_errors, of_output) = output.map_err(|error| error.to_string())?;
    let mut shell = shell(command, variables);
    shell.stdin(Stdio::piped()).stdout(of_output).stderr(of_errors);
    let input = running.start(&mut shell, |child| child.stdin.take())?;
    // It holds the ends of the pipe that are the command's.
    drop(shell);
    let has_closed = exchange(input, report.as_bytes(), output, left);
    let end = loop {
        if !has_closed || left().is_zero() {
            break running.kill();
        }
        match running.ended() {
            Some(end) => break end,
            None => thread::sleep(POLL_INTERVAL),
        }
    };
    let seconds = deadline.as_secs();
    match end {
        End::Ended(status) if !status.success() => Err(ended(status)),
        End::Ended(_) if has_closed => Ok(()),
        End::Ended(_) => Err(format!(
            "it ended, but what it left in the background kept its output open for {seconds} s"
        )),
        End::Killed => Err(format!("it did not end within {seconds} s, and was killed")),
        End::Stuck => Err("it cannot be killed, for example because a driver hangs".to_owned()),
        End::Stopped => Err("it was killed, because heatsink stops".to_owned()),
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(127) => "the command was not found (exit status 127)".to_owned(),
        Some(code) => format!("it ended with exit status {code}"),
        None => format!("it was ended by a {status}"),
    }
}

/// Writes the report to the command and logs its output, until the output is closed or no time is left. Returns
/// whether it was closed. One thread does both, and none is left behind for a process that holds a pipe open.
fn exchange(
    input: Option<ChildStdin>,
    report: &[u8],
    mut output: PipeReader,
    left: impl Fn() -> Duration,
) -> bool {
    let is_ready = |input: &ChildStdin| rustix::io::ioctl_fionbio(input, true).is_ok();
    let mut input = input.filter(is_ready);
    let mut rest = report;
    let mut log = OutputLog::default();
    let mut buffer = [0; 4096];
    loop {
        let time = left();
        if time.is_zero() {
            return false;
        }
        let mut watched = vec![PollFd::new(&output, PollFlags::IN)];
        watched.extend(input.as_ref().map(|input| PollFd::new(input, PollFlags::OUT)));
        match poll(&mut watched, time.try_into().ok().as_ref()) {
            Ok(0) | Err(rustix::io::Errno::INTR) => continue,
            Ok(_) => {}
            Err(error) => {
                tracing::debug!("--on-incident: cannot wait for it: {error}");
                return false;
            }
        }
        let is_readable = watched.first().is_some_and(|fd| !fd.revents().is_empty());
        let is_writable = watched.get(1).is_some_and(|fd| !fd.revents().is_empty());
        if is_writable && let Some(to) = &mut input {
            match to.write(rest) {
                Ok(written) => rest = rest.get(written..).unwrap_or_default(),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                // It may end without reading.
                Err(_) => rest = &[],
            }
            if rest.is_empty() {
                input = None;
            }
        }
        if is_readable {
            match output.read(&mut buffer) {
                Ok(0) => return true,
                Ok(read) => log.take(buffer.get(..read).unwrap_or_default()),
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => return true,
            }
        }
    }
}

/// Logs the lines of the output, up to [`MOST_OUTPUT`]. Else the command would wait for the pipe: the rest is
/// taken, too.
#[derive(Default)]
struct OutputLog {
    line: Vec<u8>,
    taken: usize,
}

impl OutputLog {
    fn take(&mut self, bytes: &[u8]) {
        let room = MOST_OUTPUT.saturating_sub(self.taken);
        let bytes = bytes.get(..room).unwrap_or(bytes);
        self.taken += bytes.len();
        self.line.extend(bytes);
        while let Some(end) = self.line.iter().position(|byte| *byte == b'\n') {
            let line: Vec<u8> = self.line.drain(..=end).collect();
            Self::log(&line);
        }
    }

    fn log(line: &[u8]) {
        tracing::debug!("--on-incident: {}", String::from_utf8_lossy(line).trim_end());
    }
}

impl Drop for OutputLog {
    fn drop(&mut self) {
        if !self.line.is_empty() {
            Self::log(&self.line);
        }
    }
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::mpsc::channel;

    use super::super::alert::tests::{incident, news, telling};
    use super::*;

    /// Longer than any command of these tests takes on a busy machine.
    const LONG: Duration = Duration::from_secs(600);

    /// Longer than a command takes on a busy machine to write a file.
    const SHORT: Duration = Duration::from_secs(10);

    fn execute_plainly(command: &str, deadline: Duration) -> Result<(), String> {
        execute(command, "the report\n", &BTreeMap::new(), deadline, &Running::default())
    }

    fn wait_until(what: &str, is_so: impl Fn() -> bool) {
        let began = Instant::now();
        while !is_so() {
            assert!(began.elapsed() < Duration::from_secs(60), "{what}");
            thread::sleep(Duration::from_millis(10));
        }
    }

    /// Waits until a process has ended, which is a moment after it was killed. A zombie has no command line; it is
    /// one until init has seen its end.
    fn wait_for_end(pid: &str) {
        let file = format!("/proc/{}/cmdline", pid.trim());
        let has_ended = || !fs::read(&file).is_ok_and(|line| !line.is_empty());
        wait_until("the process ends", has_ended);
    }

    #[test]
    fn the_command_gets_the_report_and_the_incident() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("told");
        let command =
            format!("{{ env | grep '^HEATSINK_INCIDENT' | sort; cat; }} > {}", file.display());
        let (send, receive) = channel();
        let mut of_two_lines = news(17, false);
        of_two_lines.incident.verdict.cause = "One.\nTwo.\0".to_owned();
        send.send(of_two_lines).unwrap();
        send.send(news(17, true)).unwrap();
        drop(send);
        let history = history::history::History::open(history::history::Settings {
            store: None,
            boot_id: None,
        });
        run(&command, receive, &history, &AtomicU64::new(3), &telling(), &Running::default());
        let told = fs::read_to_string(file).unwrap();
        let head = "HEATSINK_INCIDENTS_NOT_TOLD=3\n\
                    HEATSINK_INCIDENT_HOST=gpu-node-1\n\
                    HEATSINK_INCIDENT_KIND=xid\n\
                    HEATSINK_INCIDENT_NUMBER=17\n\
                    HEATSINK_INCIDENT_TIME=2026-11-30T03:12:44.5Z\n\
                    HEATSINK_INCIDENT_VERDICT=One. Two.  (GPU 3; XID 79), at 03:12:44 UTC\n";
        let report = told.strip_prefix(head).unwrap_or_else(|| panic!("{told}"));
        assert!(report.contains("One."), "{report}");
        let end = "\n3 more incidents were not told, to limit the number of messages: \
                   heatsink incidents\n";
        assert!(report.ends_with(end), "{report}");
        assert_eq!(variables(&incident(17), 0, &telling())["HEATSINK_INCIDENTS_NOT_TOLD"], "0");
    }

    #[test]
    fn a_failure_says_why() {
        for (command, why) in [
            ("exit 3", "it ended with exit status 3"),
            ("no-such-program-at-all", "the command was not found (exit status 127)"),
            ("kill -9 $$", "it was ended by a signal: 9 (SIGKILL)"),
        ] {
            assert_eq!(execute_plainly(command, LONG), Err(why.to_owned()));
        }
    }

    #[test]
    fn a_command_that_reads_nothing_and_writes_much_ends() {
        let report = "x".repeat(1 << 20);
        let command = "head -c 1000000 /dev/zero; echo x >&2";
        assert_eq!(execute(command, &report, &BTreeMap::new(), LONG, &Running::default()), Ok(()));
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // Its own output is closed for the second one, which then is no reason to wait.
        for silence in ["", "exec >/dev/null 2>&1; "] {
            let command = format!("{silence}sleep 1000 & echo $! > {}; sleep 1000", pid.display());
            let result = execute_plainly(&command, SHORT);
            assert_eq!(result, Err("it did not end within 10 s, and was killed".to_owned()));
            wait_for_end(&fs::read_to_string(&pid).unwrap());
        }
    }

    #[test]
    fn a_command_that_runs_ends_with_heatsink_and_no_other_begins() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        let command =
            format!("sleep 1000 & echo $! > {0}.new; mv {0}.new {0}; wait", pid.display());
        let running = Running::default();
        thread::scope(|scope| {
            let run = || execute(&command, "", &BTreeMap::new(), LONG, &running);
            let ended = scope.spawn(run);
            wait_until("the command writes its file", || pid.exists());
            running.stop();
            let why = "it was killed, because heatsink stops";
            assert_eq!(ended.join().unwrap(), Err(why.to_owned()));
            assert_eq!(run(), Err("heatsink stops".to_owned()));
        });
        wait_for_end(&fs::read_to_string(&pid).unwrap());
    }

    #[test]
    fn what_leaves_its_group_leaves_no_thread_and_no_pipe_behind() {
        let folder = tempfile::tempdir().unwrap();
        let (pid, done) = (folder.path().join("pid"), folder.path().join("done"));
        // The subshell is told by the closed pipe: what it writes then ends it, or fails.
        let command = format!(
            "setsid sh -c 'echo $$ > {0}.new; mv {0}.new {0}; trap \"\" PIPE; \
             while echo x 2>/dev/null; do sleep 0.01; done; touch {1}' & \
             while ! test -e {0}; do sleep 0.01; done",
            pid.display(),
            done.display()
        );
        let why = "it ended, but what it left in the background kept its output open for 10 s";
        assert_eq!(execute_plainly(&command, SHORT), Err(why.to_owned()));
        wait_until("its output is closed", || done.exists());
    }

    #[test]
    fn the_command_gets_no_secret_and_nothing_of_systemds() {
        let shell = shell("true", &variables(&incident(17), 0, &telling()));
        let removed: Vec<_> = shell.get_envs().filter(|(_, value)| value.is_none()).collect();
        for name in ["HEATSINK_INCIDENT_WEBHOOK", "NOTIFY_SOCKET", "WATCHDOG_PID", "WATCHDOG_USEC"]
        {
            assert!(removed.iter().any(|(removed, _)| *removed == name), "{name}");
        }
    }

    #[test]
    fn what_goes_on_in_the_background_is_waited_for() {
        let folder = tempfile::tempdir().unwrap();
        let (go, file) = (folder.path().join("go"), folder.path().join("done"));
        let command = format!(
            "(while ! test -e {}; do sleep 0.01; done; echo done > {}) & touch {}",
            go.display(),
            file.display(),
            go.display()
        );
        assert_eq!(execute_plainly(&command, LONG), Ok(()));
        assert_eq!(fs::read_to_string(file).unwrap(), "done\n");
    }
}
