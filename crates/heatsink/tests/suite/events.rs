//! XIDs: each is counted exactly once, through NVML and through DCGM.

use std::collections::BTreeMap;
use std::time::Duration;

use testkit::page::{Page, metric};
use testkit::pauses;

use crate::counted::{counted, total};

use crate::rig::{PATIENCE, Rig, through_dcgm};

/// A thousand events of 20 codes on 8 GPUs, and the expected counts.
fn burst() -> (Vec<String>, BTreeMap<(u32, u32), u64>) {
    let mut lines = Vec::new();
    let mut expected = BTreeMap::new();
    for event in 0..1000_u32 {
        let (gpu, code) = (event * 7 % 8, 10 + event * event % 20);
        lines.push(format!("gpu {gpu} xid {code}"));
        *expected.entry((gpu, code)).or_insert(0) += 1;
    }
    (lines, expected)
}

#[test]
fn a_thousand_events_within_a_second_are_counted_exactly() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let (lines, expected) = burst();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    let (page, took) =
        exporter.wait_for("all are counted", PATIENCE, |page| total(&counted(page)) >= 1000);
    assert_eq!(counted(&page), expected);
    assert!(took < Duration::from_secs(5), "it took {took:?}");
    // No more events follow.
    pauses::sleep(Duration::from_secs(2));
    assert_eq!(counted(&exporter.page()), expected);
}

#[test]
fn a_repeated_xid_counts_two_and_has_a_time() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let of_31 = metric("heatsink_xid_errors_total").label("gpu", "0").label("xid", "31");
    let stamp = metric("heatsink_xid_last_timestamp_seconds").label("gpu", "0").label("xid", "31");
    stamp.assert_absent_from(&exporter.page());
    rig.control.set(&["gpu 0 xid 31"]);
    let (page, _) =
        exporter.wait_for("the first", PATIENCE, |page| page.value_of(&of_31) == Some(1.0));
    let first = page.value_of(&stamp).expect("it has a time");
    pauses::sleep(Duration::from_millis(1100));
    rig.control.add(&["gpu 0 xid 31"]);
    let (page, _) =
        exporter.wait_for("the second", PATIENCE, |page| page.value_of(&of_31) == Some(2.0));
    assert!(page.value_of(&stamp).expect("a time") > first + 1.0);
    let info = metric("heatsink_xid_info").label("xid", "31").label("class", "restart_application");
    info.value(1.0).assert_in(&page);
}

#[test]
fn critical_xids_are_counted_together_from_0() {
    let critical = |count: f64| {
        metric("heatsink_xid_critical_errors_total").label("gpu", "5").without("xid").value(count)
    };
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let (page, _) = exporter.wait_for("it listens", PATIENCE, |page| critical(0.0).is_in(page));
    let source = if through_dcgm() { "dcgm" } else { "nvml_events" };
    metric("heatsink_xid_source_info").label("source", source).value(1.0).assert_in(&page);
    metric("heatsink_xid_errors_total").assert_absent_from(&page);
    rig.control.set(&["gpu 5 xid 31", "gpu 5 xid 48", "gpu 5 xid 95", "gpu 5 xid 48"]);
    let (page, _) =
        exporter.wait_for("all are counted", PATIENCE, |page| total(&counted(page)) == 4);
    critical(3.0).assert_in(&page);
    drop(exporter);

    let rig = Rig::new().with_kernel_log();
    let exporter = rig.started(&["-c", "200"], 8);
    // Until the log is open, events may be counted.
    let source = metric("heatsink_xid_source_info").label("source", "kernel_log");
    let (page, _) = exporter.wait_for("it reads the log", PATIENCE, |page| {
        critical(0.0).is_in(page) && source.is_in(page)
    });
    assert_eq!(page.samples("heatsink_xid_source_info").len(), 1);
    rig.log(&[&format!("NVRM: Xid (PCI:{}): 79, pid=1, name=x, y", rig.address(5))]);
    let (page, _) = exporter.wait_for("it is counted", PATIENCE, |page| critical(1.0).is_in(page));
    metric("heatsink_xid_info").label("xid", "79").label("class", "restart_node").assert_in(&page);
}

/// Rows for the tests that reload a counters file repeatedly.
const COUNTED: &str = "DCGM_FI_DEV_GPU_TEMP, gauge, H.\nheatsink_xid_errors_total, counter, X.\n";

#[test]
fn events_during_a_reload_are_counted_exactly() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", COUNTED);
    let exporter = rig.started(&["-c", "200", "-f", &counters], 8);
    let (lines, expected) = burst();
    let mut names = ["DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_SM_CLOCK"].iter().cycle();
    for chunk in lines.chunks(50) {
        let chunk: Vec<&str> = chunk.iter().map(String::as_str).collect();
        rig.control.add(&chunk);
        let name = names.next().expect("they go round");
        rig.file("counters.csv", format!("{COUNTED}{name}, gauge, N.\n"));
        exporter.signal("HUP");
        pauses::sleep(Duration::from_millis(60));
    }
    let (page, _) =
        exporter.wait_for("all are counted", PATIENCE, |page| total(&counted(page)) >= 1000);
    assert_eq!(counted(&page), expected);
    let last = metric("DCGM_FI_DEV_SM_CLOCK");
    exporter.wait_for("the last file is in force", PATIENCE, |page| last.is_in(page));
}

#[test]
fn a_reload_makes_no_gap_and_a_broken_file_changes_nothing() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
    // So long that no reader that stands for a second or two makes a gap.
    let exporter = rig.started(&["-c", "2000", "-f", &counters], 8);
    let temperatures = |page: &Page| page.samples("DCGM_FI_DEV_GPU_TEMP").len();
    exporter.wait_for("all show heat", PATIENCE, |page| temperatures(page) == 8);
    for round in 0..10 {
        let more = if round % 2 == 0 { "DCGM_FI_DEV_POWER_USAGE, gauge, P.\n" } else { "" };
        rig.file("counters.csv", format!("{more}DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n"));
        exporter.signal("HUP");
        for _ in 0..20 {
            assert_eq!(temperatures(&exporter.page()), 8, "a gap in round {round}");
            pauses::sleep(Duration::from_millis(20));
        }
    }
    std::fs::remove_file(&counters).expect("it is there");
    exporter.signal("HUP");
    let failed = metric("heatsink_config_last_reload_successful").value(0.0);
    let (page, _) = exporter.wait_for("it is refused", PATIENCE, |page| failed.is_in(page));
    assert_eq!(temperatures(&page), 8);
    let said = "the configuration stays as it was";
    exporter.logged(said, PATIENCE);
}

#[test]
fn an_endless_log_file_delays_no_scrape_and_no_stop() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
    let exporter = rig.started(&["-f", &counters], 8);
    std::fs::remove_file(&counters).expect("it is there");
    // Opening a pipe for reading blocks until it has a writer.
    let made = std::process::Command::new("mkfifo").arg(&counters).status();
    assert!(made.expect("mkfifo is there").success());
    let heat = metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "7");
    for _ in 0..3 {
        exporter.signal("HUP");
        pauses::sleep(Duration::from_millis(100));
        exporter.wait_for("GPU 7 is read", PATIENCE, |page| heat.is_in(page));
    }
    let (status, took, _) = exporter.terminate();
    assert!(status.success());
    assert!(took < Duration::from_secs(2), "it took {took:?}");
}

#[test]
fn xids_from_before_the_start_are_counted() {
    let rig = Rig::machine("h100x2").with_kernel_log();
    let (first, second) = (rig.address(0), rig.address(1));
    let old = format!(
        "4,1,1000,-;NVRM: Xid (PCI:{first}): 79, pid=1, GPU has fallen off the bus.\n\
         6,2,2000,-;usb 1-1: new device\n\
         4,3,3000,-;NVRM: Xid (PCI:{second}): 145, RLW_CTRL Nonfatal XC0 i0 Link 04 (0x4)\n\
         4,4,4000,-;NVRM: Xid (PCI:00ff:ff:1f): 48, of no GPU here\n"
    );
    std::fs::write(rig.kernel_log(), old).expect("the log can be written");
    let exporter = rig.started(&["-c", "200"], 2);
    let (page, _) =
        exporter.wait_for("both are counted", PATIENCE, |page| total(&counted(page)) == 2);
    assert_eq!(counted(&page), BTreeMap::from([((0, 79), 1), ((1, 145), 1)]));
    let link = metric("heatsink_nvlink_xid_errors_total").label("gpu", "1").label("nvlink", "4");
    link.label("unit", "RLW_CTRL").label("severity", "nonfatal").value(1.0).assert_in(&page);

    // The driver also raises an event for the next XID. It is counted once.
    rig.control.set(&["gpu 1 xid 149"]);
    rig.log(&[&format!("NVRM: Xid (PCI:{second}): 149, NETIR Fatal XC0 Link 7")]);
    let fault = metric("heatsink_nvlink_xid_errors_total").label("gpu", "1").label("nvlink", "7");
    let (page, _) = exporter.wait_for("the detail is there", PATIENCE, |page| {
        fault.is_in(page) && total(&counted(page)) == 3
    });
    assert_eq!(counted(&page)[&(1, 149)], 1);
    pauses::sleep(Duration::from_secs(1));
    assert_eq!(counted(&exporter.page())[&(1, 149)], 1, "counted once");
}
