//! The end of `heatsink demo`: it tells its last incident, as `heatsink report --last` does.

use std::io::{BufRead, BufReader};
use std::process::{Command, Stdio};

use testkit::exporter::command;

use crate::incidents;
use crate::rig::BINARY;

/// What comes before the report.
const HEADING: &str = "What `heatsink report --last` says:";

/// Runs the demo until its story is over, ends it with a signal, and returns all that it printed.
fn demo(args: &[&str], signal: &str) -> String {
    let all = [&["demo", "--address", "127.0.0.1:0"], args].concat();
    let mut child = command(BINARY, &all, &[("TZ", "UTC")])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("the binary runs");
    let output = child.stdout.take().expect("it is piped");
    let pid = child.id().to_string();
    let mut text = String::new();
    for line in BufReader::new(output).lines() {
        let line = line.expect("UTF-8");
        if line.contains("The story is over") {
            let sent = Command::new("kill").args(["-s", signal, &pid]).status();
            assert!(sent.is_ok_and(|status| status.success()));
        }
        text.push_str(&line);
        text.push('\n');
    }
    assert!(child.wait().expect("it ends").success(), "{text}");
    text
}

#[test]
fn the_demo_ends_with_the_report_that_the_command_prints() {
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history");
    let place = history.display().to_string();
    let text = demo(&["--speed", "60", "--history-dir", &place], "TERM");
    let (_, told) = text.split_once(HEADING).unwrap_or_else(|| panic!("no report:\n{text}"));
    let (report, status) = incidents::command(&["report", "--last"], &history);
    assert_eq!(status, Some(0), "{report}");
    assert_eq!(told.trim(), report.trim());
    let verdicts: Vec<String> =
        incidents::listed(&history).into_iter().map(|incident| incident.verdict).collect();
    // So fast, the degraded link before the loss may be over before it is read twice.
    let of_lost = ["off_bus", "bus_link"];
    for some in [&["heat"][..], &["ecc_contained"], &["gpu_memory_full"], &of_lost] {
        let is_one = |known: &String| some.contains(&known.as_str());
        assert!(verdicts.iter().any(is_one), "{some:?}: {verdicts:?}");
    }
}

#[test]
fn a_demo_without_a_folder_tells_its_incident_too() {
    let text = demo(&["--speed", "600"], "INT");
    let (_, told) = text.split_once(HEADING).unwrap_or_else(|| panic!("no report:\n{text}"));
    assert!(told.contains("GPU"), "{told}");
    assert!(!told.contains('\u{1b}'), "no colours in a pipe: {told}");
}
