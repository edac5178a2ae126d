//! `heatsink demo --nodes`: many nodes in one process, discovered by a real Prometheus.

use std::collections::{BTreeMap, BTreeSet};
use std::fs;
use std::time::{Duration, Instant};

use crate::rig::{BINARY, PATIENCE, up};
use serde_json::Value;
use testkit::exporter::{Exporter, repository_file, run};
use testkit::page::{Page, metric};
use testkit::promtool;
use testkit::server;

fn fleet(nodes: &str) -> Exporter {
    let exporter = Exporter::start(BINARY, &["demo", "--nodes", nodes], &[]);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    exporter
}

fn page_of(exporter: &Exporter, node: u32) -> Page {
    let until = Instant::now() + PATIENCE;
    loop {
        let answer = exporter.get(&format!("/nodes/gpu-node-{node:05}/metrics"));
        assert_eq!(answer.status, 200, "{}", answer.body);
        let page = Page::parse(&answer.body).expect("a well-formed page");
        if up(&page) == 8 {
            promtool::assert_accepts(&answer.body);
            return page;
        }
        assert!(Instant::now() < until, "node {node} does not answer");
    }
}

#[test]
fn every_node_has_its_own_page() {
    let exporter = fleet("3");
    let mut uuids = BTreeSet::new();
    for node in 1..=3 {
        let page = page_of(&exporter, node);
        let name = format!("gpu-node-{node:05}");
        for sample in page.samples("DCGM_FI_DEV_GPU_TEMP") {
            assert_eq!(sample.label("hostname"), Some(&*name));
            uuids.insert(sample.label("UUID").expect("a UUID").to_owned());
        }
        // All series of a page are of one node.
        let of_own_families: BTreeSet<&str> = page
            .samples("heatsink_gpu_up")
            .iter()
            .filter_map(|sample| sample.label("UUID"))
            .collect();
        assert!(of_own_families.iter().all(|uuid| uuids.contains(*uuid)));
        assert!(page.value_of(&metric("heatsink_source_info").label("source", "sim")).is_some());
    }
    assert_eq!(uuids.len(), 24, "{uuids:?}");
    // The first node has the same page at both paths.
    let (own, _) = exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    assert_eq!(own.samples("DCGM_FI_DEV_GPU_TEMP")[0].label("hostname"), Some("gpu-node-00001"));
    for missing in ["gpu-node-00000", "gpu-node-00004", "gpu-node-2", "gpu-node-+0002", ""] {
        let answer = exporter.get(&format!("/nodes/{missing}/metrics"));
        assert_eq!(answer.status, 404, "{missing}");
    }
}

#[test]
fn a_single_node_has_no_fleet_endpoints() {
    let exporter = Exporter::start(BINARY, &["demo"], &[]);
    assert_eq!(exporter.get("/targets").status, 404);
    for wrong in ["0", "10001", "many"] {
        let output = run(BINARY, &["demo", "--nodes", wrong], &[]);
        let message = String::from_utf8_lossy(&output.stderr).into_owned();
        assert_eq!(output.status.code(), Some(2), "{wrong}: {message}");
        assert!(message.contains("--nodes"), "{message}");
    }
}

/// Prometheus discovers the nodes and scrapes each; the recording rules aggregate them.
#[test]
fn prometheus_discovers_the_nodes_and_rules_aggregate_them() {
    let exporter = fleet("20");
    let folder = tempfile::TempDir::new().expect("a temporary folder");
    let rules = repository_file("monitoring/rules/heatsink.rules.yml");
    let config = folder.path().join("prometheus.yml");
    let text = format!(
        "global: {{scrape_interval: 3s, evaluation_interval: 1s}}\nrule_files: ['{}']\n\
         scrape_configs:\n  - job_name: heatsink\n    honor_labels: true\n    http_sd_configs:\n      \
         - url: '{}/targets'\n",
        rules.display(),
        exporter.url()
    );
    fs::write(&config, text).expect("the configuration can be written");
    let prometheus = server::prometheus(&config, folder.path());
    let ask = |query: &str| -> BTreeMap<String, f64> {
        let url = format!("{}/api/v1/query", prometheus.url());
        let mut response = ureq::get(&url).query("query", query).call().expect("an answer");
        let text = response.body_mut().read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let rows = answer["data"]["result"].as_array().expect("rows");
        let entry = |row: &Value| {
            let value = row["value"][1].as_str().expect("a value").parse().expect("a number");
            (row["metric"]["instance"].as_str().unwrap_or("").to_owned(), value)
        };
        rows.iter().map(entry).collect()
    };
    let until = Instant::now() + 2 * PATIENCE;
    let recorded = "count by (instance) ({__name__=~\"instance:.+\"})";
    // The slowdown ratio needs two scrapes.
    let expected: BTreeMap<String, f64> =
        (1..=20).map(|node| (format!("gpu-node-{node:05}"), 9.0)).collect();
    loop {
        let (all, gpus) = (ask(recorded), ask("instance:heatsink_gpus_up:sum"));
        if all == expected && gpus.len() == 20 && gpus.values().all(|up| *up == 8.0) {
            break;
        }
        assert!(Instant::now() < until, "{all:?}, {gpus:?}\n{}", prometheus.log());
        std::thread::sleep(Duration::from_millis(200));
    }
}
