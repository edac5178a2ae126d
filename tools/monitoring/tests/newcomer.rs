//! The README's commands, run on a machine without a GPU, lead to an alert that fires.

mod rig;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use rig::{binary, root};

const HEADING: &str = "## See an alert fire, no GPU needed";
const DEMO: &str = "cargo run --release -- demo";
/// The ports that the commands need: Prometheus' and the demo's.
const PORTS: [u16; 2] = [9099, 9401];
const TIMEOUT: Duration = Duration::from_secs(5 * 60);

fn readme() -> String {
    fs::read_to_string(root().join("README.md")).expect("the README is there")
}

/// The blocks below the heading: the commands, the query, and what the query prints.
fn blocks(readme: &str) -> [String; 3] {
    let (_, section) = readme.split_once(HEADING).expect("its heading is there");
    let mut fences = section.split("```");
    [(); 3].map(|()| {
        let block = fences.nth(1).expect("three blocks");
        let (_, lines) = block.split_once('\n').expect("lines below the fence");
        lines.to_owned()
    })
}

/// Processes of the commands, ended with the test.
struct Shell(Child);

impl Drop for Shell {
    fn drop(&mut self) {
        // All of them are one group.
        let group = format!("-{}", self.0.id());
        let _ = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
        let _ = self.0.wait();
        clean_up();
    }
}

/// Removes the files that the commands leave behind.
fn clean_up() {
    // It may not be there.
    let _ = fs::remove_dir_all("/tmp/heatsink-prometheus");
    let _ = fs::remove_file("/tmp/heatsink-prometheus.log");
}

fn bash(commands: &str) -> Command {
    let mut bash = Command::new("bash");
    bash.args(["-c", commands]).current_dir(root()).stdin(Stdio::null());
    bash
}

#[test]
fn the_readme_leads_to_an_alert_within_five_minutes() {
    let [commands, query, answer] = blocks(&readme());
    // The program is built already, without optimisation.
    let commands = commands.replace("cargo run --release --", &binary());
    clean_up();
    for port in PORTS {
        let free = std::net::TcpListener::bind(("localhost", port)).is_ok();
        assert!(free, "port {port} is taken, and the README's commands need it");
    }
    let began = Instant::now();
    let mut shell = bash(&format!("{commands}\nwait"));
    let shell = shell.process_group(0).stdout(Stdio::null()).spawn().expect("a shell");
    let _shell = Shell(shell);
    let (expected, _) = answer.split_once(" @[").expect("an answer and when");
    loop {
        let output = bash(&query).output().expect("promtool can be asked");
        let printed = String::from_utf8_lossy(&output.stdout);
        if printed.split_once(" @[").is_some_and(|(series, _)| series == expected) {
            break;
        }
        assert!(
            began.elapsed() < TIMEOUT,
            "no alert after {TIMEOUT:?}, but:\n{printed}\n{commands}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("the alert fired after {:.0} s", began.elapsed().as_secs_f64());
}

#[test]
fn the_readme_needs_one_build_and_names_the_right_rust() {
    let readme = readme();
    assert!(readme.matches(DEMO).count() >= 2, "both steps start the demo");
    assert_eq!(readme.matches("cargo run").count(), readme.matches(DEMO).count());
    let rust = format!("[Rust](https://rustup.rs) {} or newer", env!("CARGO_PKG_RUST_VERSION"));
    assert!(readme.contains(&rust), "it does not say: {rust}");
}
