//! Faults of GPUs, as a scraper sees them, through NVML and through DCGM.

use std::time::{Duration, Instant};

use testkit::page::{Page, metric};
use testkit::pauses;

use crate::rig::{PATIENCE, Rig, down, is_absent, is_present, up, watch};

#[test]
fn the_page_answers_while_all_gpus_hang() {
    let rig = Rig::new();
    let exporter = rig.started(&[], 8);
    let lines: Vec<String> = (0..8).map(|gpu| format!("gpu {gpu} hang")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    exporter.wait_for("all are down", PATIENCE, |page| up(page) == 0);
    watch(&exporter, Duration::from_secs(2), |page| {
        assert!((0..8).all(|gpu| is_absent(page, gpu)));
        assert_eq!(page.samples("heatsink_gpu_down_info").len(), 8);
    });
    assert_eq!(exporter.get("/ready").status, 503);
    assert_eq!(exporter.get("/health").status, 200);
    rig.control.clear();
    exporter.wait_for("all are back", PATIENCE, |page| up(page) == 8);
}

#[test]
fn a_lost_gpu_is_absent_alone_and_keeps_its_xid() {
    let rig = Rig::new().with_kernel_log();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 2 lost"]);
    rig.xid(2, 79);
    let xid = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "2").value(79.0);
    let (page, _) = exporter.wait_for("GPU 2 alone is lost, by XID 79", PATIENCE, |page| {
        up(page) == 7 && down(page, 2).as_deref() == Some("lost") && xid.is_in(page)
    });
    let others = page
        .all_samples()
        .filter(|sample| sample.name.starts_with("DCGM_FI") && sample.label("gpu") == Some("2"));
    assert!(others.into_iter().all(|sample| sample.name == "DCGM_FI_DEV_XID_ERRORS"));
    let message = xid.label("err_code", "79").label("err_msg", "GPU has fallen off the bus");
    message.assert_in(&page);
    metric("heatsink_xid_errors_total").label("gpu", "2").label("xid", "79").assert_in(&page);
    rig.control.set(&["gpu 2 xid 79"]);
    exporter.wait_for("GPU 2 is back", PATIENCE, |page| is_present(page, 2));
}

#[test]
fn all_gpus_are_lost_and_come_back() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let lines: Vec<String> = (0..8).map(|gpu| format!("gpu {gpu} lost")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    let (page, _) = exporter.wait_for("all are down", PATIENCE, |page| up(page) == 0);
    assert!((0..8).all(|gpu| is_absent(&page, gpu)));
    rig.control.clear();
    exporter.wait_for("all are back", PATIENCE, |page| up(page) == 8);
}

#[test]
fn a_gpu_lost_at_the_start_has_a_reason_and_comes_back() {
    let rig = Rig::new();
    rig.control.set(&["gpu 1 lost"]);
    let exporter = rig.started(&["-c", "200"], 7);
    let is_lost = |page: &Page| down(page, 1).as_deref() == Some("lost");
    exporter.wait_for("GPU 1 is lost", PATIENCE, is_lost);
    rig.control.clear();
    exporter.wait_for("GPU 1 answers", PATIENCE, |page| is_present(page, 1));
}

#[test]
fn gpus_come_and_go() {
    let rig = Rig::new();
    rig.control.set(&["gpus 6"]);
    let exporter = rig.started(&["-c", "200"], 6);
    assert_eq!(exporter.page().samples("heatsink_gpu_up").len(), 6);
    rig.control.clear();
    exporter.wait_for("eight GPUs answer", PATIENCE, |page| up(page) == 8);
    rig.control.set(&["gpus 7"]);
    let (page, _) = exporter.wait_for("GPU 7 alone is missed", PATIENCE, |page| {
        up(page) == 7 && down(page, 7).as_deref() == Some("missing")
    });
    assert!(is_absent(&page, 7));
}

#[test]
fn a_new_session_makes_no_gap() {
    let rig = Rig::new();
    rig.control.set(&["gpus 7"]);
    let exporter = rig.started(&[], 7);
    let rates = ["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_PROF_SM_ACTIVE"];
    exporter
        .wait_for("rates", PATIENCE, |page| rates.iter().all(|name| page.samples(name).len() == 7));
    rig.control.clear();
    let began = Instant::now();
    let mut grown = false;
    while began.elapsed() < Duration::from_secs(6) || (!grown && began.elapsed() < PATIENCE) {
        let page = exporter.page();
        assert!((0..7).all(|gpu| is_present(&page, gpu)), "a gap");
        for name in rates {
            assert!(page.samples(name).len() >= 7, "a gap in {name}");
        }
        grown |= up(&page) == 8;
        pauses::sleep(Duration::from_millis(10));
    }
    assert!(grown, "GPU 7 never came");
}

#[test]
fn served_readings_are_recent() {
    let rig = Rig::new();
    let exporter = rig.started(&["--extra-collectors", "monitoring"], 8);
    // Long enough to detect a source whose readings are one interval old when they are served.
    pauses::sleep(Duration::from_secs(3));
    let stamp = metric("heatsink_gpu_last_success_timestamp_seconds").label("gpu", "4");
    let mut youngest = f64::MAX;
    for _ in 0..40 {
        let timestamp = exporter.page().value_of(&stamp).expect("GPU 4 has succeeded");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        youngest = youngest.min(now.expect("after 1970").as_secs_f64() - timestamp);
        pauses::sleep(Duration::from_millis(50));
    }
    assert!(youngest < 0.5, "no reading was ever younger than {youngest} s");
}

#[test]
fn enabling_and_disabling_mig_changes_the_series() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let utilization = metric("DCGM_FI_DEV_GPU_UTIL").label("gpu", "6");
    exporter.wait_for("utilisation is there", PATIENCE, |page| utilization.is_in(page));
    rig.control.set(&["gpu 6 mig on"]);
    exporter.wait_for("utilisation alone is gone", PATIENCE, |page| {
        utilization.absent_from(page) && is_present(page, 6)
    });
    rig.control.clear();
    // When the driver reports a MIG change, a slow pass checks again which fields are supported.
    let patience = PATIENCE + Duration::from_secs(10);
    exporter.wait_for("utilisation is back", patience, |page| utilization.is_in(page));
}

#[test]
fn a_burst_of_xids_is_counted() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let quiet = metric("DCGM_FI_DEV_XID_ERRORS")
        .label("err_code", "0")
        .label("err_msg", "No Error")
        .value(0.0);
    exporter.wait_for("all listen", PATIENCE, |page| quiet.find_in(page).len() == 8);
    let codes = [13, 31, 43, 45, 48, 63, 64, 74, 94, 95];
    let lines: Vec<String> =
        (0..1000).map(|n| format!("gpu {} xid {}", n % 8, codes[n / 8 % 10])).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    let total = |page: &Page| -> f64 {
        page.samples("heatsink_xid_errors_total").iter().map(|sample| sample.value).sum()
    };
    exporter.wait_for("a thousand events", PATIENCE, |page| total(page) == 1000.0);
    pauses::sleep(Duration::from_millis(500));
    let page = exporter.page();
    assert_eq!(total(&page), 1000.0);
    for gpu in 0..8u32 {
        let last = lines.iter().rev().find(|line| line.starts_with(&format!("gpu {gpu} ")));
        let last: f64 = last.and_then(|line| line.rsplit(' ').next()).unwrap().parse().unwrap();
        let gauge = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", gpu.to_string());
        gauge.value(last).assert_in(&page);
    }
}

#[test]
fn xids_are_counted_once_across_sessions() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let listening = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "3");
    exporter.wait_for("GPU 3 is listened to", PATIENCE, |page| listening.is_in(page));
    let count = metric("heatsink_xid_errors_total").label("gpu", "3").label("xid", "94");
    let is = |number: f64| {
        let count = count.clone();
        move |page: &Page| page.value_of(&count) == Some(number)
    };
    rig.control.set(&["gpu 3 xid 94", "gpu 3 xid 94"]);
    exporter.wait_for("two events", PATIENCE, is(2.0));
    rig.control.set(&["gpu 3 xid 94", "gpu 3 xid 94", "gpus 7"]);
    exporter.wait_for("a new session", PATIENCE, |page| down(page, 7).is_some());
    rig.control.set(&["gpu 3 xid 94", "gpu 3 xid 94", "gpu 3 xid 94"]);
    exporter.wait_for("one more event", PATIENCE, is(3.0));
    exporter.wait_for("another session", PATIENCE, |page| up(page) == 8);
    pauses::sleep(Duration::from_secs(1));
    assert_eq!(exporter.page().value_of(&count), Some(3.0), "{}", exporter.log());
}

#[test]
fn heatsink_stops_within_two_seconds_with_a_stuck_reader() {
    for fault in [None, Some("gpu 3 hang"), Some("init hang")] {
        let rig = Rig::new();
        if fault == Some("init hang") {
            rig.control.set(&["init hang"]);
        }
        let exporter = rig.start(&["-c", "200"]);
        if fault != Some("init hang") {
            exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
        }
        if let Some(line) = fault {
            rig.control.set(&[line]);
            pauses::sleep(Duration::from_millis(500));
        }
        let (status, took, log) = exporter.terminate();
        assert!(status.success(), "{fault:?}: {status}\n{log}");
        assert!(took < Duration::from_secs(2), "{fault:?}: stopped after {took:?}\n{log}");
    }
}

/// No reading is served for so long: a pass that takes five seconds or longer, as one that is under way when
/// the process stops, counts as a cadence of five seconds, and a reading is late after two periods.
const STANDSTILL: Duration = Duration::from_secs(11);

#[test]
fn a_resumed_process_serves_no_old_readings() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let lines: Vec<String> = (0..8).map(|gpu| format!("gpu {gpu} hang")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    exporter.signal("STOP");
    rig.control.set(&lines);
    pauses::sleep(STANDSTILL);
    exporter.signal("CONT");
    let page = exporter.page();
    assert!((0..8).all(|gpu| is_absent(&page, gpu)), "old readings after a standstill");
}
