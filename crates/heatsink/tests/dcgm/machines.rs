//! Five machines, from Turing to Blackwell, each number on their pages worked out from the driver's
//! raw integers: an engine between driver and page changes nothing.

use std::time::{Duration, Instant};

use testkit::page::Page;
use testkit::promtool;

use crate::fixture::Machine;
use crate::oracle::{self, Oracle, Row};
use crate::rig::{PATIENCE, Rig};

/// The whole catalogue, and nothing that comes from elsewhere or changes by itself.
const EVERYTHING: &[&str] = &["-f", "all", "-c", "500", "--kernel-log", "none", "--window", "0"];

/// How long a page has to stay as it should be.
const STEADY: Duration = Duration::from_millis(1500);

/// The other name of a field, which the full set leaves out.
const ALIAS: &str = "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS";

#[test]
fn h100x8() {
    check("h100x8");
}

#[test]
fn a100x8_of_which_two_are_partitioned() {
    check("a100x8-mig");
}

#[test]
fn geforce() {
    check("geforce");
}

#[test]
fn gb200x4() {
    check("gb200x4");
}

#[test]
fn t4x8() {
    check("t4x8");
}

/// What the built-in set `all` shows, but for PCIe traffic, 200 and 201, which DCGM never reads.
fn in_the_full_set() -> Vec<Row> {
    let is_shown = |row: &Row| {
        let is_left_out = row.is_label() && row.field != "DCGM_FI_DRIVER_VERSION";
        !is_left_out && row.field != ALIAS && !(1600..1700).contains(&row.id) && row.id / 2 != 100
    };
    oracle::rows().into_iter().filter(is_shown).collect()
}

fn check(name: &str) {
    let rig = Rig::machine(name);
    let exporter = rig.start(EVERYTHING);
    let machine = Machine::read(name);
    let oracle = Oracle::new(&machine, &in_the_full_set());
    assert!(oracle.len() > 50, "{} are few", oracle.len());
    let began = Instant::now();
    let mut right_since: Option<Instant> = None;
    loop {
        let text = exporter.get("/metrics").body;
        let page = Page::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let differences = oracle.differences(&machine, &page);
        if differences.is_empty() {
            if right_since.get_or_insert_with(Instant::now).elapsed() >= STEADY {
                promtool::assert_accepts(&text);
                return;
            }
        } else {
            right_since = None;
            assert!(
                began.elapsed() < 2 * PATIENCE,
                "{name}: {} differences, {} samples expected:\n{}\n{}",
                differences.len(),
                oracle.len(),
                differences.join("\n"),
                exporter.log()
            );
        }
        std::thread::sleep(Duration::from_millis(100));
    }
}
