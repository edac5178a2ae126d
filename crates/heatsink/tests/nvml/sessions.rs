//! Sessions with the driver: a session is kept while other GPUs answer, and a new session makes no gaps.

use std::io::Read;
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};

use crate::rig::{PATIENCE, Rig, down, is_present, up, watch};
use testkit::page::{Page, metric};
use testkit::pauses::{self, Stopwatch};

/// Longer than a GPU is down before a new session is tried for it.
const TRIAL: Duration = Duration::from_secs(38);

/// Checks that all GPUs but one are on the page, with readings at most three intervals (of a second) old.
fn others_are_read(page: &Page, but: u32) {
    let now = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    let now = now.expect("after 1970").as_secs_f64();
    for gpu in (0..8).filter(|gpu| *gpu != but) {
        assert!(is_present(page, gpu), "GPU {gpu} suffers with GPU {but}");
        let stamp = metric("heatsink_gpu_last_success_timestamp_seconds");
        let stamp = page.value_of(&stamp.label("gpu", gpu.to_string())).expect("it has succeeded");
        assert!(now - stamp < 3.0, "GPU {gpu} was last read {} s ago", now - stamp);
    }
}

/// Each case waits for heatsink's backoff, so they run in parallel.
#[test]
fn a_lost_gpu_does_not_affect_the_others() {
    let is_lost = |page: &Page| up(page) == 7 && down(page, 2).as_deref() == Some("lost");
    let without_help = |line: &'static str| {
        let rig = Rig::new();
        let exporter = rig.started(&["--extra-collectors", "monitoring"], 8);
        rig.control.set(&["gpu 2 lost until-init", line]);
        exporter.wait_for("GPU 2 alone is lost", PATIENCE, is_lost);
        watch(&exporter, TRIAL, |page| {
            assert_eq!(down(page, 2).as_deref(), Some("lost"));
            others_are_read(page, 2);
        });
        assert!(!exporter.log().contains("opening the source again"), "{}", exporter.log());
    };
    let with_help = || {
        let rig = Rig::new();
        let exporter = rig.started(&["--extra-collectors", "monitoring"], 8);
        rig.control.set(&["gpu 2 lost until-init"]);
        exporter.wait_for("GPU 2 alone is lost", PATIENCE, is_lost);
        // The GPU was reset. Only a new session can read it.
        rig.control.clear();
        let running = Stopwatch::start();
        let mut back = false;
        while !back && running.elapsed() < TRIAL {
            let page = exporter.page();
            others_are_read(&page, 2);
            back = up(&page) == 8;
            pauses::sleep(Duration::from_millis(20));
        }
        assert!(back, "{}", exporter.log());
        watch(&exporter, Duration::from_secs(3), |page| {
            others_are_read(page, 2);
            assert!(is_present(page, 2));
        });
        let line = "a new session would read the GPU that is down";
        exporter.logged(line, PATIENCE);
        assert_eq!(exporter.log().matches(line).count(), 1, "{}", exporter.log());
    };
    thread::scope(|scope| {
        scope.spawn(|| without_help("init hang"));
        scope.spawn(|| without_help("init not-loaded"));
        scope.spawn(with_help);
        scope.spawn(a_restart_is_requested_if_nothing_else_helps);
        scope.spawn(a_gpu_that_the_driver_does_not_list_is_found_on_the_bus);
    });
}

/// Sets the version of the kernel module.
fn module(rig: &Rig, version: &str) {
    let line = format!("NVRM version: NVIDIA UNIX x86_64 Kernel Module  {version}  Tue Apr 8\n");
    let path = rig.root().join("proc/driver/nvidia/version");
    std::fs::write(path, line).expect("the temporary folder can be written");
}

fn a_restart_is_requested_if_nothing_else_helps() {
    let mismatched = |before: &str, after: &str, args: &[&str]| {
        let rig = Rig::new();
        module(&rig, before);
        let exporter = rig.started(&[&["-c", "200"], args].concat(), 8);
        module(&rig, after);
        rig.control.set(&["init mismatch"]);
        (rig, exporter)
    };
    let off = ["--fail-health-after-driver-upgrade=false"];
    let (_rig, upgraded) = mismatched("550.163.01", "570.86.10", &[]);
    let (_rig2, same) = mismatched("550.163.01", "550.163.01", &[]);
    let (_rig3, told_not_to) = mismatched("550.163.01", "570.86.10", &off);
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(50) {
        assert_eq!(upgraded.get("/health").status, 200, "not within the minute");
        pauses::sleep(Duration::from_millis(500));
    }
    let failing = || upgraded.get("/health").status == 503;
    while !failing() {
        assert!(began.elapsed() < Duration::from_secs(150), "{}", upgraded.log());
        pauses::sleep(Duration::from_millis(200));
    }
    let why = upgraded.get("/health").body;
    assert!(why.contains("a restart of the container"), "{why}");
    for other in [&same, &told_not_to] {
        assert_eq!(other.get("/health").status, 200);
        assert_eq!(other.get("/ready").status, 503);
    }
}

fn a_gpu_that_the_driver_does_not_list_is_found_on_the_bus() {
    let rig = Rig::new().with_kernel_log();
    rig.control.set(&["gpus 7"]);
    rig.control.bind(8);
    let exporter = rig.started(&["-c", "200", "--expected-gpus", "9"], 7);
    let address = format!("0000{}.0", rig.address(7).to_uppercase());
    let of_gpu = |name: &str| metric(name).label("pci_bus_id", address.clone()).without("gpu");
    rig.log(&[&format!("NVRM: Xid (PCI:{}): 79, pid=1, name=x, y", rig.address(7))]);
    let why = of_gpu("heatsink_gpu_down_info").label("reason", "not_initialized");
    let (page, _) = exporter.wait_for("it is found", PATIENCE, |page| why.is_in(page));
    of_gpu("heatsink_gpu_up").value(0.0).assert_in(&page);
    let samples = of_gpu("heatsink_gpu_up").find_in(&page);
    assert!(samples[0].label("UUID").is_some_and(|uuid| uuid.starts_with("GPU-")));
    let xid = of_gpu("heatsink_xid_errors_total").label("xid", "79").value(1.0);
    exporter.wait_for("its XID is counted", PATIENCE, |page| xid.is_in(page));
    metric("heatsink_gpus_expected").value(9.0).assert_in(&page);
    assert_eq!(page.samples("heatsink_gpu_up").len(), 8);
    // A GPU without permission for this process is ignored.
    rig.control.hide(7);
    exporter.wait_for("it is missing", PATIENCE, |page| {
        of_gpu("heatsink_gpu_down_info").label("reason", "missing").is_in(page)
    });
    exporter.signal("HUP");
    exporter
        .wait_for("it is forgotten", PATIENCE, |page| page.samples("heatsink_gpu_up").len() == 7);
}

#[test]
fn a_stuck_reader_does_not_hide_a_new_gpu() {
    let rig = Rig::new();
    rig.control.set(&["gpus 7"]);
    let exporter = rig.started(&["-c", "200"], 7);
    rig.control.set(&["gpus 7", "gpu 3 hang"]);
    exporter.wait_for("GPU 3 hangs", PATIENCE, |page| down(page, 3).as_deref() == Some("late"));
    // Its reader keeps the session that lists seven GPUs.
    rig.control.set(&["gpu 3 hang"]);
    exporter.wait_for("GPU 7 is there", PATIENCE, |page| is_present(page, 7) && up(page) == 7);
    watch(&exporter, Duration::from_secs(2), |page| {
        assert!(up(page) == 7 && down(page, 3).is_some());
    });
    exporter
        .wait_for("GPU 3 hangs still", PATIENCE, |page| down(page, 3).as_deref() == Some("late"));
    rig.control.clear();
    exporter.wait_for("GPU 3 is back", PATIENCE, |page| up(page) == 8);
}

#[test]
fn a_missing_identity_value_removes_only_its_label() {
    let rig = Rig::new();
    rig.control.set(&[
        "gpu 0 unsupported nvmlDeviceGetUUID",
        "gpu 1 unsupported nvmlDeviceGetPciInfo_v3",
        "gpu 2 unsupported nvmlDeviceGetName",
        "gpu 3 unsupported nvmlDeviceGetUUID",
        "gpu 3 unsupported nvmlDeviceGetPciInfo_v3",
        "gpu 3 unsupported nvmlDeviceGetName",
    ]);
    let exporter = rig.started(&["-c", "200"], 8);
    let labels = |page: &Page, gpu: &str| {
        let found = metric("DCGM_FI_DEV_GPU_TEMP").label("gpu", gpu).find_in(page);
        ["UUID", "pci_bus_id", "modelName"].map(|label| found[0].label(label).is_some())
    };
    let (page, _) =
        exporter.wait_for("all are read", PATIENCE, |page| (0..8).all(|gpu| is_present(page, gpu)));
    assert_eq!(labels(&page, "0"), [false, true, true]);
    assert_eq!(labels(&page, "1"), [true, false, true]);
    assert_eq!(labels(&page, "2"), [true, true, false]);
    assert_eq!(labels(&page, "3"), [false, false, false]);
    assert_eq!(labels(&page, "4"), [true, true, true]);
    watch(&exporter, Duration::from_secs(2), |page| {
        assert_eq!((up(page), page.samples("heatsink_gpu_up").len()), (8, 8));
    });
}

#[test]
fn a_reload_is_reported_when_it_is_applied() {
    let rig = Rig::new();
    let counters = rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, Heat.\n");
    rig.control.set(&["init hang"]);
    // The file that has changed would ask for a second reload.
    let exporter = rig.start(&["-c", "200", "-f", &counters, "--watch-files=false"]);
    rig.file("counters.csv", "DCGM_FI_DEV_GPU_TEMP, gauge, H.\nDCGM_FI_DEV_PSTATE, gauge, P.\n?\n");
    exporter.signal("HUP");
    let read = "SIGHUP: read 2 rows, 1 skipped";
    exporter.logged(read, PATIENCE);
    pauses::sleep(Duration::from_secs(2));
    let skipped = metric("heatsink_config_rows_skipped");
    assert_eq!(exporter.page().value_of(&skipped), Some(0.0), "nothing is in force yet");
    assert!(!exporter.log().contains("serving 2 rows"), "{}", exporter.log());
    rig.control.clear();
    let row = metric("DCGM_FI_DEV_PSTATE");
    let (page, _) = exporter.wait_for("the new row", PATIENCE, |page| row.is_in(page));
    assert_eq!(page.value_of(&skipped), Some(1.0));
    metric("heatsink_config_last_reload_successful").value(1.0).assert_in(&page);
    exporter.logged("serving 2 rows", PATIENCE);
}

/// A user without other processes, so that its limit on threads applies to this test alone.
fn user() -> String {
    (40_000 + std::process::id() % 10_000).to_string()
}

/// Only root can switch to another user.
#[test]
fn threads_that_cannot_start_are_started_later() {
    let id = Command::new("id").arg("-u").output().expect("id is there");
    if id.stdout.trim_ascii() != b"0" {
        println!("not run: only root can start a program as a user of its own");
        return;
    }
    // Other processes reach the limit on tasks (pids.max) and then end: some of the threads can start.
    let script = "for i in $(seq 40); do sleep 300 & done; echo up; wait";
    let user = user();
    let mut others = Command::new("setpriv")
        .args(["--reuid", &user, "--clear-groups", "sh", "-c", script])
        .process_group(0)
        .stdout(Stdio::piped())
        .spawn()
        .expect("setpriv is there");
    let mut ready = [0; 2];
    others.stdout.as_mut().expect("it is piped").read_exact(&mut ready).expect("they are up");
    let rig = Rig::new();
    let limits = ["--reuid", &user, "--clear-groups", "prlimit", "--nproc=60"];
    let exporter = rig.start_through("setpriv", &limits, &["-c", "200"]);
    let no_thread = metric("heatsink_gpu_down_info").label("reason", "no_thread");
    let (_, took) =
        exporter.wait_for("the reason is on the page", PATIENCE, |page| no_thread.is_in(page));
    assert!(took < Duration::from_secs(3), "it took {took:?}");
    let (page, _) = exporter.wait_for("some are read", PATIENCE, |page| up(page) > 0);
    assert!(up(&page) < 8, "the limit leaves threads for all");
    let restarts = metric("heatsink_reader_restarts_total");
    assert!(page.value_of(&restarts).is_some_and(|count| count > 0.0));
    let group = format!("-{}", others.id());
    let killed = Command::new("kill").args(["-s", "KILL", "--", &group]).status();
    assert!(killed.expect("kill is there").success());
    others.wait().expect("they have ended");
    exporter.wait_for("all are read", PATIENCE, |page| up(page) == 8);
}
