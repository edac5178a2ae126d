//! heatsink's own families: reasons for slow clocks, windows, unavailable fields.

#[path = "../suite/signals.rs"]
mod suite;

use std::time::Duration;

use crate::rig::{PATIENCE, Rig, is_present, up};
use testkit::page::{Page, metric};
use testkit::pauses;

#[test]
fn a_spike_between_two_scrapes_is_in_the_maximum() {
    let rig = Rig::new().with("FAKE_NVML_AT", "300");
    let exporter = rig.started(&["-c", "1000", "--extra-collectors", "monitoring"], 8);
    let power = |stat: &str| {
        metric(format!("heatsink_power_{stat}_watts")).label("gpu", "4").label("samples", "driver")
    };
    let value = |page: &Page, stat: &str| page.value_of(&power(stat));
    let (page, _) =
        exporter.wait_for("power is watched", PATIENCE, |page| value(page, "max").is_some());
    let calm = value(&page, "max").expect("it is watched");
    rig.control.set(&["gpu 4 spike power 200 912345"]);
    let (page, _) =
        exporter.wait_for("the spike", PATIENCE, |page| value(page, "max") == Some(912.345));
    // Some time later, as with a scrape interval of a minute: the peak is over, but still in the window.
    pauses::sleep(Duration::from_secs(5));
    let now = metric("DCGM_FI_DEV_POWER_USAGE").label("gpu", "4");
    let (later, _) = exporter.wait_for("power is read", PATIENCE, |page| now.is_in(page));
    assert_eq!(value(&later, "max"), Some(912.345));
    assert!(later.value_of(&now).expect("it is read") < calm + 50.0);
    assert!(value(&page, "min").expect("a least") < 912.0);
    metric("heatsink_power_max_watts").label("gpu", "3").value(912.345).assert_absent_from(&later);
    metric("heatsink_window_seconds").value(60.0).assert_in(&later);
}

#[test]
fn reasons_for_slow_clocks() {
    let rig = Rig::machine("h100x2");
    let exporter = rig.started(&["-c", "200", "--extra-collectors", &rig.own_families()], 2);
    let mask = metric("DCGM_FI_DEV_CLOCK_THROTTLE_REASONS").label("gpu", "0");
    let seconds = metric("heatsink_clock_event_seconds_total").label("gpu", "0");
    let (page, _) = exporter.wait_for("every reason of every GPU", PATIENCE, |page| {
        page.samples("heatsink_clock_event_active").len() == 2 * 9
            && metric("heatsink_gpu_slowdown_ratio").is_in(page)
            && seconds.find_in(page).len() == 9
            && mask.is_in(page)
    });
    let mask = page.value_of(&mask).expect("it is in the default set") as u64;
    let is_active = |reason: &str| {
        let series = metric("heatsink_clock_event_active").label("gpu", "0");
        page.value_of(&series.label("reason", reason)) == Some(1.0)
    };
    assert_eq!(is_active("power_cap"), mask & 4 != 0);
    assert_eq!(is_active("sw_thermal"), mask & 0x20 != 0);
    for sample in page.samples("heatsink_gpu_slowdown_ratio") {
        assert!((0.0..=1.0).contains(&sample.value), "{}", sample.value);
    }
}

#[test]
fn implausible_values_are_dropped_and_counted() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200", "--extra-collectors", "monitoring"], 8);
    rig.control.set(&[
        "nonsense 0 nvmlDeviceGetUtilizationRates 808334905",
        "nonsense 1 nvmlDeviceGetTemperature 255",
    ]);
    let errors = |gpu: &str, field: &str| {
        let series = metric("heatsink_read_errors_total").label("gpu", gpu);
        series.label("field", field).label("reason", "implausible")
    };
    let (page, _) = exporter.wait_for("both are counted, and all answer", PATIENCE, |page| {
        errors("0", "DCGM_FI_DEV_GPU_UTIL").is_in(page)
            && errors("1", "DCGM_FI_DEV_GPU_TEMP").is_in(page)
            && up(page) == 8
            && is_present(page, 0)
    });
    metric("DCGM_FI_DEV_GPU_UTIL").label("gpu", "0").assert_absent_from(&page);
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "1").assert_absent_from(&page);
    let windowed = metric("heatsink_gpu_temperature_max_celsius").label("gpu", "1");
    assert!(page.value_of(&windowed).is_none_or(|value| value < 200.0), "not in a window either");
}

#[test]
fn slow_calls_run_less_often_and_are_logged_once() {
    let rig = Rig::new();
    let own = rig.own_families();
    let exporter = rig.started(&["-c", "200", "--extra-collectors", &own], 8);
    rig.control.set(&["gpu 0 slow 60 nvmlDeviceGetEncoderUtilization"]);
    let took = metric("heatsink_driver_call_duration_seconds").label("gpu", "0");
    let took = took.label("call", "nvmlDeviceGetEncoderUtilization");
    exporter.wait_for("the call is timed", PATIENCE, |page| {
        page.value_of(&took).is_some_and(|seconds| seconds > 0.05)
    });
    // On a busy machine, calls on other GPUs may be slow, too.
    let is_of_gpu = |line: &str| line.split_whitespace().any(|word| word == "gpu=0");
    let lines = || {
        let log = exporter.log();
        let of_call = log.lines().filter(|line| line.contains("nvmlDeviceGetEncoderUtilization"));
        of_call.filter(|line| is_of_gpu(line)).count()
    };
    exporter.wait_for("it is logged", PATIENCE, |_| lines() > 0);
    pauses::sleep(Duration::from_secs(3));
    assert_eq!(lines(), 1, "{}", exporter.log());
    // The field is read less often, but is still served: late means two of its own intervals.
    let served = metric("DCGM_FI_DEV_ENC_UTIL").label("gpu", "0");
    exporter.wait_for("it is served", PATIENCE, |page| served.is_in(page) && up(page) == 8);
}
