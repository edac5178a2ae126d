//! Resident memory of heatsink when it reads through DCGM.
//!
//! The fake library runs its engine in the process of heatsink, and allocates 4 MB for each call that
//! fetches values, like the real library.

use std::time::Duration;

use testkit::exporter::Exporter;
use testkit::page::metric;

use crate::rig::Rig;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// Largest resident memory with eight GPUs and the default set, without the history, which grows.
const MOST: f64 = 14.0 * MEBIBYTE;

/// Resident file pages of a release build and its libraries, at least. An unoptimized build has more than
/// twice as much.
const FILES_OF_A_RELEASE: f64 = 7.5 * MEBIBYTE;

/// Enough passes for each thread that may call the engine to do so.
const WHILE: Duration = Duration::from_secs(5);

#[test]
fn memory_of_driver_calls_is_freed() {
    let rig = Rig::new();
    let exporter = rig.started(&["-r", "localhost:5555", "-c", "100", "--history=false"], 8);
    std::thread::sleep(WHILE);
    // During a call, its message is resident, too. Memory that is kept is in all pages.
    let pages = (0..5).map(|_| {
        std::thread::sleep(Duration::from_millis(130));
        resident(&exporter)
    });
    let least = pages.fold(f64::INFINITY, f64::min);
    assert!(least < MOST, "{:.1} MiB are resident", least / MEBIBYTE);
}

/// Resident memory of a release build, computed from the page.
fn resident(exporter: &Exporter) -> f64 {
    let page = exporter.page();
    let all = page.value_of(&metric("process_resident_memory_bytes")).expect("it is on the page");
    all - (files(exporter.pid()) - FILES_OF_A_RELEASE).max(0.0)
}

/// Resident file pages of a process, in bytes.
fn files(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssFile:")).expect("Linux says it");
    let kibibytes = line.trim().split(' ').next().and_then(|number| number.parse::<f64>().ok());
    kibibytes.expect("a number") * 1024.0
}
