//! Many bad clients at a time: the good one is answered all the same, and memory does not grow.
//!
//! `HEATSINK_LOAD_SECONDS` is the duration (4).

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use crate::http::{assert_prompt, connect, simulated};
use crate::rig::{BINARY, PATIENCE, SCRAPE};
use crate::web::{alone, timed};
use socket2::{Domain, Socket, Type};
use tempfile::TempDir;
use testkit::exporter::Exporter;
use testkit::page::metric;

/// Allowed growth after the first half.
const MOST_GROWTH: f64 = 2.0 * 1024.0 * 1024.0;

/// Connections that this process keeps open at a time, of each kind of client.
const OPEN: usize = 200;

/// What a bad client does with its connection.
type Act = fn(&mut TcpStream);

/// Each keeps connections open, and opens further ones all the time.
const BAD_CLIENTS: &[(&str, Act)] = &[
    ("silent", |_| {}),
    ("half a head", |stream| {
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHo");
    }),
    ("half a handshake", |stream| {
        let _ = stream.write_all(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03");
    }),
    ("half closed", |stream| {
        let _ = stream.shutdown(Shutdown::Write);
    }),
    ("a body of 1 GB", |stream| {
        let _ =
            stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
        let _ = stream.write_all(&[b'x'; 64 * 1024]);
    }),
    ("garbage after a request", |stream| {
        let _ = stream.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n");
        let _ = stream.write_all(&[0xff; 1024]);
    }),
    ("requests, and no reading", |stream| {
        let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(50);
        let _ = stream.write_all(&ask);
    }),
];

/// Stops the bad clients when it is dropped, also by a panic.
struct Stop<'a>(&'a AtomicBool);

impl Drop for Stop<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Opens connections until `stop`.
fn attack(exporter: &Exporter, act: Act, opened: &AtomicUsize, stop: &AtomicBool) {
    let mut open = std::collections::VecDeque::new();
    while !stop.load(Ordering::Relaxed) {
        let mut stream = connect(exporter);
        stream.set_write_timeout(Some(Duration::from_millis(100))).expect("a time-out can be set");
        act(&mut stream);
        opened.fetch_add(1, Ordering::Relaxed);
        open.push_back(stream);
        if open.len() > OPEN {
            open.pop_front();
            // Slower than the machine, which has other tests to run.
            thread::sleep(Duration::from_millis(5));
        }
    }
}

/// Sends one byte of a head at a time, on many connections.
fn drip(exporter: &Exporter, stop: &AtomicBool) {
    let head =
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nX-Slow: ".iter().chain(std::iter::repeat(&b'a'));
    let mut streams: Vec<TcpStream> = (0..OPEN).map(|_| connect(exporter)).collect();
    for byte in head {
        if stop.load(Ordering::Relaxed) {
            return;
        }
        for stream in &mut streams {
            if stream.write_all(&[*byte]).is_err() {
                *stream = connect(exporter);
            }
        }
        thread::sleep(Duration::from_millis(20));
    }
}

fn resident(exporter: &Exporter) -> f64 {
    // Not over the pool of the test kit, whose idle connection has been closed.
    let mut stream = connect(exporter);
    stream
        .write_all(b"GET /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        .expect("it reads");
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers");
    let (_, body) = answer.split_once("\r\n\r\n").expect("a head");
    let page = testkit::page::Page::parse(body).expect("a well-formed page");
    page.value_of(&metric("process_resident_memory_bytes")).expect("it is served")
}

#[test]
fn bad_clients_do_not_keep_a_scraper_waiting_and_take_no_memory() {
    let _alone = alone();
    let text = std::env::var("HEATSINK_LOAD_SECONDS").unwrap_or_default();
    let length = Duration::from_secs(text.parse().unwrap_or(4));
    let mut exporter = simulated();
    let (opened, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    let before = resident(&exporter);
    let (half, last) = thread::scope(|scope| {
        let _stop = Stop(&stop);
        for (_, act) in BAD_CLIENTS {
            scope.spawn(|| attack(&exporter, *act, &opened, &stop));
        }
        scope.spawn(|| drip(&exporter, &stop));
        let began = Instant::now();
        let mut half = None;
        let is_opened = |connections| opened.load(Ordering::Relaxed) >= connections;
        while half.is_none() || began.elapsed() < length || !is_opened(2000) {
            assert!(began.elapsed() < length * 30, "few connections: {opened:?}");
            assert_prompt(&exporter);
            if half.is_none() && began.elapsed() > length / 2 && is_opened(1000) {
                half = Some(resident(&exporter));
            }
        }
        let last = resident(&exporter);
        (half.expect("it has passed"), last)
    });
    let mib = |bytes: f64| bytes / 1024.0 / 1024.0;
    println!(
        "{} connections; resident {:.1} MiB before, {:.1} MiB at half time, {:.1} MiB at the end",
        opened.into_inner(),
        mib(before),
        mib(half),
        mib(last)
    );
    assert!(last < half + MOST_GROWTH, "resident memory grew from {half} to {last} bytes");
    assert!(exporter.is_running());
}

/// The user `u` with the password `secret`.
const USERS: &str =
    "basic_auth_users:\n  u: $2y$04$abcdefghijklmnopqrstuu2r9OfJnfCsdneAXAGHnS4UpFFP8WIrW\n";

/// A connection from `127.0.0.LAST`.
fn connect_from(last: u8, exporter: &Exporter) -> TcpStream {
    let address = exporter.url().trim_start_matches("http://");
    let server: SocketAddr = address.parse().expect("an address");
    let socket = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    socket.bind(&SocketAddr::from(([127, 0, 0, last], 0)).into()).expect("Linux has it");
    socket.connect(&server.into()).expect("it listens");
    let stream = TcpStream::from(socket);
    stream.set_read_timeout(Some(PATIENCE)).expect("a time-out can be set");
    stream
}

/// Sends a wrong password with each request, another each time, until `stop`.
fn guess(last: u8, exporter: &Exporter, guesses: &AtomicUsize, stop: &AtomicBool) {
    let mut stream = connect_from(last, exporter);
    while !stop.load(Ordering::Relaxed) {
        let number = guesses.fetch_add(1, Ordering::Relaxed);
        // `u:x` and some bytes.
        let wrong = format!("Authorization: Basic dTp4{number:08}");
        let ask = format!("GET /metrics HTTP/1.1\r\nHost: x\r\n{wrong}\r\n\r\n");
        let mut answer = [0; 1024];
        let read = stream.write_all(ask.as_bytes()).and_then(|()| stream.read(&mut answer));
        let read = read.unwrap_or(0);
        if read == 0 {
            stream = connect_from(last, exporter);
            continue;
        }
        let answer = String::from_utf8_lossy(&answer[..read]);
        let is_refused = answer.starts_with("HTTP/1.1 401")
            || (answer.starts_with("HTTP/1.1 503") && answer.contains("retry-after: 1"));
        assert!(is_refused, "{answer}");
        // A thousand a second from all addresses.
        thread::sleep(Duration::from_millis(8));
    }
}

#[test]
fn wrong_passwords_do_not_keep_a_scraper_waiting() {
    let _alone = alone();
    let text = std::env::var("HEATSINK_LOAD_SECONDS").unwrap_or_default();
    let length = Duration::from_secs(text.parse().unwrap_or(4));
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("web.yml");
    std::fs::write(&path, USERS).expect("the folder can be written");
    let path = path.display().to_string();
    let args = [
        "--history=false",
        "--source",
        "sim",
        "--sim-scenario",
        "steady",
        "--web-config-file",
        &path,
    ];
    let exporter = Exporter::start(BINARY, &args, &[]);
    for path in ["/metrics", "/health", "/ready", "/", "/nothing"] {
        let answer = exporter.get(path);
        assert_eq!((answer.status, answer.body.as_str()), (401, "Unauthorized\n"), "{path}");
        assert_eq!(answer.header("www-authenticate"), Some("Basic"));
    }
    let (guesses, stop) = (AtomicUsize::new(0), AtomicBool::new(false));
    thread::scope(|scope| {
        let _stop = Stop(&stop);
        for last in 2..10 {
            let (exporter, guesses, stop) = (&exporter, &guesses, &stop);
            scope.spawn(move || guess(last, exporter, guesses, stop));
        }
        let right = [("authorization", "Basic dTpzZWNyZXQ=")];
        // The first time, it is hashed.
        let until = Instant::now() + PATIENCE;
        while exporter.get_with("/metrics", &right).status != 200 {
            assert!(Instant::now() < until, "the right password is not accepted");
        }
        let began = Instant::now();
        while began.elapsed() < length || guesses.load(Ordering::Relaxed) <= 100 {
            assert!(began.elapsed() < length + PATIENCE, "few wrong passwords: {guesses:?}");
            let (answer, took) = timed(exporter.pid(), || exporter.get_with("/metrics", &right));
            assert_eq!(answer.status, 200, "{}", answer.body);
            assert!(took < SCRAPE, "a scrape took {took:?}");
            thread::sleep(Duration::from_millis(20));
        }
    });
    println!("{} wrong passwords", guesses.into_inner());
}
