//! Measures a running exporter from outside: latency, processor time, memory.

#![allow(dead_code, reason = "each bench uses its own part of it")]

use std::fs;
use std::io::{Read, Write};
use std::net::TcpStream;
use std::thread;
use std::time::{Duration, Instant};

use testkit::exporter::Exporter;

use crate::rig::Rig;

/// Scrapes per latency measurement.
pub(crate) const SCRAPES: usize = 10_000;

/// Prints a figure beside its target.
pub(crate) fn row(figure: &str, measured: f64, target: &str) {
    let value = if measured >= 100.0 { format!("{measured:.0}") } else { format!("{measured:.3}") };
    println!("{figure:58} {value:>12}  {target}");
}

/// The processor, and how many cores it has.
pub(crate) fn machine() -> String {
    let info = fs::read_to_string("/proc/cpuinfo").unwrap_or_default();
    let model = info.lines().find_map(|line| line.strip_prefix("model name")?.split_once(": "));
    let cores = thread::available_parallelism().map_or(0, usize::from);
    format!("{}, {cores} cores", model.map_or("unknown processor", |(_, name)| name))
}

/// An exporter whose page no longer grows.
pub(crate) fn complete(rig: &Rig, args: &[&str], gpus: usize) -> Exporter {
    let exporter = rig.started(args, gpus);
    let mut before = 0;
    for _ in 0..20 {
        thread::sleep(Duration::from_millis(1500));
        let now = exporter.page().all_samples().count();
        if now == before {
            break;
        }
        before = now;
    }
    exporter
}

/// A minimal client that keeps its connection.
pub(crate) struct Client {
    stream: TcpStream,
    request: Vec<u8>,
    buffer: Vec<u8>,
}

impl Client {
    pub(crate) fn new(exporter: &Exporter, encoding: &str) -> Self {
        let address = exporter.url().trim_start_matches("http://");
        let stream = TcpStream::connect(address).expect("it listens");
        stream.set_nodelay(true).expect("a socket option");
        let request = format!(
            "GET /metrics HTTP/1.1\r\nHost: {address}\r\nAccept-Encoding: {encoding}\r\n\r\n"
        );
        Self { stream, request: request.into_bytes(), buffer: vec![0; 16 * 1024 * 1024] }
    }

    pub(crate) fn ask(&mut self) {
        self.stream.write_all(&self.request).expect("it reads");
    }

    /// Reads a response, and returns its length in bytes.
    pub(crate) fn receive(&mut self) -> usize {
        let mut filled = 0;
        let mut length = None;
        while length.is_none_or(|length| filled < length) {
            let read = self.stream.read(&mut self.buffer[filled..]).expect("it answers");
            assert!(read > 0, "the connection was closed");
            filled += read;
            if length.is_none() {
                length = whole_length(&self.buffer[..filled]);
            }
        }
        filled
    }
}

/// The length of the whole response, once its head has been read.
pub(crate) fn whole_length(answer: &[u8]) -> Option<usize> {
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n")? + 4;
    let text = std::str::from_utf8(&answer[..head]).expect("a head is text");
    assert!(text.starts_with("HTTP/1.1 200"), "{text}");
    let length = text.lines().find_map(|line| line.strip_prefix("content-length: "));
    Some(head + length.expect("a length").parse::<usize>().expect("a number"))
}

/// Latencies of sequential scrapes on one connection, in ms, sorted.
pub(crate) fn latencies(exporter: &Exporter, encoding: &str) -> Vec<f64> {
    let mut client = Client::new(exporter, encoding);
    let mut times: Vec<f64> = (0..SCRAPES)
        .map(|_| {
            let began = Instant::now();
            client.ask();
            client.receive();
            began.elapsed().as_secs_f64() * 1000.0
        })
        .collect();
    times.sort_by(f64::total_cmp);
    times
}

/// The value that this share of the sorted values is below.
pub(crate) fn percentile(sorted: &[f64], percent: usize) -> f64 {
    sorted[(sorted.len() * percent / 100).min(sorted.len() - 1)]
}

/// The better of two rounds: the worse one depends on the load of the machine.
pub(crate) fn better(one: &[f64], other: &[f64], percent: usize) -> f64 {
    percentile(one, percent).min(percentile(other, percent))
}

/// Processor time of the exporter so far, all threads, in seconds; the kernel counts it in ns.
pub(crate) fn cpu(exporter: &Exporter) -> f64 {
    cpu_of(exporter, |_| true)
}

/// The same of the threads with some names.
pub(crate) fn cpu_of(exporter: &Exporter, is_counted: impl Fn(&str) -> bool) -> f64 {
    let tasks = fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("its threads");
    let nanos = tasks.filter_map(|task| {
        let task = task.ok()?.path();
        let name = fs::read_to_string(task.join("comm")).ok()?;
        let text = fs::read_to_string(task.join("schedstat")).ok()?;
        is_counted(name.trim_end()).then(|| text.split(' ').next()?.parse::<u64>().ok())?
    });
    nanos.sum::<u64>() as f64 / 1e9
}

/// Resident memory without the fake library: without its file, and without the heap and the 64 MiB arenas
/// of the C library, where the fake library allocates. heatsink uses another allocator.
pub(crate) fn resident(exporter: &Exporter) -> f64 {
    const ARENA: u64 = 64 * 1024 * 1024;
    let maps = fs::read_to_string(format!("/proc/{}/smaps", exporter.pid())).expect("its mappings");
    let (mut kibibytes, mut counts) = (0.0, true);
    for line in maps.lines() {
        let mut words = line.split_whitespace();
        match (words.next(), words.next()) {
            (Some("Rss:"), Some(size)) if counts => {
                kibibytes += size.parse::<f64>().expect("a number");
            }
            (Some(range), Some(_)) if range.contains('-') && !range.ends_with(':') => {
                let begin = range.split('-').next().expect("an address");
                let begin = u64::from_str_radix(begin, 16).expect("an address");
                let name = line.split_whitespace().nth(5).unwrap_or_default();
                let is_arena = name.is_empty() && begin % ARENA == 0;
                counts = name != "[heap]" && !name.contains("libnvidia-ml") && !is_arena;
            }
            _ => {}
        }
    }
    kibibytes / 1024.0
}
