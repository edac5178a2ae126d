//! What recording costs: the driver calls that it adds, and nothing on the page.

use std::collections::BTreeSet;

use testkit::page::Page;

use crate::rig::{PATIENCE, Rig};

/// The driver calls of GPU 0, and all series, once everything was read.
fn read(rig: &Rig, history: &str) -> (BTreeSet<String>, BTreeSet<String>) {
    const CALLS: &str = "heatsink_driver_call_duration_seconds";
    let default = model::catalog::builtin::Set::Default.text();
    let rows = format!("{default}\n{CALLS}, gauge, Duration of calls.\n");
    let counters = rig.file("calls.csv", rows);
    let exporter = rig.started(&["-f", &counters, "-c", "200", history], 8);
    let names = |page: &Page| -> BTreeSet<String> {
        let all = page.all_samples().filter(|sample| !sample.name.contains("_incident"));
        let all = all.filter(|sample| !sample.name.starts_with("heatsink_history_"));
        let series = all.filter(|sample| sample.name != CALLS);
        series.map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect()
    };
    // Rates, and means of two samples.
    for name in ["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"] {
        exporter.wait_for(name, PATIENCE, |page| page.samples(name).len() == 8);
    }
    let page = exporter.page();
    let of_gpu = page.samples(CALLS).into_iter().filter(|sample| sample.label("gpu") == Some("0"));
    let calls = of_gpu.filter_map(|sample| sample.label("call").map(str::to_owned)).collect();
    (calls, names(&page))
}

#[test]
fn recording_adds_few_calls_and_no_series() {
    let rig = Rig::new();
    let (without, series_without) = read(&rig, "--history=false");
    let (with, series_with) = read(&rig, "--history=true");
    let more: Vec<&str> = with.difference(&without).map(String::as_str).collect();
    assert_eq!(more, ADDED_CALLS);
    assert_eq!(with.len(), without.len() + more.len(), "no call less");
    let more: Vec<&String> = series_with.symmetric_difference(&series_without).collect();
    assert_eq!(more, [""; 0]);
}

/// That of the performance state is made once per interval, the others every ten seconds.
const ADDED_CALLS: [&str; 5] = [
    "nvmlDeviceGetCurrPcieLinkGeneration",
    "nvmlDeviceGetCurrPcieLinkWidth",
    "nvmlDeviceGetEnforcedPowerLimit",
    "nvmlDeviceGetPerformanceState",
    "nvmlDeviceGetSerial",
];

#[test]
fn what_is_wrong_with_the_folder_is_logged() {
    let rig = Rig::new();
    let file = rig.file("no-folder", "text");
    let exporter = rig.started(&["--history-dir", &file], 8);
    let line = "the history is kept in memory alone until it can be written";
    exporter.wait_for("a line in the log", PATIENCE, |_| exporter.log().contains(line));
}
