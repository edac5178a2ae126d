//! XIDs from NVML events: each is counted exactly once, also during faults.

#[path = "../suite/events.rs"]
mod suite;

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use crate::counted::{counted, total};

use crate::rig::{PATIENCE, Rig, down, is_present, up};
use testkit::page::{Page, metric};
use testkit::pauses;

#[test]
fn events_of_a_hung_gpu_are_delivered() {
    let rig = Rig::new();
    let exporter = rig.started(&["-c", "200"], 8);
    rig.control.set(&["gpu 3 hang"]);
    exporter.wait_for("GPU 3 is down", PATIENCE, |page| down(page, 3).is_some());
    rig.control.add(&["gpu 3 xid 45", "gpu 3 xid 45", "gpu 4 xid 31"]);
    let (page, _) = exporter.wait_for("all are counted, and it still hangs", PATIENCE, |page| {
        total(&counted(page)) == 3 && up(page) == 7
    });
    assert_eq!(counted(&page), BTreeMap::from([((3, 45), 2), ((4, 31), 1)]));
    assert!(down(&page, 3).is_some());
}

#[test]
fn dcgm_exporter_xid_families() {
    let rig = Rig::new();
    let rows = "DCGM_EXP_XID_ERRORS_COUNT, gauge, X.\nDCGM_EXP_XID_ERRORS_TOTAL, counter, X.\n\
                DCGM_EXP_CLOCK_EVENTS_COUNT, gauge, C.\nDCGM_EXP_CLOCK_EVENTS_TOTAL, counter, C.\n\
                DCGM_EXP_GPU_HEALTH_STATUS, gauge, H.\n";
    let extra = rig.file("extra.csv", rows);
    let exporter = rig.started(&["-c", "200", "--extra-collectors", &extra, "-x", "10000"], 8);
    let silent = metric("DCGM_EXP_XID_ERRORS_COUNT").label("gpu", "1").without("xid").value(0.0);
    let health = metric("DCGM_EXP_GPU_HEALTH_STATUS").label("gpu", "1");
    let healthy = health.clone().label("health_watch", "ALL").value(0.0);
    let (page, _) =
        exporter.wait_for("silence", PATIENCE, |page| silent.is_in(page) && healthy.is_in(page));
    silent.clone().label("window_size_in_ms", "10000").assert_in(&page);
    rig.control.set(&["gpu 1 xid 95", "gpu 1 xid 95"]);
    let count = metric("DCGM_EXP_XID_ERRORS_COUNT").label("gpu", "1").label("xid", "95");
    let failed = health.label("health_watch", "DRIVER").value(20.0);
    let failed = failed.label("health_error_code", "DCGM_FR_UNCONTAINED_ERROR");
    // Not `wait_for`: after a pause of the machine, that may look only once the window has passed.
    let until = Instant::now() + PATIENCE;
    loop {
        let page = Page::parse(&exporter.get("/metrics").body).expect("a well-formed page");
        if page.value_of(&count) == Some(2.0) && failed.is_in(&page) {
            break;
        }
        assert!(Instant::now() < until, "both are not counted\n{}", exporter.log());
        pauses::sleep(Duration::from_millis(20));
    }
    let idle = metric("DCGM_EXP_CLOCK_EVENTS_COUNT").label("clock_event", "gpu_idle");
    let (page, _) = exporter.wait_for("the window has passed", PATIENCE, |page| {
        silent.is_in(page) && count.absent_from(page) && is_present(page, 1) && idle.is_in(page)
    });
    let all = metric("DCGM_EXP_XID_ERRORS_TOTAL").label("gpu", "1").label("xid", "95");
    all.value(2.0).assert_in(&page);
}
