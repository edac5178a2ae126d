//! Faults of an engine, as a scraper sees them: heatsink does not exit, answers every scrape, serves no
//! old values, and recovers without help.

use std::time::Duration;

use testkit::exporter::Exporter;
use testkit::page::{Page, metric};
use testkit::pauses;

use crate::rig::{BINARY, PATIENCE, Rig, down, is_absent, is_present, up, watch};

/// The time within which all GPUs are back after the engine is back.
const RECOVERY: Duration = Duration::from_secs(5);

/// An engine in another process, or on another host.
const REMOTE: &[&str] = &["-r", "localhost:5555", "-c", "500"];

fn remote(rig: &Rig) -> Exporter {
    rig.started(REMOTE, 8)
}

fn source_up(page: &Page) -> bool {
    metric("heatsink_source_up").label("source", "dcgm").value(1.0).is_in(page)
}

fn all_present(page: &Page) -> bool {
    (0..8).all(|gpu| is_present(page, gpu))
}

fn all_absent(page: &Page) {
    assert!((0..8).all(|gpu| is_absent(page, gpu)), "an old number");
    assert_eq!(page.samples("heatsink_gpu_down_info").len(), 8, "each has a reason");
}

#[test]
fn an_engine_address_selects_dcgm() {
    let rig = Rig::new();
    let library = rig.dcgm_library().display().to_string();
    let args = ["-r", "localhost:5555", "--dcgm-library", &library, "-c", "500"];
    let exporter = Exporter::start(BINARY, &args, &rig.environment());
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8 && source_up(page));
    exporter.logged("connected with the host engine at localhost:5555, DCGM 4.6", PATIENCE);
}

#[test]
fn every_form_of_an_address_connects() {
    let rig = Rig::new();
    for address in ["tcp://localhost", "[::1]:5555", "unix:///run/dcgm.sock", "vsock://2:5555"] {
        let exporter = rig.started(&["-r", address, "-c", "500"], 8);
        exporter.logged("connected with the host engine at", PATIENCE);
    }
}

#[test]
fn the_library_is_found_by_the_dynamic_linker() {
    let rig = Rig::new();
    let folder = rig.dcgm_library();
    let folder = folder.parent().expect("a folder").display().to_string();
    let mut environment = rig.environment();
    environment.push(("LD_LIBRARY_PATH", &folder));
    environment.push(("HEATSINK_SOURCE", "dcgm"));
    let exporter = Exporter::start(BINARY, &["-c", "500"], &environment);
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
}

#[test]
fn heatsink_waits_for_a_missing_engine() {
    let rig = Rig::new();
    rig.engine.set(&["engine down"]);
    let exporter = rig.start(REMOTE);
    watch(&exporter, Duration::from_secs(4), |page| assert!(!source_up(page)));
    assert_eq!(exporter.get("/health").status, 200);
    assert_eq!(exporter.get("/ready").status, 503);
    let line = "cannot reach the host engine at localhost:5555";
    let log = exporter.logged(line, PATIENCE);
    assert_eq!(log.matches(line).count(), 1, "{log}");
    rig.engine.clear();
    exporter.wait_for("all GPUs answer", RECOVERY, |page| up(page) == 8);
}

#[test]
fn a_killed_engine_is_read_again_after_its_return() {
    let rig = Rig::new();
    let exporter = remote(&rig);
    rig.engine.set(&["engine down"]);
    exporter.wait_for("all are down", PATIENCE, |page| up(page) == 0);
    watch(&exporter, Duration::from_secs(4), all_absent);
    rig.engine.clear();
    let (_, took) = exporter.wait_for("all are back", PATIENCE, |page| up(page) == 8);
    assert!(took < RECOVERY, "it took {took:?}");
    exporter.wait_for("their numbers are back", PATIENCE, all_present);
}

#[test]
fn a_restarted_engine_is_read_again() {
    let rig = Rig::new();
    let exporter = remote(&rig);
    for restart in ["engine restart 1", "engine restart 2", "engine restart 3"] {
        rig.engine.set(&[restart]);
        pauses::sleep(Duration::from_millis(1200));
        let (_, took) = exporter.wait_for(restart, PATIENCE, all_present);
        assert!(took < RECOVERY, "it took {took:?}");
    }
}

#[test]
fn a_stopped_engine_makes_all_gpus_late_and_delays_no_scrape() {
    let rig = Rig::new();
    let exporter = remote(&rig);
    rig.engine.set(&["engine stopped"]);
    let (page, _) = exporter.wait_for("all are down", PATIENCE, |page| up(page) == 0);
    assert_eq!(down(&page, 3).as_deref(), Some("late"));
    watch(&exporter, Duration::from_secs(4), all_absent);
    let log = exporter.logged("all of its GPUs are late", PATIENCE);
    assert_eq!(log.matches("all of its GPUs are late").count(), 1, "{log}");
    assert!(log.contains("--source nvml"), "{log}");
    rig.engine.clear();
    let (_, took) = exporter.wait_for("all are back", PATIENCE, |page| up(page) == 8);
    assert!(took < RECOVERY, "it took {took:?}");
}

#[test]
fn a_new_session_is_opened_after_a_long_stop() {
    let rig = Rig::new().with("FAKE_DCGM_HANG_SECONDS", "2");
    let exporter = remote(&rig);
    rig.engine.set(&["engine stopped"]);
    let lost = |page: &Page| !source_up(page);
    exporter.wait_for("calls have given up", PATIENCE, lost);
    watch(&exporter, Duration::from_secs(4), all_absent);
    rig.engine.clear();
    let (_, took) = exporter.wait_for("all are back", PATIENCE, |page| up(page) == 8);
    assert!(took < RECOVERY, "it took {took:?}");
}

#[test]
fn heatsink_waits_for_an_engine_that_is_stopped_at_the_start() {
    let rig = Rig::new();
    rig.engine.set(&["engine stopped"]);
    let exporter = rig.start(REMOTE);
    watch(&exporter, Duration::from_secs(6), |page| assert!(!source_up(page)));
    let log = exporter.logged("does not answer; if it is stopped", PATIENCE);
    assert_eq!(log.matches("does not answer; if it is stopped").count(), 1, "{log}");
    rig.engine.clear();
    let (_, took) = exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    assert!(took < RECOVERY, "it took {took:?}");
}

#[test]
fn a_connection_that_fails_after_success_is_detected() {
    let rig = Rig::new();
    rig.engine.set(&["engine dead-handle"]);
    let exporter = rig.start(REMOTE);
    watch(&exporter, Duration::from_secs(2), |page| assert!(!source_up(page)));
    rig.engine.clear();
    exporter.wait_for("all GPUs answer", RECOVERY, |page| up(page) == 8);
}

#[test]
fn an_engine_of_dcgm_3_is_logged_until_a_newer_one_answers() {
    let rig = Rig::new();
    rig.engine.set(&["engine version 3.3.9"]);
    let exporter = rig.start(REMOTE);
    watch(&exporter, Duration::from_secs(3), |page| assert!(!source_up(page)));
    let log = exporter.logged("is DCGM 3.3.9", PATIENCE);
    assert_eq!(log.matches("is DCGM 3.3.9").count(), 1, "{log}");
    assert!(log.contains("run nv-hostengine of DCGM 4"), "{log}");
    rig.engine.clear();
    exporter.wait_for("all GPUs answer", RECOVERY, |page| up(page) == 8);
}

#[test]
fn a_library_of_another_release_is_logged() {
    let rig = Rig::new().with("FAKE_DCGM_VERSION", "3.3.9");
    let exporter = rig.start(REMOTE);
    let named = |_: &Page| exporter.log().contains("is of DCGM 3.3.9; DCGM 4 is needed");
    exporter.wait_for("it is named", PATIENCE, named);
    metric("heatsink_source_up").value(0.0).assert_in(&exporter.page());
}

#[test]
fn a_library_may_come_later() {
    let rig = Rig::without_library();
    let exporter = rig.start(REMOTE);
    let ready = exporter.get("/ready");
    assert_eq!(ready.status, 503);
    assert!(!source_up(&exporter.page()));
    rig.install();
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
}

#[test]
fn heatsink_waits_for_a_host_without_an_address() {
    let rig = Rig::new();
    rig.engine.set(&["engine down"]);
    let exporter = rig.start(&["-r", "engine.invalid:5555"]);
    let named = |_: &Page| exporter.log().contains("engine.invalid:5555");
    exporter.wait_for("it is named", PATIENCE, named);
    assert!(!source_up(&exporter.page()));
    assert_eq!(exporter.get("/health").status, 200);
}

#[test]
fn without_a_free_group_heatsink_logs_and_waits() {
    for limit in ["limit groups 64", "limit field-groups 64"] {
        let rig = Rig::new();
        rig.engine.set(&[limit]);
        let exporter = rig.start(REMOTE);
        watch(&exporter, Duration::from_secs(2), |page| assert!(!source_up(page)));
        let log = exporter.logged("has no group left", PATIENCE);
        assert_eq!(log.matches("has no group left").count(), 1, "{log}");
        rig.engine.clear();
        exporter.wait_for("all GPUs answer", RECOVERY, |page| up(page) == 8);
    }
}

#[test]
fn with_groups_for_gpus_only_the_gpus_are_served() {
    let rig = Rig::machine_of("h100x2", 8);
    rig.engine.set(&["limit groups 63"]);
    // A field of GPUs and one of links. The engine is in this process: reading all fields of eight GPUs
    // would take two slow cores whole.
    let rows = "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n\
                DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_PER_LINK_TOTAL, counter, Links.\n";
    let counters = rig.file("counters.csv", rows);
    let exporter = rig.started(&["-r", "localhost:5555", "-c", "500", "-f", &counters], 8);
    let link = metric("DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_PER_LINK_TOTAL");
    exporter.wait_for("all show heat", PATIENCE, all_present);
    watch(&exporter, Duration::from_secs(2), |page| {
        assert!(all_present(page));
        link.assert_absent_from(page);
    });
    let log = exporter.logged("the engine's limit is reached", PATIENCE);
    assert_eq!(log.matches("the engine's limit is reached").count(), 1, "{log}");
}

#[test]
fn groups_are_always_freed() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
    let exporter = rig.started(&["-r", "localhost:5555", "-c", "500", "-f", &counters], 8);
    // Each reload creates new groups. Groups that are not freed would reach the engine's limit.
    for round in 0..40 {
        let rows = ["DCGM_FI_DEV_GPU_TEMP, gauge, H.\n", "DCGM_FI_DEV_POWER_USAGE, gauge, P.\n"];
        rig.file("counters.csv", rows[round % 2].to_owned() + "DCGM_FI_DEV_SM_CLOCK, gauge, C.\n");
        exporter.signal("HUP");
        pauses::sleep(Duration::from_millis(150));
    }
    pauses::sleep(Duration::from_secs(1));
    exporter.wait_for("all GPUs answer", PATIENCE, |page| up(page) == 8);
    assert!(!exporter.log().contains("has no group left"), "{}", exporter.log());
}

#[test]
fn an_unwatched_field_is_absent_alone() {
    let rig = Rig::new();
    rig.engine.set(&["field 155 unsupported"]);
    let exporter = remote(&rig);
    pauses::sleep(Duration::from_secs(1));
    let reason = metric("heatsink_field_unavailable_info").label("reason", "not_supported");
    let reason = reason.label("field", "DCGM_FI_DEV_POWER_USAGE");
    let (page, _) = exporter.wait_for("all others, and the reason", PATIENCE, |page| {
        all_present(page) && reason.is_in(page)
    });
    metric("DCGM_FI_DEV_POWER_USAGE").assert_absent_from(&page);
}

#[test]
fn a_refused_field_is_absent_alone() {
    let rig = Rig::new();
    rig.engine.set(&["field 155 refused"]);
    let exporter = remote(&rig);
    pauses::sleep(Duration::from_secs(1));
    let (page, _) = exporter.wait_for("all others", PATIENCE, all_present);
    metric("DCGM_FI_DEV_POWER_USAGE").assert_absent_from(&page);
    let log = exporter.logged("DCGM_FI_DEV_POWER_USAGE", PATIENCE);
    let count = log.lines().filter(|line| line.contains("DCGM_FI_DEV_POWER_USAGE")).count();
    assert_eq!(count, 1, "{log}");
}

#[test]
fn without_the_profiling_module_only_profiling_is_absent() {
    let rig = Rig::new();
    rig.engine.set(&["no-profiling"]);
    let exporter = remote(&rig);
    pauses::sleep(Duration::from_secs(1));
    let (page, _) = exporter.wait_for("all others", PATIENCE, all_present);
    metric("DCGM_FI_PROF_SM_ACTIVE").assert_absent_from(&page);
    let log = exporter.logged("module for it is not loaded", PATIENCE);
    assert_eq!(log.matches("module for it is not loaded").count(), 1, "{log}");
}

#[test]
fn blank_values_have_no_sample() {
    let rig = Rig::new();
    rig.engine.set(&["field 150 blank", "field 203 value 808334905"]);
    let exporter = rig.start(REMOTE);
    let counted = metric("heatsink_read_errors_total")
        .label("field", "DCGM_FI_DEV_GPU_UTIL")
        .label("reason", "implausible");
    let power = metric("DCGM_FI_DEV_POWER_USAGE").label("gpu", "7");
    let (page, _) = exporter.wait_for("nonsense is counted", PATIENCE, |page| {
        up(page) == 8 && counted.is_in(page) && power.is_in(page)
    });
    metric("DCGM_FI_DEV_GPU_TEMP").assert_absent_from(&page);
    metric("DCGM_FI_DEV_GPU_UTIL").assert_absent_from(&page);
}

#[test]
fn values_are_absent_when_the_engine_stops_sampling() {
    let rig = Rig::new();
    let exporter = remote(&rig);
    rig.engine.set(&["stale"]);
    let (page, _) = exporter.wait_for("all are down", PATIENCE, |page| up(page) == 0);
    assert_eq!(down(&page, 0).as_deref(), Some("late"));
    watch(&exporter, Duration::from_secs(2), all_absent);
    rig.engine.clear();
    exporter.wait_for("all are back", RECOVERY, |page| up(page) == 8);
}

#[test]
fn a_gpu_without_samples_is_absent_alone() {
    let rig = Rig::new();
    let exporter = remote(&rig);
    rig.engine.set(&["gpu 3 stale"]);
    let others = |page: &Page| [0, 1, 2, 4, 5, 6, 7].iter().all(|gpu| is_present(page, *gpu));
    exporter.wait_for("GPU 3 alone is late", PATIENCE, |page| {
        up(page) == 7 && down(page, 3).as_deref() == Some("late") && others(page)
    });
    watch(&exporter, Duration::from_secs(2), |page| {
        assert!(is_absent(page, 3));
        assert!(others(page));
    });
    rig.engine.clear();
    exporter.wait_for("GPU 3 is back", PATIENCE, |page| is_present(page, 3));
}

#[test]
fn a_new_session_serves_the_other_gpus_when_one_is_lost() {
    let rig = Rig::new();
    rig.control.set(&["gpu 2 lost"]);
    let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
    let args = ["-r", "localhost:5555", "-c", "500", "-f", &counters];
    let exporter = rig.start(&args);
    let only_2_is_lost = |page: &Page| {
        let others = || [0, 1, 3, 4, 5, 6, 7].iter().all(|gpu| is_present(page, *gpu));
        up(page) == 7 && down(page, 2).as_deref() == Some("lost") && others()
    };
    exporter.wait_for("the others answer", PATIENCE, only_2_is_lost);
    // A new session, and a restarted engine.
    exporter.signal("HUP");
    pauses::sleep(Duration::from_secs(2));
    rig.engine.set(&["engine restart 1"]);
    pauses::sleep(Duration::from_secs(3));
    exporter.wait_for("the others answer again", PATIENCE, only_2_is_lost);
    rig.control.clear();
    exporter.wait_for("GPU 2 is back", PATIENCE, |page| is_present(page, 2));
}

#[test]
fn a_reload_makes_no_gap_with_either_kind_of_engine() {
    for address in [&["-r", "localhost:5555"][..], &[]] {
        let rig = Rig::new();
        let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
        let exporter = rig.started(&[address, &["-c", "1000", "-f", &counters]].concat(), 8);
        exporter.wait_for("all show heat", PATIENCE, all_present);
        for _ in 0..3 {
            exporter.signal("HUP");
            watch(&exporter, Duration::from_millis(2500), |page| {
                assert!(all_present(page), "a gap\n{}", exporter.log());
            });
        }
    }
}

#[test]
fn values_are_late_after_two_of_their_intervals() {
    let rig = Rig::new();
    let exporter = rig.started(&["-r", "localhost:5555", "-c", "1000"], 8);
    let heat = metric("DCGM_FI_DEV_GPU_TEMP");
    exporter.wait_for("heat", PATIENCE, |page| heat.find_in(page).len() == 8);
    rig.engine.set(&["stale"]);
    let (_, took) = exporter.wait_for("heat is gone", PATIENCE, |page| heat.absent_from(page));
    // Two intervals, and the time to notice.
    assert!(took < Duration::from_millis(2300), "an old value was there for {took:?}");
}

#[test]
fn a_gpu_that_hangs_in_the_driver_makes_engine_values_late() {
    let rig = Rig::new();
    let exporter = remote(&rig);
    rig.control.set(&["gpu 3 hang"]);
    exporter.wait_for("all are down", PATIENCE, |page| up(page) == 0);
    watch(&exporter, Duration::from_secs(2), all_absent);
    rig.control.clear();
    exporter.wait_for("all are back", PATIENCE, |page| up(page) == 8);
}

#[test]
fn the_clock_of_the_engine_may_differ() {
    for clock in ["clock 3600", "clock -3600", "clock -3"] {
        let rig = Rig::new();
        rig.engine.set(&[clock]);
        for address in ["localhost:5555", "vsock://2:5555"] {
            let exporter = rig.started(&["-r", address, "-c", "500"], 8);
            pauses::sleep(Duration::from_secs(2));
            exporter.wait_for("all show heat", PATIENCE, all_present);
            watch(&exporter, Duration::from_secs(2), |page| {
                assert!(all_present(page), "{clock} {address}");
            });
        }
    }
}

#[test]
fn an_xid_is_counted_once_across_sessions() {
    let rig = Rig::new();
    let rows = "DCGM_FI_DEV_GPU_TEMP, gauge, H.\nheatsink_xid_errors_total, counter, X.\n";
    let counters = rig.file("counters.csv", rows);
    let exporter = rig.started(&["-r", "localhost:5555", "-c", "500", "-f", &counters], 8);
    rig.control.set(&["gpu 2 xid 79"]);
    let count = metric("heatsink_xid_errors_total").label("gpu", "2").label("xid", "79");
    exporter.wait_for("it is counted", PATIENCE, |page| page.value_of(&count) == Some(1.0));
    // A new session delivers the XID again, and it is not counted twice.
    exporter.signal("HUP");
    pauses::sleep(Duration::from_secs(2));
    assert_eq!(exporter.page().value_of(&count), Some(1.0));
}

#[test]
fn fake_gpus_of_the_engine_are_served_on_request() {
    let rig = Rig::new();
    rig.engine.set(&["gpu 0 fake"]);
    let exporter = rig.started(REMOTE, 7);
    assert!(is_absent(&exporter.page(), 0));
    let mut args = REMOTE.to_vec();
    args.push("--fake-gpus");
    rig.started(&args, 8);
}

#[test]
fn health_is_read_from_the_engine() {
    let rig = Rig::new();
    rig.engine.set(&["gpu 3 health MEM 20 4 an uncorrectable error"]);
    let extra = rig.file("extra.csv", "DCGM_EXP_GPU_HEALTH_STATUS, gauge, Health.\n");
    let exporter =
        rig.started(&["-r", "localhost:5555", "-c", "500", "--extra-collectors", &extra], 8);
    let health = |gpu: &str, subsystem: &str| {
        metric("DCGM_EXP_GPU_HEALTH_STATUS").label("gpu", gpu).label("health_watch", subsystem)
    };
    let failed = health("3", "MEM").label("health_error_code", "DCGM_FR_VOLATILE_DBE_DETECTED");
    let all = [
        failed.value(20.0),
        health("3", "ALL").value(20.0),
        health("3", "PCIE").value(0.0),
        health("0", "ALL").value(0.0),
    ];
    exporter.wait_for("it failed alone", PATIENCE, |page| all.iter().all(|one| one.is_in(page)));
}

#[test]
fn heatsink_stops_within_two_seconds_despite_engine_faults() {
    for fault in [None, Some("engine stopped"), Some("engine down")] {
        for args in [REMOTE, &["-c", "500"]] {
            let rig = Rig::new();
            let exporter = rig.started(args, 8);
            if let Some(line) = fault {
                rig.engine.set(&[line]);
                pauses::sleep(Duration::from_millis(700));
            }
            let (status, took, log) = exporter.terminate();
            assert!(status.success(), "{fault:?}: {status}\n{log}");
            assert!(took < Duration::from_secs(2), "{fault:?}: after {took:?}\n{log}");
        }
    }
}
