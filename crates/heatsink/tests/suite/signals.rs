//! heatsink's own families, through NVML and through DCGM.

use std::time::{Duration, Instant};

use testkit::page::{FamilyKind, Page, metric};
use testkit::pauses::{self, Stopwatch, in_time};

use crate::rig::{PATIENCE, Rig};

#[test]
fn windows_are_read_every_second_with_a_longer_interval() {
    let rig = Rig::new().with("FAKE_NVML_SCENARIO", "story").with("FAKE_NVML_SPEED", "100");
    let own = rig.own_families();
    let exporter = rig.started(&["-c", "600000", "--extra-collectors", &own], 8);
    let span = |page: &Page| {
        let of =
            |stat| metric(format!("heatsink_gpu_temperature_{stat}_celsius")).label("gpu", "0");
        let polled = |stat| page.value_of(&of(stat).label("samples", "polled"));
        Some(polled("max")? - polled("min")?)
    };
    exporter.wait_for("heat rises within an interval", PATIENCE, |page| {
        span(page).is_some_and(|span| span > 3.0)
    });
}

#[test]
fn the_window_can_be_set_or_disabled() {
    let rig = Rig::new();
    let extra = ["--extra-collectors", "monitoring"];
    let page = rig.started(&[&extra[..], &["--window", "5m"]].concat(), 8).page();
    metric("heatsink_window_seconds").value(300.0).assert_in(&page);
    let page = rig.started(&[&extra[..], &["--window", "0"]].concat(), 8).page();
    metric("heatsink_window_seconds").assert_absent_from(&page);
    metric("heatsink_gpu_temperature_max_celsius").assert_absent_from(&page);
}

#[test]
fn missing_counters_are_integrated() {
    let rig = Rig::new().with("FAKE_NVML_SCENARIO", "idle");
    let exporter = rig.started(&["-c", "200"], 8);
    let idle = metric("heatsink_clock_event_seconds_total").label("gpu", "0");
    let idle = idle.label("reason", "gpu_idle");
    let seconds = |page: &Page| page.value_of(&idle);
    let (page, _) = exporter.wait_for("it is idle", PATIENCE, |page| seconds(page).is_some());
    let before = seconds(&page).expect("it is idle");
    let (began, running) = (Instant::now(), Stopwatch::start());
    pauses::sleep(Duration::from_secs(3));
    let (page, _) = exporter.wait_for("it is idle still", PATIENCE, |page| seconds(page).is_some());
    let grown = seconds(&page).expect("still") - before;
    // Time in which the machine stands still may count or not.
    let (most, least) = (began.elapsed().as_secs_f64(), running.elapsed().as_secs_f64());
    assert!((least - 1.0..most + 1.5).contains(&grown), "{grown} s in {least} s to {most} s");
}

#[test]
fn fields_that_no_gpu_serves_are_logged_once() {
    let rig = Rig::machine("t4x2");
    let extra = rig
        .file("extra.csv", "DCGM_FI_PROF_SM_ACTIVE, gauge, S.\nDCGM_FI_DEV_FAN_SPEED, gauge, F.\n");
    let exporter = rig.started(&["-c", "200", "--extra-collectors", &extra], 2);
    let of = |field: &str| metric("heatsink_field_unavailable_info").label("field", field);
    let named = of("DCGM_FI_PROF_SM_ACTIVE").label("reason", "not_supported");
    let (page, _) = exporter.wait_for("it is named", PATIENCE, |page| named.is_in(page));
    assert_eq!(of("DCGM_FI_PROF_SM_ACTIVE").find_in(&page).len(), 1, "once for both GPUs");
    metric("DCGM_FI_PROF_SM_ACTIVE").assert_absent_from(&page);
    of("DCGM_FI_DEV_GPU_TEMP").assert_absent_from(&page);
}

#[test]
fn a_falling_counter_is_dropped_once() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "1000"], 8);
    let replays = metric("DCGM_FI_DEV_PCIE_REPLAY_COUNTER").label("gpu", "0");
    rig.control.set(&["nonsense 0 nvmlDeviceGetPcieReplayCounter 500"]);
    exporter.wait_for("500", PATIENCE, |page| page.value_of(&replays) == Some(500.0));
    rig.control.set(&["nonsense 0 nvmlDeviceGetPcieReplayCounter 3"]);
    let dropped = metric("heatsink_read_errors_total").label("gpu", "0");
    let dropped = dropped.label("field", "DCGM_FI_DEV_PCIE_REPLAY_COUNTER");
    exporter.wait_for("the value is dropped", PATIENCE, |page| dropped.is_in(page));
    let (page, _) = exporter
        .wait_for("the counter is accepted", PATIENCE, |page| page.value_of(&replays) == Some(3.0));
    dropped.label("reason", "implausible").value(1.0).assert_in(&page);
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
    let (seen, _) = in_time(|| {
        let mut seen: Vec<f64> = Vec::new();
        for _ in 0..20 {
            seen.extend(exporter.page().value_of(&energy));
            pauses::sleep(Duration::from_millis(100));
        }
        seen.dedup();
        seen
    });
    assert!(seen.len() > 5, "energy was read {} times in 2 s", seen.len());
}

#[test]
fn each_generation_has_its_metric_names() {
    let rig = Rig::new();
    let page = |args: &[&str], names: &[&str]| {
        let args = [args, &["-c", "200"]].concat();
        // A rate needs two readings.
        let exporter = rig.started(&args, 8);
        let is_rate = |page: &Page| {
            page.samples("DCGM_FI_PROF_PCIE_RX_BYTES").len() == 8
                && page.all_samples().any(|sample| sample.name.contains("NVLINK"))
                && names.iter().all(|name| !page.samples(name).is_empty())
        };
        exporter.wait_for("rates", PATIENCE, is_rate).0
    };
    let heat = "DCGM_FI_DEV_GPU_TEMP";
    let (celsius, links) = ("DCGM_FI_DEV_GPU_TEMP_CELSIUS", "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL");
    let old = page(&["--metric-names", "4.8.2"], &[heat, links]);
    metric(heat).label("Hostname", "node-1").without("hostname").assert_in(&old);
    let kind = |page: &Page, name| page.family(name).map(|family| family.kind);
    assert_eq!(kind(&old, links), Some(FamilyKind::Counter));
    let new = page(&["--metric-names", "4.9"], &[celsius, "DCGM_FI_DEV_FB_CAPACITY_BYTES"]);
    metric(heat).assert_absent_from(&new);
    metric(celsius).label("hostname", "node-1").assert_in(&new);
    let both = page(&["--metric-names", "both"], &[heat, celsius, links]);
    assert_eq!(kind(&both, links), Some(FamilyKind::Gauge));
    let namespace = page(&["-o"], &[heat]);
    metric(heat).without("UUID").assert_in(&namespace);
    assert!(namespace.samples(heat).iter().all(|sample| sample.label("uuid").is_some()));
}
