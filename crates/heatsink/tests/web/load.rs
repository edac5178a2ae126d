//! Clients that do everything wrong, all at once, against a server with TLS and passwords.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use super::Trust;

/// Connections that say nothing, that stop within the handshake, and that send a request byte by byte.
const SILENT: usize = 1200;
const HALF_OPEN: usize = 600;
const SLOW: usize = 200;

/// Pause between two of these: up to a thousand new ones a second.
const CONNECT_PAUSE: Duration = Duration::from_millis(1);

/// Threads that try passwords, and the pause of each: a thousand passwords a second. More than can wait
/// at the server, which would slow them down otherwise.
const GUESSERS: u64 = 64;
const GUESS_PAUSE: Duration = Duration::from_millis(64);

/// The bytes of a body that is never accepted.
const BODY: usize = 1 << 30;

/// How long one of them waits for the server.
const PATIENCE: Duration = Duration::from_secs(2);

/// The begin of a TLS record with a `ClientHello`, whose end never comes.
const HALF_A_HELLO: &[u8] = b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03";

/// All of them. They stop when this is dropped.
pub(crate) struct Load {
    shared: Arc<Shared>,
    threads: Vec<JoinHandle<()>>,
    began: Instant,
}

struct Shared {
    address: String,
    trust: Trust,
    stop: AtomicBool,
    connections: AtomicU64,
    guesses: AtomicU64,
    admitted: AtomicU64,
    body: AtomicU64,
    garbage: AtomicU64,
}

impl Shared {
    fn goes_on(&self) -> bool {
        !self.stop.load(Ordering::Relaxed)
    }

    fn connect(&self) -> Option<TcpStream> {
        let stream = TcpStream::connect(&self.address).ok()?;
        stream.set_read_timeout(Some(PATIENCE)).ok()?;
        stream.set_write_timeout(Some(PATIENCE)).ok()?;
        self.connections.fetch_add(1, Ordering::Relaxed);
        Some(stream)
    }
}

impl Load {
    /// Starts them. The limit of open files of this process and of the server are raised for it.
    pub(crate) fn start(address: &str, trust: &Trust, server: u32) -> Self {
        for pid in [std::process::id(), server] {
            let raised = Command::new("prlimit")
                .args(["--nofile=8192:", &format!("--pid={pid}")])
                .status()
                .expect("prlimit, of Debian's package util-linux");
            assert!(raised.success(), "a process may have too few open files for this test");
        }
        let shared = Arc::new(Shared {
            address: address.to_owned(),
            trust: trust.clone(),
            stop: AtomicBool::new(false),
            connections: AtomicU64::new(0),
            guesses: AtomicU64::new(0),
            admitted: AtomicU64::new(0),
            body: AtomicU64::new(0),
            garbage: AtomicU64::new(0),
        });
        let once: [fn(&Shared); 4] = [hold, slow_requests, large_bodies, garbage];
        let guessers = (0..GUESSERS).map(|_| guess as fn(&Shared));
        let threads = once.into_iter().chain(guessers).map(|work| {
            let shared = Arc::clone(&shared);
            let thread = thread::Builder::new().name("load".to_owned());
            thread.spawn(move || work(&shared)).expect("a thread")
        });
        Self { threads: threads.collect(), shared, began: Instant::now() }
    }

    /// Stops them, and tells what they did.
    ///
    /// # Panics
    ///
    /// When a wrong password was accepted.
    pub(crate) fn stop(mut self) -> String {
        let seconds = self.began.elapsed().as_secs_f64();
        self.end();
        let count = |counter: &AtomicU64| counter.load(Ordering::Relaxed) as f64;
        let shared = &self.shared;
        assert_eq!(count(&shared.admitted), 0.0, "wrong passwords were accepted");
        format!(
            "{:.0} connections, {:.0} wrong passwords a second, {:.0} MB of bodies, {:.0} times garbage",
            count(&shared.connections),
            count(&shared.guesses) / seconds,
            count(&shared.body) / 1e6,
            count(&shared.garbage)
        )
    }

    fn end(&mut self) {
        self.shared.stop.store(true, Ordering::Relaxed);
        for thread in self.threads.drain(..) {
            // A panic of one of them is none of the server's.
            let _ = thread.join();
        }
    }
}

impl Drop for Load {
    fn drop(&mut self) {
        self.end();
    }
}

/// Keeps connections open that say nothing or half a handshake, and opens those again that the server
/// closes.
fn hold(shared: &Shared) {
    let mut held: Vec<Option<TcpStream>> = Vec::new();
    held.resize_with(SILENT + HALF_OPEN, || None);
    while shared.goes_on() {
        for (index, stream) in held.iter_mut().enumerate() {
            if !shared.goes_on() {
                return;
            }
            if stream.as_ref().is_some_and(is_open) {
                continue;
            }
            *stream = shared.connect();
            thread::sleep(CONNECT_PAUSE);
            if let (Some(stream), true) = (stream, index < HALF_OPEN) {
                let _ = stream.write_all(HALF_A_HELLO);
            }
        }
        thread::sleep(Duration::from_millis(100));
    }
}

fn is_open(stream: &TcpStream) -> bool {
    let _ = stream.set_nonblocking(true);
    let mut byte = [0];
    let open = match stream.peek(&mut byte) {
        Ok(read) => read > 0,
        Err(error) => error.kind() == ErrorKind::WouldBlock,
    };
    let _ = stream.set_nonblocking(false);
    open
}

/// Sends requests on encrypted connections, a byte a second each.
fn slow_requests(shared: &Shared) {
    let request = b"GET /metrics HTTP/1.1\r\nHost: localhost\r\nX-Slow: ".iter();
    let mut bytes = request.chain([b'x'].iter().cycle().take(100_000));
    let mut open = Vec::new();
    while shared.goes_on() {
        if open.len() < SLOW {
            let wanted = (SLOW - open.len()).min(20);
            let new =
                (0..wanted).map_while(|_| shared.trust.connect(&shared.address, PATIENCE).ok());
            open.extend(new);
        }
        let byte = *bytes.next().unwrap_or(&b'x');
        open.retain_mut(|connection| connection.send(&[byte]).is_ok());
        thread::sleep(Duration::from_millis(200));
    }
}

/// Sends a gigabyte on one connection after the other.
fn large_bodies(shared: &Shared) {
    let chunk = vec![b'x'; 64 * 1024];
    while shared.goes_on() {
        if let Ok(mut connection) = shared.trust.connect(&shared.address, PATIENCE) {
            let head =
                format!("POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: {BODY}\r\n\r\n");
            let mut sent = connection.send(head.as_bytes()).map_or(BODY, |()| 0);
            while sent < BODY && shared.goes_on() && connection.send(&chunk).is_ok() {
                sent += chunk.len();
                shared.body.fetch_add(chunk.len() as u64, Ordering::Relaxed);
            }
        }
        thread::sleep(Duration::from_millis(50));
    }
}

/// Sends bytes that are no TLS, and within TLS bytes that are no HTTP and pipelined requests that nothing
/// reads the answers of.
fn garbage(shared: &Shared) {
    let pipelined = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(500);
    let noise = [0xff; 8192];
    while shared.goes_on() {
        if let Some(mut stream) = shared.connect() {
            let _ = stream.write_all(&noise);
            let _ = stream.read(&mut [0; 512]);
        }
        for bytes in [&noise[..], &pipelined] {
            if let Ok(mut connection) = shared.trust.connect(&shared.address, PATIENCE) {
                let _ = connection.send(bytes);
            }
        }
        shared.garbage.fetch_add(3, Ordering::Relaxed);
        thread::sleep(Duration::from_millis(100));
    }
}

/// Tries a wrong password after the other, never one twice.
fn guess(shared: &Shared) {
    let mut connection = None;
    let mut due = Instant::now();
    while shared.goes_on() {
        let tried = shared.guesses.fetch_add(1, Ordering::Relaxed);
        if connection.is_none() {
            connection = shared.trust.connect(&shared.address, PATIENCE).ok();
        }
        let header = format!("Authorization: Basic {}\r\n", basic(tried));
        let answer = connection.as_mut().map(|connection| connection.scrape(&header));
        match answer {
            Some(Ok((200, _))) => {
                shared.admitted.fetch_add(1, Ordering::Relaxed);
            }
            Some(Ok(_)) => {}
            Some(Err(_)) | None => connection = None,
        }
        due += GUESS_PAUSE;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
}

/// `reader:` and a number of nine digits, in base64, of which three bytes become four letters.
fn basic(number: u64) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let text = format!("reader:{number:011}");
    let groups = text.as_bytes().chunks_exact(3).flat_map(|three| {
        let bits = three.iter().fold(0_usize, |bits, &byte| bits << 8 | usize::from(byte));
        [18, 12, 6, 0].map(|shift| char::from(LETTERS[bits >> shift & 63]))
    });
    groups.collect()
}
