//! What a user may write on the command line, in the environment and in a counters file, right or
//! wrong.

mod rig;

use std::net::TcpListener;
use std::process::Output;

use rig::{BINARY, PATIENCE, Rig, down, is_absent, is_present, up};
use testkit::exporter::{Exporter, run};
use testkit::page::metric;

/// Starts the binary with settings that cannot work.
fn refused(args: &[&str], environment: &[(&str, &str)]) -> String {
    let Output { status, stderr, .. } = run(BINARY, args, environment);
    let stderr = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(2), "{args:?}: {stderr}");
    stderr
}

#[test]
fn settings_that_cannot_work_end_it_before_anything_is_served() {
    let taken = TcpListener::bind("127.0.0.1:0").expect("a port");
    let taken = taken.local_addr().expect("its address").to_string();
    for (args, word) in [
        (&["-f", "/nowhere/counters.csv"][..], "/nowhere/counters.csv"),
        (&["-f", "/"], "cannot read the counters file /"),
        (&["-a", &taken], "--address"),
        (&["-a", "9400"], "--address"),
        (&["-a", "host.invalid:9400"], "--address"),
        (&["-d", "g:1-"], "--devices"),
        (&["-d", "x"], "--devices"),
        (&["-d", "g:5-2"], "--devices"),
        (&["-c", "0"], "--collect-interval"),
        (&["-c", "soon"], "--collect-interval"),
        (&["--source", "magic"], "--source"),
        (&["--nonsense"], "--nonsense"),
    ] {
        let said = refused(args, &[]);
        assert!(said.contains(word), "{args:?}: {said}");
        let own = said.lines().filter(|line| line.starts_with("heatsink: ")).count();
        assert!(own == 1 || said.starts_with("error: "), "{args:?}: not one clear line: {said}");
    }
    let said = refused(&[], &[("DCGM_EXPORTER_COLLECTORS", "/nowhere/else.csv")]);
    assert!(said.contains("/nowhere/else.csv"), "{said}");
    let said = refused(&[], &[("DCGM_EXPORTER_DEVICES_STR", "g:")]);
    assert!(said.contains("--devices"), "{said}");
}

#[test]
fn the_environment_is_that_of_dcgm_exporter() {
    let rig = Rig::new()
        .with("DCGM_EXPORTER_INTERVAL", "200")
        .with("DCGM_EXPORTER_NO_HOSTNAME", "true")
        .with("DCGM_EXPORTER_DEVICES_STR", "g:0,2-3")
        .with("DCGM_EXPORTER_LOG_FORMAT", "json")
        .with("DCGM_EXPORTER_DEBUG", "")
        .with("DCGM_EXPORTER_COLLECTORS", "");
    let exporter = rig.started(&[], 3);
    let page = exporter.page();
    assert!(is_present(&page, 0) && is_absent(&page, 1) && is_present(&page, 3));
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "2").without("hostname").assert_in(&page);
    let log = exporter.log();
    let line = log.lines().next().expect("a line");
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
}

#[test]
fn the_library_may_be_named_in_the_environment() {
    let rig = Rig::new();
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    environment.push(("HEATSINK_NVML_LIBRARY", &library));
    let exporter = Exporter::start(BINARY, &["-c", "200"], &environment);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
}

#[test]
fn without_a_driver_auto_serves_no_made_up_numbers() {
    let exporter = Exporter::start(BINARY, &["-c", "200"], &[]);
    std::thread::sleep(std::time::Duration::from_secs(1));
    let page = exporter.page();
    assert!(page.all_samples().all(|sample| !sample.name.starts_with("DCGM")));
    metric("heatsink_source_up").label("source", "nvml").value(0.0).assert_in(&page);
}

#[test]
fn a_gpu_that_is_asked_for_and_not_there_is_named_once_and_awaited() {
    let rig = Rig::new();
    rig.control.set(&["gpus 6"]);
    let exporter = rig.started(&["-c", "200", "-d", "g:1,7"], 1);
    std::thread::sleep(std::time::Duration::from_secs(2));
    let page = exporter.page();
    assert_eq!(down(&page, 7).as_deref(), Some("missing"));
    metric("heatsink_gpu_up").label("gpu", "7").value(0.0).assert_in(&page);
    assert!(is_present(&page, 1) && is_absent(&page, 0));
    assert_eq!(exporter.log().matches("does not list it").count(), 1, "{}", exporter.log());
    rig.control.clear();
    exporter.wait_for("GPU 7 answers", PATIENCE, |page| is_present(page, 7));
}

#[test]
fn bad_rows_of_a_counters_file_cost_themselves() {
    let rig = Rig::new();
    let text = "\u{feff}# A file with every mistake that is known\r\n\
        DCGM_FI_DEV_GPU_TEMP,\tgauge, Temperature\r\n\
        DCGM_FI_DEV_POWER_USAGE, gauge\n\
        DCGM_FI_DEV_SM_CLOCK , gauge, Clock, in MHz, with commas\n\
        DCGM_FI_DEV_MEM_CLOCK, gauge, \"a lone quote\n\
        DCGM_FI_DEV_NO_SUCH_FIELD, gauge, Unknown\n\
        dcgm_fi_dev_fb_used, gauge, Lower case\n\
        DCGM_FI_DEV_FB_FREE, untyped, A \\ and a \\n in the help\n\
        DCGM_FI_DEV_SERIAL, gauge, A text as a number\n\
        DCGM_EXP_XID_ERRORS_COUNT, label, A family as a label\n\
        DCGM_FI_DEV_GPU_TEMP, gauge, Again\n\
        DCGM_FI_DEV_GPU_UTIL, histogram, One value\n\
        DCGM_FI_DRIVER_VERSION, label, Driver\n";
    let file = rig.file("counters.csv", text);
    let exporter = rig.started(&["-c", "200", "-f", &file], 8);
    let page = exporter.page();
    for name in ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_FB_FREE"] {
        assert_eq!(page.samples(name).len(), 8, "{name}");
    }
    let families: Vec<&str> = page
        .families
        .iter()
        .map(|family| family.name.as_str())
        .filter(|name| name.to_lowercase().starts_with("dcgm"))
        .collect();
    assert_eq!(families.len(), 3, "{families:?}");
    assert_eq!(page.family("DCGM_FI_DEV_SM_CLOCK").unwrap().help, "Clock, in MHz, with commas");
    assert_eq!(page.family("DCGM_FI_DEV_FB_FREE").unwrap().help, "A \\ and a \\n in the help");
    metric("heatsink_config_rows_skipped").value(8.0).assert_in(&page);
    let log = exporter.log();
    for line in [3, 5, 6, 7, 9, 10, 11, 12] {
        assert_eq!(log.matches(&format!("line {line}: skipped")).count(), 1, "line {line}: {log}");
    }
    assert!(log.contains("did you mean `DCGM_FI_DEV_FB_USED`?"), "{log}");
}

#[test]
fn a_well_known_counters_path_that_is_not_there_is_built_in() {
    let rig = Rig::new();
    let path = "/etc/dcgm-exporter/1.x-compatibility-metrics.csv";
    let exporter = rig.started(&["-c", "200", "-f", path], 8);
    metric("dcgm_gpu_temp").label("gpu", "0").assert_in(&exporter.page());
    assert!(exporter.log().contains("built-in"), "{}", exporter.log());
}

#[test]
fn fields_that_nothing_serves_are_named_once() {
    let rig = Rig::new();
    let text = "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature\nDCGM_EXP_P2P_STATUS, gauge, Links\n";
    let file = rig.file("counters.csv", text);
    let exporter = rig.started(&["-c", "200", "-f", &file], 8);
    assert!(exporter.page().family("DCGM_EXP_P2P_STATUS").is_none());
    assert_eq!(exporter.log().matches("DCGM_EXP_P2P_STATUS").count(), 1);
}

#[test]
fn it_listens_on_ipv6_too() {
    let Ok(free) = TcpListener::bind("[::1]:0") else {
        panic!("this machine has no IPv6 on its loopback interface: the test cannot be run here")
    };
    let port = free.local_addr().expect("its address").port();
    drop(free);
    let mut child = testkit::exporter::command(
        BINARY,
        &["--source", "sim", "-a", &format!("[::1]:{port}")],
        &[],
    )
    .stderr(std::process::Stdio::null())
    .spawn()
    .expect("the binary runs");
    let url = format!("http://[::1]:{port}/health");
    let until = std::time::Instant::now() + PATIENCE;
    while ureq::get(&url).call().is_err() {
        assert!(std::time::Instant::now() < until, "no answer on {url}");
        std::thread::sleep(std::time::Duration::from_millis(20));
    }
    child.kill().and_then(|()| child.wait()).expect("it can be ended");
}

#[test]
fn check_says_what_can_be_read_and_why_not() {
    let rig = Rig::new();
    rig.control.set(&["gpu 0 unsupported nvmlDeviceGetEncoderUtilization", "gpu 2 lost"]);
    let library = rig.library().display().to_string();
    let args = ["check", "--nvml-library", &library, "--timings"];
    let output = run(BINARY, &args, &rig.environment());
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(output.status.success(), "{said}");
    assert!(said.contains("GPU 0: NVIDIA H100 80GB HBM3, GPU-"), "{said}");
    assert!(said.contains("DCGM_FI_DEV_ENC_UTIL"), "{said}");
    assert!(said.contains("- (not_supported)"), "{said}");
    assert!(said.contains("down: lost"), "{said}");
    assert!(said.contains("Data flows."), "{said}");
    assert!(said.contains("nvmlDeviceGetPcieThroughput (0)"), "{said}");

    let args = ["check", "--nvml-library", "/nowhere/libnvidia-ml.so.1"];
    let output = run(BINARY, &args, &[]);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("No data flows"), "{said}");
}

#[test]
fn fields_lists_the_catalogue() {
    let output = run(BINARY, &["fields"], &[]);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(said.lines().count(), 403);
    assert!(said.contains("nvmlDeviceGetUtilizationRates"));
    let output = run(BINARY, &["fields", "--json", "--served"], &[]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(rows.iter().all(|row| row["served_by"].is_string()));
    assert!(rows.len() >= 36, "{}", rows.len());
}

#[test]
fn the_demo_says_where_to_look() {
    let child = testkit::exporter::command(
        BINARY,
        &["demo", "--address", "127.0.0.1:0", "--speed", "600"],
        &[],
    )
    .stdout(std::process::Stdio::piped())
    .stderr(std::process::Stdio::null())
    .spawn()
    .expect("the binary runs");
    std::thread::sleep(std::time::Duration::from_secs(3));
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    let output = child.wait_with_output().expect("it ends");
    child_ended_well(&output);
    let said = String::from_utf8(output.stdout).expect("UTF-8");
    assert!(said.contains("/metrics"), "{said}");
    assert!(said.contains("XID 79"), "{said}");
}

fn child_ended_well(output: &Output) {
    assert!(output.status.success(), "{}", output.status);
}
