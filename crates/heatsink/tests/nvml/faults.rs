//! Faults of GPUs and drivers, as a scraper sees them.

#[path = "../suite/faults.rs"]
mod suite;

use std::time::{Duration, Instant};

use crate::rig::{self, PATIENCE, Rig, SCRAPE, down, is_absent, is_present, up, watch};
use testkit::page::{Page, metric};
use testkit::pauses::{self, in_time};
use testkit::server::free_address;

#[test]
fn a_hung_gpu_is_absent_alone_and_comes_back() {
    let rig = Rig::new();
    let exporter = rig.started(&[], 8);
    rig.control.set(&["gpu 3 hang"]);
    exporter.wait_for("GPU 3 alone is late", PATIENCE, |page| {
        up(page) == 7 && down(page, 3).as_deref() == Some("late")
    });
    watch(&exporter, Duration::from_secs(4), |page| {
        assert!(is_absent(page, 3));
        metric("heatsink_gpu_up").label("gpu", "3").value(0.0).assert_in(page);
        for gpu in [0, 1, 2, 4, 5, 6, 7] {
            assert!(is_present(page, gpu), "GPU {gpu} is absent because of GPU 3");
            metric("heatsink_gpu_up").label("gpu", gpu.to_string()).value(1.0).assert_in(page);
        }
    });
    assert_eq!(exporter.get("/ready").status, 200);
    rig.control.clear();
    let (page, _) =
        exporter.wait_for("GPU 3 is back", PATIENCE, |page| is_present(page, 3) && up(page) == 8);
    metric("heatsink_gpu_down_info").assert_absent_from(&page);
    // Others may be late on a busy machine.
    let is_of_gpu = |line: &str| line.split_whitespace().any(|word| word == "gpu=3");
    let count = |text: &str| {
        let log = exporter.log();
        log.lines().filter(|line| line.contains(text) && is_of_gpu(line)).count()
    };
    exporter.wait_for("it is logged", PATIENCE, |_| count("answers again") > 0);
    assert_eq!(count("a driver call does not come back"), 1, "{}", exporter.log());
}

#[test]
fn other_gpus_keep_their_interval_while_one_hangs() {
    let rig = Rig::new().with("FAKE_NVML_SPEED", "1");
    let exporter = rig.started(&["-c", "500", "--extra-collectors", "monitoring"], 8);
    rig.control.set(&["gpu 0 hang"]);
    exporter.wait_for("GPU 0 is down", PATIENCE, |page| down(page, 0).is_some());
    let stamp = |page: &Page| {
        let series = metric("heatsink_gpu_last_success_timestamp_seconds").label("gpu", "7");
        page.value_of(&series).expect("GPU 7 has succeeded")
    };
    let ((passed, took), _) = in_time(|| {
        let first = stamp(&exporter.page());
        let began = Instant::now();
        pauses::sleep(Duration::from_secs(3));
        (stamp(&exporter.page()) - first, began.elapsed().as_secs_f64())
    });
    assert!((took - 1.0..took + 1.5).contains(&passed), "read for {passed} s in {took} s");
}

#[test]
fn a_gpu_that_hangs_at_the_start_delays_no_other() {
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
fn the_library_may_come_later() {
    let rig = Rig::without_library();
    let exporter = rig.start(&["-c", "200"]);
    let page = exporter.page();
    metric("heatsink_source_up").label("source", "nvml").value(0.0).assert_in(&page);
    assert_eq!(exporter.get("/health").status, 200);
    exporter.wait_for("the library is named", PATIENCE, |_| {
        let ready = exporter.get("/ready");
        assert_eq!(ready.status, 503);
        ready.body.contains("libnvidia-ml.so.1")
    });
    rig.install();
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    assert_eq!(exporter.get("/ready").status, 200);
}

#[test]
fn a_driver_mismatch_is_logged_once_and_heatsink_goes_on() {
    let rig = Rig::new();
    rig.control.set(&["init mismatch"]);
    let exporter = rig.start(&["-c", "200"]);
    let said = "different versions";
    exporter.logged(said, PATIENCE);
    let until = Instant::now() + Duration::from_secs(3);
    while Instant::now() < until {
        metric("heatsink_source_up").value(0.0).assert_in(&exporter.page());
        pauses::sleep(Duration::from_millis(200));
    }
    assert_eq!(exporter.log().matches(said).count(), 1, "{}", exporter.log());
    rig.control.clear();
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    // The driver is replaced while heatsink runs.
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
fn pages_are_served_while_the_driver_hangs_at_the_start() {
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
fn a_replaced_library_is_opened_even_during_a_stuck_call() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 4 hang"]);
    exporter.wait_for("GPU 4 is down", PATIENCE, |page| down(page, 4).is_some());
    // Like a package manager: a new file is renamed over the old one.
    let fresh = rig.library().with_extension("new");
    std::fs::copy(rig.library(), &fresh).expect("the library can be copied");
    std::fs::rename(&fresh, rig.library()).expect("the library can be replaced");
    rig.control.set(&["gpu 4 hang", "driver 570.86.10"]);
    let new = metric("heatsink_source_info").label("driver_version", "570.86.10");
    exporter.wait_for("the new library is read", PATIENCE, |page| up(page) == 7 && new.is_in(page));
    let said = "the driver library was replaced";
    exporter.logged(said, PATIENCE);
    rig.control.set(&["driver 570.86.10"]);
    exporter.wait_for("GPU 4 is back", PATIENCE, |page| up(page) == 8);
}

#[test]
fn a_new_library_that_fails_to_start_costs_no_readings() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    // A driver package upgraded on a running machine: the new library does not fit the old module.
    rig.control.set(&["init not-loaded"]);
    let fresh = rig.library().with_extension("new");
    std::fs::copy(rig.library(), &fresh).expect("the library can be copied");
    std::fs::rename(&fresh, rig.library()).expect("the library can be replaced");
    watch(&exporter, Duration::from_secs(4), |page| assert_eq!(up(page), 8));
    // A new session that is opened for another reason costs no readings, either.
    rig.control.set(&["init not-loaded", "gpus 7"]);
    exporter.wait_for("GPU 7 alone is missed", PATIENCE, |page| {
        up(page) == 7 && down(page, 7).is_some()
    });
    watch(&exporter, Duration::from_secs(3), |page| assert_eq!(up(page), 7));
    let said = "staying with the old driver library";
    exporter.logged(said, PATIENCE);
    assert_eq!(exporter.log().matches(said).count(), 1, "{}", exporter.log());
}

#[test]
fn a_gpu_with_only_failing_calls_is_down() {
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
    // The driver may still answer static values, such as thresholds.
    let lines: Vec<String> = calls.iter().map(|call| format!("gpu 4 fail {call}")).collect();
    let lines: Vec<&str> = lines.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    let (page, _) = exporter.wait_for("GPU 4 alone is down", PATIENCE, |page| {
        up(page) == 7 && down(page, 4).as_deref() == Some("failed")
    });
    assert!(is_absent(&page, 4));
    rig.control.clear();
    exporter.wait_for("GPU 4 is back", PATIENCE, |page| is_present(page, 4));
}

#[test]
fn a_pass_longer_than_the_interval_makes_no_gaps() {
    let rig = Rig::new();
    rig.control.set(&["gpu 1 slow 700 nvmlDeviceGetPowerUsage"]);
    let exporter = rig.started(&["-c", "500"], 8);
    watch(&exporter, Duration::from_secs(5), |page| {
        assert!((0..8).all(|gpu| is_present(page, gpu)));
    });
}

#[test]
fn without_an_xid_source_no_zero_is_served() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    let quiet = metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", "1").value(0.0);
    exporter.wait_for("GPU 1 listens", PATIENCE, |page| quiet.is_in(page));
    rig.control.set(&["gpu 1 hang-calls nvmlEventSetWait_v2"]);
    exporter.wait_for("the zero alone is gone", PATIENCE, |page| {
        quiet.absent_from(page) && up(page) == 8
    });
    // A new session does not affect the GPU's other readings, either.
    rig.control.set(&["gpu 1 hang-calls nvmlEventSetWait_v2", "gpus 7"]);
    exporter.wait_for("GPU 7 alone is missed", PATIENCE, |page| {
        up(page) == 7 && down(page, 7).is_some()
    });
    watch(&exporter, Duration::from_secs(3), |page| {
        assert!(is_present(page, 1));
        quiet.assert_absent_from(page);
    });
    rig.control.clear();
    exporter.wait_for("GPU 1 listens again", PATIENCE, |page| up(page) == 8 && quiet.is_in(page));
}

#[test]
fn selected_gpus_are_down_before_there_is_a_driver() {
    let rig = Rig::without_library();
    let exporter = rig.start(&["-c", "200", "-d", "g:0,3"]);
    let down = metric("heatsink_gpu_up").value(0.0);
    exporter.wait_for("both are down", PATIENCE, |page| down.find_in(page).len() == 2);
}

/// A pipe buffers 64 KiB. All but a page of it is filled before heatsink starts.
#[test]
fn an_unread_log_blocks_no_scrape() {
    let rig = Rig::new();
    let (reader, mut writer) = std::io::pipe().expect("a pipe");
    std::io::Write::write_all(&mut writer, &[b'.'; 15 * 4096]).expect("room in the pipe");
    let address = free_address();
    let library = rig.library().display().to_string();
    let args = ["-c", "200", "--nvml-library", &library, "-a", &address];
    let mut child = testkit::exporter::command(rig::BINARY, &args, &rig.environment())
        .stderr(writer)
        .spawn()
        .expect("the binary runs");
    let page = || -> Option<Page> {
        let agent = ureq::Agent::config_builder().proxy(None).timeout_global(Some(SCRAPE)).build();
        let mut answer =
            ureq::Agent::from(agent).get(format!("http://{address}/metrics")).call().ok()?;
        Page::parse(&answer.body_mut().read_to_string().ok()?).ok()
    };
    let until = |what: &str, condition: &dyn Fn(&Page) -> bool| {
        let end = Instant::now() + PATIENCE;
        while !page().is_some_and(|page| condition(&page)) {
            assert!(Instant::now() < end, "not in time: {what}");
            pauses::sleep(Duration::from_millis(50));
        }
    };
    until("all GPUs answer", &|page| up(page) == 8);
    let storm: Vec<String> = (1..=160).map(|code| format!("gpu 0 xid {code}")).collect();
    let mut lines: Vec<&str> = storm.iter().map(String::as_str).collect();
    rig.control.set(&lines);
    pauses::sleep(Duration::from_secs(2));
    // For each of these, the reader of GPU 6 logs a line.
    lines.extend([
        "gpu 5 lost",
        "gpu 6 fail nvmlDeviceGetEncoderUtilization",
        "gpu 6 unsupported nvmlDeviceGetDecoderUtilization",
    ]);
    rig.control.set(&lines);
    until("GPU 5 is lost", &|page| down(page, 5).as_deref() == Some("lost"));
    let end = Instant::now() + Duration::from_secs(3);
    while Instant::now() < end {
        let (page, _) = in_time(page);
        let page = page.expect("every scrape is answered");
        assert!(is_present(&page, 1) && is_absent(&page, 5) && is_present(&page, 6));
        pauses::sleep(Duration::from_millis(50));
    }
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
    drop(reader);
}

#[test]
fn unsupported_fields_are_absent_and_logged_once() {
    let rig = Rig::new();
    rig.control.set(&[
        "gpu 0 unsupported nvmlDeviceGetEncoderUtilization",
        "gpu 0 unsupported field 82",
        "gpu 0 unsupported gpm",
        "gpu 1 denied nvmlDeviceGetPowerUsage",
        "gpu 1 fail nvmlDeviceGetTemperature",
    ]);
    let exporter = rig.started(&["-c", "200"], 8);
    let errors = metric("heatsink_read_errors_total").label("gpu", "1");
    let errors = |field, reason| errors.clone().label("field", field).label("reason", reason);
    let counted = [
        errors("DCGM_FI_DEV_POWER_USAGE", "not_permitted"),
        errors("DCGM_FI_DEV_GPU_TEMP", "failed"),
    ];
    let unsupported = ["DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_MEMORY_TEMP", "DCGM_FI_PROF_SM_ACTIVE"];
    let failing = ["DCGM_FI_DEV_POWER_USAGE", "DCGM_FI_DEV_GPU_TEMP"];
    let (page, _) = exporter.wait_for("all that can be read, and the errors", PATIENCE, |page| {
        counted.iter().all(|count| count.is_in(page))
            && unsupported.iter().all(|name| metric(*name).label("gpu", "2").is_in(page))
            && failing.iter().all(|name| metric(*name).label("gpu", "0").is_in(page))
    });
    for name in unsupported {
        metric(name).label("gpu", "0").assert_absent_from(&page);
    }
    for name in failing {
        metric(name).label("gpu", "1").assert_absent_from(&page);
    }
    metric("heatsink_read_errors_total").label("gpu", "0").assert_absent_from(&page);
    let logged = ["DCGM_FI_DEV_ENC_UTIL", "DCGM_FI_DEV_POWER_USAGE"];
    exporter.wait_for("both are logged", PATIENCE, |_| {
        logged.iter().all(|name| exporter.log().contains(name))
    });
    pauses::sleep(Duration::from_secs(1));
    let log = exporter.log();
    for name in logged {
        assert_eq!(log.matches(name).count(), 1, "{log}");
    }
}

#[test]
fn slow_calls_delay_only_their_gpu() {
    let rig = Rig::new();
    let exporter = rig.started(&["--extra-collectors", &rig.own_families()], 8);
    rig.control.set(&["gpu 1 slow 100 nvmlDeviceGetPowerUsage"]);
    watch(&exporter, Duration::from_secs(4), |page| {
        assert!((0..8).all(|gpu| is_present(page, gpu)));
    });
    let took = metric("heatsink_driver_call_duration_seconds");
    let took = took.label("call", "nvmlDeviceGetPowerUsage");
    let of = |page: &Page, gpu: &str| page.value_of(&took.clone().label("gpu", gpu));
    exporter.wait_for("the call is slow on one GPU", PATIENCE, |page| {
        of(page, "1").is_some_and(|slow| slow > 0.1)
            && of(page, "0").is_some_and(|quick| quick < 0.1)
    });
}

#[test]
fn implausible_values_are_dropped_and_counted() {
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
fn without_event_registration_no_zero_is_served() {
    let rig = Rig::new();
    rig.control.set(&["gpu 0 unsupported nvmlDeviceRegisterEvents"]);
    let exporter = rig.started(&["-c", "200"], 8);
    let of = |gpu: &str| metric("DCGM_FI_DEV_XID_ERRORS").label("gpu", gpu);
    let (page, _) =
        exporter.wait_for("GPU 1 listens", PATIENCE, |page| of("1").value(0.0).is_in(page));
    of("0").assert_absent_from(&page);
}
