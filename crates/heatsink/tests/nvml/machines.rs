//! Five machines, from Turing to Blackwell: each number on their pages is computed a second time.
//!
//! Three pages are kept as goldens, which show what changes. Whether they are right, the oracle decides: it
//! reads the fixture and `test/fixtures/conversions.csv`, and uses no code of the program.
//! `UPDATE_GOLDEN=1 cargo test -p heatsink --test nvml machines` rewrites the pages.

use crate::generations;
use crate::oracle::{self, Row, is_not_checked};
use crate::rig::Rig;
use crate::settled::{ALIAS, BASE_UNITS, EVERYTHING, in_the_full_set, settled};
use testkit::golden::{check_golden, normalise};
use testkit::page::Page;

#[test]
fn h100() {
    check("h100x2");
}

#[test]
fn a100_of_which_one_is_partitioned() {
    check("a100x2-mig");
}

#[test]
fn geforce() {
    check("geforce");
}

#[test]
fn gb200() {
    check("gb200x2");
}

#[test]
fn t4() {
    check("t4x2");
}

/// The texts that the full set leaves out, and the alias.
#[test]
fn texts_and_the_alias() {
    for name in ["h100x2", "geforce"] {
        let rows = oracle::rows();
        let rows: Vec<Row> = rows.into_iter().filter(|row| !BASE_UNITS.contains(&row.id)).collect();
        let labels = rows.iter().filter(|row| row.is_label());
        let mut extra: String = labels.map(|row| format!("{}, label, Text\n", row.field)).collect();
        extra += &format!("{ALIAS}, gauge, The other name\n");
        let rig = rig_of(name);
        let extra = rig.file("extra.csv", extra);
        let mut args = EVERYTHING.to_vec();
        args.extend(["--extra-collectors", &extra]);
        settled(&rig.start(&args), name, &rows, |_| Vec::new());
    }
}

#[test]
fn both_generations_of_names_on_h100() {
    check_generations("h100x2");
}

#[test]
fn both_generations_of_names_on_gb200() {
    check_generations("gb200x2");
}

/// No field is left out by mistake.
#[test]
fn every_field_is_checked_or_listed_as_unchecked() {
    let rows = oracle::rows();
    for field in model::catalog::FIELDS {
        let has_row = rows.iter().any(|row| row.field == field.name && row.id == field.id.0);
        assert!(has_row != is_not_checked(field.name), "{}", field.name);
    }
    for row in &rows {
        let is_known = model::catalog::FIELDS.iter().any(|field| field.name == row.field);
        assert!(is_known, "{} is in test/fixtures/conversions.csv only", row.field);
        let times = rows.iter().filter(|other| other.field == row.field).count();
        assert_eq!(times, 1, "{}", row.field);
    }
}

fn check(name: &str) {
    let rows = in_the_full_set();
    let rig = rig_of(name);
    let (text, oracle) = settled(&rig.start(EVERYTHING), name, &rows, |_| Vec::new());
    let page = Page::parse(&text).expect("a well-formed page");
    if WITH_GOLDEN.contains(&name) {
        let golden = without_time(&normalise(&oracle.with_first_values(&text, &page)));
        check_golden(format!("pages/machines/{name}.prom"), &golden);
    }
}

fn check_generations(name: &str) {
    let mut rows = in_the_full_set();
    rows.extend(oracle::rows().into_iter().filter(|row| BASE_UNITS.contains(&row.id)));
    for (old, new) in generations::only_renamed().chain([generations::LABEL]) {
        // Fields that are not checked have no row.
        if let Some(row) = rows.iter().find(|row| row.field == old) {
            rows.push(row.called(new));
        }
    }
    let rig = rig_of(name);
    let mut args = EVERYTHING.to_vec();
    args.extend(["--metric-names", "both"]);
    settled(&rig.start(&args), name, &rows, generations::differences);
}

/// Machines whose whole page is a golden. The others add four families, which the oracle checks.
const WITH_GOLDEN: [&str; 3] = ["h100x2", "a100x2-mig", "gb200x2"];

fn rig_of(name: &str) -> Rig {
    Rig::machine(name)
}

/// Families whose values grow with time.
const GROWING: [&str; 3] = [
    "DCGM_EXP_CLOCK_EVENTS_COUNT",
    "heatsink_clock_event_seconds_total",
    "heatsink_driver_call_duration_seconds",
];

/// The page with those replaced by 0.
fn without_time(page: &str) -> String {
    let line = |line: &str| match (line.split_once('{'), line.rsplit_once(' ')) {
        (Some((name, _)), Some((series, _))) if GROWING.contains(&name) => format!("{series} 0\n"),
        _ => format!("{line}\n"),
    };
    page.lines().map(line).collect()
}
