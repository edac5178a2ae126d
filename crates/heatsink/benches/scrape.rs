//! The cost of a scrape: latency, throughput, processor time and memory of the built binary with the
//! fake driver library and eight GPUs, measured through a socket.
//!
//! `cargo bench` prints each figure with its target. Nothing is asserted, because figures depend on the
//! load of the machine.

mod measure;
#[path = "../tests/rig/mod.rs"]
mod rig;

use std::fs;
use std::hint::black_box;
use std::io::Write;
use std::thread;
use std::time::{Duration, Instant};

use flate2::Compression;
use flate2::write::GzEncoder;
use measure::{
    Client, SCRAPES, better, complete, cpu, latencies, machine, percentile, resident, row,
};
use model::catalog::builtin::Set;
use rig::{BINARY, PATIENCE, Rig, up};
use testkit::exporter::Exporter;

/// Concurrent connections of the throughput measurement.
const CONNECTIONS: usize = 8;

fn main() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", counters());
    let args = ["-f", counters.as_str()];
    println!("machine: {}", machine());
    let exporter = settled(&rig, &args);
    let page = exporter.page();
    let rows = page.families.iter().filter(|f| f.name.to_lowercase().starts_with("dcgm")).count();
    let series = page.all_samples().count();
    let bytes = exporter.get("/metrics").body.len();
    println!("page: 8 GPUs, {rows} GPU families, {series} series, {bytes} bytes\n");
    println!("{:58} {:>12}  target", "figure", "measured");

    let gzip = latencies(&exporter, "gzip");
    let before = cpu(&exporter);
    let again = latencies(&exporter, "gzip");
    let spent = cpu(&exporter) - before;
    row("GET p50, gzip (ms)", better(&gzip, &again, 50), "<= 0.15");
    row("GET p99, gzip (ms)", better(&gzip, &again, 99), "<= 0.5");
    let identity = latencies(&exporter, "identity");
    row("GET p50, identity (ms)", percentile(&identity, 50), "");
    row("GET p99, identity (ms)", percentile(&identity, 99), "");
    let per_thousand = spent / SCRAPES as f64 * 1000.0;
    row("CPU per 1,000 scrapes, gzip, one by one (s)", per_thousand, "<= 0.05");
    row("resident memory after 30,000 scrapes (MiB)", resident(&exporter), "<= 7.5");
    let (scrapes, spent) = throughput(&exporter, "gzip");
    row("scrapes/s, gzip, 8 connections", scrapes, ">= 20000");
    row("CPU per 1,000 scrapes, gzip, 8 connections (s)", spent, "<= 0.05");
    let (scrapes, _) = throughput(&exporter, "identity");
    row("scrapes/s, identity, 8 connections", scrapes, "");
    row("resident memory after all of it (MiB)", resident(&exporter), "");
    rig.control.set(&["gpu 3 hang"]);
    exporter.wait_for("GPU 3 is down", PATIENCE, |page| up(page) == 7);
    let hung = latencies(&exporter, "gzip");
    row("GET p99, gzip, one GPU hung (ms)", percentile(&hung, 99), "<= 5");
    drop(exporter);
    rig.control.clear();

    let fresh = fresh_pages(&rig, &args);
    row("CPU per 1,000 scrapes, each of a new page (s)", fresh.scrapes, "");
    row("zlib level 1 over the bytes of 1,000 such pages (s)", fresh.zlib, "");
    row("the first as a multiple of the second", fresh.scrapes / fresh.zlib, "<= 1.5");
    row("CPU of 1,000 passes over 8 GPUs, library included (s)", fresh.passes, "");
    let mut starts: Vec<f64> = (0..10).map(|_| first_series(&rig, &args)).collect();
    starts.sort_by(f64::total_cmp);
    row("from start of the process to first GPU series (ms)", starts[5], "<= 30");
    whole_catalogue();
    growth();
    let size = fs::metadata(BINARY).expect("the binary").len() as f64 / 1024.0 / 1024.0;
    row("stripped binary (MiB)", size, "<= 6");
}

/// The same with all fields of the catalogue: on simulated GPUs, and on GPUs of a fixture that serve
/// twice as many fields. The fake library needs megabytes of this process for the fixture.
fn whole_catalogue() {
    let args = ["-f", "all"];
    for (machine, gpus) in [("gb200x2", 4), ("h100x2", 8)] {
        let rig = Rig::machine_of(machine, gpus);
        let exporter = complete(&rig, &args, gpus);
        let gzip = latencies(&exporter, "gzip");
        println!(
            "\nall, {machine} repeated to {gpus} GPUs: {}: GET p50, gzip {:.3} ms, resident {:.1} MiB",
            shape(&exporter),
            percentile(&gzip, 50),
            resident(&exporter)
        );
    }
    let rig = Rig::new();
    let exporter = complete(&rig, &args, 8);
    println!("all, 8 simulated GPUs: {}", shape(&exporter));
    let gzip = latencies(&exporter, "gzip");
    let before = cpu(&exporter);
    let again = latencies(&exporter, "gzip");
    let spent = (cpu(&exporter) - before) / SCRAPES as f64 * 1000.0;
    row("all: GET p50, gzip (ms)", better(&gzip, &again, 50), "<= 0.3");
    row("all: GET p99, gzip (ms)", better(&gzip, &again, 99), "");
    row("all: CPU per 1,000 scrapes, gzip, one by one (s)", spent, "<= 0.1");
    row("all: resident memory after 20,000 scrapes (MiB)", resident(&exporter), "<= 10");
    drop(exporter);
    let fresh = fresh_pages(&rig, &args);
    row("all: CPU per 1,000 scrapes, each of a new page (s)", fresh.scrapes, "");
    row("all: zlib level 1 over the bytes of 1,000 such pages (s)", fresh.zlib, "");
    row("all: the first as a multiple of the second", fresh.scrapes / fresh.zlib, "<= 1.5");
    row("all: CPU of 1,000 passes over 8 GPUs, library included (s)", fresh.passes, "");
}

/// The cost for different numbers of series.
fn growth() {
    println!(
        "\n{:24} {:>8} {:>10} {:>10} {:>12} {:>12} {:>12}",
        "default set", "series", "bytes", "gzip", "p50 ms", "CPU s/1000", "RSS MiB"
    );
    for (name, gpus, instances) in
        [("1 GPU", 1, 0), ("8 GPUs", 8, 0), ("16 GPUs", 16, 0), ("16 GPUs x 7 instances", 16, 7)]
    {
        let rig = Rig::new().with("FAKE_NVML_GPUS", &gpus.to_string());
        let mut lines = Vec::new();
        for gpu in 0..gpus {
            lines.extend((instances > 0).then(|| format!("gpu {gpu} mig on")));
            let of_gpu = 0..instances;
            lines.extend(of_gpu.map(|at| format!("gpu {gpu} mig-create {} 1g.10gb", at + 3)));
        }
        let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
        rig.control.set(&lines);
        let exporter = complete(&rig, &[], gpus);
        let page = exporter.page();
        let (series, bytes) = (page.all_samples().count(), exporter.get("/metrics").body.len());
        let mut client = Client::new(&exporter, "gzip");
        client.ask();
        let packed = client.receive();
        latencies(&exporter, "gzip");
        let before = cpu(&exporter);
        let times = latencies(&exporter, "gzip");
        let spent = (cpu(&exporter) - before) / SCRAPES as f64 * 1000.0;
        println!(
            "{name:24} {series:>8} {bytes:>10} {packed:>10} {:>12.3} {spent:>12.3} {:>12.1}",
            percentile(&times, 50),
            resident(&exporter)
        );
    }
    println!();
}

fn shape(exporter: &Exporter) -> String {
    let page = exporter.page();
    let families = page.families.iter().filter(|f| f.name.starts_with("DCGM")).count();
    let bytes = exporter.get("/metrics").body.len();
    let series = page.all_samples().count();
    format!("{families} GPU families, {series} series, {bytes} bytes")
}

/// The default set and eight rows of the first generation: more than 40.
fn counters() -> String {
    let first = Set::FirstGeneration.text();
    let more: Vec<&str> = first.lines().filter(|line| line.starts_with("dcgm_")).take(8).collect();
    format!("{}\n{}\n", Set::Default.text(), more.join("\n"))
}

fn settled(rig: &Rig, args: &[&str]) -> Exporter {
    let exporter = rig.started(args, 8);
    exporter.wait_for("the page is complete", PATIENCE, |page| {
        page.samples("DCGM_FI_PROF_SM_ACTIVE").len() == 8
            && page.samples("DCGM_FI_DEV_PCIE_TX_THROUGHPUT").len() == 8
    });
    exporter
}

/// Scrapes per second, and processor time per 1,000 scrapes, with eight concurrent requests.
fn throughput(exporter: &Exporter, encoding: &str) -> (f64, f64) {
    let mut clients: Vec<Client> =
        (0..CONNECTIONS).map(|_| Client::new(exporter, encoding)).collect();
    clients.iter_mut().for_each(Client::ask);
    let before = cpu(exporter);
    let began = Instant::now();
    let mut scrapes = 0;
    while began.elapsed() < Duration::from_secs(5) {
        for client in &mut clients {
            client.receive();
            client.ask();
            scrapes += 1;
        }
    }
    let spent = cpu(exporter) - before;
    let scrapes = f64::from(scrapes);
    (scrapes / began.elapsed().as_secs_f64(), spent / scrapes * 1000.0)
}

/// Processor time of the HTTP thread, which also renders and compresses, in seconds.
fn serving(exporter: &Exporter) -> f64 {
    let path = format!("/proc/{0}/task/{0}/schedstat", exporter.pid());
    let text = fs::read_to_string(path).expect("its first thread");
    let nanos: u64 = text.split(' ').next().expect("a number").parse().expect("a number");
    nanos as f64 / 1e9
}

/// Processor time in seconds of 1,000 scrapes of a new page each, and the figures to compare it with.
struct Fresh {
    scrapes: f64,
    /// Time of zlib at level 1 for the bytes of such a page, in this process, also once per pass.
    zlib: f64,
    /// Time of passes without scrapes.
    passes: f64,
}

/// Each scrape needs a newly rendered page, as with a single Prometheus.
fn fresh_pages(rig: &Rig, args: &[&str]) -> Fresh {
    const PASSES: u32 = 500;
    let mut args = args.to_vec();
    args.extend(["-c", "20"]);
    let exporter = settled(rig, &args);
    let span = Duration::from_millis(20) * PASSES;
    let before = cpu(&exporter);
    thread::sleep(span);
    let idle = cpu(&exporter) - before;
    let mut client = Client::new(&exporter, "gzip");
    let before = serving(&exporter);
    let began = Instant::now();
    for scrape in 1..=PASSES {
        client.ask();
        client.receive();
        let due = began + Duration::from_millis(20) * scrape;
        thread::sleep(due.saturating_duration_since(Instant::now()));
    }
    let scraped = serving(&exporter) - before;
    let page = exporter.get("/metrics").body;
    let zlib: Duration = (0..PASSES)
        .map(|_| {
            thread::sleep(Duration::from_millis(20));
            let before = thread_time();
            let mut encoder = GzEncoder::new(Vec::new(), Compression::new(1));
            encoder.write_all(page.as_bytes()).expect("memory takes it");
            black_box(encoder.finish().expect("memory takes it"));
            thread_time() - before
        })
        .sum();
    let thousand = 1000.0 / f64::from(PASSES);
    Fresh {
        scrapes: scraped * thousand,
        zlib: zlib.as_secs_f64() * thousand,
        passes: idle * thousand,
    }
}

/// Processor time of this thread.
fn thread_time() -> Duration {
    let time = rustix::time::clock_gettime(rustix::time::ClockId::ThreadCPUTime);
    Duration::new(time.tv_sec.unsigned_abs(), u32::try_from(time.tv_nsec).expect("below a second"))
}

/// Time from the start of the process to the first GPU series over HTTP, in ms, including the start of
/// the fake library.
fn first_series(rig: &Rig, args: &[&str]) -> f64 {
    let began = Instant::now();
    let exporter = rig.start(args);
    while exporter.page().samples("DCGM_FI_DEV_GPU_TEMP").is_empty() {
        thread::sleep(Duration::from_micros(200));
    }
    began.elapsed().as_secs_f64() * 1000.0
}
