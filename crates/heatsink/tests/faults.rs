//! What happens to the page when GPUs and drivers misbehave, as a scraper sees it.

mod rig;

use std::time::{Duration, Instant};

use rig::{PATIENCE, Rig, down, is_absent, is_present, up};
use testkit::exporter::Exporter;
use testkit::page::{Page, metric};

/// No scrape may take longer, whatever a GPU does.
const SCRAPE: Duration = Duration::from_secs(1);

/// Watches a running exporter for `time`; every page must satisfy `always`.
fn watch(exporter: &Exporter, time: Duration, always: impl Fn(&Page)) {
    let until = Instant::now() + time;
    while Instant::now() < until {
        let answer = exporter.get("/metrics");
        assert!(answer.took < SCRAPE, "a scrape took {:?}", answer.took);
        assert_eq!(answer.status, 200);
        always(&Page::parse(&answer.body).expect("a well-formed page"));
        std::thread::sleep(Duration::from_millis(50));
    }
}

#[test]
fn one_hung_gpu_is_absent_alone_and_comes_back() {
    let rig = Rig::new();
    let exporter = rig.started(&[], 8);
    rig.control.set(&["gpu 3 hang"]);
    let (page, _) = exporter.wait_for("GPU 3 is down", PATIENCE, |page| up(page) == 7);
    assert_eq!(down(&page, 3).as_deref(), Some("late"));
    watch(&exporter, Duration::from_secs(4), |page| {
        assert!(is_absent(page, 3));
        metric("heatsink_gpu_up").label("gpu", "3").value(0.0).assert_in(page);
        for gpu in [0, 1, 2, 4, 5, 6, 7] {
            assert!(is_present(page, gpu), "GPU {gpu} suffers with GPU 3");
            metric("heatsink_gpu_up").label("gpu", gpu.to_string()).value(1.0).assert_in(page);
        }
    });
    assert_eq!(exporter.get("/ready").status, 200);
    rig.control.clear();
    let (page, _) = exporter.wait_for("GPU 3 is back", PATIENCE, |page| is_present(page, 3));
    assert_eq!(up(&page), 8);
    metric("heatsink_gpu_down_info").assert_absent_from(&page);
    assert_eq!(exporter.log().matches("a driver call does not come back").count(), 1);
}

#[test]
fn the_others_keep_their_cadence_while_one_hangs() {
    let rig = Rig::new().with("FAKE_NVML_SPEED", "1");
    let exporter = rig.started(&["-c", "500"], 8);
    rig.control.set(&["gpu 0 hang"]);
    exporter.wait_for("GPU 0 is down", PATIENCE, |page| up(page) == 7);
    let stamp = |page: &Page| {
        let wanted = metric("heatsink_gpu_last_success_timestamp_seconds").label("gpu", "7");
        page.value_of(&wanted).expect("GPU 7 has succeeded")
    };
    let first = stamp(&exporter.page());
    std::thread::sleep(Duration::from_secs(3));
    let passed = stamp(&exporter.page()) - first;
    assert!((2.0..4.5).contains(&passed), "GPU 7 was read for {passed} s in 3 s");
}

#[test]
fn all_hung_all_absent_and_the_page_still_answers() {
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
fn a_gpu_that_hangs_from_the_start_keeps_nobody_waiting() {
    let rig = Rig::new();
    rig.control.set(&["gpu 5 hang"]);
    let exporter = rig.started(&[], 7);
    let (page, _) = exporter
        .wait_for("GPU 5 is named", PATIENCE, |page| down(page, 5).as_deref() == Some("late"));
    assert!(is_absent(&page, 5));
    rig.control.clear();
    exporter.wait_for("GPU 5 answers", PATIENCE, |page| is_present(page, 5));
}

#[test]
fn one_lost_gpu_is_absent_alone_but_its_xid_is_shown() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 2 xid 79", "gpu 2 lost"]);
    let xid = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "2").value(79.0);
    let (page, _) = exporter.wait_for("GPU 2 is lost, by XID 79", PATIENCE, |page| {
        down(page, 2).as_deref() == Some("lost") && xid.is_in(page)
    });
    assert_eq!(up(&page), 7);
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
fn all_lost_and_back() {
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
fn a_gpu_lost_at_the_start_is_named_and_awaited() {
    let rig = Rig::new();
    rig.control.set(&["gpu 1 lost"]);
    let exporter = rig.started(&["-c", "200"], 7);
    let page = exporter.page();
    assert_eq!(down(&page, 1).as_deref(), Some("lost"));
    rig.control.clear();
    exporter.wait_for("GPU 1 answers", PATIENCE, |page| is_present(page, 1));
}

#[test]
fn the_library_may_come_later() {
    let rig = Rig::without_library();
    let exporter = rig.start(&["-c", "200"]);
    let page = exporter.page();
    metric("heatsink_source_up").label("source", "nvml").value(0.0).assert_in(&page);
    assert_eq!(exporter.get("/health").status, 200);
    let ready = exporter.get("/ready");
    assert_eq!(ready.status, 503);
    assert!(ready.body.contains("libnvidia-ml.so.1"), "{}", ready.body);
    rig.install();
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    assert_eq!(exporter.get("/ready").status, 200);
}

#[test]
fn a_driver_mismatch_is_said_once_and_survived() {
    let rig = Rig::new();
    rig.control.set(&["init mismatch"]);
    let exporter = rig.start(&["-c", "200"]);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        metric("heatsink_source_up").value(0.0).assert_in(&exporter.page());
        std::thread::sleep(Duration::from_millis(200));
    }
    assert_eq!(exporter.log().matches("different versions").count(), 1, "{}", exporter.log());
    rig.control.clear();
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    // And while it runs, as when the driver is replaced under it.
    rig.control.set(&["init mismatch"]);
    let (page, _) = exporter.wait_for("the source is down", PATIENCE, |page| {
        metric("heatsink_source_up").value(0.0).is_in(page)
    });
    assert!((0..8).all(|gpu| is_absent(&page, gpu)));
    assert_eq!(page.samples("heatsink_gpu_up").len(), 8, "known GPUs stay known");
    rig.control.set(&["driver 570.86.10"]);
    let new = metric("heatsink_source_info").label("driver_version", "570.86.10");
    exporter.wait_for("the new driver is read", PATIENCE, |page| up(page) == 8 && new.is_in(page));
    let label = metric("DCGM_FI_DEV_GPU_TEMP").label("DCGM_FI_DRIVER_VERSION", "570.86.10");
    exporter.wait_for("the label follows", PATIENCE, |page| label.is_in(page));
}

#[test]
fn a_driver_that_does_not_come_up_is_no_reason_to_wait() {
    let rig = Rig::new();
    rig.control.set(&["init hang"]);
    let exporter = rig.start(&["-c", "200"]);
    watch(&exporter, Duration::from_secs(1), |page| {
        metric("heatsink_source_up").value(0.0).assert_in(page);
    });
    rig.control.clear();
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
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
    let (page, _) = exporter
        .wait_for("GPU 7 is missed", PATIENCE, |page| down(page, 7).as_deref() == Some("missing"));
    assert_eq!(up(&page), 7);
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
    let until = Instant::now() + Duration::from_secs(6);
    let mut grown = false;
    while Instant::now() < until {
        let page = exporter.page();
        assert!((0..7).all(|gpu| is_present(&page, gpu)), "a gap");
        for name in rates {
            assert!(page.samples(name).len() >= 7, "a gap in {name}");
        }
        grown |= up(&page) == 8;
        std::thread::sleep(Duration::from_millis(10));
    }
    assert!(grown, "GPU 7 never came");
}

#[test]
fn a_replaced_library_is_opened_anew_even_beside_a_stuck_call() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 4 hang"]);
    exporter.wait_for("GPU 4 is down", PATIENCE, |page| up(page) == 7);
    // As a package manager does it: a new file, renamed over the old one.
    let fresh = rig.library().with_extension("new");
    std::fs::copy(rig.library(), &fresh).expect("the library can be copied");
    std::fs::rename(&fresh, rig.library()).expect("the library can be replaced");
    rig.control.set(&["gpu 4 hang", "driver 570.86.10"]);
    let new = metric("heatsink_source_info").label("driver_version", "570.86.10");
    exporter.wait_for("the new library is read", PATIENCE, |page| up(page) == 7 && new.is_in(page));
    assert!(exporter.log().contains("the driver library was replaced"));
    rig.control.set(&["driver 570.86.10"]);
    exporter.wait_for("GPU 4 is back", PATIENCE, |page| up(page) == 8);
}

#[test]
fn a_new_library_that_does_not_start_yet_takes_nothing_away() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    // A driver package upgraded on a running machine: the new library does not fit the old module.
    rig.control.set(&["init not-loaded"]);
    let fresh = rig.library().with_extension("new");
    std::fs::copy(rig.library(), &fresh).expect("the library can be copied");
    std::fs::rename(&fresh, rig.library()).expect("the library can be replaced");
    watch(&exporter, Duration::from_secs(4), |page| assert_eq!(up(page), 8));
    // Nor does a session that is opened anew meanwhile, for whatever reason.
    rig.control.set(&["init not-loaded", "gpus 7"]);
    exporter.wait_for("GPU 7 is missed", PATIENCE, |page| up(page) == 7);
    watch(&exporter, Duration::from_secs(3), |page| assert_eq!(up(page), 7));
    let said = exporter.log().matches("staying with the old driver library").count();
    assert_eq!(said, 1, "{}", exporter.log());
}

#[test]
fn readings_are_served_fresh() {
    let rig = Rig::new();
    let exporter = rig.started(&[], 8);
    // Long enough for a rhythm to settle, where every reading is one interval old when it shows.
    std::thread::sleep(Duration::from_secs(3));
    let stamp = metric("heatsink_gpu_last_success_timestamp_seconds").label("gpu", "4");
    let mut youngest = f64::MAX;
    for _ in 0..40 {
        let shown = exporter.page().value_of(&stamp).expect("GPU 4 has succeeded");
        let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
        youngest = youngest.min(now.expect("after 1970").as_secs_f64() - shown);
        std::thread::sleep(Duration::from_millis(50));
    }
    assert!(youngest < 0.5, "no reading was ever younger than {youngest} s");
}

#[test]
fn a_gpu_of_which_every_call_fails_is_down() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let calls = [
        "nvmlDeviceGetUtilizationRates",
        "nvmlDeviceGetEncoderUtilization",
        "nvmlDeviceGetDecoderUtilization",
        "nvmlDeviceGetMemoryInfo_v2",
        "nvmlDeviceGetMemoryInfo",
        "nvmlDeviceGetTemperature",
        "nvmlDeviceGetPowerUsage",
        "nvmlDeviceGetClockInfo",
        "nvmlDeviceGetCurrentClocksEventReasons",
        "nvmlDeviceGetPerformanceState",
        "nvmlDeviceGetMaxClockInfo",
        "nvmlDeviceGetSamples",
        "gpm",
        "field 74",
        "field 76",
        "field 82",
        "field 83",
        "field 138",
        "field 139",
    ];
    // What the driver knows by heart, such as thresholds, it may still answer.
    let lines: Vec<String> = calls.iter().map(|call| format!("gpu 4 fail {call}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    let (page, _) = exporter
        .wait_for("GPU 4 is down", PATIENCE, |page| down(page, 4).as_deref() == Some("failed"));
    assert!(is_absent(&page, 4));
    assert_eq!(up(&page), 7);
    rig.control.clear();
    exporter.wait_for("GPU 4 is back", PATIENCE, |page| is_present(page, 4));
}

#[test]
fn a_pass_longer_than_the_interval_does_not_flicker() {
    let rig = Rig::new();
    rig.control.set(&["gpu 1 slow 700 nvmlDeviceGetPowerUsage"]);
    let exporter = rig.started(&["-c", "500"], 8);
    watch(&exporter, Duration::from_secs(5), |page| {
        assert!((0..8).all(|gpu| is_present(page, gpu)));
    });
}

#[test]
fn when_nobody_listens_any_more_silence_is_no_zero() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let quiet = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "1").value(0.0);
    exporter.wait_for("GPU 1 listens", PATIENCE, |page| quiet.is_in(page));
    rig.control.set(&["gpu 1 hang-calls nvmlEventSetWait_v2"]);
    exporter.wait_for("the zero is gone", PATIENCE, |page| quiet.absent_from(page));
    assert_eq!(up(&exporter.page()), 8);
    // A new session, too, leaves the GPU's other readings alone.
    rig.control.set(&["gpu 1 hang-calls nvmlEventSetWait_v2", "gpus 7"]);
    exporter.wait_for("GPU 7 is missed", PATIENCE, |page| up(page) == 7);
    watch(&exporter, Duration::from_secs(3), |page| {
        assert!(is_present(page, 1));
        quiet.assert_absent_from(page);
    });
    rig.control.clear();
    exporter.wait_for("GPU 1 listens again", PATIENCE, |page| up(page) == 8 && quiet.is_in(page));
}

#[test]
fn gpus_that_are_asked_for_are_shown_down_before_there_is_a_driver() {
    let rig = Rig::without_library();
    let exporter = rig.start(&["-c", "200", "-d", "g:0,3"]);
    let wanted = metric("heatsink_gpu_up").value(0.0);
    exporter.wait_for("both are shown", PATIENCE, |page| wanted.find_in(page).len() == 2);
}

/// A pipe that nobody reads has room for 64 KiB; all but a page of it is filled beforehand.
#[test]
fn a_log_that_nobody_reads_stops_no_scrape() {
    let rig = Rig::new();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, &[b'.'; 15 * 4096]).expect("room in the pipe");
    let free = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    let address = free.local_addr().expect("its address").to_string();
    drop(free);
    let library = rig.library().display().to_string();
    let args = ["-c", "200", "--nvml-library", &library, "-a", &address];
    let mut child = testkit::exporter::command(rig::BINARY, &args, &rig.environment())
        .stderr(writer)
        .spawn()
        .expect("the binary runs");
    let page = || -> Option<Page> {
        let agent = ureq::Agent::config_builder().timeout_global(Some(SCRAPE)).build();
        let mut answer =
            ureq::Agent::from(agent).get(format!("http://{address}/metrics")).call().ok()?;
        Page::parse(&answer.body_mut().read_to_string().ok()?).ok()
    };
    let until = |what: &str, wanted: &dyn Fn(&Page) -> bool| {
        let end = Instant::now() + PATIENCE;
        while !page().is_some_and(|page| wanted(&page)) {
            assert!(Instant::now() < end, "not in time: {what}");
            std::thread::sleep(Duration::from_millis(50));
        }
    };
    until("all GPUs answer", &|page| up(page) == 8);
    let storm: Vec<String> = (1..=160).map(|code| format!("gpu 0 xid {code}")).collect();
    let mut lines: Vec<&str> = storm.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    std::thread::sleep(Duration::from_secs(2));
    // Each of these is a line that the reader of GPU 6 logs.
    lines.extend([
        "gpu 5 lost",
        "gpu 6 fail nvmlDeviceGetEncoderUtilization",
        "gpu 6 unsupported nvmlDeviceGetDecoderUtilization",
    ]);
    rig.control.set(&lines);
    until("GPU 5 is lost", &|page| down(page, 5).as_deref() == Some("lost"));
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let page = page().expect("every scrape is answered");
        assert!(is_present(&page, 1) && is_absent(&page, 5) && is_present(&page, 6));
        std::thread::sleep(Duration::from_millis(50));
    }
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
    drop(reader);
}

#[test]
fn what_a_gpu_does_not_support_is_absent_and_said_once() {
    let rig = Rig::new();
    rig.control.set(&[
        "gpu 0 unsupported nvmlDeviceGetEncoderUtilization",
        "gpu 0 unsupported field 82",
        "gpu 0 unsupported gpm",
        "gpu 1 denied nvmlDeviceGetPowerUsage",
        "gpu 1 fail nvmlDeviceGetTemperature",
    ]);
    let exporter = rig.started(&["-c", "200"], 8);
    let denied = metric("heatsink_read_errors_total")
        .label("gpu", "1")
        .label("field", "DCGM_FI_DEV_POWER_USAGE")
        .label("reason", "not_permitted");
    let (page, _) = exporter.wait_for("errors are counted, averages are there", PATIENCE, |page| {
        denied.is_in(page) && !page.samples("DCGM_FI_PROF_SM_ACTIVE").is_empty()
    });
    for name in ["DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_PROF_SM_ACTIVE"] {
        metric(name).label("gpu", "0").assert_absent_from(&page);
        metric(name).label("gpu", "2").assert_in(&page);
    }
    for name in ["DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP"] {
        metric(name).label("gpu", "1").assert_absent_from(&page);
        metric(name).label("gpu", "0").assert_in(&page);
    }
    metric("heatsink_read_errors_total")
        .label("field", "DCGM_FI_DEV_GPU_TEMP")
        .label("reason", "failed")
        .assert_in(&page);
    metric("heatsink_read_errors_total").label("gpu", "0").assert_absent_from(&page);
    std::thread::sleep(Duration::from_secs(1));
    let log = exporter.log();
    assert_eq!(log.matches("DCGM_FI_DEV_ENC_UTIL").count(), 1, "{log}");
    assert_eq!(log.matches("DCGM_FI_DEV_POWER_USAGE").count(), 1, "{log}");
}

#[test]
fn mig_switched_on_and_off_changes_what_is_served() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let utilization = metric("DCGM_FI_DEV_GPU_UTIL").label("gpu", "6");
    utilization.assert_in(&exporter.page());
    rig.control.set(&["gpu 6 mig on"]);
    exporter.wait_for("utilisation is gone", PATIENCE, |page| utilization.absent_from(page));
    assert!(is_present(&exporter.page(), 6));
    rig.control.clear();
    // Support is asked for again when the driver says that MIG changed, on a slow pass.
    let patience = PATIENCE + Duration::from_secs(10);
    exporter.wait_for("utilisation is back", patience, |page| utilization.is_in(page));
}

#[test]
fn slow_calls_slow_only_their_own_gpu() {
    let rig = Rig::new();
    let exporter = rig.started(&[], 8);
    rig.control.set(&["gpu 1 slow 100 nvmlDeviceGetPowerUsage"]);
    watch(&exporter, Duration::from_secs(4), |page| {
        assert!((0..8).all(|gpu| is_present(page, gpu)));
    });
    let took = metric("heatsink_driver_call_duration_seconds");
    let took = took.label("call", "nvmlDeviceGetPowerUsage");
    let page = exporter.page();
    let slow = page.value_of(&took.clone().label("gpu", "1")).expect("a duration");
    let quick = page.value_of(&took.label("gpu", "0")).expect("a duration");
    assert!(slow > 0.1 && quick < 0.1, "{slow} s and {quick} s");
}

#[test]
fn nonsense_is_dropped_and_counted() {
    let rig = Rig::new();
    rig.control.set(&[
        "nonsense 0 nvmlDeviceGetUtilizationRates 808334905",
        "nonsense 1 nvmlDeviceGetTemperature 255",
    ]);
    let exporter = rig.started(&["-c", "200"], 8);
    let page = exporter.page();
    metric("DCGM_FI_DEV_GPU_UTIL").label("gpu", "0").assert_absent_from(&page);
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "1").assert_absent_from(&page);
    metric("heatsink_read_errors_total")
        .label("field", "DCGM_FI_DEV_GPU_UTIL")
        .label("reason", "implausible")
        .assert_in(&page);
}

#[test]
fn a_burst_of_xids_is_counted_to_the_last() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let quiet = metric("DCGM_FI_DEV_XID_ERRORS")
        .label("err_code", "0")
        .label("err_msg", "No Error")
        .value(0.0);
    exporter.wait_for("all listen", PATIENCE, |page| quiet.find_in(page).len() == 8);
    let codes = [13, 31, 43, 45, 48, 63, 64, 74, 79, 94];
    let lines: Vec<String> =
        (0..1000).map(|n| format!("gpu {} xid {}", n % 8, codes[n / 8 % 10])).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    let total = |page: &Page| -> f64 {
        page.samples("heatsink_xid_errors_total").iter().map(|sample| sample.value).sum()
    };
    exporter.wait_for("a thousand events", PATIENCE, |page| total(page) == 1000.0);
    std::thread::sleep(Duration::from_millis(500));
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
fn xids_are_neither_lost_nor_told_twice_across_sessions() {
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
    exporter.wait_for("a new session", PATIENCE, |page| up(page) == 7);
    rig.control.set(&["gpu 3 xid 94", "gpu 3 xid 94", "gpu 3 xid 94"]);
    exporter.wait_for("one more event", PATIENCE, is(3.0));
    exporter.wait_for("another session", PATIENCE, |page| up(page) == 8);
    std::thread::sleep(Duration::from_secs(1));
    assert!(is(3.0)(&exporter.page()));
}

#[test]
fn without_registration_silence_is_no_zero() {
    let rig = Rig::new();
    rig.control.set(&["gpu 0 unsupported nvmlDeviceRegisterEvents"]);
    let exporter = rig.started(&["-c", "200"], 8);
    let of = |gpu: &str| metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", gpu);
    let (page, _) =
        exporter.wait_for("GPU 1 listens", PATIENCE, |page| of("1").value(0.0).is_in(page));
    of("0").assert_absent_from(&page);
}

#[test]
fn stopping_takes_less_than_two_seconds_even_with_a_stuck_reader() {
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
            std::thread::sleep(Duration::from_millis(500));
        }
        let (status, took, log) = exporter.terminate();
        assert!(status.success(), "{fault:?}: {status}\n{log}");
        assert!(took < Duration::from_secs(2), "{fault:?}: stopped after {took:?}\n{log}");
    }
}

#[test]
fn after_a_standstill_of_the_process_nothing_old_is_served() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let lines: Vec<String> = (0..8).map(|gpu| format!("gpu {gpu} hang")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    exporter.signal("STOP");
    rig.control.set(&lines);
    std::thread::sleep(Duration::from_secs(3));
    exporter.signal("CONT");
    let page = exporter.page();
    assert!((0..8).all(|gpu| is_absent(&page, gpu)), "old readings after a standstill");
}
