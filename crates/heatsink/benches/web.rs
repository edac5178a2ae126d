//! The cost of TLS and passwords: latency and memory of the built binary without and with them, in one
//! run, and the latency of an honest scraper while many clients misbehave.
//!
//! `cargo bench --bench web` prints each figure with its target. Nothing is asserted, because figures
//! depend on the load of the machine.

mod measure;
#[path = "../tests/rig/mod.rs"]
mod rig;
#[path = "../tests/web/mod.rs"]
mod web;

use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use measure::{SCRAPES, better, complete, latencies, machine, percentile, resident, row};
use rig::{PATIENCE, Rig};
use tempfile::TempDir;
use testkit::exporter::Exporter;
use web::load::Load;
use web::{AUTHORIZED, Connection, RIGHT_SLOWLY, Trust, until, with_password};

/// New connections per measurement.
const CONNECTIONS: usize = 1000;

/// How long clients misbehave.
const LOAD: Duration = Duration::from_secs(30);

/// How long a scraper waits for an answer.
const WAIT: Duration = Duration::from_secs(10);

fn main() {
    println!("machine: {}\n", machine());
    println!("{:58} {:>12}  target", "figure", "measured");
    let rig = Rig::new();
    let plain = complete(&rig, &[], 8);
    let (one, other) = (latencies(&plain, "gzip"), latencies(&plain, "gzip"));
    row("without TLS: GET p50, kept alive (ms)", better(&one, &other, 50), "<= 0.15");
    row("without TLS: GET p99, kept alive (ms)", better(&one, &other, 99), "<= 0.5");
    let without = resident(&plain);
    row("without TLS: resident memory after 20,000 scrapes (MiB)", without, "<= 7.5");
    drop(plain);

    let folder = TempDir::new().expect("a temporary folder");
    let trust = with_password(folder.path(), RIGHT_SLOWLY);
    let exporter = encrypted(&rig, folder.path(), &trust);
    let address = exporter.address_and_port();
    let (one, other) = (kept_alive(address, &trust), kept_alive(address, &trust));
    row("TLS, password: GET p50, kept alive (ms)", better(&one, &other, 50), "<= 0.3");
    row("TLS, password: GET p99, kept alive (ms)", better(&one, &other, 99), "");
    let with = resident(&exporter);
    row("TLS, password: resident memory after 20,000 scrapes (MiB)", with, "");
    row("TLS, password: more memory than without (MiB)", with - without, "<= 2");
    let new = new_connections(address, &trust);
    row("TLS, password: GET p50, a new connection each time (ms)", percentile(&new, 50), "");
    row("TLS, password: GET p99, a new connection each time (ms)", percentile(&new, 99), "");
    row("TLS, password: resident memory after 1,000 more (MiB)", resident(&exporter), "");
    under_load(&exporter, &trust);
}

/// An exporter with TLS and a password, whose page no longer grows.
fn encrypted(rig: &Rig, folder: &Path, trust: &Trust) -> Exporter {
    let config = folder.join("web.yml").display().to_string();
    let exporter = rig.start(&["--web-config-file", &config]);
    let mut connection = connect(exporter.address_and_port(), trust);
    let mut temperatures = || {
        let (status, page) = connection.scrape(AUTHORIZED).expect("an answer");
        assert_eq!(status, 200);
        String::from_utf8_lossy(&page).matches("\nDCGM_FI_PROF_SM_ACTIVE{").count()
    };
    until("all GPUs answer", PATIENCE, || temperatures() == 8);
    thread::sleep(Duration::from_secs(5));
    exporter
}

fn connect(address: &str, trust: &Trust) -> Connection {
    trust.connect(address, WAIT).expect("it accepts connections")
}

/// The time of one scrape in ms.
fn timed(scrape: impl FnOnce() -> u16) -> f64 {
    let began = Instant::now();
    assert_eq!(scrape(), 200);
    began.elapsed().as_secs_f64() * 1000.0
}

fn ask(connection: &mut Connection) -> u16 {
    let headers = format!("Accept-Encoding: gzip\r\n{AUTHORIZED}");
    connection.scrape(&headers).expect("an answer").0
}

fn sorted(mut times: Vec<f64>) -> Vec<f64> {
    times.sort_by(f64::total_cmp);
    times
}

/// Latencies of sequential scrapes on one connection, sorted.
fn kept_alive(address: &str, trust: &Trust) -> Vec<f64> {
    let mut connection = connect(address, trust);
    sorted((0..SCRAPES).map(|_| timed(|| ask(&mut connection))).collect())
}

/// Latencies of sequential scrapes, each with a connection and a handshake of its own, sorted.
fn new_connections(address: &str, trust: &Trust) -> Vec<f64> {
    sorted((0..CONNECTIONS).map(|_| timed(|| ask(&mut connect(address, trust)))).collect())
}

/// Latencies of two honest scrapers while many clients do everything wrong.
fn under_load(exporter: &Exporter, trust: &Trust) {
    let address = exporter.address_and_port();
    let mut connection = connect(address, trust);
    let load = Load::start(address, trust, exporter.pid());
    // Until it has all its connections.
    thread::sleep(Duration::from_secs(3));
    let headers = format!("Accept-Encoding: gzip\r\n{AUTHORIZED}");
    let (mut kept, mut new) = (Vec::new(), Vec::new());
    let began = Instant::now();
    let mut closed = 0;
    while began.elapsed() < LOAD {
        kept.push(timed(|| match connection.scrape(&headers) {
            Ok((status, _)) => status,
            // Closed to make room for one of the many, between two scrapes: Prometheus sends the request
            // again on a new connection, too.
            Err(_) => {
                closed += 1;
                connection = connect(address, trust);
                ask(&mut connection)
            }
        }));
        new.push(timed(|| ask(&mut connect(address, trust))));
        thread::sleep(Duration::from_millis(20));
    }
    let during = resident(exporter);
    println!("\nunder load for {} s: {}", LOAD.as_secs(), load.stop());
    println!("{} scrapes of each kind; {closed} times the kept connection was closed", kept.len());
    let (kept, new) = (sorted(kept), sorted(new));
    row("under load: GET p50, kept alive (ms)", percentile(&kept, 50), "");
    row("under load: GET p99, kept alive (ms)", percentile(&kept, 99), "<= 20");
    row("under load: GET p99, a new connection each time (ms)", percentile(&new, 99), "");
    row("under load: resident memory (MiB)", during, "");
    row("after the load: resident memory (MiB)", resident(exporter), "");
}
