//! From the README to an alert that fires, on a machine without a GPU: its very commands, run.

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
const PATIENCE: Duration = Duration::from_secs(5 * 60);

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
        forget();
    }
}

/// Takes away what the commands leave behind.
fn forget() {
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
    // What cargo would build is built already, without optimisation: no need to do it twice.
    let commands = commands.replace("cargo run --release --", &binary());
    forget();
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
        let said = String::from_utf8_lossy(&output.stdout);
        if said.split_once(" @[").is_some_and(|(said, _)| said == expected) {
            break;
        }
        assert!(
            began.elapsed() < PATIENCE,
            "no alert after {PATIENCE:?}, but:\n{said}\n{commands}"
        );
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("the alert fired after {:.0} s", began.elapsed().as_secs_f64());
}

#[test]
fn the_readme_asks_for_one_build_and_the_right_rust() {
    let readme = readme();
    assert!(readme.matches(DEMO).count() >= 2, "both steps start the demo");
    assert_eq!(readme.matches("cargo run").count(), readme.matches(DEMO).count());
    let rust = format!("[Rust](https://rustup.rs) {} or newer", env!("CARGO_PKG_RUST_VERSION"));
    assert!(readme.contains(&rust), "it does not say: {rust}");
}
