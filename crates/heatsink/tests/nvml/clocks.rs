//! Changes of the wall clock, and suspended machines.

use std::time::Duration;

use crate::counted::{counted, total};
use crate::rig::{PATIENCE, Rig, is_absent, is_present, up, watch};
use fake_clock::Clocks;
use testkit::page::{Page, metric};
use testkit::pauses::Stopwatch;

fn with_clocks(rig: Rig) -> (Rig, Clocks) {
    let clocks = Clocks::in_folder(&rig.root());
    let environment = clocks.environment();
    (environment.iter().fold(rig, |rig, (name, value)| rig.with(name, value)), clocks)
}

#[test]
fn readings_from_before_a_suspend_are_absent() {
    let (rig, clocks) = with_clocks(Rig::new());
    // With a long interval, no new reading follows soon.
    let exporter = rig.started(&["-c", "20000"], 8);
    // Not `exporter.page()`, which may wait for longer than the interval.
    let page = || Page::parse(&exporter.get("/metrics").body).expect("a well-formed page");
    // If the machine stands still meanwhile, they may be read again.
    for suspend in 1.. {
        let watch = Stopwatch::start();
        clocks.set(600.0 * f64::from(suspend), 600.0 * f64::from(suspend));
        let page = page();
        let all_are_absent = (0..8).all(|gpu| is_absent(&page, gpu));
        if all_are_absent {
            break;
        }
        assert!(watch.was_paused() && suspend < 20, "readings of ten minutes ago are served");
    }
    exporter.wait_for("they are read again", PATIENCE, |page| up(page) == 8);
}

#[test]
fn setting_the_clock_changes_no_reading_or_count() {
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
    let (page, _) =
        exporter.wait_for("all are counted", PATIENCE, |page| total(&counted(page)) >= 5);
    assert_eq!((counted(&page)[&(1, 31)], counted(&page)[&(1, 79)]), (1, 4));
    metric("heatsink_xid_last_timestamp_seconds").label("xid", "79").assert_in(&page);
}
