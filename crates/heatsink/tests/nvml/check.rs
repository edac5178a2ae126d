//! What `heatsink check` says: on machines that are well, on one with faults, and without a driver.
//!
//! The texts are kept as goldens, for people to read:
//! `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml check` rewrites them.

use crate::rig::{BINARY, Rig};
use serde_json::Value;
use testkit::exporter::run;
use testkit::golden::check_golden;

/// What it prints on a machine, with the machine's root as `/`, and its exit status.
fn check(rig: &Rig, args: &[&str]) -> (String, Option<i32>) {
    let library = rig.library().display().to_string();
    let all = [&["check", "--nvml-library", &library], args].concat();
    let output = run(BINARY, &all, &rig.environment());
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "all there is to say is in the report");
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    (said.replace(&rig.root().display().to_string(), ""), output.status.code())
}

/// The same in one line, since paths make lines end elsewhere.
fn in_a_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_report_of_a_healthy_machine_fits_on_a_screen() {
    for name in ["h100x2", "a100x2-mig", "gb200x2", "geforce"] {
        let (said, status) = check(&Rig::machine(name).with_kernel_log(), &[]);
        assert_eq!(status, Some(0), "{said}");
        assert!(said.lines().count() <= 30, "{said}");
        check_golden(format!("check/{name}.txt"), &said);
    }
}

#[test]
fn each_problem_is_printed_with_an_action() {
    let rig = Rig::machine_of("h100x2", 8).with_kernel_log();
    rig.control.set(&[
        "gpu 2 lost",
        "gpu 5 lost",
        "gpu 0 denied nvmlDeviceGetPowerUsage",
        "gpu 4 fail nvmlDeviceGetTemperature",
        "gpu 6 fail nvmlDeviceGetTemperature",
        "nonsense 1 nvmlDeviceGetUtilizationRates 808334905",
    ]);
    let (said, status) = check(&rig, &[]);
    assert_eq!(status, Some(0), "{said}");
    check_golden("check/faults.txt", &said);
}

#[test]
fn without_a_driver_it_says_so_once() {
    let library = "/nowhere/libnvidia-ml.so.1";
    let output = run(BINARY, &["check", "--nvml-library", library], &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    check_golden("check/no-driver.txt", &said);
}

/// What it prints of simulated GPUs, at a moment of their job.
fn simulated(gpus: &str, arg: &str) -> String {
    let source = ["--source", "sim", "--sim-scenario", "steady", "--sim-at", "600", "--sim-gpus"];
    let output = run(BINARY, &[&["check", arg][..], &source, &[gpus]].concat(), &[]);
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn all_has_every_reading_and_folds_what_is_equal() {
    check_golden("check/all.txt", &simulated("2", "--all"));
}

/// Of the readings, those of a few fields: a value, one in words, one of each link, none.
#[test]
fn json_has_the_whole_report() {
    const FIELDS: [&str; 4] = [
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
        "DCGM_FI_DEV_NVLINK_GET_STATE",
        "DCGM_FI_DEV_FAN_SPEED",
    ];
    let mut said: Value = serde_json::from_str(&simulated("1", "--json")).expect("JSON");
    let readings = said["devices"][0]["readings"].as_array_mut().expect("readings");
    assert!(readings.len() > 60, "{}", readings.len());
    readings.retain(|reading| {
        let is_first = reading["nvlink"].as_u64().is_none_or(|link| link == 0);
        is_first && FIELDS.iter().any(|field| reading["field"] == *field)
    });
    let said = serde_json::to_string_pretty(&said).expect("JSON") + "\n";
    check_golden("check/check.json", &said);
}

#[test]
fn json_has_the_reason_why_no_data_flows() {
    let rig = Rig::new();
    rig.control.set(&["gpu 2 lost"]);
    let (said, status) = check(&rig, &["--json", "-d", "g:2"]);
    let said: Value = serde_json::from_str(&said).expect("JSON");
    assert_eq!(status, Some(1), "{said}");
    assert_eq!(said["data_flows"], false);
    assert_eq!(said["devices"][0]["down"], "lost");
    assert!(said["devices"][0]["advice"].is_string(), "{said}");
    assert_eq!(said["xids"]["source"], "nvml_events");
    assert!(said["xids"]["problem"].as_str().is_some_and(|why| why.contains("/dev/kmsg")));
    let library = "/nowhere/libnvidia-ml.so.1";
    let output = run(BINARY, &["check", "--json", "--nvml-library", library], &[]);
    let said: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(said["source"]["up"], false);
    assert!(said["why_not"].as_str().is_some_and(|why| why.contains(library)), "{said}");
}

#[test]
fn it_says_which_log_is_read_and_what_is_given_up() {
    let rig = Rig::new();
    let said = |args: &[&str]| in_a_line(&check(&rig, args).0);
    let without = said(&[]);
    assert!(without.contains("heatsink cannot read it: cannot read /dev/kmsg"), "{without}");
    assert!(without.contains("never bring 79"), "{without}");
    assert!(said(&["--kernel-log", "none"]).contains("leave out `--kernel-log none`"));
    let log = rig.file("kern.log", "");
    let with = said(&["--kernel-log", &log]);
    assert!(with.contains(&format!("XIDs come from the kernel's log: {log}.")), "{with}");
}

#[test]
fn driver_calls_are_timed_on_request() {
    let rig = Rig::new();
    rig.control.set(&["gpu 0 lost"]);
    let (said, _) = check(&rig, &["--timings"]);
    assert!(said.contains("Driver calls on GPU 1, microseconds"), "{said}");
    assert!(said.contains("nvmlDeviceGetPcieThroughput (0)"), "{said}");
}

#[test]
fn no_exit_handler_runs_under_a_stuck_call() {
    let rig = Rig::new();
    let lines: Vec<String> = (0..8).map(|gpu| format!("gpu {gpu} hang")).collect();
    rig.control.set(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    // The dynamic linker then tells on stderr whose handlers it runs.
    environment.push(("LD_DEBUG", "files"));
    let output = run(BINARY, &["check", "--nvml-library", &library], &environment);
    let linker = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("No data flows"));
    assert!(linker.contains(&format!("calling init: {library}")), "{linker}");
    assert!(!linker.contains("calling fini"), "{linker}");
}
