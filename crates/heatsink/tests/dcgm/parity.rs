//! The same GPUs through the driver library and through DCGM: the same page.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use testkit::exporter::Exporter;
use testkit::page::Page;

use crate::rig::{BINARY, PATIENCE, Rig};

/// Everything of which both have a number, in all generations of names.
const ARGS: &[&str] = &[
    "-f",
    "all",
    "-c",
    "500",
    "--metric-names",
    "both",
    "--extra-collectors",
    "default",
    "--kernel-log",
    "none",
];

/// Families that need not be the same, and why.
const APART: &[(&str, &str)] = &[
    ("DCGM_EXP_GPU_HEALTH_STATUS", "each source has its own judge"),
    ("DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "DCGM never reads it"),
    ("DCGM_FI_DEV_PCIE_RX_THROUGHPUT", "DCGM never reads it"),
    ("DCGM_EXP_CLOCK_EVENTS_COUNT", "counts samples"),
    ("DCGM_EXP_CLOCK_EVENTS_TOTAL", "counts samples"),
];

/// Bytes that DCGM 4.6 has as whole MiB, or as thousands of KiB per second.
const ROUNDED: &[(&str, f64)] = &[
    ("DCGM_FI_DEV_FB_CAPACITY_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_FB_FREE_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_FB_USED_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_FB_RESERVED_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", 1_024_000.0),
];

/// Every family with its type, and every series with its value.
#[derive(Default)]
struct Shown {
    families: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

fn shown(page: &Page) -> Shown {
    let mut shown = Shown::default();
    let is_apart = |name: &str| APART.iter().any(|(apart, _)| *apart == name);
    for sample in page.all_samples() {
        if !sample.name.starts_with("DCGM_") || is_apart(&sample.name) {
            continue;
        }
        let kind = page.family(&sample.name).map(|family| format!("{:?}", family.kind));
        shown.families.insert(sample.name.clone(), kind.unwrap_or_default());
        shown.series.insert(format!("{}{:?}", sample.name, sample.labels), sample.value);
    }
    shown
}

/// What one page has and the other has not, or has otherwise.
fn differences(nvml: &Shown, dcgm: &Shown) -> Vec<String> {
    let mut found = Vec::new();
    let names = |shown: &Shown| shown.series.keys().cloned().collect::<BTreeSet<_>>();
    let (ours, theirs) = (names(nvml), names(dcgm));
    found.extend(ours.difference(&theirs).map(|series| format!("not through DCGM: {series}")));
    found.extend(theirs.difference(&ours).map(|series| format!("through DCGM only: {series}")));
    for (series, value) in &nvml.series {
        let Some(other) = dcgm.series.get(series) else { continue };
        let family = series.split('{').next().unwrap_or_default().split('[').next().unwrap_or("");
        let rounded = ROUNDED.iter().find(|(name, _)| *name == family).map_or(0.0, |(_, by)| *by);
        // What counts goes on with each reading, and the two read at different moments.
        let counts = nvml.families.get(family).is_some_and(|kind| kind == "Counter");
        if !counts && (value - other).abs() > rounded.max(value.abs() * 1e-9) {
            found.push(format!("{series}: {value} and {other}"));
        }
    }
    for (family, kind) in &nvml.families {
        if dcgm.families.get(family).is_some_and(|other| other != kind) {
            found.push(format!("{family}: {kind} and another type"));
        }
    }
    found
}

fn compare(rig: &Rig, args: &[&str]) {
    let dcgm = rig.start(args);
    let library = rig.library().display().to_string();
    let mut direct = vec!["--source", "nvml", "--nvml-library", &library];
    direct.extend(args);
    let nvml = Exporter::start(BINARY, &direct, &rig.environment());
    let began = Instant::now();
    loop {
        let (ours, theirs) = (shown(&nvml.page()), shown(&dcgm.page()));
        let found = differences(&ours, &theirs);
        if found.is_empty() && ours.series.len() > 500 {
            return;
        }
        assert!(
            began.elapsed() < 2 * PATIENCE,
            "{} series, {} differences:\n{}\n{}",
            ours.series.len(),
            found.len(),
            found.join("\n"),
            dcgm.log()
        );
        std::thread::sleep(Duration::from_millis(200));
    }
}

fn frozen() -> Rig {
    Rig::new().with("FAKE_NVML_SCENARIO", "story").with("FAKE_NVML_AT", "600")
}

#[test]
fn the_whole_page() {
    compare(&frozen(), ARGS);
}

#[test]
fn the_whole_page_of_a_host_engine_that_knows_base_units() {
    let rig = frozen().with("FAKE_DCGM_VERSION", "4.7.0");
    compare(&rig, &[ARGS, &["-r", "localhost:5555"]].concat());
}

#[test]
fn partitioned_gpus_with_their_compute_instances() {
    let rig = Rig::machine("a100x2-mig");
    compare(&rig, &[ARGS, &["-d", "g+i", "--compute-instances"]].concat());
}
