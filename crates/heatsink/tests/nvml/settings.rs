//! Valid and invalid settings: command line, environment and counters files.

use std::io::{BufRead, BufReader};
use std::net::TcpListener;
use std::os::unix::ffi::OsStrExt;
use std::process::{Child, Output, Stdio};
use std::sync::mpsc;
use std::time::{Duration, Instant};

use crate::rig::{BINARY, PATIENCE, Rig, down, is_absent, is_present, up};
use testkit::exporter::{Exporter, run};
use testkit::page::{Page, metric};
use testkit::pauses;
use testkit::server::free_address;

/// Starts the binary with invalid settings.
fn refused(args: &[&str], environment: &[(&str, &str)]) -> String {
    let Output { status, stderr, .. } = run(BINARY, args, environment);
    let stderr = String::from_utf8(stderr).expect("UTF-8");
    assert_eq!(status.code(), Some(2), "{args:?}: {stderr}");
    stderr
}

/// Variables with invalid values, where only certain words are valid.
const NONSENSE: [(&str, &str); 5] = [
    ("HEATSINK_SOURCE", "magic"),
    ("DCGM_EXPORTER_LOG_FORMAT", "logfmt"),
    ("DCGM_EXPORTER_NO_HOSTNAME", "maybe"),
    ("DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME", "maybe"),
    ("DCGM_EXPORTER_DEBUG", "maybe"),
];

#[test]
fn an_invalid_variable_stops_only_commands_that_read_it() {
    let output = run(BINARY, &["fields"], &NONSENSE);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let [_, _, no_hostname, ..] = NONSENSE;
    // It fails because of its own flag.
    let text = refused(&["demo", "--speed", "0"], &[no_hostname]);
    assert!(text.contains("--speed"), "{text}");

    let garbled = std::ffi::OsStr::from_bytes(b"\xff");
    let variables = NONSENSE.map(|(variable, _)| (variable, garbled));
    let mut fields = testkit::exporter::command(BINARY, &["fields"], &[]);
    let output = fields.envs(variables).output().expect("the binary runs");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
}

#[test]
fn empty_variables_count_as_unset() {
    let nothing = NONSENSE.map(|(variable, _)| (variable, ""));
    let exporter = Exporter::start(BINARY, &["-c", "200"], &nothing);
    metric("heatsink_source_up").label("source", "nvml").assert_in(&exporter.page());
}

#[test]
fn the_variables_of_dcgm_exporter_are_read() {
    let rig = Rig::new()
        .with("DCGM_EXPORTER_INTERVAL", "200")
        .with("DCGM_EXPORTER_NO_HOSTNAME", "true")
        .with("DCGM_EXPORTER_DEVICES_STR", "g:0,2-3")
        .with("DCGM_EXPORTER_LOG_FORMAT", "json")
        .with("DCGM_EXPORTER_DEBUG", "")
        .with("DCGM_EXPORTER_COLLECTORS", "");
    let exporter = rig.started(&[], 3);
    let (page, _) = exporter.wait_for("all are read", PATIENCE, |page| {
        [0, 2, 3].into_iter().all(|gpu| is_present(page, gpu))
    });
    assert!(is_absent(&page, 1));
    metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "2").without("hostname").assert_in(&page);
    let log = exporter.log();
    let line = log.lines().next().expect("a line");
    assert!(serde_json::from_str::<serde_json::Value>(line).is_ok(), "{line}");
}

#[test]
fn the_library_can_be_set_by_a_variable() {
    let rig = Rig::new();
    let library = rig.library().display().to_string();
    let mut environment = rig.environment();
    environment.push(("HEATSINK_NVML_LIBRARY", &library));
    let exporter = Exporter::start(BINARY, &["-c", "200"], &environment);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
}

#[test]
fn auto_never_serves_simulated_gpus() {
    let exporter = Exporter::start(BINARY, &["-c", "200"], &[]);
    pauses::sleep(Duration::from_secs(1));
    let page = exporter.page();
    assert!(page.all_samples().all(|sample| !sample.name.starts_with("DCGM")));
    metric("heatsink_source_up").label("source", "nvml").value(0.0).assert_in(&page);
}

#[test]
fn a_selected_gpu_that_is_missing_is_logged_once_and_served_later() {
    let rig = Rig::new();
    rig.control.set(&["gpus 6"]);
    let exporter = rig.started(&["-c", "200", "-d", "g:1,7"], 1);
    let (page, _) = exporter.wait_for("GPU 7 is missed", PATIENCE, |page| {
        down(page, 7).as_deref() == Some("missing") && is_present(page, 1)
    });
    metric("heatsink_gpu_up").label("gpu", "7").value(0.0).assert_in(&page);
    assert!(is_absent(&page, 0));
    let line = "asks for GPU 7, which the driver does not list";
    exporter.logged(line, PATIENCE);
    pauses::sleep(Duration::from_secs(2));
    assert_eq!(exporter.log().matches(line).count(), 1, "{}", exporter.log());
    rig.control.clear();
    exporter.wait_for("GPU 7 answers", PATIENCE, |page| is_present(page, 7));
}

#[test]
fn health_fails_without_a_gpu_if_it_requires_one() {
    let rig = Rig::without_library();
    let strict = rig.start(&["-c", "200", "-d", "g:0,3", "--health-require-gpus"]);
    strict.wait_for("both are down", PATIENCE, |page| down(page, 3).is_some());
    let health = strict.get("/health");
    assert_eq!(health.status, 503);
    assert_eq!(health.body, "no GPU has answered since the start\n");
    assert_eq!(rig.start(&["-c", "200"]).get("/health").status, 200);
    rig.install();
    strict.wait_for("both answer", PATIENCE, |page| up(page) == 2);
    assert_eq!(strict.get("/health").status, 200);
    // A restart would not bring a lost GPU back.
    rig.control.set(&["gpu 0 lost", "gpu 3 lost"]);
    strict.wait_for("no GPU answers", PATIENCE, |page| up(page) == 0);
    assert_eq!(strict.get("/health").status, 200);
}

#[test]
fn bad_rows_of_a_counters_file_are_skipped() {
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
    let good = ["DCGM_FI_DEV_GPU_TEMP", "DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_FB_FREE"];
    let (page, _) = exporter.wait_for("the good rows", PATIENCE, |page| {
        good.iter().all(|name| page.samples(name).len() == 8)
    });
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
fn a_reload_without_a_valid_row_keeps_the_current_rows() {
    const GOOD: &str = "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature.\n?\n";
    let rig = Rig::new();
    let file = rig.file("counters.csv", GOOD);
    let extra = rig.file("extra.csv", "DCGM_FI_DEV_POWER_USAGE, gauge, Power.\n");
    // A file that has changed would ask for a reload of its own.
    let args = ["-c", "200", "-f", &file, "--extra-collectors", &extra, "--watch-files=false"];
    let exporter = rig.started(&args, 8);
    let power = metric("DCGM_FI_DEV_POWER_USAGE").label("gpu", "7");
    let reloaded = |value| metric("heatsink_config_last_reload_successful").value(value);
    for (name, text, why) in [
        ("counters.csv", "DCGM_FI_DEV_GPU_TMP, gauge, Temperature.\n", "did you mean"),
        ("counters.csv", "", "asks for nothing"),
        ("extra.csv", "?\n?\n", "HEATSINK_EXTRA_COLLECTORS"),
    ] {
        let before = std::fs::read_to_string(if name == "extra.csv" { &extra } else { &file });
        rig.file(name, text);
        exporter.signal("HUP");
        exporter.wait_for("it is refused", PATIENCE, |page| reloaded(0.0).is_in(page));
        // Longer than the time after which readings are late.
        pauses::sleep(Duration::from_millis(1500));
        let (page, _) = exporter.wait_for("the rows stay", PATIENCE, |page| {
            is_present(page, 0) && is_present(page, 7) && power.is_in(page)
        });
        reloaded(0.0).assert_in(&page);
        metric("heatsink_config_rows_skipped").value(1.0).assert_in(&page);
        exporter.wait_for(why, PATIENCE, |_| {
            let log = exporter.log();
            let line = log.lines().rfind(|line| line.contains("SIGHUP: "));
            line.is_some_and(|line| line.contains("ERROR") && line.contains(why))
        });
        rig.file(name, before.expect("the file is there"));
        exporter.signal("HUP");
        exporter.wait_for("it is taken", PATIENCE, |page| reloaded(1.0).is_in(page));
    }
}

#[test]
fn a_missing_well_known_counters_path_is_built_in() {
    let rig = Rig::new();
    let path = "/etc/dcgm-exporter/1.x-compatibility-metrics.csv";
    let exporter = rig.started(&["-c", "200", "-f", path], 8);
    let heat = metric("dcgm_gpu_temp").label("gpu", "0");
    exporter.wait_for("its rows", PATIENCE, |page| heat.is_in(page));
    assert!(exporter.log().contains("built-in"), "{}", exporter.log());
}

#[test]
fn unserved_fields_are_logged_once() {
    let rig = Rig::new();
    let text =
        "DCGM_FI_DEV_GPU_TEMP, gauge, Temperature\nDCGM_FI_DEV_GPU_NVLINK_ERRORS, gauge, Links\n";
    let file = rig.file("counters.csv", text);
    let exporter = rig.started(&["-c", "200", "-f", &file], 8);
    assert!(exporter.page().family("DCGM_FI_DEV_GPU_NVLINK_ERRORS").is_none());
    assert_eq!(exporter.log().matches("DCGM_FI_DEV_GPU_NVLINK_ERRORS").count(), 1);
}

fn wait_for_health(address: &str) {
    let url = format!("http://{address}/health");
    let agent = ureq::Agent::from(ureq::Agent::config_builder().proxy(None).build());
    let until = Instant::now() + PATIENCE;
    while agent.get(&url).call().is_err() {
        assert!(Instant::now() < until, "no answer on {url}");
        pauses::sleep(Duration::from_millis(20));
    }
}

#[test]
fn a_folder_with_the_name_of_a_built_in_set_is_ignored() {
    let folder = tempfile::tempdir().expect("a folder");
    std::fs::create_dir(folder.path().join("monitoring")).expect("a folder in it");
    let args = ["--source", "sim", "--extra-collectors", "monitoring"];
    let exporter = Exporter::start_in(folder.path(), BINARY, &args, &[]);
    assert_eq!(exporter.get("/health").status, 200);
    let (status, ..) = exporter.terminate();
    assert!(status.success(), "{status}");
}

#[test]
fn heatsink_listens_on_ipv6() {
    if let Err(error) = TcpListener::bind("[::1]:0") {
        panic!("this machine has no IPv6 on its loopback interface, so this cannot be run: {error}")
    }
    let exporter = Exporter::start(BINARY, &["--source", "sim", "-a", "[::1]:0"], &[]);
    let log = exporter.log();
    let (_, rest) = log.split_once("http://[::1]:").expect("its address");
    let port: String = rest.chars().take_while(char::is_ascii_digit).collect();
    wait_for_health(&format!("[::1]:{port}"));
}

#[test]
fn fields_lists_the_catalogue() {
    let output = run(BINARY, &["fields"], &[]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    assert_eq!(text.lines().count(), 1 + model::catalog::FIELDS.len());
    assert!(text.contains("nvmlDeviceGetUtilizationRates"));
    let output = run(BINARY, &["fields", "--json", "--served"], &[]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert!(rows.iter().all(|row| row["served_by"].is_string()));
    assert!(rows.len() >= 412, "{}", rows.len());
}

/// The first column of the list, without the header.
fn listed(args: &[&str]) -> Vec<String> {
    let output = run(BINARY, &[&["fields"], args].concat(), &[]);
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let first = |line: &str| line.split_whitespace().next().unwrap_or_default().to_owned();
    text.lines().skip(1).map(first).collect()
}

#[test]
fn fields_searches_the_catalogue() {
    // In a name, a name of another generation, a unit, a group, and a description.
    assert_eq!(listed(&["gpu_temp_limit"]), ["153"]);
    assert_eq!(listed(&["Memory_TEMP_celsius"]), ["140"]);
    assert_eq!(listed(&["KB/s"]), ["200", "201"]);
    assert_eq!(listed(&["POWER CAP"]), ["1420"]);
    assert!(listed(&["heat", "--served"]).contains(&"191".to_owned()));
    assert_eq!(listed(&["--xids", "79"]), ["79"]);
    assert!(listed(&["--xids", "BUS"]).contains(&"79".to_owned()));
    let output = run(BINARY, &["fields", "--json", "fan_speed"], &[]);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    assert_eq!(rows.len(), 1);
    assert_eq!(rows[0]["group"], "heat");
    assert!(rows[0]["help"].as_str().is_some_and(|help| help.starts_with("Fan speed")));
}

#[test]
fn a_search_without_results_suggests_similar_names() {
    for (args, word) in [
        (&["gpu_tmp"][..], "near it: DCGM_FI_DEV_GPU_TEMP"),
        (&["flux"], "no field has `flux`"),
        (&["--xids", "9999"], "no XID has `9999`"),
    ] {
        let output = run(BINARY, &[&["fields"], args].concat(), &[]);
        assert_eq!(output.status.code(), Some(1), "{args:?}");
        assert_eq!(output.stdout, b"");
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert!(text.contains(word), "{text}");
    }
}

#[test]
fn the_demo_prints_its_addresses() {
    let mut child = testkit::exporter::command(
        BINARY,
        &["demo", "--address", "127.0.0.1:0", "--speed", "600"],
        &[],
    )
    .stdout(Stdio::piped())
    .stderr(Stdio::null())
    .spawn()
    .expect("the binary runs");
    let stdout = child.stdout.take().expect("it is piped");
    let (sender, lines) = mpsc::channel();
    let read = move || {
        let lines = BufReader::new(stdout).lines().map_while(Result::ok);
        // The reader ends with the last line, so that sending may fail after it.
        lines.map(|line| sender.send(line)).take_while(Result::is_ok).count()
    };
    let reader = std::thread::Builder::new().spawn(read).expect("a thread");
    let mut text = String::new();
    while !text.contains("XID 79") {
        let line = lines.recv_timeout(PATIENCE);
        text += &line.unwrap_or_else(|error| panic!("{error}, no XID 79 in {text}"));
        text += "\n";
    }
    child_ended_well(&terminated(child));
    reader.join().expect("no panic");
    let mut links = text.split_whitespace().filter(|word| word.starts_with("http://"));
    let page = links.next().expect("the link of the page for people");
    assert_eq!(links.next(), Some(&*format!("{page}metrics")), "{text}");
    assert!(page.ends_with('/'), "{text}");
}

/// The page of the demo, once it has this.
fn page_of_the_demo(args: &[&str], what: &str, has_it: impl Fn(&Page) -> bool) -> Page {
    let exporter = Exporter::start(BINARY, &[&["demo"], args].concat(), &[]);
    let (page, _) = exporter.wait_for(what, PATIENCE, has_it);
    let (status, ..) = exporter.terminate();
    assert!(status.success(), "{status}");
    page
}

#[test]
fn the_demo_serves_every_metric_of_the_alert_rules() {
    let watches = model::catalog::builtin::Set::Monitoring.watches();
    let expected = watches.iter().filter_map(|watch| {
        let series = match &*watch.name {
            // An H100 remaps rows instead of retiring pages.
            "DCGM_FI_DEV_RETIRED_SBE" | "DCGM_FI_DEV_RETIRED_DBE" => 0,
            "heatsink_window_seconds" | "heatsink_history_memory_bytes" => 1,
            // There is none before the first row.
            "heatsink_history_oldest_timestamp_seconds" => return None,
            "heatsink_incidents_total" => 12,
            // It has no folder, and there was no incident.
            name if name.starts_with("heatsink_history_") => 0,
            "heatsink_last_incident_timestamp_seconds" => 0,
            _ => 8,
        };
        Some((&*watch.name, series))
    });
    let expected: Vec<(&str, usize)> = expected.collect();
    let page = page_of_the_demo(&[], &format!("{expected:?}"), |page| {
        expected.iter().all(|(name, series)| page.samples(name).len() == *series)
    });
    metric("heatsink_source_info").label("source", "sim").assert_in(&page);
}

#[test]
fn the_demo_accepts_metric_names_of_another_generation() {
    let width = metric("DCGM_FI_DEV_PCIE_LINK_WIDTH").label("gpu", "7").value(16.0);
    let page = page_of_the_demo(&["--metric-names", "4.9"], "both names", |page| {
        page.samples("DCGM_FI_DEV_GPU_TEMP_CELSIUS").len() == 8 && width.is_in(page)
    });
    assert!(page.family("DCGM_FI_DEV_GPU_TEMP").is_none());
}

#[test]
fn closed_output_streams_do_not_stop_heatsink() {
    for args in [&["demo", "--speed", "600"][..], &["--source", "sim", "-c", "50", "--debug"]] {
        let address = free_address();
        let args = [args, &["--address", &address]].concat();
        let mut child = testkit::exporter::command(BINARY, &args, &[])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .expect("the binary runs");
        drop((child.stdout.take(), child.stderr.take()));
        wait_for_health(&address);
        child_ended_well(&terminated(child));
    }
    let mut child = testkit::exporter::command(BINARY, &["-d", "x"], &[])
        .stderr(Stdio::piped())
        .spawn()
        .expect("the binary runs");
    drop(child.stderr.take());
    assert_eq!(child.wait().expect("it ends").code(), Some(2));
}

/// Sends SIGTERM, and waits for the exit.
fn terminated(child: Child) -> Output {
    let pid = child.id().to_string();
    let sent = std::process::Command::new("kill").args(["-s", "TERM", &pid]).status();
    assert!(sent.is_ok_and(|status| status.success()));
    child.wait_with_output().expect("it ends")
}

fn child_ended_well(output: &Output) {
    assert!(output.status.success(), "{}", output.status);
}
