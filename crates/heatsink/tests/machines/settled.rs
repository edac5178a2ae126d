//! Waits until a page is as the oracle expects.

use std::thread;
use std::time::{Duration, Instant};

use testkit::exporter::Exporter;
use testkit::page::Page;
use testkit::promtool;

use crate::fixture::Machine;
use crate::oracle::{self, Oracle, Row};
use crate::rig::PATIENCE;

/// The whole catalogue, without the kernel's log and without windows, which change with time.
pub(crate) const EVERYTHING: &[&str] =
    &["-f", "all", "-c", "500", "--kernel-log", "none", "--window", "0"];

/// How long a page must stay as expected.
const STEADY: Duration = Duration::from_millis(1500);

/// The only text of the full set, a label.
const LABEL: &str = "DCGM_FI_DRIVER_VERSION";

/// Rows of base units came with 4.9, and have these numbers.
pub(crate) const BASE_UNITS: std::ops::Range<u16> = 1600..1700;

/// The other name of a field, which the full set leaves out.
pub(crate) const ALIAS: &str = "DCGM_FI_DEV_CLOCK_THROTTLE_REASONS";

/// What the built-in set `all` shows.
pub(crate) fn in_the_full_set() -> Vec<Row> {
    let is_in_set = |row: &Row| {
        let is_left_out = row.is_label() && row.field != LABEL;
        !is_left_out && row.field != ALIAS && !BASE_UNITS.contains(&row.id)
    };
    oracle::rows().into_iter().filter(is_in_set).collect()
}

/// Waits for a page that is as the oracle expects, and stays so; `more_differences` compares further.
pub(crate) fn settled(
    exporter: &Exporter,
    name: &str,
    rows: &[Row],
    more_differences: fn(&Page) -> Vec<String>,
) -> (String, Oracle) {
    let machine = Machine::read(name);
    let oracle = Oracle::new(&machine, rows);
    assert!(oracle.len() > 50, "{} are few", oracle.len());
    let began = Instant::now();
    let mut right_since: Option<Instant> = None;
    loop {
        let text = exporter.get("/metrics").body;
        let page = Page::parse(&text).unwrap_or_else(|error| panic!("{name}: {error}"));
        let mut differences = oracle.differences(&machine, &page);
        differences.extend(more_differences(&page));
        if differences.is_empty() {
            if right_since.get_or_insert_with(Instant::now).elapsed() >= STEADY {
                promtool::assert_accepts(&text);
                return (text, oracle);
            }
        } else {
            right_since = None;
            assert!(
                began.elapsed() < PATIENCE,
                "{name}: {} differences, {} samples expected:\n{}\n{}",
                differences.len(),
                oracle.len(),
                differences.join("\n"),
                exporter.log()
            );
        }
        thread::sleep(Duration::from_millis(100));
    }
}
