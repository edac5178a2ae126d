//! Compares the pages of the same GPUs through NVML and through DCGM.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, Instant};

use testkit::exporter::Exporter;
use testkit::page::Page;

use crate::rig::{BINARY, PATIENCE, Rig};

/// All fields that both sources serve, in all generations of names.
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

/// Families that may differ, with the reason.
const APART: &[(&str, &str)] = &[
    ("DCGM_EXP_GPU_HEALTH_STATUS", "each source has its own judge"),
    ("DCGM_FI_DEV_PCIE_TX_THROUGHPUT", "DCGM never reads it"),
    ("DCGM_FI_DEV_PCIE_RX_THROUGHPUT", "DCGM never reads it"),
    ("DCGM_EXP_CLOCK_EVENTS_COUNT", "counts samples"),
    ("DCGM_EXP_CLOCK_EVENTS_TOTAL", "counts samples"),
];

/// Families in bytes that DCGM 4.6 reports as whole MiB, or as thousands of KiB per second.
const ROUNDED: &[(&str, f64)] = &[
    ("DCGM_FI_DEV_FB_CAPACITY_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_FB_FREE_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_FB_USED_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_FB_RESERVED_BYTES", 1_048_576.0),
    ("DCGM_FI_DEV_NVLINK_THROUGHPUT_BYTES_PER_SECOND", 1_024_000.0),
];

/// All families with their types, and all series with their values.
#[derive(Default)]
struct Content {
    families: BTreeMap<String, String>,
    series: BTreeMap<String, f64>,
}

fn content(page: &Page) -> Content {
    let mut content = Content::default();
    let is_apart = |name: &str| APART.iter().any(|(apart, _)| *apart == name);
    for sample in page.all_samples() {
        if !sample.name.starts_with("DCGM_") || is_apart(&sample.name) {
            continue;
        }
        let kind = page.family(&sample.name).map(|family| format!("{:?}", family.kind));
        content.families.insert(sample.name.clone(), kind.unwrap_or_default());
        content.series.insert(format!("{}{:?}", sample.name, sample.labels), sample.value);
    }
    content
}

/// The differences between two pages.
fn differences(nvml: &Content, dcgm: &Content) -> Vec<String> {
    let mut found = Vec::new();
    let names = |content: &Content| content.series.keys().cloned().collect::<BTreeSet<_>>();
    let (ours, theirs) = (names(nvml), names(dcgm));
    found.extend(ours.difference(&theirs).map(|series| format!("not through DCGM: {series}")));
    found.extend(theirs.difference(&ours).map(|series| format!("through DCGM only: {series}")));
    for (series, value) in &nvml.series {
        let Some(other) = dcgm.series.get(series) else { continue };
        let family = series.split('{').next().unwrap_or_default().split('[').next().unwrap_or("");
        let rounded = ROUNDED.iter().find(|(name, _)| *name == family).map_or(0.0, |(_, by)| *by);
        // Counters grow with each reading, and the sources read at different moments.
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
        let (ours, theirs) = (content(&nvml.page()), content(&dcgm.page()));
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
fn nvml_and_dcgm_have_the_same_page() {
    compare(&frozen(), ARGS);
}

#[test]
fn nvml_and_a_dcgm_with_base_units_have_the_same_page() {
    let rig = frozen().with("FAKE_DCGM_VERSION", "4.7.0");
    compare(&rig, &[ARGS, &["-r", "localhost:5555"]].concat());
}

#[test]
fn nvml_and_dcgm_have_the_same_mig_page() {
    let rig = Rig::machine("a100x2-mig");
    compare(&rig, &[ARGS, &["-d", "g+i", "--compute-instances"]].concat());
}
