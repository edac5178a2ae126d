//! What recording costs: the driver calls that it adds, and nothing on the page.

use std::collections::BTreeSet;
use std::time::Instant;

use testkit::exporter::Exporter;
use testkit::page::Page;

use crate::rig::{PATIENCE, Rig};

const CALLS: &str = "heatsink_driver_call_duration_seconds";

/// Started, with the durations of driver calls, once everything was read.
fn started(rig: &Rig, history: &str) -> Exporter {
    let default = model::catalog::builtin::Set::Default.text();
    let rows = format!("{default}\n{CALLS}, gauge, Duration of calls.\n");
    let counters = rig.file("calls.csv", rows);
    let exporter = rig.started(&["-f", &counters, "-c", "200", history], 8);
    // Rates, and means of two samples.
    let last = ["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_PROF_GR_ENGINE_ACTIVE"];
    exporter.wait_for("everything was read", PATIENCE, |page| {
        last.iter().all(|name| page.samples(name).len() == 8)
    });
    exporter
}

/// The driver calls of GPU 0, and all series.
type Shown = (BTreeSet<String>, BTreeSet<String>);

fn read(page: &Page) -> Shown {
    let all = page.all_samples().filter(|sample| !sample.name.contains("_incident"));
    let all = all.filter(|sample| !sample.name.starts_with("heatsink_history_"));
    let series = all.filter(|sample| sample.name != CALLS);
    let names = series.map(|sample| format!("{} {:?}", sample.name, sample.labels)).collect();
    let of_gpu = page.samples(CALLS).into_iter().filter(|sample| sample.label("gpu") == Some("0"));
    let calls = of_gpu.filter_map(|sample| sample.label("call").map(str::to_owned)).collect();
    (calls, names)
}

#[test]
fn recording_adds_few_calls_and_no_series() {
    let rig = Rig::new();
    let [without, with] = ["--history=false", "--history=true"].map(|flag| started(&rig, flag));
    let both = || [&without, &with].map(|exporter| read(&exporter.page()));
    // A page of a busy machine may lack what is read late.
    let is_complete = |[(few, same), (calls, series)]: &[Shown; 2]| {
        calls.len() == few.len() + ADDED_CALLS.len() && series == same
    };
    let (until, mut shown) = (Instant::now() + PATIENCE, both());
    while !is_complete(&shown) && Instant::now() < until {
        shown = both();
    }
    let [(without, series_without), (with, series_with)] = shown;
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
    exporter.logged(line, PATIENCE);
}
