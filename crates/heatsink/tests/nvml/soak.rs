//! A soak test: resident memory does not grow while GPUs come and go, many XIDs arrive and counters files
//! are reloaded.
//!
//! `HEATSINK_SOAK_SECONDS` is the duration (20). `cargo xtask nightly` runs it for ten minutes.

use std::time::{Duration, Instant};

use crate::counted::{counted, total};
use crate::rig::{PATIENCE, Rig, up};
use testkit::page::{Page, metric};

/// Allowed growth after the first quarter: memory that the C library keeps of ended threads and of copies
/// of the driver library.
const MOST_GROWTH: f64 = 2.0 * 1024.0 * 1024.0;

/// The fewest rounds in the first quarter.
const WARM: u32 = 16;

fn resident(page: &Page) -> f64 {
    page.value_of(&metric("process_resident_memory_bytes")).expect("it is served")
}

#[test]
fn memory_does_not_grow() {
    let text = std::env::var("HEATSINK_SOAK_SECONDS").unwrap_or_default();
    let length = Duration::from_secs(text.parse().unwrap_or(20));
    let rig = Rig::new().with_kernel_log();
    let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
    // The history fills for an hour; its own tests prove its limits.
    let history = "--history=false";
    let args = ["-c", "200", "-f", "all", "--extra-collectors", &counters, history];
    let exporter = rig.started(&args, 8);
    let (began, mut rounds, mut logged) = (Instant::now(), 0_u32, 0_u64);
    let mut quarter = None;
    // On a slow machine, time alone would be over before each fault was there a few times.
    while began.elapsed() < length || rounds < 4 * WARM {
        rounds += 1;
        let gpu = rounds as usize % 8;
        let fault = format!("gpu {gpu} lost");
        let count = format!("gpus {}", 7 + rounds % 2);
        match rounds % 4 {
            0 => rig.control.set(&[&fault]),
            1 => rig.control.set(&[&count]),
            2 => exporter.signal("HUP"),
            _ => rig.control.clear(),
        }
        let line = |code: u32| {
            format!("NVRM: Xid (PCI:{}): {code}, pid=7, name=x, Ch 1", rig.address(gpu))
        };
        let lines: Vec<String> = (0..50).map(|n| line(13 + n % 100)).collect();
        rig.log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
        logged += 50;
        for _ in 0..3 {
            let answer = exporter.get("/metrics");
            assert_eq!(answer.status, 200);
            Page::parse(&answer.body).expect("a well-formed page");
            std::thread::sleep(Duration::from_millis(20));
        }
        if quarter.is_none() && began.elapsed() > length / 4 && rounds >= WARM {
            quarter = Some(resident(&exporter.page()));
        }
    }
    rig.control.clear();
    exporter.wait_for("all answer", PATIENCE, |page| up(page) == 8);
    let (page, _) = exporter.wait_for("all XIDs", PATIENCE, |page| total(&counted(page)) >= logged);
    assert_eq!(total(&counted(&page)), logged);
    let (first, last) = (quarter.expect("it has passed"), resident(&page));
    println!(
        "{} s, {rounds} rounds, {logged} XIDs counted; resident {:.1} MiB after a quarter, {:.1} MiB \
         at the end, with the test library inside",
        began.elapsed().as_secs(),
        first / 1048576.0,
        last / 1048576.0
    );
    assert!(last < first + MOST_GROWTH, "resident memory grew from {first} to {last} bytes");
}
