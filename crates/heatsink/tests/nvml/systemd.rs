//! heatsink as a systemd service: notifications and socket activation.
//!
//! `systemd-socket-activate`, from Debian's package systemd, passes the socket.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::unix::net::{UnixDatagram, UnixStream};
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use crate::rig::{self, BINARY, PATIENCE, Rig};
use testkit::exporter::{Exporter, run};
use testkit::pauses;
use testkit::server::free_address;

/// The receiving end of the notification socket.
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

    /// All notifications up to `last`.
    fn hear_until(&self, last: &str) -> Vec<String> {
        self.hear_until_it(last, |line| line == last)
    }

    /// All notifications up to one that is the last.
    fn hear_until_it(&self, last: &str, is_last: impl Fn(&str) -> bool) -> Vec<String> {
        let mut messages: Vec<String> = Vec::new();
        let until = Instant::now() + PATIENCE;
        let mut buffer = [0; 4096];
        while !messages.iter().any(|line| is_last(line)) {
            assert!(Instant::now() < until, "`{last}` did not arrive; received: {messages:?}");
            match self.socket.recv(&mut buffer) {
                Ok(length) => {
                    let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
                    messages.extend(text.lines().map(str::to_owned));
                }
                Err(error)
                    if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::Interrupted) => {}
                Err(error) => panic!("{error}"),
            }
        }
        messages
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
    let messages = systemd.hear_until("STATUS=8 of 8 GPUs answer");
    assert_eq!(messages[0], "READY=1", "{messages:?}");
    assert!(
        !messages.contains(&"WATCHDOG=1".to_owned()),
        "no watchdog was requested: {messages:?}"
    );
    rig.control.set(&["gpu 3 lost"]);
    systemd.hear_until("STATUS=7 of 8 GPUs answer");
    exporter.terminate();
    systemd.hear_until("STOPPING=1");
}

#[test]
fn a_busy_systemd_receives_the_last_message() {
    let rig = Rig::new();
    let systemd = Listener::on(&rig);
    let exporter = start(&rig, &systemd, &[]);
    systemd.hear_until("STATUS=8 of 8 GPUs answer");
    let other = UnixDatagram::unbound().expect("a socket");
    other.set_nonblocking(true).expect("it is a socket");
    while other.send_to(b"STATUS=of another", &systemd.path).is_ok() {}
    exporter.signal("TERM");
    pauses::sleep(Duration::from_millis(500));
    systemd.hear_until("STOPPING=1");
}

#[test]
fn without_a_driver_the_status_says_what_heatsink_waits_for() {
    let rig = Rig::without_library();
    let systemd = Listener::on(&rig);
    let _exporter = start(&rig, &systemd, &[]);
    let why = "STATUS=no data: ";
    let messages = systemd.hear_until_it(why, |line| line.starts_with(why));
    assert_eq!((messages.len(), messages[0].as_str()), (2, "READY=1"), "{messages:?}");
    rig.install();
    systemd.hear_until("STATUS=8 of 8 GPUs answer");
}

#[test]
fn the_watchdog_is_notified_while_heatsink_serves() {
    let rig = Rig::new();
    let systemd = Listener::on(&rig);
    let exporter = start(&rig, &systemd, &[("WATCHDOG_USEC", "600000")]);
    systemd.hear_until("READY=1");
    for _ in 0..5 {
        systemd.hear_until("WATCHDOG=1");
    }
    // A hung GPU does not stop the notifications: the other GPUs are served.
    rig.control.set(&["gpu 3 hang"]);
    systemd.hear_until("STATUS=7 of 8 GPUs answer");
    systemd.hear_until("WATCHDOG=1");
    // A stopped process sends none.
    exporter.signal("STOP");
    std::thread::sleep(Duration::from_millis(300));
    while systemd.socket.recv(&mut [0; 4096]).is_ok() {}
    std::thread::sleep(Duration::from_secs(1));
    let error = systemd.socket.recv(&mut [0; 4096]).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::WouldBlock);
    exporter.signal("CONT");
    systemd.hear_until("WATCHDOG=1");
}

/// A notification socket that is not read blocks nothing.
#[test]
fn a_slow_systemd_delays_no_scrape() {
    let rig = Rig::new();
    let systemd = Listener::on(&rig);
    // A message every millisecond, and the kernel queues only a few.
    let exporter = start(&rig, &systemd, &[("WATCHDOG_USEC", "3000")]);
    rig::watch(&exporter, Duration::from_secs(2), |_| {});
    exporter.terminate();
}

/// A heatsink that systemd starts on the first connection to one of these addresses.
struct Activated(Child);

impl Activated {
    fn on(addresses: &[&str], rig: &Rig, args: &[&str]) -> Self {
        Self::with(&[], addresses, rig, args)
    }

    /// The same, with further arguments of `systemd-socket-activate`.
    fn with(more: &[&str], addresses: &[&str], rig: &Rig, args: &[&str]) -> Self {
        let mut activate = Command::new("systemd-socket-activate");
        activate.args(more);
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
        // By now, the process has become heatsink.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

#[test]
fn heatsink_serves_on_a_socket_from_systemd() {
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

/// What a stream answers to a request for `/ready`, if it is answered.
fn ready(mut stream: impl Read + Write) -> Option<String> {
    stream.write_all(b"GET /ready HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n").ok()?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer).ok()?;
    answer.starts_with("HTTP/1.1 200").then_some(answer)
}

#[test]
fn heatsink_serves_on_all_sockets_from_systemd() {
    let rig = Rig::new();
    let (one, other) = (free_address(), free_address());
    let path = rig.path("activated.sock");
    // systemd's sockets count, and not the address.
    let args = ["--address", "192.0.2.1:9400"];
    let unix = path.display().to_string();
    let service = Activated::on(&[&one, &unix, &other], &rig, &args);
    let until = Instant::now() + PATIENCE;
    let wait_for = |what: &str, answers: &dyn Fn() -> bool| {
        while !answers() {
            assert!(Instant::now() < until, "{what} does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    for address in [&one, &other] {
        wait_for(address, &|| TcpStream::connect(address).ok().and_then(ready).is_some());
    }
    wait_for(&unix, &|| UnixStream::connect(&path).ok().and_then(ready).is_some());
    drop(service);
    assert!(path.exists(), "the file is systemd's");
}

#[test]
fn wrong_sockets_from_systemd_are_an_error() {
    let rig = Rig::new();
    let path = rig.path("datagrams.sock");
    let mut service = Activated::with(&["--datagram"], &[&path.display().to_string()], &rig, &[]);
    let until = Instant::now() + PATIENCE;
    let sender = UnixDatagram::unbound().expect("a socket");
    while sender.send_to(b"x", &path).is_err() {
        assert!(Instant::now() < until, "nothing listens on {}", path.display());
        std::thread::sleep(Duration::from_millis(20));
    }
    let stderr = service.0.stderr.take().expect("it is piped");
    let stderr = std::io::read_to_string(stderr).expect("UTF-8");
    let message =
        "heatsink: systemd has passed something that is not a listening TCP or Unix socket";
    assert!(stderr.contains(message), "{stderr}");
    assert_eq!(service.0.wait().expect("it ends").code(), Some(2));
}

#[test]
fn a_required_socket_that_is_not_passed_is_an_error() {
    for (args, environment) in [
        (&["--web-systemd-socket"][..], &[][..]),
        (&[], &[("DCGM_EXPORTER_SYSTEMD_SOCKET", "true")]),
    ] {
        let Output { status, stderr, .. } = run(BINARY, args, environment);
        let stderr = String::from_utf8(stderr).expect("UTF-8");
        assert_eq!(status.code(), Some(2), "{stderr}");
        assert!(stderr.contains("systemd has passed no socket; start heatsink.socket"), "{stderr}");
    }
}

#[test]
fn sockets_for_another_process_are_ignored() {
    let rig = Rig::new();
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    // Like a shell that a service starts, which passes the variables on.
    environment.extend([("LISTEN_FDS", "1"), ("LISTEN_PID", "1")]);
    let exporter = Exporter::start(BINARY, &["--nvml-library", &library], &environment);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| rig::up(page) == 8);
}
