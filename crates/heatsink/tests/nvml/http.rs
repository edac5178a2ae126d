//! The HTTP server, with well-behaved and misbehaving clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixStream;
use std::process::Output;
use std::time::{Duration, Instant};

use crate::rig::{BINARY, PATIENCE, up};
use crate::web::timed;
use tempfile::TempDir;
use testkit::exporter::{Exporter, run};
use testkit::page::metric;
use testkit::pauses;
use testkit::promtool;

pub(crate) fn simulated() -> Exporter {
    simulated_with(&[])
}

fn simulated_with(args: &[&str]) -> Exporter {
    let args = [&["--source", "sim", "--sim-scenario", "steady"], args].concat();
    let exporter = Exporter::start(BINARY, &args, &[]);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    exporter
}

pub(crate) fn connect(exporter: &Exporter) -> TcpStream {
    let address = exporter.url().trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(15))).expect("a time-out can be set");
    stream
}

/// Sends these bytes, and reads until the server closes the connection.
pub(crate) fn say(exporter: &Exporter, bytes: &[u8]) -> String {
    let mut stream = connect(exporter);
    // The server may refuse them, and close the connection, before it has all of them.
    let _ = stream.write_all(bytes);
    let mut answer = Vec::new();
    // A reset counts as the end.
    let _ = stream.read_to_end(&mut answer);
    String::from_utf8_lossy(&answer).into_owned()
}

#[test]
fn responses_have_the_headers_that_prometheus_needs() {
    let exporter = simulated();
    let answer = exporter.get_with("/metrics", &[("accept-encoding", "identity")]);
    assert_eq!(answer.header("content-type"), Some("text/plain; version=0.0.4; charset=utf-8"));
    assert_eq!(answer.header("content-encoding"), None);
    assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
    assert_eq!(answer.header("vary"), Some("accept, accept-encoding"));
    let length = answer.header("content-length").and_then(|length| length.parse().ok());
    assert_eq!(length, Some(answer.body.len()));
}

#[test]
fn gzip_has_the_same_page() {
    let exporter = simulated();
    let ask =
        b"GET /metrics HTTP/1.1\r\nHost: x\r\nAccept-Encoding: gzip\r\nConnection: close\r\n\r\n";
    let mut stream = connect(&exporter);
    stream.write_all(ask).expect("it reads");
    let mut answer = Vec::new();
    stream.read_to_end(&mut answer).expect("it answers");
    let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
    let (head, body) = answer.split_at(end + 4);
    assert!(String::from_utf8_lossy(head).contains("content-encoding: gzip"));
    let mut page = String::new();
    flate2::read::GzDecoder::new(body).read_to_string(&mut page).expect("gzip");
    testkit::page::Page::parse(&page).expect("a well-formed page");
    assert!(body.len() * 5 < page.len(), "{} of {} bytes", body.len(), page.len());
}

/// The headers `Accept` of Prometheus 2.53, without and with created timestamps, and of 3.
const ACCEPTED: [(&str, &str, &str); 3] = [
    (
        "application/openmetrics-text;version=1.0.0;q=0.5,\
         application/openmetrics-text;version=0.0.1;q=0.4,text/plain;version=0.0.4;q=0.3,*/*;q=0.2",
        "application/openmetrics-text; version=1.0.0; charset=utf-8",
        "# TYPE heatsink_reader_restarts counter\n",
    ),
    (
        "application/vnd.google.protobuf;proto=io.prometheus.client.MetricFamily;\
         encoding=delimited;q=0.5,application/openmetrics-text;version=1.0.0;q=0.4,\
         application/openmetrics-text;version=0.0.1;q=0.3,text/plain;version=0.0.4;q=0.2,*/*;q=0.1",
        "application/vnd.google.protobuf; proto=io.prometheus.client.MetricFamily; \
         encoding=delimited",
        "\u{1e}heatsink_reader_restarts_total\u{12}",
    ),
    (
        "text/plain;version=1.0.0;escaping=allow-utf-8;q=0.6,text/plain;version=0.0.4;q=0.5,*/*;q=0.1",
        "text/plain; version=0.0.4; charset=utf-8",
        "# TYPE heatsink_reader_restarts_total counter\n",
    ),
];

#[test]
fn each_format_is_served_to_who_prefers_it_and_compressed_on_request() {
    let exporter = simulated();
    for (accept, content_type, content) in ACCEPTED {
        for encoding in ["identity", "gzip"] {
            let ask = format!(
                "GET /metrics HTTP/1.1\r\nHost: x\r\nAccept: {accept}\r\n\
                 Accept-Encoding: {encoding}\r\nConnection: close\r\n\r\n"
            );
            let mut stream = connect(&exporter);
            stream.write_all(ask.as_bytes()).expect("it reads");
            let mut answer = Vec::new();
            stream.read_to_end(&mut answer).expect("it answers");
            let end = answer.windows(4).position(|window| window == b"\r\n\r\n").expect("a head");
            let (head, body) = answer.split_at(end + 4);
            let head = String::from_utf8_lossy(head);
            let mut page = body.to_vec();
            assert!(head.contains(&format!("\r\ncontent-type: {content_type}\r\n")), "{head}");
            assert_eq!(head.contains("content-encoding: gzip"), encoding == "gzip", "{head}");
            if encoding == "gzip" {
                page.clear();
                flate2::read::GzDecoder::new(body).read_to_end(&mut page).expect("gzip");
            }
            let page = String::from_utf8_lossy(&page);
            assert!(page.contains(content), "{content_type}, {encoding}");
            let ends = page.ends_with("\n# EOF\n");
            assert_eq!(ends, content_type.contains("openmetrics"), "{content_type}, {encoding}");
        }
    }
}

#[test]
fn other_paths_and_methods() {
    let exporter = simulated();
    for (path, status) in
        [("/", 200), ("/health", 200), ("/ready", 200), ("/metrics/", 404), ("/nothing", 404)]
    {
        assert_eq!(exporter.get(path).status, status, "{path}");
    }
    assert!(exporter.get("/").body.contains("simulated"));
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "TRACE", "BREW"] {
        let ask = format!("{method} /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
        let answer = say(&exporter, ask.as_bytes());
        assert!(answer.starts_with("HTTP/1.1 405"), "{answer}");
        assert!(answer.contains("\r\nallow: GET, HEAD\r\n"), "{answer}");
    }
    let head = say(&exporter, b"HEAD /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.contains("\r\ncontent-length: 3\r\n"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "a HEAD has no body");
}

#[test]
fn every_response_has_security_headers() {
    let exporter = simulated();
    for path in ["/metrics", "/health", "/ready", "/", "/nothing", "/metrics?name[]=x"] {
        let answer = exporter.get(path);
        for (name, value) in [
            ("x-content-type-options", Some("nosniff")),
            ("x-frame-options", Some("deny")),
            ("referrer-policy", Some("no-referrer")),
            ("server", None),
        ] {
            assert_eq!(answer.header(name), value, "{path}");
        }
    }
}

/// A refusal is a status and at most one line, which says nothing of the machine or of the program.
#[test]
fn refused_requests_tell_nothing() {
    let mut exporter = simulated();
    let long = |length: usize| "a".repeat(length);
    for (status, request) in [
        (400, "GET /metrics HTTP/9.9\r\n\r\n".to_owned()),
        (400, "GET /metrics HTTP/1.1\r\nno colon\r\n\r\n".to_owned()),
        (400, "GET /metrics HTTP/1.1\r\nContent-Length: x\r\n\r\n".to_owned()),
        (400, "GET /metrics HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 2\r\n\r\n".to_owned()),
        (400, "GET /metrics HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n".to_owned()),
        (400, "GET /metrics?name[]=up HTTP/1.1\r\n\r\n".to_owned()),
        (404, "GET /../../etc/passwd HTTP/1.1\r\n\r\n".to_owned()),
        (404, "GET /%2e%2e/%00 HTTP/1.1\r\n\r\n".to_owned()),
        (404, "GET http://elsewhere.example/x HTTP/1.1\r\n\r\n".to_owned()),
        (405, "CONNECT elsewhere.example:443 HTTP/1.1\r\n\r\n".to_owned()),
        (405, "OPTIONS * HTTP/1.1\r\n\r\n".to_owned()),
        (405, "POST /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nx".to_owned()),
        (413, "GET /metrics HTTP/1.1\r\nContent-Length: 1000000000\r\n\r\nx".to_owned()),
        (413, "HEAD / HTTP/1.1\r\nContent-Length: 1\r\n\r\nx".to_owned()),
        (413, "GET /health HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1\r\nx\r\n".to_owned()),
        (431, format!("GET /{} HTTP/1.1\r\n\r\n", long(20_000))),
        (431, format!("GET / HTTP/1.1\r\na: {}\r\n\r\n", long(20_000))),
        (431, format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(65))),
        (431, format!("GET / HTTP/1.1\r\n{}\r\n", "a: b\r\n".repeat(1000))),
    ] {
        let shown = &request[..request.len().min(80)];
        // Only the last of these requests is followed by the end of the connection.
        let closing = request.replacen("HTTP/1.1\r\n", "HTTP/1.1\r\nConnection: close\r\n", 1);
        let answer = say(&exporter, closing.as_bytes());
        assert!(answer.starts_with(&format!("HTTP/1.1 {status}")), "{shown:?}: {answer}");
        let (head, body) = answer.split_once("\r\n\r\n").expect("a head");
        assert!(body.lines().count() <= 1, "{shown:?}: {answer}");
        let told = format!("{head}{body}").to_lowercase();
        for secret in ["heatsink/", "hyper", "rust", env!("CARGO_PKG_VERSION"), "etc", "node-1"] {
            assert!(!told.contains(secret), "{secret}: {answer}");
        }
        assert!(!told.contains("\nserver:"), "{answer}");
    }
    assert!(exporter.is_running());
}

/// No byte of a body is waited for, and the connection ends, whatever else is sent on it.
#[test]
fn a_body_is_refused_and_not_read() {
    let exporter = simulated();
    let mut stream = connect(&exporter);
    stream.write_all(b"GET / HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n").unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).expect("it answers and closes");
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
    assert!(answer.contains("\r\nconnection: close\r\n"), "{answer}");
    // A body of nothing is none.
    let answer = say(
        &exporter,
        b"GET /health HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    // A request that is hidden in a body is not answered.
    let hidden = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let outer = format!("GET / HTTP/1.1\r\nHost: x\r\nContent-Length: {}\r\n\r\n", hidden.len());
    let answer = say(&exporter, format!("{outer}{hidden}{hidden}").as_bytes());
    assert_eq!(answer.matches("HTTP/1.1 ").count(), 1, "{answer}");
}

#[test]
fn garbage_after_a_request_ends_the_connection() {
    let exporter = simulated();
    let health = "GET /health HTTP/1.1\r\nHost: x\r\n\r\n";
    let answer =
        say(&exporter, format!("{health}{health}\x16\x03\x01 garbage\r\n\r\n{health}").as_bytes());
    let statuses: Vec<&str> = answer
        .match_indices("HTTP/1.1 ")
        .map(|(start, _)| &answer[start + 9..start + 12])
        .collect();
    assert_eq!(statuses, ["200", "200", "400"], "{answer}");
}

fn post(path: &str, header: &str) -> Vec<u8> {
    format!("POST {path} HTTP/1.1\r\nHost: x\r\n{header}Connection: close\r\n\r\n").into_bytes()
}

/// Asks for a reload until one is admitted.
fn reload(exporter: &Exporter) -> String {
    loop {
        let answer = say(exporter, &post("/-/reload", ""));
        if !answer.starts_with("HTTP/1.1 429") {
            return answer;
        }
        assert!(answer.contains("\r\nretry-after: 1\r\n"), "{answer}");
        pauses::sleep(Duration::from_millis(100));
    }
}

#[test]
fn a_post_reloads_if_that_is_on() {
    let exporter = simulated();
    assert!(say(&exporter, &post("/-/reload", "")).starts_with("HTTP/1.1 405"));
    assert_eq!(exporter.get("/-/reload").status, 404);

    let folder = TempDir::new().expect("a temporary folder");
    let counters = folder.path().join("counters.csv");
    let row = "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature.\n";
    std::fs::write(&counters, row).expect("the folder can be written");
    let path = counters.display().to_string();
    let exporter = simulated_with(&["--web-enable-reload", "-f", &path]);
    let answer = exporter.get("/-/reload");
    assert_eq!((answer.status, answer.header("allow")), (405, Some("POST")));
    let power = "DCGM_FI_DEV_POWER_USAGE, gauge, Power.\n";
    std::fs::write(&counters, format!("{row}{power}")).expect("the folder can be written");
    // A page in a browser on this machine reloads nothing.
    for header in ["Origin: http://evil.example\r\n", "Sec-Fetch-Site: cross-site\r\n"] {
        let answer = say(&exporter, &post("/-/reload", header));
        assert!(answer.starts_with("HTTP/1.1 403"), "{answer}");
    }
    assert!(!metric("DCGM_FI_DEV_POWER_USAGE").label("gpu", "0").is_in(&exporter.page()));
    let answer = reload(&exporter);
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nreloaded\n"), "{answer}");
    let power = metric("DCGM_FI_DEV_POWER_USAGE").label("gpu", "0");
    exporter.wait_for("the new row", PATIENCE, |page| power.is_in(page));
    // What is wrong is for the log only.
    std::fs::remove_file(&counters).expect("it is there");
    let answer = reload(&exporter);
    assert!(answer.starts_with("HTTP/1.1 500"), "{answer}");
    assert!(answer.ends_with("\r\n\r\nreload failed; the log says why\n"), "{answer}");
    let until = Instant::now() + PATIENCE;
    while !exporter.log().contains(&path) {
        assert!(Instant::now() < until, "{}", exporter.log());
        pauses::sleep(Duration::from_millis(10));
    }
    std::fs::write(&counters, row).expect("the folder can be written");
    assert!(reload(&exporter).starts_with("HTTP/1.1 200"));
}

/// What a Unix socket answers.
fn say_at(path: &std::path::Path, bytes: &[u8]) -> String {
    let mut stream = UnixStream::connect(path).expect("it listens");
    stream.write_all(bytes).expect("it reads");
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer);
    answer
}

#[test]
fn several_addresses_are_served_alike() {
    let folder = TempDir::new().expect("a temporary folder");
    let path = folder.path().join("heatsink.sock");
    let address = format!("unix://{}", path.display());
    let list = format!("127.0.0.2:0,{address}");
    let exporter = simulated_with(&["--address", &list, "--web-enable-reload"]);
    let log = exporter.log();
    let line = log.lines().find(|line| line.contains("serving on")).expect("it is logged");
    for part in ["http://127.0.0.1:", "/metrics, ", "http://127.0.0.2:", &address] {
        assert!(line.contains(part), "{part}: {line}");
    }
    let mode = std::fs::metadata(&path).expect("it is there").permissions().mode();
    assert_eq!(mode & 0o777, 0o660);
    let get = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    assert!(say_at(&path, get).starts_with("HTTP/1.1 200"));
    assert!(say_at(&path, &post("/-/reload", "")).starts_with("HTTP/1.1 200"));
    assert_eq!(exporter.get("/health").status, 200);

    // A second one is refused, and takes nothing from the first.
    let args = ["--source", "sim", "--address", &address];
    let Output { status, stderr, .. } = run(BINARY, &args, &[]);
    let stderr = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(2), "{stderr}");
    assert!(stderr.contains(&format!("another program listens on `{address}`")), "{stderr}");
    assert!(say_at(&path, get).starts_with("HTTP/1.1 200"));

    // Killed, it leaves its file, which the next start replaces. Stopped, it leaves none.
    drop(exporter);
    assert!(path.exists());
    let exporter = simulated_with(&["--address", &address]);
    assert!(say_at(&path, get).starts_with("HTTP/1.1 200"));
    let (status, _, log) = exporter.terminate();
    assert!(status.success(), "{log}");
    assert!(!path.exists());
}

#[test]
fn without_tls_and_users_there_is_no_thread_for_them() {
    let exporter = simulated();
    let tasks = std::fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("it runs");
    let names =
        tasks.filter_map(|task| std::fs::read_to_string(task.ok()?.path().join("comm")).ok());
    let names: Vec<String> = names.map(|name| name.trim().to_owned()).collect();
    assert!(names.contains(&"heatsink".to_owned()), "{names:?}");
    assert!(!names.iter().any(|name| name == "tls" || name == "passwords"), "{names:?}");
}

#[test]
fn the_limit_of_connections_can_be_set() {
    let exporter = simulated_with(&["--max-connections", "2"]);
    let _silent: Vec<TcpStream> = (0..10).map(|_| connect(&exporter)).collect();
    assert_prompt(&exporter);
    exporter.logged("the limit of 2 HTTP connections", PATIENCE);
}

/// Other exporters have such filters. A client that sends one must not get an unfiltered page.
#[test]
fn a_filter_is_refused() {
    let exporter = simulated();
    for (query, filter) in
        [("name[]=up", "name[]"), ("x=1&name%5B%5D=up", "name[]"), ("collect[]=cpu", "collect[]")]
    {
        let answer = exporter.get(&format!("/metrics?{query}"));
        assert_eq!(answer.status, 400, "{query}");
        assert!(
            answer.body.starts_with(&format!("{filter} is not supported: ")),
            "{}",
            answer.body
        );
        assert_eq!(answer.body.lines().count(), 1);
    }
    assert_eq!(exporter.get("/metrics?names=up&x").status, 200);
    let page = exporter.page();
    metric("heatsink_http_connections_closed_total").value(0).assert_in(&page);
}

#[test]
fn the_overview_has_no_script_and_is_not_cached() {
    let exporter = simulated();
    let are_healthy = || exporter.get("/").body.contains("All 8 GPUs are healthy.");
    exporter.wait_for("the overview says that all is well", PATIENCE, |_| are_healthy());
    let answer = exporter.get("/");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, Some("default-src 'none'; style-src 'unsafe-inline'"));
    assert!(answer.body.len() < 15_000, "{} bytes", answer.body.len());
}

#[test]
fn malformed_requests_are_refused() {
    let mut exporter = simulated();
    for bytes in [
        &b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"[..],
        b"GET /metrics\r\n\r\n",
        b"GET /metrics HTTP/9.9\r\n\r\n",
        b"\r\n\r\n\r\n\r\n",
        &[0xff; 4096],
    ] {
        let answer = say(&exporter, bytes);
        assert!(answer.is_empty() || answer.starts_with("HTTP/1.1 400"), "{answer}");
    }
    let long = format!("GET /{} HTTP/1.1\r\nHost: x\r\n\r\n", "a".repeat(100_000));
    let answer = say(&exporter, long.as_bytes());
    assert!(!answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(exporter.is_running());
    assert_eq!(exporter.get("/health").status, 200);
}

/// More idle clients than the connection limit.
fn idle_clients(exporter: &Exporter) -> Vec<TcpStream> {
    let silent = (0..400).map(|_| connect(exporter));
    let half = (0..100).map(|_| {
        let mut stream = connect(exporter);
        // The server may have closed it already.
        let _ = stream.write_all(b"GET /metrics HTTP/1.1\r\nHo");
        stream
    });
    silent.chain(half).collect()
}

/// A new client is answered within a second, and does not wait for others, whose time-outs are 10 s and more. One
/// of ten answers may take longer on a busy machine.
pub(crate) fn assert_prompt(exporter: &Exporter) {
    for path in ["/health", "/metrics"] {
        let mut late = 0;
        for _ in 0..10 {
            let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let (answer, took) = timed(exporter.pid(), || say(exporter, ask.as_bytes()));
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            assert!(took < Duration::from_secs(5), "{path}: {took:?}");
            late += u32::from(took >= Duration::from_secs(1));
        }
        assert!(late <= 1, "{path}: {late} of 10 answers took more than a second");
    }
}

/// Number of open file descriptors of the exporter.
fn descriptors(exporter: &Exporter) -> usize {
    let folder = format!("/proc/{}/fd", exporter.pid());
    std::fs::read_dir(folder).expect("it runs").count()
}

#[test]
fn silent_clients_do_not_block_others() {
    let exporter = simulated();
    let few = descriptors(&exporter);
    let began = Instant::now();
    let clients = idle_clients(&exporter);
    assert_prompt(&exporter);
    // At most 256 connections are open, and one is being accepted.
    let many = descriptors(&exporter);
    assert!(many <= few + 257, "{many} descriptors, {few} before the idle clients");
    // At least 500 minus the limit, and one for each later request.
    let closed = metric("heatsink_http_connections_closed_total");
    let (page, _) = exporter.wait_for("a new snapshot", PATIENCE, |page| {
        page.value_of(&closed).is_some_and(|closed| closed >= 244.0)
    });
    promtool::assert_accepts(&exporter.get("/metrics").body);
    let closed = page.value_of(&closed).expect("it is there");
    assert!(closed < 600.0, "{closed}");
    let warnings =
        || exporter.log().matches("the limit of 256 HTTP connections is reached").count() as u64;
    exporter.wait_for("a warning", PATIENCE, |_| warnings() > 0);
    let (logged, minutes) = (warnings(), began.elapsed().as_secs() / 60);
    assert!(logged <= 1 + minutes, "one in the first minute: {}", exporter.log());
    let (status, took, log) = exporter.terminate();
    assert!(status.success() && took < Duration::from_secs(2), "{took:?}: {log}");
    drop(clients);
}

#[test]
fn clients_that_do_not_read_do_not_block_others() {
    let exporter = simulated();
    let ask = b"GET /metrics HTTP/1.1\r\nHost: x\r\n\r\n".repeat(1000);
    let deaf: Vec<TcpStream> = (0..300)
        .map(|_| {
            let mut stream = connect(&exporter);
            stream.set_nonblocking(true).expect("it can be set");
            // Until the socket buffers are full.
            let _ = stream.write_all(&ask);
            stream
        })
        .collect();
    // Until one has not read for long enough.
    let until = Instant::now() + PATIENCE;
    let ask = b"GET /health HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n";
    while !say(&exporter, ask).starts_with("HTTP/1.1 200") {
        assert!(Instant::now() < until, "{}", exporter.log());
        pauses::sleep(Duration::from_millis(50));
    }
    assert_prompt(&exporter);
    drop(deaf);
}

#[test]
fn active_connections_are_not_evicted() {
    let exporter = simulated();
    let mut asking = connect(&exporter);
    let mut ask = || {
        asking.write_all(b"GET /health HTTP/1.1\r\nHost: x\r\n\r\n").expect("it is connected");
        let mut answer = [0; 4096];
        let read = asking.read(&mut answer).expect("it answers");
        assert!(answer[..read].starts_with(b"HTTP/1.1 200"), "{read} bytes");
    };
    let mut silent = Vec::new();
    for _ in 0..6 {
        silent.extend((0..100).map(|_| connect(&exporter)));
        ask();
    }
}

#[test]
fn a_stop_closes_idle_connections() {
    let exporter = simulated();
    let _idle: Vec<TcpStream> = (0..10).map(|_| connect(&exporter)).collect();
    let (status, took, log) = exporter.terminate();
    assert!(status.success(), "{log}");
    assert!(took < Duration::from_secs(2), "{took:?}");
}
