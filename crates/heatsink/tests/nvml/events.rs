//! XIDs: none is lost, none is counted twice, whatever else happens.

#[path = "../suite/events.rs"]
mod suite;

use std::collections::BTreeMap;

use crate::counted::{counted, total};

use crate::rig::{PATIENCE, Rig, down, is_present, up};
use testkit::page::metric;

#[test]
fn events_of_a_hung_gpu_are_delivered_all_the_same() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 3 hang"]);
    exporter.wait_for("GPU 3 is down", PATIENCE, |page| down(page, 3).is_some());
    rig.control.add(&["gpu 3 xid 45", "gpu 3 xid 45", "gpu 4 xid 31"]);
    let (page, _) =
        exporter.wait_for("all are counted", PATIENCE, |page| total(&counted(page)) == 3);
    assert_eq!(counted(&page), BTreeMap::from([((3, 45), 2), ((4, 31), 1)]));
    assert_eq!(up(&page), 7, "it still hangs");
}

#[test]
fn the_families_of_dcgm_exporter() {
    let rig = Rig::new();
    let rows = "DCGM_EXP_XID_ERRORS_COUNT, gauge, X.\nDCGM_EXP_XID_ERRORS_TOTAL, counter, X.\n\
                DCGM_EXP_CLOCK_EVENTS_COUNT, gauge, C.\nDCGM_EXP_CLOCK_EVENTS_TOTAL, counter, C.\n\
                DCGM_EXP_GPU_HEALTH_STATUS, gauge, H.\n";
    let extra = rig.file("extra.csv", rows);
    let exporter = rig.started(&["-c", "200", "--extra-collectors", &extra, "-x", "3000"], 8);
    let silent = metric("DCGM_EXP_XID_ERRORS_COUNT").label("gpu", "1").without("xid").value(0.0);
    let (page, _) = exporter.wait_for("silence", PATIENCE, |page| silent.is_in(page));
    silent.clone().label("window_size_in_ms", "3000").assert_in(&page);
    let health = metric("DCGM_EXP_GPU_HEALTH_STATUS").label("gpu", "1");
    health.clone().label("health_watch", "ALL").value(0.0).assert_in(&page);
    rig.control.set(&["gpu 1 xid 95", "gpu 1 xid 95"]);
    let count = metric("DCGM_EXP_XID_ERRORS_COUNT").label("gpu", "1").label("xid", "95");
    let (page, _) =
        exporter.wait_for("both are counted", PATIENCE, |page| page.value_of(&count) == Some(2.0));
    let failed = health.label("health_watch", "DRIVER").value(20.0);
    failed.label("health_error_code", "DCGM_FR_UNCONTAINED_ERROR").assert_in(&page);
    let (page, _) = exporter.wait_for("the window has passed", PATIENCE, |page| {
        silent.is_in(page) && count.absent_from(page)
    });
    let all = metric("DCGM_EXP_XID_ERRORS_TOTAL").label("gpu", "1").label("xid", "95");
    all.value(2.0).assert_in(&page);
    metric("DCGM_EXP_CLOCK_EVENTS_COUNT").label("clock_event", "gpu_idle").assert_in(&page);
    assert!(is_present(&page, 1));
}
