//! From the README to an alert that fires, on a machine without a GPU: its very commands, run.

mod rig;

use std::fs;
use std::os::unix::process::CommandExt as _;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

use monitoring::ask::Prometheus;
use rig::root;

const HEADING: &str = "## See an alert fire, no GPU needed";
const PROMETHEUS: &str = "http://localhost:9099";
const PATIENCE: Duration = Duration::from_secs(5 * 60);

/// The first block of commands below a heading of the README.
fn commands() -> String {
    let readme = fs::read_to_string(root().join("README.md")).expect("the README is there");
    let (_, section) = readme.split_once(HEADING).expect("its heading is there");
    let (_, block) = section.split_once("```sh\n").expect("it has commands");
    let (commands, _) = block.split_once("```").expect("they end");
    commands.to_owned()
}

/// Processes of the commands, ended with the test.
struct Shell(std::process::Child);

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

#[test]
fn the_readme_leads_to_an_alert_within_five_minutes() {
    let commands = commands();
    forget();
    for port in [9099, 9400] {
        let free = std::net::TcpListener::bind(("localhost", port)).is_ok();
        assert!(free, "port {port} is taken, and the README's commands need it");
    }
    let began = Instant::now();
    let shell = Command::new("bash")
        .args(["-c", &format!("{commands}\nwait")])
        .current_dir(root())
        .process_group(0)
        .stdin(Stdio::null())
        .stdout(Stdio::null())
        .spawn()
        .expect("a shell");
    let _shell = Shell(shell);
    let prometheus = Prometheus::new(PROMETHEUS);
    let alert = "ALERTS{alertname=\"GpuTemperatureHigh\", alertstate=\"firing\"}";
    loop {
        // Until it listens, there is no answer.
        let firing = prometheus.query(alert, None).unwrap_or_default();
        if let Some(alert) = firing.first() {
            assert_eq!(alert.labels["gpu"], "2");
            assert_eq!(alert.labels["instance"], "localhost");
            break;
        }
        assert!(began.elapsed() < PATIENCE, "no alert after {PATIENCE:?}:\n{commands}");
        std::thread::sleep(Duration::from_millis(500));
    }
    println!("the alert fired after {:.0} s", began.elapsed().as_secs_f64());
}
