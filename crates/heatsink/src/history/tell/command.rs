//! Runs the command.

use std::collections::BTreeMap;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, channel};
use std::thread;
use std::time::{Duration, Instant};

use history::incident::Incident;
use history::recording::Recording;
use history::report::{self, Style};
use rustix::process::{Pid, Signal, kill_process_group};

use super::alert::{News, rfc3339};
use super::limit::Limit;

/// How long the command and everything it starts may take.
const DEADLINE: Duration = Duration::from_secs(60);

/// How often it is looked whether the command has ended, once it has closed its output.
const POLL_INTERVAL: Duration = Duration::from_millis(20);

/// Columns of the report.
const WIDTH: usize = 80;

/// The most bytes of the command's output that are logged; the rest is read and dropped.
const MOST_OUTPUT: u64 = 64 << 10;

/// Runs the command for all news that an incident opened, one at a time and not too often. `dropped` counts
/// news that did not fit into the queue.
pub(super) fn run(
    command: &str,
    news: Receiver<News>,
    recording: &dyn Recording,
    dropped: &AtomicU64,
) {
    let mut limit = Limit::new();
    loop {
        let received = match limit.wait(Instant::now()) {
            None => news.recv().map_err(RecvTimeoutError::from),
            Some(time) => news.recv_timeout(time),
        };
        match received {
            Ok(news) if news.is_closed => {}
            Ok(news) => limit.put(news.incident),
            Err(RecvTimeoutError::Timeout) => {}
            Err(RecvTimeoutError::Disconnected) => return,
        }
        limit.skip(dropped.swap(0, Ordering::Relaxed));
        let Some((incident, not_told)) = limit.take(Instant::now()) else { continue };
        let text = report(&incident, recording, not_told);
        match execute(command, text, &variables(&incident, not_told), DEADLINE) {
            Ok(()) => tracing::info!("ran --on-incident for incident {}", incident.number),
            Err(why) => {
                let number = incident.number;
                tracing::warn!("--on-incident failed for incident {number}: {why}");
            }
        }
    }
}

fn report(incident: &Incident, recording: &dyn Recording, not_told: u64) -> String {
    let time_zone = jiff::tz::TimeZone::system();
    let style = Style { width: WIDTH, has_colour: false, time_zone };
    let mut text = report::of_incident(incident, recording, &style)
        .unwrap_or_else(|error| format!("{}\n\n{error}\n", incident.verdict.cause));
    if not_told > 0 {
        let (incidents, were) =
            if not_told == 1 { ("incident", "was") } else { ("incidents", "were") };
        text += &format!(
            "\n{not_told} more {incidents} {were} not told, to limit the number of messages: \
             heatsink incidents\n"
        );
    }
    text
}

/// What the command finds in its environment.
fn variables(incident: &Incident, not_told: u64) -> BTreeMap<&'static str, String> {
    BTreeMap::from([
        ("HEATSINK_INCIDENT_NUMBER", incident.number.to_string()),
        ("HEATSINK_INCIDENT_KIND", incident.kind.as_str().to_owned()),
        ("HEATSINK_INCIDENT_VERDICT", incident.verdict.cause.clone()),
        ("HEATSINK_INCIDENT_HOST", incident.host.hostname.clone().unwrap_or_default()),
        ("HEATSINK_INCIDENT_TIME", rfc3339(incident.began)),
        ("HEATSINK_INCIDENTS_NOT_TOLD", not_told.to_string()),
    ])
}

/// Runs a command until it and all that it started and that writes to its output have ended.
///
/// # Errors
///
/// Why it failed, for the log.
fn execute(
    command: &str,
    report: String,
    variables: &BTreeMap<&'static str, String>,
    deadline: Duration,
) -> Result<(), String> {
    use std::os::unix::process::CommandExt as _;
    let began = Instant::now();
    // No system takes a variable with a zero byte, and a subject of a mail has one line.
    let variables = variables.iter().map(|(name, value)| (name, value.replace(['\0', '\n'], " ")));
    let output = io::pipe().and_then(|(output, end)| Ok((output, end.try_clone()?, end)));
    let (output, of_errors, of_output) = output.map_err(|error| error.to_string())?;
    let mut child = Command::new("sh")
        .args(["-c", command])
        .envs(variables)
        .stdin(Stdio::piped())
        .stdout(of_output)
        .stderr(of_errors)
        .process_group(0)
        .spawn()
        .map_err(|error| format!("cannot start sh: {error}"))?;
    let input = child.stdin.take();
    // Threads of their own, because both pipes may be full or silent for as long as the command likes.
    let writer = thread::Builder::new().name("incident-in".to_owned()).spawn(move || {
        if let Some(mut input) = input {
            // It may end without reading.
            let _ = input.write_all(report.as_bytes());
        }
    });
    let (closed, is_closed) = channel::<()>();
    let reader = thread::Builder::new().name("incident-out".to_owned()).spawn(move || {
        log(output);
        drop(closed);
    });
    if let Some(error) = writer.err().or(reader.err()) {
        tracing::debug!("--on-incident: no thread for its input or output: {error}");
    }
    let left = || deadline.saturating_sub(began.elapsed());
    let has_closed = is_closed.recv_timeout(left()) != Err(RecvTimeoutError::Timeout);
    let status = loop {
        // Not asked for its status before its group is killed: until then the number of the group is its own.
        if !has_closed || left().is_zero() {
            break None;
        }
        match child.try_wait() {
            Ok(Some(status)) => break Some(status),
            _ => thread::sleep(POLL_INTERVAL),
        }
    };
    match status {
        Some(status) if status.success() => Ok(()),
        Some(status) => Err(ended(status)),
        None => {
            kill_group(&mut child);
            Err(format!("it did not end within {} s, and was killed", deadline.as_secs()))
        }
    }
}

fn ended(status: ExitStatus) -> String {
    match status.code() {
        Some(127) => "the command was not found (exit status 127)".to_owned(),
        Some(code) => format!("it ended with exit status {code}"),
        None => format!("it was ended by a {status}"),
    }
}

/// Ends the command and everything in its process group.
fn kill_group(child: &mut Child) {
    if let Some(group) = i32::try_from(child.id()).ok().and_then(Pid::from_raw) {
        // It may have ended by itself.
        let _ = kill_process_group(group, Signal::KILL);
    }
    let _ = child.wait();
}

/// Logs the lines of the output.
fn log(output: impl Read) {
    let mut reader = BufReader::new(output);
    let mut line = Vec::new();
    let mut limited = reader.by_ref().take(MOST_OUTPUT);
    while limited.read_until(b'\n', &mut line).is_ok_and(|read| read > 0) {
        tracing::debug!("--on-incident: {}", String::from_utf8_lossy(&line).trim_end());
        line.clear();
    }
    // Else the command would wait for the pipe.
    let _ = io::copy(&mut reader, &mut io::sink());
}

#[cfg(test)]
mod tests {
    use std::fs;

    use super::super::alert::tests::{incident, news};
    use super::*;

    /// Longer than any command of these tests takes on a busy machine.
    const LONG: Duration = Duration::from_secs(600);

    fn execute_plainly(command: &str, deadline: Duration) -> Result<(), String> {
        execute(command, "the report\n".to_owned(), &BTreeMap::new(), deadline)
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
        run(&command, receive, &history, &AtomicU64::new(3));
        let told = fs::read_to_string(file).unwrap();
        let head = "HEATSINK_INCIDENTS_NOT_TOLD=3\n\
                    HEATSINK_INCIDENT_HOST=node-1\n\
                    HEATSINK_INCIDENT_KIND=xid\n\
                    HEATSINK_INCIDENT_NUMBER=17\n\
                    HEATSINK_INCIDENT_TIME=2026-11-30T03:12:44.5Z\n\
                    HEATSINK_INCIDENT_VERDICT=One. Two. \n";
        let report = told.strip_prefix(head).unwrap_or_else(|| panic!("{told}"));
        assert!(report.contains("One."), "{report}");
        let end = "\n3 more incidents were not told, to limit the number of messages: \
                   heatsink incidents\n";
        assert!(report.ends_with(end), "{report}");
        assert_eq!(variables(&incident(17), 0)["HEATSINK_INCIDENTS_NOT_TOLD"], "0");
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
        assert_eq!(execute(command, report, &BTreeMap::new(), LONG), Ok(()));
    }

    #[test]
    fn a_command_that_does_not_end_is_killed_with_all_that_it_started() {
        let folder = tempfile::tempdir().unwrap();
        let pid = folder.path().join("pid");
        // Its own output is closed for the second one, which then is no reason to wait.
        for silence in ["", "exec >/dev/null 2>&1; "] {
            let command = format!("{silence}sleep 1000 & echo $! > {}; sleep 1000", pid.display());
            let result = execute_plainly(&command, Duration::from_secs(2));
            assert_eq!(result, Err("it did not end within 2 s, and was killed".to_owned()));
            let pid = fs::read_to_string(&pid).unwrap();
            // A zombie has no command line. It is one until init has seen its end.
            let line = fs::read(format!("/proc/{}/cmdline", pid.trim())).unwrap_or_default();
            assert!(line.is_empty(), "the process goes on");
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
