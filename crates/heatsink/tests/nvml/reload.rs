//! Configuration files, ConfigMaps and reloads.
//!
//! `HEATSINK_RELOADS` is the number of reloads in a row (200). `cargo xtask nightly` does a thousand.

use std::fs;
use std::os::unix::fs::symlink;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::Duration;

use crate::rig::{BINARY, PATIENCE, Rig, up};
use crate::web::{Authority, Flaw, RIGHT, Side};
use fake_kubernetes::api_server::{ApiServer, Fault, Verb};
use serde_json::json;
use testkit::exporter::{Exporter, run};
use testkit::page::{Page, metric};
use testkit::pauses;

const HEAT: &str = "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n";
const POWER: &str = "DCGM_FI_DEV_POWER_USAGE, gauge, Power.\n";
const ENERGY: &str = "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION, counter, Energy.\n";

fn is_reloaded(page: &Page) -> bool {
    metric("heatsink_config_last_reload_successful").value(1.0).is_in(page)
}

fn reloaded_at(page: &Page) -> Option<f64> {
    page.value_of(&metric("heatsink_config_last_reload_success_timestamp_seconds"))
}

fn has_power(page: &Page) -> bool {
    page.samples("DCGM_FI_DEV_POWER_USAGE").len() == 8
}

/// Whether all GPUs are read, and their power is not.
fn lacks_power(page: &Page) -> bool {
    up(page) == 8 && page.samples("DCGM_FI_DEV_POWER_USAGE").is_empty()
}

/// Waits until the last reload has failed, and until the log has this text.
fn wait_for_refusal(exporter: &Exporter, said: &str) {
    exporter.wait_for("it is refused", PATIENCE, |page| !is_reloaded(page));
    exporter.logged(said, PATIENCE);
}

#[test]
fn changed_files_are_read_again_and_bad_ones_change_nothing() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", HEAT);
    let text = |extra: &str| format!("collectors: {counters}\ncollect-interval: 200\n{extra}");
    let config = rig.file("heatsink.yaml", text(""));
    let exporter = rig.started(&["--config-file", &config], 8);
    let page = exporter.page();
    assert!(is_reloaded(&page) && !has_power(&page));
    let began = reloaded_at(&page).expect("a time");

    rig.file("counters.csv", [HEAT, POWER].concat());
    let (page, _) = exporter.wait_for("the counters file", PATIENCE, has_power);
    assert!(reloaded_at(&page).expect("a time") > began);

    rig.file("heatsink.yaml", text("expected-gpus: 9\nno-hostname: true\n"));
    let expected = metric("heatsink_gpus_expected").value(9.0);
    let unnamed = metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", "0").without("hostname");
    exporter.wait_for("the settings", PATIENCE, |page| expected.is_in(page) && unnamed.is_in(page));

    // One mistake, and the rest of the file does not count either.
    rig.file("heatsink.yaml", text("expected-gpus: 7\nno-hostnam: false\n"));
    wait_for_refusal(&exporter, "heatsink.yaml:4: no-hostnam: no flag has this name; did you mean");
    expected.assert_in(&exporter.page());
    rig.file("heatsink.yaml", text("expected-gpus: 7\nwindow: 5m\ncompute-instances: true\n"));
    let expected = metric("heatsink_gpus_expected").value(7.0);
    exporter.wait_for("it is correct", PATIENCE, |page| expected.is_in(page) && is_reloaded(page));
    let said = "after a restart";
    exporter.logged(said, PATIENCE);
    let log = exporter.log();
    let line = log.lines().find(|line| line.contains(said)).expect("a warning");
    for name in ["--compute-instances", "--window", "WARN"] {
        assert!(line.contains(name), "{line}");
    }

    // A counters file that is not there yet is read once it is.
    let later = rig.path("later.csv").display().to_string();
    rig.file("heatsink.yaml", format!("collectors: {later}\ncollect-interval: 200\n"));
    wait_for_refusal(&exporter, "later.csv");
    exporter.wait_for("the rows stay", PATIENCE, |page| !is_reloaded(page) && has_power(page));
    rig.file("later.csv", HEAT);
    exporter.wait_for("the new file", PATIENCE, |page| is_reloaded(page) && lacks_power(page));

    // Removed and made again, with an invalid row at first.
    fs::remove_file(&later).expect("it is there");
    wait_for_refusal(&exporter, "cannot read the counters file");
    rig.file("later.csv", "DCGM_FI_DEV_GPU_T");
    pauses::sleep(Duration::from_millis(700));
    exporter.wait_for("the rows stay", PATIENCE, |page| !is_reloaded(page) && lacks_power(page));
    rig.file("later.csv", [HEAT, POWER].concat());
    exporter.wait_for("it is whole", PATIENCE, |page| is_reloaded(page) && has_power(page));
}

#[test]
fn the_files_of_a_config_map_volume_are_read_again_when_the_kubelet_swaps_them() {
    let rig = Rig::new();
    let volume = rig.path("volume");
    let version = |name: &str, rows: &str| {
        fs::create_dir_all(volume.join(name)).expect("a folder");
        fs::write(volume.join(name).join("counters.csv"), rows).expect("a file");
    };
    version("..1", HEAT);
    symlink("..1", volume.join("..data")).expect("a link");
    symlink("..data/counters.csv", volume.join("counters.csv")).expect("a link");
    let path = volume.join("counters.csv").display().to_string();
    let exporter = rig.started(&["-c", "200", "-f", &path], 8);
    for (number, rows) in [(2, [HEAT, POWER].concat()), (3, HEAT.to_owned())] {
        version(&format!("..{number}"), &rows);
        symlink(format!("..{number}"), volume.join("..data_tmp")).expect("a link");
        fs::rename(volume.join("..data_tmp"), volume.join("..data")).expect("renamed");
        fs::remove_dir_all(volume.join(format!("..{}", number - 1))).expect("removed");
        let is_there = if number == 2 { has_power } else { lacks_power };
        exporter.wait_for("the new rows", PATIENCE, is_there);
    }
    assert!(is_reloaded(&exporter.page()), "{}", exporter.log());
}

#[test]
fn files_are_not_watched_if_that_is_not_wanted() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", HEAT);
    let args = ["-c", "200", "-f", &counters, "--watch-files=false"];
    let exporter = rig.started(&args, 8);
    assert!(!watches_files(&exporter));
    rig.file("counters.csv", [HEAT, POWER].concat());
    pauses::sleep(Duration::from_secs(2));
    assert!(!has_power(&exporter.page()));
    exporter.signal("HUP");
    exporter.wait_for("SIGHUP reads it", PATIENCE, has_power);
    // Without files, there is nothing to watch.
    assert!(!watches_files(&rig.started(&["-c", "200"], 8)));
    assert!(!watches_files(&rig.started(&["-c", "200", "-f", "minimal"], 8)));
    let of_file = rig.started(&["-c", "200", "-f", &counters], 8);
    until("the file is watched", || watches_files(&of_file));
    // A built-in set stands in for it, until it is there.
    let known = "/etc/dcgm-exporter/default-counters.csv";
    let of_known = rig.started(&["-c", "200", "-f", known], 8);
    until("the file that is missing is watched", || watches_files(&of_known));
}

/// Whether there is a thread that looks at files.
fn watches_files(exporter: &Exporter) -> bool {
    let tasks = fs::read_dir(format!("/proc/{}/task", exporter.pid())).expect("Linux has it");
    let mut names =
        tasks.flatten().filter_map(|task| fs::read_to_string(task.path().join("comm")).ok());
    names.any(|comm| comm.trim() == "files")
}

/// The environment of a pod with this API server.
fn in_cluster(rig: Rig, server: &ApiServer) -> Rig {
    rig.with("KUBERNETES_SERVICE_HOST", "127.0.0.1")
        .with("KUBERNETES_SERVICE_PORT", &server.address().port().to_string())
        .with(
            "HEATSINK_KUBERNETES_SERVICE_ACCOUNT",
            &server.service_account().display().to_string(),
        )
}

fn set_rows(server: &ApiServer, rows: &str) {
    let metadata = json!({"namespace": "gpu", "name": "rows"});
    let object = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": metadata,
        "data": {"metrics": rows}});
    server.set("configmaps", object);
}

#[test]
fn counters_come_from_a_config_map_first() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ApiServer::start(folder.path());
    set_rows(&server, &[HEAT, POWER].concat());
    let rig = in_cluster(Rig::new(), &server);
    let counters = rig.file("counters.csv", HEAT);
    let exporter = rig.started(&["-c", "200", "-f", &counters, "-m", "gpu:rows"], 8);
    let (page, _) = exporter.wait_for("its rows", PATIENCE, has_power);
    assert!(is_reloaded(&page));
    set_rows(&server, HEAT);
    exporter.signal("HUP");
    exporter.wait_for("its new rows", PATIENCE, lacks_power);
    // What cannot be read again changes nothing.
    server.inject("configmaps", Verb::Get, Fault::Status { code: 403, retry_after: None });
    set_rows(&server, &[HEAT, POWER].concat());
    exporter.signal("HUP");
    wait_for_refusal(&exporter, "give the service account get on this ConfigMap");
    assert!(!has_power(&exporter.page()));
    server.heal();
    exporter.signal("HUP");
    exporter.wait_for("it is permitted", PATIENCE, |page| has_power(page) && is_reloaded(page));
    let is_get = |request: &fake_kubernetes::api_server::Request| {
        request.verb == Verb::Get && request.path == "/api/v1/namespaces/gpu/configmaps/rows"
    };
    assert!(server.requests().iter().all(is_get), "nothing else is asked for");
}

/// The web configuration with a certificate beside it.
const TLS: &str = "tls_server_config: {cert_file: server.pem, key_file: server.key}\n";

/// The certificate that a server shows, as curl prints it; empty without TLS.
fn certificate(exporter: &Exporter) -> String {
    let url = format!("https://{}/metrics", exporter.address_and_port());
    let args = ["-sk", "-m", "5", "-w", "%{certs}", "-o", "/dev/null", &url];
    let output = std::process::Command::new("curl").args(args).output().expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// The status of a page over HTTP without TLS, as curl prints it; 000 if there is none.
fn status_without_tls(exporter: &Exporter) -> String {
    let url = format!("http://{}/metrics", exporter.address_and_port());
    let args = ["-s", "-m", "5", "-w", "%{http_code}", "-o", "/dev/null", &url];
    let output = std::process::Command::new("curl").args(args).output().expect("curl");
    String::from_utf8_lossy(&output.stdout).into_owned()
}

/// Waits for a state that is not on a page without a password.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let began = std::time::Instant::now();
    while !is_so() {
        assert!(began.elapsed() < PATIENCE, "not within {PATIENCE:?}: {what}");
        pauses::sleep(Duration::from_millis(50));
    }
}

#[test]
fn a_file_that_is_emptied_before_it_is_written_opens_nothing() {
    let rig = Rig::new();
    let users = format!("basic_auth_users: {{reader: {RIGHT}}}\n");
    let web = rig.file("web.yml", &users);
    let config = rig.file("heatsink.yaml", format!("web-config-file: {web}\n"));
    let exporter = Exporter::start(BINARY, &["--source", "sim", "--config-file", &config], &[]);
    let status = || exporter.get("/metrics").status;
    for (name, path, text) in [
        ("web.yml", &web, users.clone()),
        ("heatsink.yaml", &config, format!("web-config-file: {web}\n")),
    ] {
        rig.file(name, "");
        exporter.signal("HUP");
        let said = format!("{path} is empty; write `{{}}` if that is meant");
        until(&said, || {
            assert_eq!(status(), 401);
            exporter.log().contains(&said)
        });
        rig.file(name, &text);
        let began = std::time::Instant::now();
        while began.elapsed() < Duration::from_millis(1200) {
            assert_eq!(status(), 401);
        }
    }
    let off = || exporter.log().lines().filter(|it| it.ends_with(": passwords are off")).count();
    assert_eq!(off(), 0, "{}", exporter.log());
    rig.file("web.yml", "{}\n");
    until("it is meant", || status() == 200 && off() == 1);
    rig.file("web.yml", &users);
    until("passwords are on", || status() == 401);
    rig.file("heatsink.yaml", "no-hostname: true\n");
    until("no file is named", || status() == 200 && off() == 2);
}

#[test]
fn a_certificate_that_is_made_later_is_read_then() {
    let rig = Rig::new();
    let users = format!("basic_auth_users: {{reader: {RIGHT}}}\n");
    let web = rig.file("web.yml", &users);
    let exporter = Exporter::start(BINARY, &["--source", "sim", "--web-config-file", &web], &[]);
    let folder = rig.path("");
    rig.file("web.yml", TLS);
    until("it is not there", || exporter.log().contains("server.pem: No such file"));
    Authority::new("later").write(&folder, "server", Side::Server, Flaw::Expired);
    until("it is read", || !certificate(&exporter).is_empty());
    let log = || exporter.log();
    until("its dates", || log().contains("the certificate has expired"));
    assert!(log().contains("TLS is on") && log().contains("passwords are off"), "{}", log());
}

#[test]
fn an_outage_of_the_api_server_delays_no_certificate() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ApiServer::start(folder.path());
    set_rows(&server, &[HEAT, POWER].concat());
    let rig = in_cluster(Rig::new(), &server);
    let counters = rig.file("counters.csv", HEAT);
    let config = rig.file("heatsink.yaml", "expected-gpus: 8\n");
    let flags = ["-c", "200", "-f", &counters, "-m", "gpu:rows", "--config-file", &config];
    let exporter = rig.started(&flags, 8);
    exporter.wait_for("its rows", PATIENCE, has_power);
    server.inject("configmaps", Verb::Get, Fault::Status { code: 403, retry_after: None });
    rig.file("heatsink.yaml", "expected-gpus: 7\n");
    let expected = metric("heatsink_gpus_expected").value(7.0);
    let (page, _) =
        exporter.wait_for("the file", PATIENCE, |page| expected.is_in(page) && up(page) == 8);
    assert!(!is_reloaded(&page) && has_power(&page), "the rows stay");
    let web = rig.file("web.yml", TLS);
    Authority::new("first").write(&rig.path(""), "server", Side::Server, Flaw::None);
    rig.file("heatsink.yaml", format!("web-config-file: {web}\n"));
    let mut first = String::new();
    until("TLS", || {
        first = certificate(&exporter);
        !first.is_empty()
    });
    Authority::new("second").write(&rig.path(""), "server", Side::Server, Flaw::None);
    until("the renewed one", || ![String::new(), first.clone()].contains(&certificate(&exporter)));
    rig.file("heatsink.yaml", "expected-gpus: 6\n");
    let expected = metric("heatsink_gpus_expected").value(6.0);
    let is_so = |page: &Page| expected.is_in(page) && !is_reloaded(page) && has_power(page);
    until("TLS is off", || status_without_tls(&exporter) == "200");
    exporter.wait_for("the file", PATIENCE, is_so);
    // The ConfigMap is the same when it can be read again; nothing asks for a reload.
    server.heal();
    exporter.wait_for("it answers", Duration::from_secs(80), is_reloaded);
}

#[test]
fn a_pipe_stops_neither_a_start_nor_a_reload() {
    let rig = Rig::new();
    let pipe = rig.path("pipe").display().to_string();
    let made = std::process::Command::new("mkfifo").arg(&pipe).status().expect("mkfifo");
    assert!(made.success());
    for args in [["-f", &pipe], ["--config-file", &pipe], ["--web-config-file", &pipe]] {
        let output = run(BINARY, &args, &[]);
        let text = String::from_utf8_lossy(&output.stderr);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains("not a regular file"), "{args:?}: {text}");
    }
    let config = rig.file("heatsink.yaml", "expected-gpus: 8\n");
    let exporter = rig.started(&["-c", "200", "--config-file", &config], 8);
    rig.file("heatsink.yaml", format!("collectors: {pipe}\n"));
    wait_for_refusal(&exporter, "not a regular file");
    rig.file("heatsink.yaml", "expected-gpus: 7\n");
    exporter.wait_for("it is correct", PATIENCE, is_reloaded);
}

#[test]
fn a_counters_file_in_the_working_directory_is_read_once_it_is_there() {
    let rig = Rig::new();
    let config = rig.file("heatsink.yaml", "{}\n");
    let args = ["--source", "sim", "-c", "200", "--config-file", &config];
    let exporter = Exporter::start_in(&rig.path(""), BINARY, &args, &[]);
    rig.file("heatsink.yaml", "collectors: later.csv\n");
    wait_for_refusal(&exporter, "cannot read the counters file later.csv");
    rig.file("later.csv", POWER);
    exporter.wait_for("it is there", PATIENCE, |page| is_reloaded(page) && has_power(page));
}

#[test]
fn a_config_map_that_is_missing_at_the_start_is_replaced_by_the_file_and_seen_later() {
    let folder = tempfile::tempdir().expect("a folder");
    let server = ApiServer::start(folder.path());
    let rig = in_cluster(Rig::new(), &server);
    let counters = rig.file("counters.csv", HEAT);
    let exporter = rig.started(&["-c", "200", "-f", &counters, "-m", "gpu:rows"], 8);
    let page = exporter.page();
    assert!(!is_reloaded(&page) && !has_power(&page) && reloaded_at(&page).is_none());
    let said =
        "there is no ConfigMap gpu:rows; create it, or correct the name; serving the rows of";
    exporter.logged(said, PATIENCE);
    set_rows(&server, &[HEAT, POWER].concat());
    // At the next look, within a minute.
    let patience = Duration::from_secs(80);
    let (page, _) = exporter.wait_for("the ConfigMap", patience, has_power);
    assert!(is_reloaded(&page) && reloaded_at(&page).is_some());
}

#[test]
fn a_thousand_reloads_leave_no_gap_and_no_memory() {
    let text = std::env::var("HEATSINK_RELOADS").unwrap_or_default();
    let count: usize = text.parse().unwrap_or(200);
    let rig = Rig::new();
    let counters = rig.file("counters.csv", [HEAT, ENERGY].concat());
    let config = rig.file("heatsink.yaml", format!("collectors: {counters}\n"));
    // So long that no reader that stands for a second or two makes a gap.
    let exporter = rig.started(&["-c", "2000", "--config-file", &config], 8);
    let energy = |page: &Page| -> Vec<f64> {
        let samples = page.samples("DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION");
        samples.iter().map(|sample| sample.value).collect()
    };
    exporter.wait_for("energy", PATIENCE, |page| energy(page).len() == 8);
    let (done, resident) = (AtomicBool::new(false), metric("process_resident_memory_bytes"));
    let memory = |page: &Page| page.value_of(&resident).expect("it is served");
    thread::scope(|scope| {
        let scraper = scope.spawn(|| {
            let mut before = energy(&exporter.page());
            while !done.load(Ordering::SeqCst) {
                let page = exporter.page();
                assert_eq!(page.samples("DCGM_FI_DEV_GPU_TEMP").len(), 8, "a gap");
                let now = energy(&page);
                assert_eq!(now.len(), 8, "a gap");
                let has_fallen = now.iter().zip(&before).any(|(now, before)| now < before);
                assert!(!has_fallen, "energy falls from {before:?} to {now:?}");
                before = now;
            }
        });
        let mut after_some = None;
        for round in 0..count {
            let more = if round % 2 == 0 { POWER } else { "" };
            match round % 5 {
                0 | 3 => drop(rig.file("counters.csv", [HEAT, ENERGY, more].concat())),
                1 => drop(rig.file("counters.csv", "?\n")),
                2 => drop(rig.file("heatsink.yaml", format!("collectors: {counters}\nno: x\n"))),
                _ => drop(rig.file("heatsink.yaml", format!("collectors: {counters}\n"))),
            }
            exporter.signal("HUP");
            pauses::sleep(Duration::from_millis(50));
            if round == count / 4 {
                after_some = Some(memory(&exporter.page()));
            }
        }
        rig.file("counters.csv", [HEAT, ENERGY].concat());
        rig.file("heatsink.yaml", format!("collectors: {counters}\n"));
        exporter.signal("HUP");
        let (page, _) = exporter.wait_for("the last one", PATIENCE, is_reloaded);
        done.store(true, Ordering::SeqCst);
        scraper.join().expect("every page was right");
        let (first, last) = (after_some.expect("a quarter"), memory(&page));
        println!("{count} reloads; resident {first} bytes after a quarter, {last} at the end");
        assert!(last < first + 2.0 * 1024.0 * 1024.0, "memory grew from {first} to {last} bytes");
    });
}

#[test]
fn config_prints_each_setting_and_where_it_comes_from() {
    let rig = Rig::new();
    let config = rig.file("heatsink.yaml", "window: 2m\n# x\naddress: [':9401', ':9402']\n");
    let environment = [("DCGM_EXPORTER_INTERVAL", "250"), ("HEATSINK_EXPECTED_GPUS", " ")];
    let args = ["config", "--config-file", &config, "-n"];
    let output = run(BINARY, &args, &environment);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = String::from_utf8(output.stdout).expect("UTF-8");
    let row = |name: &str| -> Vec<String> {
        let line = text.lines().find(|line| line.split(' ').next() == Some(name));
        line.expect(name).split_whitespace().skip(1).map(str::to_owned).collect()
    };
    assert_eq!(row("SETTING"), ["VALUE", "FROM"]);
    assert_eq!(row("window"), ["2m".to_owned(), format!("{config}:1")]);
    assert_eq!(row("address"), [":9401,:9402".to_owned(), format!("{config}:3")]);
    assert_eq!(row("collect-interval"), ["250", "variable", "DCGM_EXPORTER_INTERVAL"]);
    assert_eq!(row("no-hostname"), ["true", "flag"]);
    assert_eq!(row("max-connections"), ["256", "default"]);
    assert!(row("expected-gpus").ends_with(&["default".to_owned()]));
    let output = run(BINARY, &[&args[..], &["--json"]].concat(), &environment);
    let rows: Vec<serde_json::Value> = serde_json::from_slice(&output.stdout).expect("JSON");
    let window = rows.iter().find(|row| row["name"] == "window").expect("it is there");
    let from = json!({"kind": "file", "file": config, "line": 1, "key": "window"});
    assert_eq!((&window["value"], &window["from"]), (&json!("2m"), &from));
    assert_eq!(window["reloads"], json!(false));
}

#[test]
fn config_refuses_what_serve_refuses() {
    let rig = Rig::new();
    let bad = rig.file("bad.yaml", "window: 2\n");
    let good = rig.file("good.yaml", format!("collectors: {}\n", rig.file("c.csv", "?\n")));
    for (args, said) in [
        (&["config", "--config-file", &bad][..], "bad.yaml:1: window: `2` is not between"),
        (&["config", "--config-file", &good], "no row of"),
        (&["config", "--window", "2"], "--window (HEATSINK_WINDOW)"),
        (&["--config-file", &bad], "bad.yaml:1: window: `2` is not between"),
    ] {
        let output = run(BINARY, args, &[]);
        let text = String::from_utf8(output.stderr).expect("UTF-8");
        assert_eq!(output.status.code(), Some(2), "{args:?}: {text}");
        assert!(text.contains(said) && text.lines().count() == 1, "{args:?}: {text}");
    }
}
