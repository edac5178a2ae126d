//! What reading through DCGM keeps resident.
//!
//! The test library runs its engine in this process, and takes 4 MB for each call that fetches values,
//! as the real library does.

use std::time::Duration;

use testkit::exporter::Exporter;
use testkit::page::metric;

use crate::rig::Rig;

const MEBIBYTE: f64 = 1024.0 * 1024.0;

/// The most that eight GPUs and the default set may take.
const MOST: f64 = 14.0 * MEBIBYTE;

/// At least what a release has resident of its files and of the libraries'. A build without
/// optimisation has more than twice as much, which says nothing of a release.
const FILES_OF_A_RELEASE: f64 = 7.5 * MEBIBYTE;

/// Some tens of passes, so that each of the threads that may ask the engine has done so.
const WHILE: Duration = Duration::from_secs(5);

#[test]
fn memory_of_driver_calls_is_freed() {
    let rig = Rig::new();
    let exporter = rig.started(&["-r", "localhost:5555", "-c", "100"], 8);
    std::thread::sleep(WHILE);
    // While a call is under way its message is resident, too; what is kept is there in all pages.
    let pages = (0..5).map(|_| {
        std::thread::sleep(Duration::from_millis(130));
        resident(&exporter)
    });
    let least = pages.fold(f64::INFINITY, f64::min);
    assert!(least < MOST, "{:.1} MiB are resident", least / MEBIBYTE);
}

/// How much is resident, as the page says, in a release.
fn resident(exporter: &Exporter) -> f64 {
    let page = exporter.page();
    let all = page.value_of(&metric("process_resident_memory_bytes")).expect("it is on the page");
    all - (files(exporter.pid()) - FILES_OF_A_RELEASE).max(0.0)
}

/// How much of its files a process has resident, in bytes.
fn files(pid: u32) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status")).expect("it runs");
    let line =
        status.lines().find_map(|line| line.strip_prefix("RssFile:")).expect("Linux says it");
    let kibibytes = line.trim().split(' ').next().and_then(|number| number.parse::<f64>().ok());
    kibibytes.expect("a number") * 1024.0
}
