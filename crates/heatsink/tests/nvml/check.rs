//! The report of `heatsink check`: on healthy machines, with faults, and without a driver.
//!
//! The reports are goldens: `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml check` rewrites them.

use crate::rig::{BINARY, Rig};
use serde_json::Value;
use testkit::exporter::run;
use testkit::golden::check_golden;
use testkit::pauses::in_time;

/// Report and exit status on a machine, with the machine's root as `/`. It is made again if the machine stood
/// still, because readings may then be late.
fn check(rig: &Rig, args: &[&str]) -> (String, Option<i32>) {
    let library = rig.library().display().to_string();
    let all = [&["check", "--nvml-library", &library], args].concat();
    let (output, _) = in_time(|| run(BINARY, &all, &rig.environment()));
    assert_eq!(String::from_utf8_lossy(&output.stderr), "", "everything is in the report");
    let report = String::from_utf8(output.stdout).expect("UTF-8");
    (report.replace(&rig.root().display().to_string(), ""), output.status.code())
}

/// The text in one line, because line breaks depend on paths.
fn in_one_line(text: &str) -> String {
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

#[test]
fn the_report_of_a_healthy_machine_fits_on_a_screen() {
    for name in ["h100x2", "a100x2-mig", "gb200x2", "geforce"] {
        let (report, status) = check(&Rig::machine(name).with_kernel_log(), &[]);
        assert_eq!(status, Some(0), "{report}");
        assert!(report.lines().count() <= 30, "{report}");
        check_golden(format!("check/{name}.txt"), &report);
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
    let (report, status) = check(&rig, &[]);
    assert_eq!(status, Some(0), "{report}");
    check_golden("check/faults.txt", &report);
}

#[test]
fn without_a_driver_check_reports_it_once() {
    let library = "/nowhere/libnvidia-ml.so.1";
    let output = run(BINARY, &["check", "--nvml-library", library], &[]);
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(1));
    let report = String::from_utf8(output.stdout).expect("UTF-8");
    check_golden("check/no-driver.txt", &report);
}

/// The report of simulated GPUs, at a moment of their job.
fn simulated(gpus: &str, arg: &str) -> String {
    let source = ["--source", "sim", "--sim-scenario", "steady", "--sim-at", "600", "--sim-gpus"];
    let all = [&["check", arg][..], &source, &[gpus]].concat();
    let (output, _) = in_time(|| run(BINARY, &all, &[]));
    String::from_utf8(output.stdout).expect("UTF-8")
}

#[test]
fn all_lists_every_reading_and_folds_equal_ones() {
    check_golden("check/all.txt", &simulated("2", "--all"));
}

/// The JSON report with readings of a few fields only: a value, a text, a field of links, and a reason.
#[test]
fn json_has_the_whole_report() {
    const FIELDS: [&str; 4] = [
        "DCGM_FI_DEV_POWER_USAGE",
        "DCGM_FI_DEV_CLOCKS_EVENT_REASONS",
        "DCGM_FI_DEV_NVLINK_GET_STATE",
        "DCGM_FI_DEV_FAN_SPEED",
    ];
    let mut report: Value = serde_json::from_str(&simulated("1", "--json")).expect("JSON");
    let readings = report["devices"][0]["readings"].as_array_mut().expect("readings");
    assert!(readings.len() > 60, "{}", readings.len());
    readings.retain(|reading| {
        let is_first = reading["nvlink"].as_u64().is_none_or(|link| link == 0);
        is_first && FIELDS.iter().any(|field| reading["field"] == *field)
    });
    let report = serde_json::to_string_pretty(&report).expect("JSON") + "\n";
    check_golden("check/check.json", &report);
}

#[test]
fn json_has_the_reason_for_missing_data() {
    let rig = Rig::new();
    rig.control.set(&["gpu 2 lost"]);
    let (report, status) = check(&rig, &["--json", "-d", "g:2"]);
    let report: Value = serde_json::from_str(&report).expect("JSON");
    assert_eq!(status, Some(1), "{report}");
    assert_eq!(report["data_flows"], false);
    assert_eq!(report["devices"][0]["down"], "lost");
    assert!(report["devices"][0]["advice"].is_string(), "{report}");
    assert_eq!(report["xids"]["source"], "nvml_events");
    assert!(report["xids"]["problem"].as_str().is_some_and(|why| why.contains("/dev/kmsg")));
    let library = "/nowhere/libnvidia-ml.so.1";
    let output = run(BINARY, &["check", "--json", "--nvml-library", library], &[]);
    let report: Value = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(report["source"]["up"], false);
    assert!(report["why_not"].as_str().is_some_and(|why| why.contains(library)), "{report}");
}

#[test]
fn check_reports_the_xid_source_and_its_limits() {
    let rig = Rig::new();
    let report = |args: &[&str]| in_one_line(&check(&rig, args).0);
    let without = report(&[]);
    assert!(without.contains("heatsink cannot read it: cannot read /dev/kmsg"), "{without}");
    assert!(without.contains("never bring 79"), "{without}");
    assert!(report(&["--kernel-log", "none"]).contains("leave out `--kernel-log none`"));
    let log = rig.file("kern.log", "");
    let with = report(&["--kernel-log", &log]);
    assert!(with.contains(&format!("XIDs come from the kernel's log: {log}.")), "{with}");
}

#[test]
fn a_web_configuration_is_checked_without_a_driver() {
    let folder = tempfile::tempdir().expect("a folder");
    let path = folder.path().join("web.yml").display().to_string();
    // A driver library that cannot be used would be refused.
    let check = || run(BINARY, &["check", "--nvml-library", &path, "--web-config", &path], &[]);
    let hash = "$2y$10$X0h1gDsPszWURQaxFh.zoubFi6DXncSjhoQNJgRrnGs7EsimhC7zG";
    let text =
        format!("basic_auth_users: {{alice: {hash}}}\nrate_limit: {{interval: 1s, burst: 9}}\n");
    std::fs::write(&path, &text).expect("written");
    let output = check();
    assert_eq!(String::from_utf8_lossy(&output.stderr), "");
    assert_eq!(output.status.code(), Some(0));
    assert_eq!(
        String::from_utf8_lossy(&output.stdout).replace(&path, "web.yml"),
        "web.yml is valid\n\
         TLS: off\n\
         users: alice\n\
         headers: none\n\
         rate limit: a request every 1s, 9 at once\n\
         warning: passwords are sent without encryption; set cert_file and key_file\n"
    );

    std::fs::write(&path, text.replace("9}", "x}")).expect("written");
    let output = check();
    assert_eq!(
        String::from_utf8_lossy(&output.stderr).replace(&path, "web.yml"),
        "heatsink: --web-config: web.yml:2: burst: `x` is not a number from 1 to 1000000; write one\n"
    );
    assert_eq!((output.status.code(), output.stdout.len()), (Some(2), 0));
}

#[test]
fn driver_calls_are_timed_on_request() {
    let rig = Rig::new();
    rig.control.set(&["gpu 0 lost"]);
    let (report, _) = check(&rig, &["--timings"]);
    assert!(report.contains("Driver calls on GPU 1, microseconds"), "{report}");
    assert!(report.contains("nvmlDeviceGetPcieThroughput (0)"), "{report}");
}

#[test]
fn no_exit_handler_runs_under_a_stuck_call() {
    let rig = Rig::new();
    let lines: Vec<String> = (0..8).map(|gpu| format!("gpu {gpu} hang")).collect();
    rig.control.set(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    // With this variable, the dynamic linker logs the exit handlers that it runs.
    environment.push(("LD_DEBUG", "files"));
    let output = run(BINARY, &["check", "--nvml-library", &library], &environment);
    let linker = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1));
    assert!(String::from_utf8_lossy(&output.stdout).contains("No data flows"));
    assert!(linker.contains(&format!("calling init: {library}")), "{linker}");
    assert!(!linker.contains("calling fini"), "{linker}");
}

/// One line and an exit status, for a monitor of nodes.
#[test]
fn health_is_one_line_and_an_exit_status() {
    let rig = Rig::new().with_kernel_log();
    let health = |faults: &[&str], args: &[&str]| {
        rig.control.set(faults);
        let (line, status) = check(&rig, &[&["--health"], args].concat());
        assert_eq!(line.lines().count(), 1, "{line}");
        (line.trim_end().to_owned(), status)
    };
    assert_eq!(health(&[], &[]), ("All 8 GPUs are healthy.".into(), Some(0)));
    let slow = "7 of 8 GPUs are healthy; GPU 1 is slowed down by heat.";
    assert_eq!(
        health(&["nonsense 1 nvmlDeviceGetCurrentClocksEventReasons 32"], &[]),
        (slow.into(), Some(1))
    );
    let lost = "7 of 8 GPUs are healthy; GPU 0 is down.";
    assert_eq!(health(&["gpu 0 lost"], &[]), (lost.into(), Some(2)));
    let missing = "All 8 GPUs are healthy; 2 more GPUs are expected.";
    assert_eq!(health(&[], &["--expected-gpus", "10"]), (missing.into(), Some(2)));
    let output = run(BINARY, &["check", "--health", "--nvml-library", "/nowhere/nvml.so"], &[]);
    assert_eq!(output.status.code(), Some(2));
    let line = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(line.starts_with("The driver cannot be used, so no GPU is read. "), "{line}");
    assert_eq!(line.lines().count(), 1, "{line}");
}
