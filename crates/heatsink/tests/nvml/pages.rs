//! Whole pages: a public contract, kept as golden files.
//!
//! `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml pages` rewrites the pages of the simulation; the
//! page of the raw fixture is written by hand and compared, never rewritten.

use std::cell::RefCell;
use std::collections::BTreeMap;

use crate::rig::{self, BINARY, PATIENCE, Rig};
use testkit::exporter::{Exporter, repository_file};
use testkit::golden::{check_golden, normalise};
use testkit::page::{Page, metric};
use testkit::pauses::{self, in_time};
use testkit::promtool;

/// The arguments of a simulation that is frozen ten minutes into the story.
const FROZEN: &[&str] = &["--source", "sim", "--sim-scenario", "story", "--sim-at", "600"];

/// How many GPUs are not lost at this moment.
const UP: usize = 7;

/// One GPU whose memory had errors, and one that is lost.
const TWO_GPUS: &[&str] = &["-d", "g:5,7"];

/// Waits for a complete page, with the rates and averages that need a second pass, of so many GPUs.
fn settled(exporter: &Exporter, rated: usize) -> String {
    let last = ["DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL", "DCGM_FI_PROF_PCIE_RX_BYTES"];
    let background = ["DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "DCGM_FI_DEV_XID_ERRORS"];
    let starting = metric("heatsink_gpu_down_info").label("reason", "starting");
    let is_complete = |page: &Page| {
        let up = rig::up(page);
        starting.absent_from(page)
            && last.iter().all(|name| page.samples(name).len() >= rated)
            && background.iter().all(|name| page.samples(name).len() >= up)
    };
    let text = RefCell::new(String::new());
    exporter.wait_for("the page is complete, and as long a little later", PATIENCE, |page| {
        if !is_complete(page) {
            return false;
        }
        // Other rates may come later, and background readers may have been between two passes.
        pauses::sleep(std::time::Duration::from_millis(700));
        let body = exporter.get("/metrics").body;
        let later = Page::parse(&body).expect("a well-formed page");
        *text.borrow_mut() = body;
        later.all_samples().count() == page.all_samples().count()
    });
    text.into_inner()
}

fn frozen_rig() -> Rig {
    Rig::new()
        .with("FAKE_NVML_SCENARIO", "story")
        .with("FAKE_NVML_AT", "600")
        .with("FAKE_NVML_DRIVER", "simulated")
}

fn simulated(more: &[&str], rated: usize) -> String {
    let environment = [("NODE_NAME", "node-1")];
    let args = [FROZEN, &["-c", "200"], more].concat();
    settled(&Exporter::start(BINARY, &args, &environment), rated)
}

#[test]
fn the_simulation_s_page() {
    let page = simulated(TWO_GPUS, 1);
    Page::parse(&page).expect("a well-formed page");
    promtool::assert_accepts(&page);
    check_golden("pages/sim.prom", &normalise(&page));
}

/// One GPU that is too hot, and one whose memory had errors.
#[test]
fn the_page_for_people() {
    let environment = [("NODE_NAME", "node-1")];
    let args = [FROZEN, &["-d", "g:2,5", "--extra-collectors", "monitoring", "-c", "200"]].concat();
    let exporter = Exporter::start(BINARY, &args, &environment);
    settled(&exporter, 2);
    let page = in_time(|| exporter.get("/").body).0;
    let (head, rest) = page.split_once("<style>").expect("a style sheet");
    let (_, rest) = rest.split_once("</style>").expect("its end");
    let rest = rest.replace(concat!("heatsink ", env!("CARGO_PKG_VERSION")), "heatsink 0");
    // A line for each element, so that a change can be read.
    check_golden("pages/overview.html", &format!("{head}{rest}\n").replace("><", ">\n<"));
}

#[test]
fn the_page_through_the_driver_library() {
    let rig = frozen_rig();
    let page = settled(&rig.start(&[TWO_GPUS, &["-c", "200"]].concat()), 1);
    Page::parse(&page).expect("a well-formed page");
    promtool::assert_accepts(&page);
    check_golden("pages/fake-nvml-sim.prom", &normalise(&page));
}

#[test]
fn the_page_of_raw_numbers_is_the_one_written_by_hand() {
    let fixture = repository_file("test/fixtures/raw-nvml.toml");
    let rig = Rig::fixture(&fixture);
    let page = normalise(&settled(&rig.start(&["-c", "200"]), 1));
    promtool::assert_accepts(&page);
    let by_hand = repository_file("test/fixtures/pages/raw-nvml.prom");
    let by_hand = std::fs::read_to_string(by_hand).expect("the page written by hand");
    for (number, (expected, got)) in by_hand.lines().zip(page.lines()).enumerate() {
        assert_eq!(expected, got, "line {}", number + 1);
    }
    assert_eq!(by_hand.lines().count(), page.lines().count(), "{page}");
}

/// The simulation has the same values directly and through NVML's integers: neither path leaves out a
/// conversion or does it twice.
#[test]
fn the_simulation_directly_and_through_nvml_agree() {
    let key_values = |page: &str| -> BTreeMap<String, f64> {
        let page = Page::parse(page).expect("a well-formed page");
        let samples = page.all_samples().filter(|sample| {
            // XIDs that came before the start are no events through NVML.
            sample.name.starts_with("DCGM_FI") && sample.name != "DCGM_FI_DEV_XID_ERRORS"
        });
        samples
            .map(|sample| (format!("{}{:?}", sample.name, sample.labels), sample.value))
            .collect()
    };
    let more = ["--extra-collectors", "monitoring"];
    let rig = frozen_rig();
    let exporter = rig.start(&[&["-c", "200"], &more[..]].concat());
    let through_nvml = key_values(&settled(&exporter, UP));
    let direct = key_values(&simulated(&more, UP));
    assert!(direct.len() > 300);
    let names = |map: &BTreeMap<String, f64>| map.keys().cloned().collect::<Vec<_>>();
    assert_eq!(names(&direct), names(&through_nvml));
    for (key, value) in &direct {
        let other = through_nvml[key];
        // Raw integers round where the simulation has reals: an NVLink counter counts whole KiB,
        // PCIe rates travel as MiB/s.
        let tolerance = if key.contains("BYTES") || key.contains("BANDWIDTH") { 1.0 } else { 1e-9 };
        assert!((value - other).abs() <= tolerance, "{key}: {value} and {other}");
    }
}

#[test]
fn labels_and_their_order() {
    let rig = Rig::new();
    let exporter = rig.start(&["-c", "200"]);
    let (page, _) = exporter.wait_for("all GPUs answer", PATIENCE, |page| rig::up(page) == 8);
    let family = page.family("DCGM_FI_DEV_GPU_TEMP").expect("temperatures");
    let names: Vec<&str> = family.samples[0].labels.iter().map(|(name, _)| name.as_str()).collect();
    let order =
        ["gpu", "UUID", "pci_bus_id", "device", "modelName", "hostname", "DCGM_FI_DRIVER_VERSION"];
    assert_eq!(names, order);
    metric("DCGM_FI_DEV_GPU_TEMP")
        .label("hostname", "node-1")
        .label("device", "nvidia3")
        .assert_in(&page);
    let exporter = rig.start(&["-n", "--replace-blanks-in-model-name"]);
    let (page, _) = exporter.wait_for("all GPUs answer", PATIENCE, |page| rig::up(page) == 8);
    let plain = metric("DCGM_FI_DEV_GPU_TEMP").label("modelName", "NVIDIA-H100-80GB-HBM3");
    plain.without("hostname").assert_in(&page);
}

#[test]
fn every_page_of_simulated_numbers_says_so() {
    let page = Page::parse(&simulated(&[], UP)).expect("a well-formed page");
    metric("heatsink_source_info").label("source", "sim").assert_in(&page);
}

/// The page of the documentation that lists all metrics.
#[test]
fn the_list_of_metrics_is_up_to_date() {
    let output = testkit::exporter::run(BINARY, &["fields", "--markdown"], &[]);
    assert!(output.status.success());
    let page = String::from_utf8(output.stdout).expect("text");
    check_golden("../../docs/metrics.md", &page);
}
