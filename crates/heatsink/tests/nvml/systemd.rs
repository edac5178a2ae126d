//! heatsink as a service: what it tells systemd, and the socket that it takes from it.
//!
//! The socket is passed by systemd's own `systemd-socket-activate`, from Debian's package systemd.

use std::io::ErrorKind;
use std::net::TcpStream;
use std::os::unix::net::UnixDatagram;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{self, BINARY, PATIENCE, Rig};
use testkit::exporter::{Exporter, run};
use testkit::server::free_address;

/// systemd's end of the notification socket.
struct Listener {
    socket: UnixDatagram,
    path: String,
}

impl Listener {
    fn on(rig: &Rig) -> Self {
        let path = rig.file("placeholder", "").replace("placeholder", "notify");
        let socket = UnixDatagram::bind(&path).expect("the socket can be made");
        socket.set_read_timeout(Some(Duration::from_millis(100))).expect("a timeout");
        Self { socket, path }
    }

    /// Everything that is told until `last` is.
    fn hear_until(&self, last: &str) -> Vec<String> {
        let mut heard: Vec<String> = Vec::new();
        let until = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while !heard.iter().any(|line| line == last) {
            assert!(Instant::now() < until, "`{last}` was not told; heard: {heard:?}");
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    heard.extend(text.lines().map(str::to_owned));
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => {}
                Err(error) => panic!("{error}"),
            }
        }
        heard
    }
}

fn start(rig: &Rig, notify: &Listener, more: &[(&str, &str)]) -> Exporter {
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    environment.push(("NOTIFY_SOCKET", &notify.path));
    environment.extend(more);
    Exporter::start(BINARY, &["--nvml-library", &library], &environment)
}

#[test]
fn systemd_is_notified_of_start_status_and_stop() {
    let rig = Rig::new();
    let systemd = Listener::on(&rig);
    let exporter = start(&rig, &systemd, &[]);
    let heard = systemd.hear_until("STATUS=8 of 8 GPUs answer");
    assert_eq!(heard[0], "READY=1", "{heard:?}");
    assert!(!heard.contains(&"WATCHDOG=1".to_owned()), "nobody asked: {heard:?}");
    rig.control.set(&["gpu 3 lost"]);
    systemd.hear_until("STATUS=7 of 8 GPUs answer");
    exporter.terminate();
    systemd.hear_until("STOPPING=1");
}

#[test]
fn without_a_driver_it_serves_and_says_what_it_waits_for() {
    let rig = Rig::without_library();
    let systemd = Listener::on(&rig);
    let _exporter = start(&rig, &systemd, &[]);
    systemd.hear_until("READY=1");
    rig.install();
    let heard = systemd.hear_until("STATUS=8 of 8 GPUs answer");
    assert!(heard[0].starts_with("STATUS=no data: "), "{heard:?}");
}

#[test]
fn the_watchdog_is_notified_while_it_serves() {
    let rig = Rig::new();
    let systemd = Listener::on(&rig);
    let exporter = start(&rig, &systemd, &[("WATCHDOG_USEC", "600000")]);
    systemd.hear_until("READY=1");
    for _ in 0..5 {
        systemd.hear_until("WATCHDOG=1");
    }
    // A GPU that hangs is no reason for a restart: the others are served.
    rig.control.set(&["gpu 3 hang"]);
    systemd.hear_until("STATUS=7 of 8 GPUs answer");
    systemd.hear_until("WATCHDOG=1");
    // A process that stands still is.
    exporter.signal("STOP");
    std::thread::sleep(Duration::from_millis(300));
    while systemd.socket.recv(&mut [0; 4096]).is_ok() {}
    std::thread::sleep(Duration::from_secs(1));
    let error = systemd.socket.recv(&mut [0; 4096]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    exporter.signal("CONT");
    systemd.hear_until("WATCHDOG=1");
}

/// Whoever does not read his messages holds up nobody else.
#[test]
fn a_slow_systemd_delays_no_scrape() {
    let rig = Rig::new();
    let systemd = Listener::on(&rig);
    // A message every millisecond, and the kernel keeps but a few.
    let exporter = start(&rig, &systemd, &[("WATCHDOG_USEC", "3000")]);
    rig::watch(&exporter, Duration::from_secs(2), |_| {});
    exporter.terminate();
}

/// A heatsink that systemd starts as soon as somebody connects to one of these addresses.
struct Activated(Child);

impl Activated {
    fn on(addresses: &[&str], rig: &Rig, args: &[&str]) -> Self {
        let mut activate = Command::new("systemd-socket-activate");
        for address in addresses {
            activate.args(["--listen", address]);
        }
        for (name, value) in rig.environment() {
            activate.arg(format!("--setenv={name}={value}"));
        }
        activate.arg(BINARY).arg("--nvml-library").arg(rig.library()).args(args);
        let child = activate.stdin(Stdio::null()).stderr(Stdio::piped()).spawn();
        Self(child.expect("systemd-socket-activate, from Debian's package systemd"))
    }
}

impl Drop for Activated {
    fn drop(&mut self) {
        // It has become heatsink itself by then.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn it_serves_on_the_socket_that_systemd_passes() {
    for flag in [&[][..], &["--web-systemd-socket"], &["--web-systemd-socket=true"]] {
        let rig = Rig::new();
        let address = free_address();
        let _service = Activated::on(&[&address], &rig, flag);
        let agent: ureq::Agent =
            ureq::Agent::config_builder().timeout_global(Some(PATIENCE)).build().into();
        let until = Instant::now() + PATIENCE;
        let url = format!("http://{address}/ready");
        while agent.get(&url).call().is_err() {
            assert!(Instant::now() < until, "{flag:?}: {url} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

#[test]
fn wrong_sockets_from_systemd_end_it_with_one_line() {
    let rig = Rig::new();
    let (one, other) = (free_address(), free_address());
    let service = Activated::on(&[&one, &other], &rig, &[]);
    let until = Instant::now() + PATIENCE;
    while TcpStream::connect(&one).is_err() {
        assert!(Instant::now() < until, "nothing listens on {one}");
        std::thread::sleep(Duration::from_millis(20));
    }
    let mut service = service;
    let stderr = service.0.stderr.take().expect("it is piped");
    let said = std::io::read_to_string(stderr).expect("UTF-8");
    assert!(said.contains("heatsink: systemd has passed 2 sockets"), "{said}");
    assert_eq!(service.0.wait().expect("it ends").code(), Some(2));
}

#[test]
fn a_required_socket_that_is_not_passed_is_an_error() {
    for (args, environment) in [
        (&["--web-systemd-socket"][..], &[][..]),
        (&[], &[("DCGM_EXPORTER_SYSTEMD_SOCKET", "true")]),
    ] {
        let Output { status, stderr, .. } = run(BINARY, args, environment);
        let said = String::from_utf8(stderr).expect("UTF-8");
        assert_eq!(status.code(), Some(2), "{said}");
        assert!(said.contains("systemd has passed no socket; start heatsink.socket"), "{said}");
    }
}

#[test]
fn sockets_of_another_process_are_not_taken() {
    let rig = Rig::new();
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    // As a shell started by a service would pass them on.
    environment.extend([("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    let exporter = Exporter::start(BINARY, &["--nvml-library", &library], &environment);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| rig::up(page) == 8);
}
