//! A real Prometheus scrapes the page; its stored samples are compared with the page. Also over TLS with
//! passwords, in each format, and with created timestamps.

#[path = "../suite/prometheus.rs"]
mod suite;

use std::fs;
use std::time::{Duration, Instant};

use crate::counted::{counted, total};
use crate::rig::{BINARY, PATIENCE, Rig};
use crate::web::{Authority, Flaw, RIGHT, Side, put};
use suite::{Prometheus, Release, reads_back, reads_back_with};
use tempfile::TempDir;
use testkit::exporter::Exporter;

#[test]
fn the_simulation_s_page() {
    let args = ["--source", "sim", "--sim-at", "600", "-c", "200"];
    let exporter = Exporter::start(BINARY, &args, &[("NODE_NAME", "node-1")]);
    reads_back(&exporter, 7, 250);
}

#[test]
fn a_page_in_protobuf() {
    let rig = Rig::new().with("FAKE_NVML_SCENARIO", "story").with("FAKE_NVML_AT", "600");
    let exporter = rig.start(&["-c", "200"]);
    reads_back_with(Release::Debian13WithCreatedTimestamps, &exporter, 7, 250);
}

#[test]
fn a_page_in_openmetrics_has_counters() {
    let rig = Rig::new().with_kernel_log();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.xid(0, 31);
    exporter.wait_for("it is counted", PATIENCE, |page| total(&counted(page)) == 1);
    let accept = "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5";
    let answer = exporter.get_with("/metrics", &[("accept", accept)]);
    let format = answer.header("content-type").unwrap_or_default();
    assert!(format.starts_with("application/openmetrics-text"), "{format}");
    // Families that come later may not have been scraped.
    let text = exporter.page();
    let target = exporter.address_and_port();
    let lines = format!("static_configs: [{{targets: ['{target}']}}]");
    let prometheus = Prometheus::with(Release::Installed, &lines);
    first_scrape(&prometheus);
    let metadata = prometheus.api("metadata")["data"].clone();
    // In OpenMetrics, the family of a counter is called without `_total`.
    let family = &metadata["heatsink_xid_errors"][0];
    assert_eq!(family["type"].as_str(), Some("counter"), "{family}");
    assert!(family["help"].as_str().is_some_and(|help| !help.is_empty()), "{family}");
    let stored = prometheus.query("last_over_time(heatsink_xid_errors_total[5m])");
    assert_eq!(stored.values().sum::<f64>(), 1.0, "{stored:?}");
    // No counter has lost its type.
    for family in text.families.iter().filter(|family| family.name.ends_with("_total")) {
        let name = family.name.trim_end_matches("_total");
        assert_eq!(metadata[name][0]["type"].as_str(), Some("counter"), "{name}");
    }
}

/// A heatsink with TLS, client certificates and a password, and a Prometheus with this password.
fn over_tls(password: &str, certificate: &str) -> (Exporter, Prometheus, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    let at = folder.path();
    let (servers, clients) = (Authority::new("servers"), Authority::new("clients"));
    put(at, "ca.pem", &servers.pem);
    put(at, "clients-ca.pem", &clients.pem);
    servers.write(at, "server", Side::Server, Flaw::None);
    clients.write(at, "client", Side::Client, Flaw::None);
    Authority::new("strangers").write(at, "stranger", Side::Client, Flaw::None);
    put(
        at,
        "web.yml",
        &format!(
            "tls_server_config: {{cert_file: server.pem, key_file: server.key, \
             client_auth_type: RequireAndVerifyClientCert, client_ca_file: clients-ca.pem}}\n\
             basic_auth_users: {{reader: {RIGHT}}}\n"
        ),
    );
    let config = at.join("web.yml").display().to_string();
    let exporter = Exporter::start(BINARY, &["--source", "sim", "--web-config-file", &config], &[]);
    let path = |name: &str| at.join(name).display().to_string();
    let prometheus = Prometheus::with(
        Release::Installed,
        &format!(
            "scheme: https\n\
             tls_config: {{ca_file: {}, cert_file: {}, key_file: {}}}\n\
             basic_auth: {{username: reader, password: {password}}}\n\
             static_configs: [{{targets: ['{}']}}]\n",
            path("ca.pem"),
            path(&format!("{certificate}.pem")),
            path(&format!("{certificate}.key")),
            exporter.address_and_port()
        ),
    );
    (exporter, prometheus, folder)
}

#[test]
fn tls_with_a_client_certificate_and_a_password() {
    let (_exporter, prometheus, _folder) = over_tls("right", "client");
    first_scrape(&prometheus);
}

#[test]
fn a_wrong_password_is_a_failed_scrape() {
    let (_exporter, prometheus, _folder) = over_tls("wrong", "client");
    let (health, error) = target(&prometheus);
    assert!(health == "down" && error.contains("401"), "{health}: {error}");
}

#[test]
fn a_certificate_of_another_authority_is_a_failed_scrape() {
    let (_exporter, prometheus, _folder) = over_tls("right", "stranger");
    let (health, error) = target(&prometheus);
    // Prometheus may notice the end of the connection before it reads why.
    let is_refused =
        ["tls", "broken pipe", "connection reset"].iter().any(|why| error.contains(why));
    assert!(health == "down" && is_refused, "{health}: {error}");
}

/// State and last error of the only target, once a scrape has not timed out: one may take a second, and a
/// busy machine may need more.
fn target(prometheus: &Prometheus) -> (String, String) {
    let until = Instant::now() + PATIENCE;
    loop {
        let (health, error) = prometheus.target();
        let has_timed_out = error.contains("timeout") || error.contains("deadline exceeded");
        if !has_timed_out || Instant::now() > until {
            return (health, error);
        }
        std::thread::sleep(Duration::from_millis(200));
    }
}

/// Checks that the only target can be scraped, and waits until this is stored.
fn first_scrape(prometheus: &Prometheus) {
    assert_eq!(target(prometheus), ("up".to_owned(), String::new()));
    scrapes(prometheus, 1.0);
}

/// `increase()` of all XIDs, or 0.
fn increase(prometheus: &Prometheus) -> f64 {
    prometheus.query("sum(increase(heatsink_xid_errors_total[5m]))").values().sum()
}

/// Tells Prometheus where heatsink is now; its series keep their labels.
fn point_at(folder: &TempDir, exporter: &Exporter) {
    let target = exporter.address_and_port();
    let text =
        format!("[{{\"targets\": [\"{target}\"], \"labels\": {{\"instance\": \"heatsink\"}}}}]");
    // Prometheus must not read a half-written file.
    put(folder.path(), "next", &text);
    fs::rename(folder.path().join("next"), folder.path().join("targets.json")).expect("a new name");
}

/// A Prometheus of this release that has scraped heatsink some times.
fn watching(release: Release, exporter: &Exporter) -> (Prometheus, TempDir) {
    let folder = TempDir::new().expect("a temporary folder");
    point_at(&folder, exporter);
    let file = folder.path().join("targets.json");
    let lines = format!("file_sd_configs: [{{files: ['{}']}}]", file.display());
    let prometheus = Prometheus::with(release, &lines);
    first_scrape(&prometheus);
    scrapes(&prometheus, 2.0);
    (prometheus, folder)
}

/// Waits for this many more scrapes that succeed.
fn scrapes(prometheus: &Prometheus, more: f64) {
    let count = || prometheus.query("sum_over_time(up[5m])").values().sum::<f64>();
    let (before, until) = (count(), Instant::now() + PATIENCE);
    while count() < before + more {
        assert!(Instant::now() < until, "Prometheus does not scrape");
        std::thread::sleep(Duration::from_millis(200));
    }
}

#[test]
fn the_first_xid_is_an_increase_and_a_restart_is_none() {
    let rig = Rig::new().with_kernel_log();
    let exporter = rig.started(&["-c", "200"], 8);
    let (prometheus, folder) = watching(Release::Debian13WithCreatedTimestamps, &exporter);
    assert_eq!(increase(&prometheus), 0.0);
    // Counted again after a restart, because the GPU stays lost.
    rig.control.add(&["gpu 2 lost"]);
    rig.xid(2, 79);
    exporter.wait_for("it is counted", PATIENCE, |page| total(&counted(page)) == 1);
    scrapes(&prometheus, 10.0);
    let first = increase(&prometheus);
    assert!((0.9..1.2).contains(&first), "increase() of the first XID: {first}");
    drop(exporter);
    let exporter = rig.started(&["-c", "200"], 7);
    exporter.wait_for("it is counted", PATIENCE, |page| total(&counted(page)) == 1);
    point_at(&folder, &exporter);
    scrapes(&prometheus, 10.0);
    let again = increase(&prometheus);
    assert!((0.9..1.2).contains(&again), "increase() after a restart: {again}");
    println!("increase() of the first XID: {first:.3}, after a restart: {again:.3}");
}

/// So the test above can fail.
#[test]
fn without_created_timestamps_the_first_xid_is_no_increase() {
    let rig = Rig::new().with_kernel_log();
    let exporter = rig.started(&["-c", "200"], 8);
    let (prometheus, _folder) = watching(Release::Debian13, &exporter);
    rig.xid(2, 79);
    exporter.wait_for("it is counted", PATIENCE, |page| total(&counted(page)) == 1);
    scrapes(&prometheus, 10.0);
    assert_eq!(increase(&prometheus), 0.0);
}
