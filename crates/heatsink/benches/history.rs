//! The cost of the history: processor time, memory, bytes written and the latency of a GET, with and
//! without it in one run; and how long reports of a week take.
//!
//! `cargo bench -p heatsink --bench history` prints each figure with its target. Nothing is asserted, because
//! figures depend on the load of the machine.

mod measure;
#[path = "../tests/rig/mod.rs"]
mod rig;
#[path = "history/week.rs"]
mod week;

use std::fs;
use std::path::Path;
use std::thread;
use std::time::{Duration, Instant};

use measure::{better, complete, cpu, cpu_of, latencies, machine, percentile, resident, row};
use rig::{BINARY, Rig};
use tempfile::TempDir;
use testkit::exporter::{Exporter, run};

/// Processor time and bytes are counted over this time.
const SPAN: Duration = Duration::from_secs(60);

const MIB: f64 = 1024.0 * 1024.0;

/// A day in spans.
const SPANS_A_DAY: f64 = 24.0 * 3600.0 / 60.0;

fn main() {
    println!("machine: {}", machine());
    println!("8 GPUs of the fake driver, whose own processor time is included\n");
    println!("{:58} {:>12}  target", "figure", "measured");
    let rig = Rig::new();
    let folder = TempDir::new().expect("a temporary folder");
    let history = folder.path().join("history");
    let place = history.display().to_string();

    let without = Cost::of(&rig, &["--history=false"], None);
    let memory = Cost::of(&rig, &["--history-dir", "none"], None);
    let disk = Cost::of(&rig, &["--history-dir", &place], Some(&history));
    for (name, cost) in
        [("without", &without), ("in memory", &memory), ("in memory and on disk", &disk)]
    {
        println!();
        row(&format!("{name}: CPU, all threads (% of a core)"), cost.cpu_percent, "");
        row(&format!("{name}: resident memory (MiB)"), cost.resident_mib, "");
        row(&format!("{name}: GET p50, gzip (ms)"), cost.p50_ms, "<= 0.15");
        row(&format!("{name}: GET p99, gzip (ms)"), cost.p99_ms, "<= 0.5");
    }
    println!();
    row("CPU of the threads of the history (% of a core)", disk.history_percent, "<= 0.2");
    row("more CPU, all threads (% of a core)", disk.cpu_percent - without.cpu_percent, "");
    row("more resident memory (MiB)", disk.resident_mib - without.resident_mib, "");
    row("GET p99 as a multiple of that without", disk.p99_ms / without.p99_ms, "<= 1.1");
    row("growth of the folder, steady (MB a day)", disk.grown * SPANS_A_DAY / 1e6, "<= 40");
    row("written to disk (MB a minute)", disk.written / 1e6, "<= 1");

    let week = week::record(&folder.path().join("week"));
    println!("\na week: 8 GPUs x {} signals x 1 s x 7 d, noisier than a steady job", week.signals);
    row("memory of the last hour (MiB)", week.memory_bytes as f64 / MIB, "<= 2");
    row("folder (MB a day)", week.folder_bytes as f64 / 7.0 / 1e6, "<= 40");
    let folder = folder.path().join("week").display().to_string();
    row("heatsink report --last (s)", timed(&["report", "--last"], &folder), "<= 1");
    row("heatsink incidents (s)", timed(&["incidents"], &folder), "");
    let hour = ["history", "export", "--format", "openmetrics", "--from", "-1h"];
    row("heatsink history export of an hour (s)", timed(&hour, &folder), "");
}

/// What a running heatsink costs.
struct Cost {
    cpu_percent: f64,
    /// The part of it by the threads `history` and `history disk`.
    history_percent: f64,
    resident_mib: f64,
    p50_ms: f64,
    p99_ms: f64,
    /// By how many bytes its folder grew in a span.
    grown: f64,
    /// How many bytes it had the kernel write to disk in a span.
    written: f64,
}

impl Cost {
    fn of(rig: &Rig, args: &[&str], folder: Option<&Path>) -> Self {
        let exporter = complete(rig, args, 8);
        let in_folder = || folder.map_or(0.0, |folder| bytes(folder) as f64);
        let of_history = || cpu_of(&exporter, |name| name.starts_with("history"));
        let (spent, spent_on_history) = (cpu(&exporter), of_history());
        let (grown, written) = (in_folder(), written(&exporter));
        let began = Instant::now();
        thread::sleep(SPAN);
        let passed = began.elapsed().as_secs_f64();
        let cpu_percent = (cpu(&exporter) - spent) / passed * 100.0;
        let history_percent = (of_history() - spent_on_history) / passed * 100.0;
        let grown = (in_folder() - grown) * SPAN.as_secs_f64() / passed;
        let written = (self::written(&exporter) - written) * SPAN.as_secs_f64() / passed;
        let (one, other) = (latencies(&exporter, "gzip"), latencies(&exporter, "gzip"));
        Self {
            cpu_percent,
            history_percent,
            resident_mib: resident(&exporter),
            p50_ms: better(&one, &other, 50),
            p99_ms: percentile(&one, 99).min(percentile(&other, 99)),
            grown,
            written,
        }
    }
}

/// Bytes that a process had written to disk so far; 0 where the kernel does not count them.
fn written(exporter: &Exporter) -> f64 {
    let counts = fs::read_to_string(format!("/proc/{}/io", exporter.pid())).unwrap_or_default();
    let count = counts.lines().find_map(|line| line.strip_prefix("write_bytes: "));
    count.and_then(|count| count.parse().ok()).unwrap_or(0.0)
}

/// Bytes of all files below a folder.
fn bytes(folder: &Path) -> u64 {
    let entries = fs::read_dir(folder).into_iter().flatten().flatten();
    entries
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => bytes(&entry.path()),
            Ok(meta) => meta.len(),
            // Removed meanwhile.
            Err(_) => 0,
        })
        .sum()
}

/// How long a command takes, in seconds: the better of three runs.
fn timed(args: &[&str], folder: &str) -> f64 {
    let args = [args, &["--history-dir", folder]].concat();
    let time = || {
        let began = Instant::now();
        let output = run(BINARY, &args, &[]);
        let took = began.elapsed().as_secs_f64();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        took
    };
    (0..3).map(|_| time()).fold(f64::INFINITY, f64::min)
}
