//! What heatsink adds: why a GPU is slow, what happened between scrapes, what cannot be read.

mod rig;

use std::time::Duration;

use rig::{PATIENCE, Rig, is_present, up};
use testkit::page::{FamilyKind, Page, metric};

#[test]
fn a_spike_between_two_scrapes_is_in_the_maximum() {
    let rig = Rig::new().with("FAKE_NVML_AT", "300");
    let exporter = rig.started(&["-c", "1000"], 8);
    let power = |stat: &str| {
        metric(format!("heatsink_power_{stat}_watts")).label("gpu", "4").label("samples", "driver")
    };
    let value = |page: &Page, stat: &str| page.value_of(&power(stat));
    exporter.wait_for("power is watched", PATIENCE, |page| value(page, "max").is_some());
    let calm = value(&exporter.page(), "max").expect("it is watched");
    rig.control.set(&["gpu 4 spike power 200 912345"]);
    let (page, _) =
        exporter.wait_for("the spike", PATIENCE, |page| value(page, "max") == Some(912.345));
    // Long after it, as for one who scrapes once a minute: it is over, and not forgotten.
    std::thread::sleep(Duration::from_secs(5));
    let later = exporter.page();
    assert_eq!(value(&later, "max"), Some(912.345));
    let now = metric("DCGM_FI_DEV_POWER_USAGE").label("gpu", "4");
    assert!(later.value_of(&now).expect("it is read") < calm + 50.0);
    assert!(value(&page, "mean").expect("a mean") < 912.0);
    metric("heatsink_power_max_watts").label("gpu", "3").value(912.345).assert_absent_from(&later);
    metric("heatsink_window_seconds").value(60.0).assert_in(&later);
}

#[test]
fn windows_are_polled_every_second_whatever_the_interval() {
    let rig = Rig::new().with("FAKE_NVML_SCENARIO", "story").with("FAKE_NVML_SPEED", "100");
    let exporter = rig.started(&["-c", "600000"], 8);
    let span = |page: &Page| {
        let of = |stat| metric(format!("heatsink_gpu_temperature_{stat}_celsius")).label("gpu", "0");
        let polled = |stat| page.value_of(&of(stat).label("samples", "polled"));
        Some(polled("max")? - polled("min")?)
    };
    exporter.wait_for("heat rises within an interval", PATIENCE, |page| {
        span(page).is_some_and(|span| span > 3.0)
    });
}

#[test]
fn a_window_can_be_another_or_none() {
    let rig = Rig::new();
    let page = rig.started(&["--window", "5m"], 8).page();
    metric("heatsink_window_seconds").value(300.0).assert_in(&page);
    let page = rig.started(&["--window", "0"], 8).page();
    metric("heatsink_window_seconds").assert_absent_from(&page);
    metric("heatsink_gpu_temperature_max_celsius").assert_absent_from(&page);
}

#[test]
fn why_it_is_slow() {
    let rig = Rig::machine("h100x8");
    let exporter = rig.started(&["-c", "200"], 8);
    let (page, _) = exporter.wait_for("reasons", PATIENCE, |page| {
        metric("heatsink_clock_event_active").is_in(page)
            && metric("heatsink_gpu_slowdown_ratio").is_in(page)
    });
    let active = page.samples("heatsink_clock_event_active");
    assert_eq!(active.len(), 8 * 9, "every reason of every GPU");
    let mask = page.value_of(&metric("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS").label("gpu", "0"));
    let mask = mask.expect("it is in the default set") as u64;
    let is_active = |reason: &str| {
        let wanted = metric("heatsink_clock_event_active").label("gpu", "0");
        page.value_of(&wanted.label("reason", reason)) == Some(1.0)
    };
    assert_eq!(is_active("power_cap"), mask & 4 != 0);
    assert_eq!(is_active("sw_thermal"), mask & 0x20 != 0);
    for sample in page.samples("heatsink_gpu_slowdown_ratio") {
        assert!((0.0..=1.0).contains(&sample.value), "{}", sample.value);
    }
    let seconds = metric("heatsink_clock_event_seconds_total").label("gpu", "0");
    assert_eq!(seconds.find_in(&page).len(), 9);
}

#[test]
fn what_the_driver_does_not_count_is_integrated() {
    let rig = Rig::new().with("FAKE_NVML_SCENARIO", "idle");
    let exporter = rig.started(&["-c", "200"], 8);
    let idle = metric("heatsink_clock_event_seconds_total").label("gpu", "0");
    let idle = idle.label("reason", "gpu_idle");
    let seconds = |page: &Page| page.value_of(&idle);
    let (page, _) = exporter.wait_for("it is idle", PATIENCE, |page| seconds(page).is_some());
    let before = seconds(&page).expect("it is idle");
    std::thread::sleep(Duration::from_secs(3));
    let grown = seconds(&exporter.page()).expect("still") - before;
    assert!((2.0..4.5).contains(&grown), "{grown} s in 3 s");
}

#[test]
fn what_no_gpu_has_is_named_once() {
    let rig = Rig::machine("t4x8");
    let extra = rig.file("extra.csv", "DCGM_FI_PROF_SM_ACTIVE, gauge, S.\nDCGM_FI_DEV_FAN_SPEED, gauge, F.\n");
    let exporter = rig.started(&["-c", "200", "--extra-collectors", &extra], 8);
    let of = |field: &str| metric("heatsink_field_unavailable_info").label("field", field);
    let (page, _) = exporter.wait_for("it is named", PATIENCE, |page| {
        of("DCGM_FI_PROF_SM_ACTIVE").is_in(page)
    });
    let found = of("DCGM_FI_PROF_SM_ACTIVE").find_in(&page);
    assert_eq!(found.len(), 1, "once for eight GPUs");
    assert_eq!(found[0].label("reason"), Some("not_supported"));
    metric("DCGM_FI_PROF_SM_ACTIVE").assert_absent_from(&page);
    of("DCGM_FI_DEV_GPU_TEMP").assert_absent_from(&page);
}

#[test]
fn nonsense_is_dropped_and_counted() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&[
        "nonsense 0 nvmlDeviceGetUtilizationRates 808334905",
        "nonsense 1 nvmlDeviceGetTemperature 255",
    ]);
    let errors = |gpu: &str, field: &str| {
        let wanted = metric("heatsink_read_errors_total").label("gpu", gpu);
        wanted.label("field", field).label("reason", "implausible")
    };
    let (page, _) = exporter.wait_for("both are counted", PATIENCE, |page| {
        errors("0", "DCGM_FI_DEV_GPU_UTIL").is_in(page)
            && errors("1", "DCGM_FI_DEV_GPU_TEMP").is_in(page)
    });
    metric("DCGM_FI_DEV_GPU_UTIL").label("gpu", "0").assert_absent_from(&page);
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "1").assert_absent_from(&page);
    assert!(is_present(&page, 0));
    assert_eq!(up(&page), 8);
    let windowed = metric("heatsink_gpu_temperature_max_celsius").label("gpu", "1");
    assert!(page.value_of(&windowed).is_none_or(|value| value < 200.0), "not in a window either");
}

#[test]
fn a_counter_that_falls_is_doubted_once() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "1000"], 8);
    let replays = metric("DCGM_FI_DEV_PCIE_REPLAY_COUNTER").label("gpu", "0");
    rig.control.set(&["nonsense 0 nvmlDeviceGetPcieReplayCounter 500"]);
    exporter.wait_for("500", PATIENCE, |page| page.value_of(&replays) == Some(500.0));
    rig.control.set(&["nonsense 0 nvmlDeviceGetPcieReplayCounter 3"]);
    let doubted = metric("heatsink_read_errors_total").label("gpu", "0");
    let doubted = doubted.label("field", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER");
    exporter.wait_for("a doubt", PATIENCE, |page| doubted.is_in(page));
    let (page, _) =
        exporter.wait_for("a reset", PATIENCE, |page| page.value_of(&replays) == Some(3.0));
    doubted.label("reason", "implausible").value(1.0).assert_in(&page);
}

#[test]
fn slow_calls_move_to_a_slower_cadence_and_are_named_once() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 0 slow 60 nvmlDeviceGetEncoderUtilization"]);
    let took = metric("heatsink_driver_call_duration_seconds").label("gpu", "0");
    let took = took.label("call", "nvmlDeviceGetEncoderUtilization");
    exporter.wait_for("the call is timed", PATIENCE, |page| {
        page.value_of(&took).is_some_and(|seconds| seconds > 0.05)
    });
    std::thread::sleep(Duration::from_secs(3));
    let log = exporter.log();
    let said = log.lines().filter(|line| line.contains("nvmlDeviceGetEncoderUtilization"));
    assert_eq!(said.count(), 1, "{log}");
    // Read less often, it is still shown: late means two of its own intervals.
    metric("DCGM_FI_DEV_ENC_UTIL").label("gpu", "0").assert_in(&exporter.page());
    assert_eq!(up(&exporter.page()), 8);
}

#[test]
fn every_watch_has_its_own_interval() {
    let rig = Rig::new();
    let rows = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION, counter, Energy., 100ms\n";
    let extra = rig.file("extra.csv", rows);
    let exporter = rig.started(&["-c", "60000", "--extra-collectors", &extra], 8);
    let energy = metric("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION").label("gpu", "0");
    let clock = metric("DCGM_FI_DEV_SM_CLOCK").label("gpu", "0");
    exporter.wait_for("both", PATIENCE, |page| energy.is_in(page) && clock.is_in(page));
    let mut seen: Vec<f64> = Vec::new();
    for _ in 0..20 {
        seen.extend(exporter.page().value_of(&energy));
        std::thread::sleep(Duration::from_millis(100));
    }
    seen.dedup();
    assert!(seen.len() > 5, "energy was read {} times in 2 s", seen.len());
}

#[test]
fn generations_of_names() {
    let rig = Rig::new();
    let page = |args: &[&str]| {
        let args = [args, &["-c", "200"]].concat();
        // A rate needs two readings.
        let exporter = rig.started(&args, 8);
        let is_rate = |page: &Page| page.samples("DCGM_FI_PROF_PCIE_RX_BYTES").len() == 8;
        exporter.wait_for("rates", PATIENCE, is_rate).0
    };
    let old = page(&["--metric-names", "4.8.2"]);
    let heat = "DCGM_FI_DEV_GPU_TEMP";
    metric(heat).label("Hostname", "node-1").without("hostname").assert_in(&old);
    let kind = |page: &Page, name| page.family(name).map(|family| family.kind);
    assert_eq!(kind(&old, "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"), Some(FamilyKind::Counter));
    let new = page(&["--metric-names", "4.9"]);
    metric(heat).assert_absent_from(&new);
    metric("DCGM_FI_DEV_GPU_TEMP_CELSIUS").label("hostname", "node-1").assert_in(&new);
    metric("DCGM_FI_DEV_FB_CAPACITY_BYTES").assert_in(&new);
    let both = page(&["--metric-names", "both"]);
    metric(heat).assert_in(&both);
    metric("DCGM_FI_DEV_GPU_TEMP_CELSIUS").assert_in(&both);
    assert_eq!(kind(&both, "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL"), Some(FamilyKind::Gauge));
    let namespace = page(&["-o"]);
    metric(heat).without("UUID").assert_in(&namespace);
    assert!(namespace.samples(heat).iter().all(|sample| sample.label("uuid").is_some()));
}
