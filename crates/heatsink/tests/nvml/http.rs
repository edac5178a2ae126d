//! The HTTP server, with well-behaved and misbehaving clients.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use crate::rig::{BINARY, PATIENCE, up};
use testkit::exporter::Exporter;
use testkit::page::metric;
use testkit::promtool;

fn simulated() -> Exporter {
    let exporter = Exporter::start(BINARY, &["--source", "sim", "--sim-scenario", "steady"], &[]);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    exporter
}

fn connect(exporter: &Exporter) -> TcpStream {
    let address = exporter.url().trim_start_matches("http://");
    let stream = TcpStream::connect(address).expect("it listens");
    stream.set_read_timeout(Some(Duration::from_secs(5))).expect("a time-out can be set");
    stream
}

/// Sends these bytes, and reads until the server closes the connection.
fn say(exporter: &Exporter, bytes: &[u8]) -> String {
    let mut stream = connect(exporter);
    stream.write_all(bytes).expect("it reads");
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
    let post = say(
        &exporter,
        b"POST /metrics HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\nConnection: close\r\n\r\n",
    );
    assert!(post.starts_with("HTTP/1.1 405"), "{post}");
    let head = say(&exporter, b"HEAD /metrics HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    assert!(head.starts_with("HTTP/1.1 200"), "{head}");
    assert!(head.ends_with("\r\n\r\n"), "a HEAD has no body");
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
    let answer = exporter.get("/");
    assert_eq!(answer.header("content-type"), Some("text/html; charset=utf-8"));
    assert_eq!(answer.header("cache-control"), Some("no-store"));
    let policy = answer.header("content-security-policy");
    assert_eq!(policy, Some("default-src 'none'; style-src 'unsafe-inline'"));
    assert!(answer.body.contains("All 8 GPUs are healthy."), "{}", answer.body);
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

/// A new client is answered within a second.
fn assert_prompt(exporter: &Exporter) {
    for path in ["/health", "/metrics"] {
        for _ in 0..10 {
            let began = Instant::now();
            let ask = format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
            let answer = say(exporter, ask.as_bytes());
            assert!(answer.starts_with("HTTP/1.1 200"), "{path}: {answer}");
            assert!(began.elapsed() < Duration::from_secs(1), "{path}: {:?}", began.elapsed());
        }
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
    let warnings = exporter.log().matches("the limit of 256 HTTP connections is reached").count();
    assert_eq!(warnings, 1, "one in the first minute: {}", exporter.log());
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
