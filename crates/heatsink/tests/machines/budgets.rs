//! The number of series per GPU, which determines the cost in Prometheus.

use std::cell::Cell;
use std::time::Duration;

use testkit::page::Page;
use testkit::pauses;

use crate::rig::{PATIENCE, Rig};

/// The series of a page of eight H100s with 18 NVLinks each, those of the node included, by GPU.
fn per_gpu(args: &[&str]) -> (f64, Page) {
    let rig = Rig::machine_of("h100x2", 8).with_kernel_log();
    let exporter = rig.started(&[&["-c", "200", "--expected-gpus", "8"], args].concat(), 8);
    let count = |page: &Page| page.all_samples().count();
    // All that a GPU has, and no more: averages need two passes, slow rows come later.
    let last = Cell::new(0);
    let (page, _) = exporter.wait_for("the page is complete", PATIENCE, |page| {
        let before = last.replace(count(page));
        pauses::sleep(Duration::from_millis(700));
        before == last.get()
    });
    (count(&page) as f64 / 8.0, page)
}

#[track_caller]
fn check(args: &[&str], budget: f64) {
    let (series, page) = per_gpu(args);
    println!("{args:?}: {series} series per GPU, at most {budget}");
    assert!(series <= budget, "{args:?}: {series} series per GPU are more than {budget}");
    assert!(series > budget / 4.0, "{args:?}: {series} are too few to be all: {page:?}");
}

#[test]
fn the_built_in_sets_keep_their_budgets() {
    check(&["-f", "minimal"], 20.0);
    check(&[], 50.0);
    check(&["--extra-collectors", "monitoring"], 85.0);
}

/// Such as a counters file of dcgm-exporter.
#[test]
fn a_file_that_names_no_family_of_heatsink_gets_few_of_them() {
    let rig = Rig::new();
    let default = model::catalog::builtin::Set::Default.text();
    let rows: Vec<&str> = default.lines().filter(|line| line.starts_with("DCGM_")).collect();
    let file = rig.file("counters.csv", rows.join("\n"));
    let (_, page) = per_gpu(&["-f", &file]);
    let others = page.all_samples().filter(|sample| !sample.name.starts_with("DCGM_")).count();
    println!("{others} series of heatsink_ families for eight GPUs");
    assert!((9..=8 * 8).contains(&others), "{others}");
}
