//! Clocks that are set, and a machine that was suspended.

use std::time::Duration;

use crate::counted::{counted, total};
use crate::rig::{PATIENCE, Rig, is_absent, is_present, up, watch};
use fake_clock::Clocks;
use testkit::page::metric;

fn with_clocks(rig: Rig) -> (Rig, Clocks) {
    let clocks = Clocks::in_folder(&rig.root());
    let environment = clocks.environment();
    (environment.iter().fold(rig, |rig, (name, value)| rig.with(name, value)), clocks)
}

#[test]
fn after_a_suspend_no_reading_of_before_is_shown() {
    let (rig, clocks) = with_clocks(Rig::new());
    // So long an interval that nothing is read soon after.
    let exporter = rig.started(&["-c", "20000"], 8);
    clocks.set(600.0, 600.0);
    let page = exporter.page();
    assert!((0..8).all(|gpu| is_absent(&page, gpu)), "readings of ten minutes ago are shown");
    exporter.wait_for("they are read again", Duration::from_secs(45), |page| up(page) == 8);
}

#[test]
fn a_clock_that_is_set_changes_nothing_that_is_read_or_counted() {
    let (rig, clocks) = with_clocks(Rig::new().with_kernel_log());
    let exporter = rig.started(&["-c", "200"], 8);
    rig.xid(1, 31);
    exporter.wait_for("it is counted", PATIENCE, |page| total(&counted(page)) == 1);
    for step in [3_600.0, -86_400.0, 0.5, 0.0] {
        clocks.set(step, 0.0);
        rig.xid(1, 79);
        watch(&exporter, Duration::from_secs(1), |page| {
            assert!((0..8).all(|gpu| is_present(page, gpu)), "after a step to {step}");
        });
    }
    let page = exporter.page();
    assert_eq!((counted(&page)[&(1, 31)], counted(&page)[&(1, 79)]), (1, 4));
    metric("heatsink_xid_last_timestamp_seconds").label("xid", "79").assert_in(&page);
}
