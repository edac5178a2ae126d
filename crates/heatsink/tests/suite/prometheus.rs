//! A real Prometheus scrapes the page; its stored samples are compared with the page.

#![allow(dead_code, reason = "each test file uses its own part of it")]

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use serde_json::Value;
use testkit::exporter::{Exporter, repository_file};
use testkit::pauses;
use testkit::server::{self, Server};

use crate::rig::{PATIENCE, Rig, up};

/// A Prometheus that scrapes each second.
pub(crate) struct Prometheus {
    server: Server,
    _data: tempfile::TempDir,
}

/// Which program scrapes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Release {
    /// The one on `PATH`: Debian 12's 2.42.
    Installed,
    /// Debian 13's 2.53.
    Debian13,
    /// The same, with protobuf, so that it sees created timestamps.
    Debian13WithCreatedTimestamps,
}

impl Release {
    fn start(self, config: &Path, folder: &Path) -> Server {
        let newer = repository_file("target/debian-13/usr/bin/prometheus");
        let feature = "--enable-feature=created-timestamp-zero-ingestion";
        match self {
            Self::Installed => server::prometheus(config, folder),
            Self::Debian13 => server::prometheus_of(&newer, &[], config, folder),
            Self::Debian13WithCreatedTimestamps => {
                server::prometheus_of(&newer, &[feature], config, folder)
            }
        }
    }
}

impl Prometheus {
    fn scraping(exporter: &Exporter, release: Release) -> Self {
        let target = exporter.url().trim_start_matches("http://");
        Self::with(release, &format!("static_configs: [{{targets: ['{target}']}}]"))
    }

    /// Scrapes what these lines of a scrape configuration say.
    pub(crate) fn with(release: Release, lines: &str) -> Self {
        let data = tempfile::TempDir::new().expect("a temporary folder");
        let config = data.path().join("prometheus.yml");
        let mut text =
            "global: {scrape_interval: 1s}\nscrape_configs:\n  - job_name: heatsink\n".to_owned();
        for line in lines.lines() {
            text += &format!("    {line}\n");
        }
        fs::write(&config, text).expect("the configuration can be written");
        Self { server: release.start(&config, data.path()), _data: data }
    }

    /// What its API says at this path below `/api/v1/`.
    pub(crate) fn api(&self, path: &str) -> Value {
        let url = format!("{}/api/v1/{path}", self.server.url());
        let mut response = ureq::get(&url).call().expect("an answer of Prometheus'");
        let text = response.body_mut().read_to_string().expect("text");
        serde_json::from_str(&text).expect("JSON")
    }

    /// State and last error of its only target, once it was scraped.
    pub(crate) fn target(&self) -> (String, String) {
        let until = Instant::now() + PATIENCE;
        loop {
            let target = self.api("targets")["data"]["activeTargets"][0].clone();
            let text = |key: &str| target[key].as_str().unwrap_or_default().to_owned();
            if ["up", "down"].contains(&text("health").as_str()) {
                return (text("health"), text("lastError"));
            }
            assert!(Instant::now() < until, "Prometheus has not scraped: {target}");
            pauses::sleep(Duration::from_millis(100));
        }
    }

    /// The result of an instant query, by all labels.
    pub(crate) fn query(&self, query: &str) -> BTreeMap<String, f64> {
        let url = format!("{}/api/v1/query", self.server.url());
        let Ok(mut response) = ureq::get(&url).query("query", query).call() else {
            return BTreeMap::new();
        };
        let text = response.body_mut().read_to_string().expect("text");
        let answer: Value = serde_json::from_str(&text).expect("JSON");
        let rows = answer["data"]["result"].as_array().cloned().unwrap_or_default();
        rows.iter()
            .map(|row| {
                let mut labels: BTreeMap<String, String> =
                    serde_json::from_value(row["metric"].clone()).expect("labels");
                labels.retain(|name, _| name != "instance" && name != "job");
                let value = row["value"][1].as_str().expect("a value").parse().expect("a number");
                (format!("{labels:?}"), value)
            })
            .collect()
    }
}

/// Lets Prometheus scrape a page that does not change, and compares all stored samples.
pub(crate) fn reads_back(exporter: &Exporter, gpus: usize, least: usize) {
    reads_back_with(Release::Installed, exporter, gpus, least);
}

/// The same with one release of Prometheus.
pub(crate) fn reads_back_with(release: Release, exporter: &Exporter, gpus: usize, least: usize) {
    exporter.wait_for("the GPUs answer, averages included", PATIENCE, |page| {
        up(page) == gpus && !page.samples("DCGM_FI_PROF_SM_ACTIVE").is_empty()
    });
    let prometheus = Prometheus::scraping(exporter, release);
    let changing = |name: &str| {
        ["timestamp", "duration", "event_seconds"].iter().any(|word| name.contains(word))
    };
    // The page does not change any more once all is read; Prometheus may have an earlier one.
    let until = Instant::now() + PATIENCE;
    loop {
        let page = exporter.page();
        let expected: BTreeMap<String, f64> = page
            .all_samples()
            .filter(|sample| !sample.name.starts_with("process_") && !changing(&sample.name))
            .map(|sample| {
                let mut labels: BTreeMap<String, String> = sample.labels.iter().cloned().collect();
                labels.insert("__name__".to_owned(), sample.name.clone());
                (format!("{labels:?}"), sample.value)
            })
            .collect();
        let mut stored = prometheus.query("{__name__=~\"DCGM_.*|heatsink_.*\"}");
        stored.retain(|labels, _| !changing(labels));
        let scraped = prometheus.query("scrape_samples_scraped").into_values().next();
        let count = Some(page.all_samples().count() as f64);
        if stored == expected && scraped == count && expected.len() > least {
            return;
        }
        if Instant::now() >= until {
            assert!(expected.len() > least, "{}", expected.len());
            assert_eq!(stored, expected);
            assert_eq!(scraped, count);
        }
        pauses::sleep(Duration::from_millis(200));
    }
}

#[test]
fn prometheus_stores_the_page_of_simulated_gpus() {
    let rig = Rig::new().with("FAKE_NVML_SCENARIO", "story").with("FAKE_NVML_AT", "600");
    reads_back(&rig.start(&["-c", "200"]), 7, 250);
}

#[test]
fn prometheus_stores_the_page_of_a_fixture() {
    let fixture = repository_file("test/fixtures/raw-nvml.toml");
    reads_back(&Rig::fixture(&fixture).start(&["-c", "200"]), 2, 50);
}

/// A label value that needs all escapes, read back by Prometheus.
#[test]
fn prometheus_stores_a_gpu_name_with_every_escape() {
    let files = Rig::new();
    let fixture = r#"
        [[gpu]]
        uuid = "GPU-6f0d2c5e-3b1a-4e57-9c84-d1a2b3c4e5f6"
        name = "a \"quote\", a \\ and \\n, a\nnewline, {x=\"y\"} # é🔥"
        pci = { bus = 0x1B }
        temperature = 64
        power_mw = 299_999
        event_types = 0x1F
        [gpu.gpm]
        2 = 88.5
    "#;
    let fixture = files.file("escapes.toml", fixture);
    let rig = Rig::fixture(fixture.as_ref());
    let exporter = rig.start(&["-c", "200"]);
    reads_back(&exporter, 1, 5);
    let name = "a \"quote\", a \\ and \\n, a\nnewline, {x=\"y\"} # é🔥";
    let heat = testkit::page::metric("DCGM_FI_DEV_GPU_TEMP").label("modelName", name);
    exporter.wait_for("the name", PATIENCE, |page| heat.is_in(page));
}
