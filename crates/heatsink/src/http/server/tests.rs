//! Connections, with well-behaved and misbehaving clients.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::os::unix::net::UnixStream;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::thread::{self, JoinHandle};

use tempfile::TempDir;
use tokio::sync::Notify;
use tokio_rustls::rustls::crypto::ring::default_provider;
use tokio_rustls::rustls::pki_types::PrivateKeyDer;

use super::*;
use crate::http::HistoryReaders;
use crate::listen;

/// A site for tests.
struct TestSite {
    connections: Arc<ConnectionLimiter>,
    tls: Mutex<Option<Arc<ServerConfig>>>,
    /// Lets a request for `/held` be answered.
    release: Notify,
    clients: Mutex<Vec<Client>>,
    history: HistoryReaders,
    /// Locked, it keeps requests for `/history` waiting.
    gate: Arc<Mutex<()>>,
}

impl Site for TestSite {
    fn connections(&self) -> &Arc<ConnectionLimiter> {
        &self.connections
    }

    fn tls(&self) -> Option<Encryption> {
        let config = self.tls.lock().unwrap().clone()?;
        Some(Encryption { config, verifies_clients: false })
    }

    fn headers(&self) -> Arc<[(HeaderName, HeaderValue)]> {
        let configured = [
            (header::X_FRAME_OPTIONS, HeaderValue::from_static("sameorigin")),
            (header::STRICT_TRANSPORT_SECURITY, HeaderValue::from_static("max-age=60")),
        ];
        Arc::new(configured)
    }

    async fn answer(&self, client: &Client, request: &Request<Incoming>) -> Response<Bytes> {
        self.clients.lock().unwrap().push(*client);
        match request.uri().path() {
            "/held" => {
                self.release.notified().await;
                text(StatusCode::OK, "released\n")
            }
            "/history" => {
                let gate = Arc::clone(&self.gate);
                let answer = move |_: &_| {
                    drop(gate.lock());
                    Ok::<_, ()>("x".repeat(8 << 20))
                };
                match self.history.run(client.address, false, answer).await {
                    Ok(Ok(body)) => text(StatusCode::OK, body),
                    _ => later("busy\n", Duration::from_secs(1)),
                }
            }
            "/large" => text(StatusCode::OK, vec![b'x'; 8 << 20]),
            _ => text(StatusCode::OK, "page\n"),
        }
    }
}

/// Longer than anything takes, also on a machine that stands still for seconds.
const PATIENCE: Duration = Duration::from_secs(60);

/// A running server.
struct Server {
    address: SocketAddr,
    site: Arc<TestSite>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    fn start(limit: usize, tls: Option<Arc<ServerConfig>>, more: Vec<Listener>) -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let site = Arc::new(TestSite {
            connections: ConnectionLimiter::new(limit),
            tls: Mutex::new(tls),
            release: Notify::new(),
            clients: Mutex::default(),
            history: HistoryReaders::patient(),
            gate: Arc::default(),
        });
        let (stop, stopped) = watch::channel(false);
        let served = Arc::clone(&site);
        let thread = thread::Builder::new().spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            runtime.unwrap().block_on(async {
                let sockets = std::iter::once(Listener::Tcp(listener)).chain(more).collect();
                serve(Listeners::new(sockets).unwrap(), served, stopped).await;
            });
        });
        Self { address, site, stop, thread: Some(thread.unwrap()) }
    }

    fn connect(&self) -> TcpStream {
        let stream = TcpStream::connect(self.address).expect("it listens");
        stream.set_read_timeout(Some(PATIENCE)).expect("a time-out");
        stream
    }

    /// Sends these bytes, and reads until the server closes the connection.
    fn say(&self, bytes: &[u8]) -> String {
        let mut stream = self.connect();
        stream.write_all(bytes).expect("it reads");
        read_all(stream)
    }

    /// Gets a path with curl, with further arguments: the head of the response, and its body.
    fn curl(&self, args: &[&str], path: &str) -> String {
        let url = format!("https://{}{path}", self.address);
        let output = Command::new("curl")
            .args(["--silent", "--show-error", "--insecure", "--include", "--max-time", "60"])
            .args(args)
            .arg(url)
            .output()
            .expect("curl runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    fn wait_until(&self, what: &str, is_so: impl Fn(&Self) -> bool) {
        let until = Instant::now() + PATIENCE;
        while !is_so(self) {
            assert!(Instant::now() < until, "not in time: {what}");
            thread::sleep(Duration::from_millis(5));
        }
    }

    fn answered(&self) -> usize {
        self.site.clients.lock().unwrap().len()
    }

    /// Asks for the history on connections of their own.
    fn ask_for_history(&self, count: usize) -> Vec<TcpStream> {
        let ask = |_| {
            let mut stream = self.connect();
            stream.write_all(b"GET /history HTTP/1.1\r\nHost: x\r\n\r\n").expect("it reads");
            stream
        };
        (0..count).map(ask).collect()
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        let _ = self.stop.send(true);
        let ended = self.thread.take().map(JoinHandle::join);
        if !thread::panicking() {
            assert!(matches!(ended, Some(Ok(()))), "the server panicked");
        }
    }
}

fn read_all(mut stream: impl Read) -> String {
    let mut answer = Vec::new();
    // A reset counts as the end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

/// TLS with a certificate of its own, and HTTP/2.
fn tls() -> Option<Arc<ServerConfig>> {
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let key = PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let mut config = ServerConfig::builder_with_provider(Arc::new(default_provider()))
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    config.alpn_protocols = vec![b"h2".to_vec(), b"http/1.1".to_vec()];
    Some(Arc::new(config))
}

const GET: &[u8] = b"GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

const GET_HELD: &[u8] = b"GET /held HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";

#[test]
fn every_response_has_the_headers_of_the_site_instead_of_its_own() {
    let server = Server::start(8, None, Vec::new());
    let answer = server.say(GET);
    assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
    for line in [
        "x-content-type-options: nosniff",
        "referrer-policy: no-referrer",
        "x-frame-options: sameorigin",
        "strict-transport-security: max-age=60",
    ] {
        assert_eq!(answer.matches(line).count(), 1, "{line}: {answer}");
    }
    assert!(!answer.contains("deny") && !answer.contains("server:"), "{answer}");
}

#[test]
fn a_request_has_at_most_64_headers() {
    let server = Server::start(8, None, Vec::new());
    for (count, status) in [(64, "200"), (65, "431"), (200, "431")] {
        // `Host` and `Connection` count too.
        let headers = "a: b\r\n".repeat(count - 2);
        let request = format!("GET / HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{headers}\r\n");
        let answer = server.say(request.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{count}: {answer}");
    }
}

#[test]
fn a_unix_socket_is_served_beside_tcp() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.sock");
    let more = listen::listeners(false, &[format!("unix://{}", path.display())]).unwrap();
    let server = Server::start(8, None, more);
    let mut stream = UnixStream::connect(&path).unwrap();
    stream.write_all(GET).unwrap();
    assert!(read_all(stream).ends_with("page\n"));
    assert!(server.say(GET).ends_with("page\n"));
    let clients = server.site.clients.lock().unwrap().clone();
    let addresses = clients.iter().map(|client| client.address);
    assert_eq!(addresses.collect::<Vec<_>>(), [None, Some(IpAddr::from([127, 0, 0, 1]))]);
    drop(server);
    assert!(!path.exists());
}

#[test]
fn a_new_client_gets_503_if_each_connection_has_a_response_in_progress() {
    let server = Server::start(2, None, Vec::new());
    let mut busy = [server.connect(), server.connect()];
    busy.iter_mut().for_each(|client| client.write_all(GET_HELD).unwrap());
    server.wait_until("both are asked", |server| server.answered() == 2);
    let answer = server.say(GET);
    assert!(answer.starts_with("HTTP/1.1 503 Service Unavailable\r\n"), "{answer}");
    assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
    assert!(answer.contains("\r\nx-content-type-options: nosniff\r\n"), "{answer}");
    assert!(answer.ends_with("\r\n\r\ntoo many connections\n"), "{answer}");
    // Nothing was taken from those that wait, and then there is room again.
    for mut client in busy {
        server.site.release.notify_one();
        assert!(read_all(&mut client).ends_with("released\n"));
    }
    assert!(server.say(GET).ends_with("page\n"));
}

#[test]
fn a_client_that_does_not_read_makes_room_for_others() {
    let server = Server::start(1, None, Vec::new());
    let mut deaf = server.connect();
    deaf.write_all(b"GET /large HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
    server.wait_until("it is asked", |server| server.answered() == 1);
    // Until it has read nothing for 100 ms, others get a 503.
    server.wait_until("there is room", |server| server.say(GET).ends_with("page\n"));
    assert_eq!(server.site.connections.evicted(), 1);
    assert!(read_all(deaf).len() < 8 << 20);
}

/// How many of these have something to read.
fn readable(streams: &[TcpStream]) -> usize {
    let is_readable = |stream: &&TcpStream| {
        stream.set_nonblocking(true).unwrap();
        let read = stream.peek(&mut [0]);
        stream.set_nonblocking(false).unwrap();
        read.is_ok_and(|read| read > 0)
    };
    streams.iter().filter(is_readable).count()
}

#[test]
fn clients_that_wait_for_the_history_keep_no_scraper_out() {
    let folder = TempDir::new().unwrap();
    let path = folder.path().join("a.sock");
    let more = listen::listeners(false, &[format!("unix://{}", path.display())]).unwrap();
    let server = Server::start(256, None, more);
    let mut kept = UnixStream::connect(&path).unwrap();
    let mut scrape = || {
        kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        read_one(&kept)
    };
    assert!(scrape().starts_with("HTTP/1.1 200"));
    let gate = Arc::clone(&server.site.gate);
    let closed = gate.lock().unwrap();
    let clients = server.ask_for_history(255);
    server.wait_until("most are refused", |_| readable(&clients) == 255 - 8);
    for _ in 0..3 {
        assert!(server.say(GET).ends_with("page\n"));
        assert!(scrape().starts_with("HTTP/1.1 200"));
    }
    drop(closed);
    server.wait_until("the others are answered", |_| readable(&clients) == 255);
}

#[test]
fn an_answer_from_the_history_counts_until_it_is_read() {
    let server = Server::start(64, None, Vec::new());
    let mut clients = server.ask_for_history(8);
    server.wait_until("all are answered", |_| readable(&clients) == 8);
    let ask = || server.say(b"GET /history HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    let refused = ask();
    assert!(refused.starts_with("HTTP/1.1 503") && refused.contains("\r\nretry-after: 1\r\n"));
    drop(clients.pop());
    server.wait_until("there is a place again", |_| ask().starts_with("HTTP/1.1 200"));
    assert!(ask().len() > 8 << 20);
}

#[test]
fn tls_is_spoken_with_http1_and_http2() {
    let server = Server::start(8, tls(), Vec::new());
    for (flag, version) in [("--http1.1", "HTTP/1.1 200"), ("--http2", "HTTP/2 200")] {
        let answer = server.curl(&[flag], "/");
        assert!(answer.starts_with(version), "{answer}");
        assert!(answer.contains("content-length: 5\r\n"), "{answer}");
        assert!(answer.ends_with("\r\n\r\npage\n"), "{answer}");
        let head = server.curl(&[flag, "--head"], "/");
        assert!(head.starts_with(version), "{head}");
        assert!(head.contains("content-length: 5\r\n"), "{head}");
        assert!(head.ends_with("\r\n\r\n"), "{head}");
        let large = server.curl(&[flag], "/large");
        let (_, body) = large.split_once("\r\n\r\n").expect("a head");
        assert_eq!(body.len(), 8 << 20, "{flag}");
        let many = "x: y".to_owned();
        let args: Vec<&str> = [flag].into_iter().chain([["-H", &many]; 80].concat()).collect();
        let answer = server.curl(&args, "/");
        assert!(answer.starts_with(&version.replace("200", "431")), "{answer}");
    }
}

#[test]
fn a_request_that_is_not_encrypted_is_told_so() {
    let server = Server::start(8, tls(), Vec::new());
    let answer = server.say(GET);
    assert!(answer.starts_with("HTTP/1.1 400 Bad Request\r\n"), "{answer}");
    assert!(answer.contains("\r\nstrict-transport-security: max-age=60\r\n"), "{answer}");
    let body = "\r\n\r\nClient sent an HTTP request to an HTTPS server.\n";
    assert!(answer.ends_with(body), "{answer}");
    assert_eq!(server.answered(), 0);
}

#[test]
fn handshakes_that_do_not_end_delay_no_other_and_are_evicted() {
    let server = Server::start(16, tls(), Vec::new());
    // The head of a record, or nothing.
    let half: Vec<TcpStream> = (0..100)
        .map(|turn| {
            let mut stream = server.connect();
            // The server may have closed it already.
            let _ = stream.write_all(if turn % 2 == 0 { b"\x16\x03\x01\x02\x00" } else { b"" });
            stream
        })
        .collect();
    let began = Instant::now();
    assert!(server.curl(&[], "/").ends_with("page\n"));
    // Those that it would wait for have this much time.
    assert!(began.elapsed() < HANDSHAKE_TIMEOUT, "{:?}", began.elapsed());
    assert!(server.site.connections.evicted() >= 84, "{}", server.site.connections.evicted());
    // What is no TLS ends at once.
    assert!(!server.say(&[0; 64]).starts_with("HTTP"));
    drop(half);
}

#[test]
fn a_handshake_has_to_end_in_time() {
    let server = Server::start(16, tls(), Vec::new());
    let began = Instant::now();
    let half: [TcpStream; 2] = std::array::from_fn(|_| server.connect());
    (&half[0]).write_all(b"\x16\x03\x01\x02\x00").expect("it reads");
    for stream in half {
        assert_eq!(read_all(stream), "");
    }
    let took = began.elapsed();
    assert!(HANDSHAKE_TIMEOUT <= took && took < HANDSHAKE_TIMEOUT * 2, "{took:?}");
}

#[test]
fn at_the_limit_an_encrypted_connection_is_closed() {
    let server = Server::start(1, tls(), Vec::new());
    let url = format!("https://{}/held", server.address);
    let mut curl = Command::new("curl");
    let held = curl.args(["-sk", &url]).stdout(Stdio::piped()).spawn().expect("curl runs");
    server.wait_until("it is asked", |server| server.answered() == 1);
    assert_eq!(server.say(&[0x16, 3, 1]), "");
    server.site.release.notify_one();
    let output = held.wait_with_output().expect("it ends");
    assert_eq!(output.stdout, b"released\n");
}

/// Reads one response of a connection that stays open.
fn read_one(mut stream: impl Read) -> String {
    let mut answer = String::new();
    let mut buffer = [0; 1024];
    while !answer.ends_with("page\n") {
        let read = stream.read(&mut buffer).expect("in time");
        assert!(read > 0, "closed after {answer}");
        answer += &String::from_utf8_lossy(&buffer[..read]);
    }
    answer
}

#[test]
fn a_change_of_tls_closes_open_connections_after_their_response() {
    let server = Server::start(8, None, Vec::new());
    let mut kept = server.connect();
    for is_changed in [false, true] {
        if is_changed {
            *server.site.tls.lock().unwrap() = tls();
        }
        kept.write_all(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n").unwrap();
        let answer = read_one(&mut kept);
        assert!(answer.starts_with("HTTP/1.1 200 OK\r\n"), "{answer}");
        assert_eq!(answer.contains("\r\nconnection: close\r\n"), is_changed, "{answer}");
    }
    assert_eq!(read_all(kept), "", "it is closed");
    assert!(server.say(GET).starts_with("HTTP/1.1 400"), "only TLS is spoken");

    // HTTP/2: the second request comes a while after the change, and needs a new connection. curl sends it a
    // second after the first, so that of a machine that stands still for that long is none.
    let [held, page] = ["/held", "/"].map(|path| format!("https://{}{path}", server.address));
    let attempt = || {
        let (began, answered) = (Instant::now(), server.answered());
        let curl = Command::new("curl")
            .args(["-sk", "--http2", "--rate", "1/s", "--max-time", "60"])
            .args(["--write-out", "%{http_version} %{http_code} %{num_connects}\n", &held, &page])
            .stdout(Stdio::piped())
            .spawn()
            .expect("curl runs");
        server.wait_until("it is asked", |server| server.answered() == answered + 1);
        *server.site.tls.lock().unwrap() = tls();
        server.site.release.notify_one();
        let in_time = began.elapsed() < Duration::from_millis(800);
        let output = curl.wait_with_output().expect("it ends");
        in_time.then(|| String::from_utf8_lossy(&output.stdout).into_owned())
    };
    let output = (0..10).find_map(|_| attempt()).expect("a machine that is quick once");
    assert_eq!(output, "released\n2 200 1\npage\n2 200 1\n");
}
