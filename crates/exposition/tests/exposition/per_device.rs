//! Families that dcgm-exporter derives: XIDs, clock events, health, peers.

use std::sync::Arc;
use std::time::Duration;

use expect_test::{Expect, expect};
use exposition::{Settings, render};
use model::{
    CLOCK_REASONS, ClockEvent, Down, Entity, GpuView, Health, HealthStatus, Kind, Reason, Snapshot,
    XidLog,
};
use testkit::page::Page;

use crate::machine::{float, identity, instance, int, part, settings, snapshot, up, watch, xids};
use crate::page::{ECC, FALLEN};

const XIDS_IN_WINDOW: u16 = 9001;
const CLOCK_EVENTS_IN_WINDOW: u16 = 9002;
const HEALTH: u16 = 9003;
const PEERS: u16 = 9004;
const CLOCK_EVENTS: u16 = 9005;
const XIDS: u16 = 9006;

fn gpu() -> GpuView {
    up(identity(0, "GPU-aaaa"), vec![Err(Reason::NotServed)])
}

fn machine(field: u16, gpus: Vec<GpuView>) -> Snapshot {
    let mut snapshot = snapshot(vec![watch(field, "F", Kind::Gauge, "Help.")], gpus);
    snapshot.windows.xids = Duration::from_millis(1_500);
    snapshot.windows.clock_events = Duration::from_secs(60);
    snapshot
}

/// The samples of this family, without the most common labels.
fn check(field: u16, gpu: GpuView, expected: Expect) {
    let settings = Settings { hostname: None, ..settings() };
    let page = render(&machine(field, vec![gpu]), None, &settings);
    Page::parse(&page).expect("a page that parses");
    let ordinary = r#"gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3""#;
    let lines = page.lines().filter(|line| line.starts_with("F{"));
    let lines: String = lines.map(|line| format!("{}\n", line.replace(ordinary, "..."))).collect();
    expected.assert_eq(&lines);
}

/// A GPU with two instances.
fn parted(gpu: GpuView) -> GpuView {
    let parts = [0, 1].map(|place| part(instance(0, place, None), vec![]));
    GpuView { parts: gpu.parts.into_iter().chain(parts).collect(), ..gpu }
}

#[test]
fn a_whole_line_has_its_labels_in_order() {
    let watches = vec![
        watch(CLOCK_EVENTS_IN_WINDOW, "DCGM_EXP_CLOCK_EVENTS_COUNT", Kind::Gauge, "Help."),
        watch(1, "DCGM_FI_DRIVER_VERSION", Kind::Label, ""),
    ];
    let mut gpu = up(identity(0, "GPU-aaaa"), vec![Err(Reason::NotServed), int(570)]);
    gpu.clock_events[2] =
        ClockEvent { active: Some(true), samples_in_window: 7, ..ClockEvent::default() };
    let page = render(&snapshot(watches, vec![parted(gpu)]), None, &settings());
    let line = page.lines().find(|line| line.starts_with("DCGM_EXP")).unwrap();
    expect![[r#"DCGM_EXP_CLOCK_EVENTS_COUNT{gpu="0",UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",device="nvidia0",modelName="NVIDIA H100 80GB HBM3",GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",hostname="n1",DCGM_FI_DRIVER_VERSION="570",clock_event="power_cap",window_size_in_ms="300000"} 7"#]].assert_eq(line);
}

#[test]
fn xids_of_the_window() {
    let quiet = || GpuView { xids: xids(true, &[]), ..gpu() };
    let check = |gpu, expected| check(XIDS_IN_WINDOW, gpu, expected);
    let some = vec![(48, 1), (79, 3), (XidLog::OTHER, 2)];
    check(
        quiet(),
        expect![[r#"
        F{...,window_size_in_ms="1500"} 0
    "#]],
    );
    check(
        GpuView { xids_in_window: some, ..quiet() },
        expect![[r#"
        F{...,window_size_in_ms="1500",xid="48"} 1
        F{...,window_size_in_ms="1500",xid="79"} 3
        F{...,window_size_in_ms="1500",xid="other"} 2
    "#]],
    );
    check(
        parted(GpuView { xids_in_window: vec![(48, 1)], ..quiet() }),
        expect![[r#"
        F{...,GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",window_size_in_ms="1500",xid="48"} 1
        F{...,GPU_I_PROFILE="2g.20gb",GPU_I_ID="4",window_size_in_ms="1500",xid="48"} 1
    "#]],
    );
    // A 0 needs a GPU that is up and an XID source; a counted XID stays.
    check(gpu(), expect![[""]]);
    check(GpuView { up: Err(Down::Lost), ..quiet() }, expect![[""]]);
    let lost = GpuView { up: Err(Down::Lost), xids_in_window: vec![(79, 1)], ..gpu() };
    check(
        lost,
        expect![[r#"
        F{...,window_size_in_ms="1500",xid="79"} 1
    "#]],
    );
}

#[test]
fn xids_since_the_start() {
    let log = XidLog { listening: true, ..XidLog::default() };
    check(XIDS, GpuView { xids: Arc::new(log), ..gpu() }, expect![[""]]);
    check(
        XIDS,
        GpuView { xids: xids(false, &[FALLEN, ECC, ECC]), ..gpu() },
        expect![[r#"
        F{...,xid="48"} 2
        F{...,xid="79"} 1
    "#]],
    );
}

#[test]
fn clock_events() {
    let known = |samples_in_window, begun| ClockEvent {
        active: Some(false),
        samples_in_window,
        begun,
        ..ClockEvent::default()
    };
    let mut some = gpu();
    some.clock_events = [known(0, 0); CLOCK_REASONS.len()];
    some.clock_events[2] = known(12, 3);
    some.clock_events[8] = ClockEvent { active: None, ..known(5, 5) };
    check(
        CLOCK_EVENTS_IN_WINDOW,
        some.clone(),
        expect![[r#"
        F{...,clock_event="gpu_idle",window_size_in_ms="60000"} 0
        F{...,clock_event="clocks_setting",window_size_in_ms="60000"} 0
        F{...,clock_event="power_cap",window_size_in_ms="60000"} 12
        F{...,clock_event="hw_slowdown",window_size_in_ms="60000"} 0
        F{...,clock_event="sync_boost",window_size_in_ms="60000"} 0
        F{...,clock_event="sw_thermal",window_size_in_ms="60000"} 0
        F{...,clock_event="hw_thermal",window_size_in_ms="60000"} 0
        F{...,clock_event="hw_power_brake",window_size_in_ms="60000"} 0
    "#]],
    );
    check(
        CLOCK_EVENTS,
        some.clone(),
        expect![[r#"
        F{...,clock_event="gpu_idle"} 0
        F{...,clock_event="clocks_setting"} 0
        F{...,clock_event="power_cap"} 3
        F{...,clock_event="hw_slowdown"} 0
        F{...,clock_event="sync_boost"} 0
        F{...,clock_event="sw_thermal"} 0
        F{...,clock_event="hw_thermal"} 0
        F{...,clock_event="hw_power_brake"} 0
    "#]],
    );
    check(CLOCK_EVENTS_IN_WINDOW, gpu(), expect![[""]]);
    check(CLOCK_EVENTS, GpuView { up: Err(Down::Late), ..some }, expect![[""]]);
}

#[test]
fn health() {
    let status = |subsystem, status, error| Health { subsystem, status, error };
    let some = GpuView {
        health: vec![
            status("PCIE", HealthStatus::Pass, ""),
            status("MEM", HealthStatus::Fail, "DCGM_FR_VOLATILE_DBE_DETECTED"),
            status("THERMAL", HealthStatus::Warn, "DCGM_FR_CLOCK_THROTTLE_THERMAL"),
            status("MEM", HealthStatus::Pass, ""),
        ],
        ..gpu()
    };
    check(
        HEALTH,
        some.clone(),
        expect![[r#"
        F{...,health_error_code="DCGM_FR_OK",health_watch="PCIE"} 0
        F{...,health_error_code="DCGM_FR_VOLATILE_DBE_DETECTED",health_watch="MEM"} 20
        F{...,health_error_code="DCGM_FR_CLOCK_THROTTLE_THERMAL",health_watch="THERMAL"} 10
    "#]],
    );
    check(HEALTH, gpu(), expect![[""]]);
    check(HEALTH, GpuView { up: Err(Down::Late), ..some }, expect![[""]]);
}

#[test]
fn peers() {
    let peer = |number, reading| part(Entity::Peer(number), vec![(0, reading)]);
    let statuses = (1..=9).map(|number| peer(number, int(i64::from(number) - 1)));
    check(
        PEERS,
        GpuView { parts: statuses.collect(), ..gpu() },
        expect![[r#"
        F{...,link_status="OK",peer_gpu="1"} 0
        F{...,link_status="ChipsetNotSupported",peer_gpu="2"} 1
        F{...,link_status="GPUNotSupported",peer_gpu="3"} 2
        F{...,link_status="TopologyNotSupported",peer_gpu="4"} 3
        F{...,link_status="DisabledByRegKey",peer_gpu="5"} 4
        F{...,link_status="NotSupported",peer_gpu="6"} 5
        F{...,link_status="Unknown",peer_gpu="7"} 6
        F{...,link_status="Unknown",peer_gpu="8"} 7
        F{...,link_status="Unknown",peer_gpu="9"} 8
    "#]],
    );
    let odd = vec![
        peer(1, Err(Reason::Failed)),
        peer(2, int(-1)),
        peer(3, float(0.0)),
        peer(4, int(0)),
        peer(4, int(5)),
    ];
    check(
        PEERS,
        parted(GpuView { parts: odd, ..gpu() }),
        expect![[r#"
        F{...,GPU_I_PROFILE="2g.20gb",GPU_I_ID="3",link_status="OK",peer_gpu="4"} 0
        F{...,GPU_I_PROFILE="2g.20gb",GPU_I_ID="4",link_status="OK",peer_gpu="4"} 0
    "#]],
    );
}
