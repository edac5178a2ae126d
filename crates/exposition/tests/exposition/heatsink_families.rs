//! heatsink's own families.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use expect_test::{Expect, expect};
use exposition::{Settings, render};
use model::{
    ClockEvent, Down, DriverError, DriverLog, Entity, Extent, GpuView, HistoryView, Identity, Kind,
    LinkFault, Quantity, Reading, Reason, Snapshot, StoreView, Tally, Watch, XidLog,
};
use testkit::page::{Page, metric};

use crate::machine::{
    down, float, identity, instance, int, own_families, part, settings, snapshot, text, unknown,
    up, watch, xids,
};
use crate::page::{ECC, FALLEN};

fn gpu() -> GpuView {
    up(identity(0, "GPU-aaaa"), vec![])
}

fn page(snapshot: &Snapshot) -> Page {
    Page::parse(&render(snapshot, None, &settings())).expect("a page that parses")
}

/// The lines of all families whose names have this prefix.
fn check(snapshot: &Snapshot, prefix: &str, expected: Expect) {
    let page = render(snapshot, None, &settings());
    Page::parse(&page).expect("a page that parses");
    let lines = page.lines().filter(|line| line.starts_with(prefix));
    expected.assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn xids_have_a_time_and_a_meaning() {
    let mut first = gpu();
    first.xids = Arc::new(XidLog { listening: true, ..XidLog::default() });
    let mut second = unknown(1, Down::Starting);
    let mut log = (*xids(false, &[FALLEN, ECC, ECC])).clone();
    log.counts.insert(XidLog::OTHER, log.counts[&48]);
    second.xids = Arc::new(log);
    check(
        &snapshot(vec![], vec![first, second]),
        "heatsink_xid_",
        expect![[r#"
            heatsink_xid_source_info{source="nvml_events"} 1
            heatsink_xid_errors_total{gpu="1",xid="48"} 2
            heatsink_xid_errors_total{gpu="1",xid="79"} 1
            heatsink_xid_errors_total{gpu="1",xid="other"} 2
            heatsink_xid_critical_errors_total{gpu="0",UUID="GPU-aaaa"} 0
            heatsink_xid_critical_errors_total{gpu="1"} 3
            heatsink_xid_last_timestamp_seconds{gpu="1",xid="48"} 1700000002.5
            heatsink_xid_last_timestamp_seconds{gpu="1",xid="79"} 1700000000.5
            heatsink_xid_last_timestamp_seconds{gpu="1",xid="other"} 1700000002.5
            heatsink_xid_info{xid="48",name="Double-bit ECC error",class="follow_procedure",action="Follow \"48\"."} 1
            heatsink_xid_info{xid="79",name="GPU has fallen off the bus",class="restart_node",action="Restart the machine."} 1
        "#]],
    );
}

#[test]
fn nvlink_faults_are_counted() {
    let fault =
        |unit: &str, severity, link| LinkFault { code: 145, unit: unit.into(), severity, link };
    let mut log = XidLog::default();
    log.record_link_fault(fault("RLW_CTRL", "fatal", Some(4)), None);
    log.record_link_fault(fault("RLW_CTRL", "fatal", Some(4)), None);
    log.record_link_fault(fault("MSE", "nonfatal", None), None);
    let gpu = GpuView { xids: Arc::new(log), ..gpu() };
    check(
        &snapshot(vec![], vec![gpu]),
        "heatsink_nvlink_",
        expect![[r#"
        heatsink_nvlink_xid_errors_total{gpu="0",UUID="GPU-aaaa",xid="145",unit="MSE",severity="nonfatal"} 1
        heatsink_nvlink_xid_errors_total{gpu="0",UUID="GPU-aaaa",xid="145",unit="RLW_CTRL",severity="fatal",nvlink="4"} 2
    "#]],
    );
}

#[test]
fn sxids_and_driver_failures_of_the_kernel_log() {
    let mut log = DriverLog { lost: 12, ..DriverLog::default() };
    for _ in 0..2 {
        log.count_sxid("00000000:0B:00.0", 20034, None);
    }
    log.count_error("00000000:1A:00.0", DriverError::InitFailed, None);
    log.count_error("00000000:1A:00.0", DriverError::FallenOffBus, None);
    let read = Snapshot { driver_log: Some(Arc::new(log)), ..snapshot(vec![], vec![]) };
    let check_read = |name: &str, expected: Expect| check(&read, name, expected);
    check_read(
        "heatsink_nvswitch_",
        expect![[r#"
        heatsink_nvswitch_sxid_errors_total{pci_bus_id="00000000:0B:00.0",sxid="20034"} 2
    "#]],
    );
    check_read(
        "heatsink_driver_errors",
        expect![[r#"
        heatsink_driver_errors_total{pci_bus_id="00000000:1A:00.0",kind="fallen_off_bus"} 1
        heatsink_driver_errors_total{pci_bus_id="00000000:1A:00.0",kind="init_failed"} 1
    "#]],
    );
    check_read(
        "heatsink_kernel_log",
        expect![[r#"
        heatsink_kernel_log_lost_records_total 12
    "#]],
    );
    // If the log is not read, the number of lost lines is unknown.
    check(&snapshot(vec![], vec![]), "heatsink_kernel_log", expect![[""]]);
}

#[test]
fn an_unlisted_gpu_has_its_pci_address() {
    let mut unlisted = down(identity(0, "GPU-aaaa"), Down::NotInitialized, vec![]);
    unlisted.gpu.index = None;
    unlisted.xids = xids(false, &[FALLEN]);
    let snapshot = snapshot(vec![], vec![gpu(), unlisted]);
    check(
        &snapshot,
        "heatsink_gpu_",
        expect![[r#"
        heatsink_gpu_up{gpu="0",UUID="GPU-aaaa"} 1
        heatsink_gpu_up{UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0"} 0
        heatsink_gpu_down_info{UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",reason="not_initialized"} 1
        heatsink_gpu_last_success_timestamp_seconds{gpu="0",UUID="GPU-aaaa"} 1700000000.25
        heatsink_gpu_last_success_timestamp_seconds{UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0"} 1700000000.25
    "#]],
    );
    check(
        &snapshot,
        "heatsink_xid_errors",
        expect![[r#"
        heatsink_xid_errors_total{UUID="GPU-aaaa",pci_bus_id="00000000:1A:00.0",xid="79"} 1
    "#]],
    );
}

#[test]
fn expected_gpus_and_a_gpu_without_identity() {
    let integrated = Identity { index: Some(0), model_name: Some("Tegra".into()), ..none() };
    let gpus = vec![up(integrated, vec![int(61)])];
    let snapshot = snapshot(vec![watch(150, "TEMP", Kind::Gauge, "Heat.")], gpus);
    let settings = Settings { expected_gpus: Some(8), hostname: None, ..settings() };
    let page = render(&snapshot, None, &settings);
    assert!(page.contains("\nheatsink_gpus_expected 8\n"), "{page}");
    let temperature = "\nTEMP{gpu=\"0\",device=\"nvidia0\",modelName=\"Tegra\"} 61\n";
    assert!(page.contains(temperature), "{page}");
}

fn none() -> Identity {
    Identity::default()
}

#[test]
fn clock_events_of_gpus_that_report_them() {
    let mut some = gpu();
    some.clock_events[2] =
        ClockEvent { active: Some(true), seconds: Some(1.25), ..Default::default() };
    some.clock_events[3] = ClockEvent { active: Some(false), ..Default::default() };
    some.clock_events[5] = ClockEvent { seconds: Some(0.0), ..Default::default() };
    check(
        &snapshot(vec![], vec![some.clone()]),
        "heatsink_clock_",
        expect![[r#"
        heatsink_clock_event_active{gpu="0",UUID="GPU-aaaa",reason="power_cap"} 1
        heatsink_clock_event_active{gpu="0",UUID="GPU-aaaa",reason="hw_slowdown"} 0
        heatsink_clock_event_seconds_total{gpu="0",UUID="GPU-aaaa",reason="power_cap"} 1.25
        heatsink_clock_event_seconds_total{gpu="0",UUID="GPU-aaaa",reason="sw_thermal"} 0
    "#]],
    );
    let late = GpuView { up: Err(Down::Late), ..some };
    check(&snapshot(vec![], vec![late]), "heatsink_clock_", expect![[""]]);
}

#[test]
fn slowdown_needs_both_clocks() {
    let hidden = |field, name| watch(field, name, Kind::Hidden, "");
    let with = |watches: Vec<Watch>, readings: Vec<Reading>| {
        let page = page(&snapshot(watches, vec![up(identity(0, "GPU-aaaa"), readings)]));
        page.value_of(&metric("heatsink_gpu_slowdown_ratio").label("gpu", "0"))
    };
    let both = || vec![hidden(1603, "h"), hidden(100, "m"), hidden(9101, "x")];
    let none = || Err(Reason::NotSupported);
    assert_eq!(with(both(), vec![int(990_000_000), int(1980), int(1980)]), Some(0.5));
    assert_eq!(with(both(), vec![none(), int(1485), float(1980.0)]), Some(0.75));
    assert_eq!(with(both(), vec![none(), none(), int(1980)]), None);
    assert_eq!(with(both(), vec![int(1), int(1), none()]), None);
    assert_eq!(with(both(), vec![int(1), int(1), int(0)]), None);
    assert_eq!(with(both(), vec![int(1), int(1), float(f64::NAN)]), None);
    assert_eq!(with(vec![hidden(100, "m")], vec![int(1)]), None);
    let watches = vec![watch(100, "SM", Kind::Gauge, "SM."), hidden(9101, "x")];
    assert_eq!(with(watches, vec![int(1980), int(1980)]), Some(1.0));
    let lost = down(identity(0, "GPU-aaaa"), Down::Lost, vec![int(1), int(1), int(1)]);
    metric("heatsink_gpu_slowdown_ratio").assert_absent_from(&page(&snapshot(both(), vec![lost])));
}

#[test]
fn windows_and_totals_between_scrapes() {
    let extent = |quantity, from_driver, [min, mean, max]: [f64; 3]| Extent {
        quantity,
        min,
        mean,
        max,
        from_driver,
    };
    let mut some = gpu();
    some.extents = vec![
        extent(Quantity::Power, true, [71.5, 420.25, 699.0]),
        extent(Quantity::Temperature, false, [31.0, 60.5, 84.0]),
        extent(Quantity::GpuUtilization, true, [0.0, f64::NAN, 1.0]),
    ];
    let mut snapshot = snapshot(vec![], vec![some]);
    snapshot.windows.extents = Duration::from_millis(15_500);
    check(
        &snapshot,
        "heatsink_power_",
        expect![[r#"
        heatsink_power_min_watts{gpu="0",UUID="GPU-aaaa",samples="driver"} 71.5
        heatsink_power_mean_watts{gpu="0",UUID="GPU-aaaa",samples="driver"} 420.25
        heatsink_power_max_watts{gpu="0",UUID="GPU-aaaa",samples="driver"} 699
    "#]],
    );
    check(
        &snapshot,
        "heatsink_gpu_temperature_",
        expect![[r#"
        heatsink_gpu_temperature_min_celsius{gpu="0",UUID="GPU-aaaa",samples="polled"} 31
        heatsink_gpu_temperature_mean_celsius{gpu="0",UUID="GPU-aaaa",samples="polled"} 60.5
        heatsink_gpu_temperature_max_celsius{gpu="0",UUID="GPU-aaaa",samples="polled"} 84
    "#]],
    );
    check(
        &snapshot,
        "heatsink_gpu_utilization_",
        expect![[r#"
        heatsink_gpu_utilization_min_ratio{gpu="0",UUID="GPU-aaaa",samples="driver"} 0
        heatsink_gpu_utilization_max_ratio{gpu="0",UUID="GPU-aaaa",samples="driver"} 1
    "#]],
    );
    check(
        &snapshot,
        "heatsink_window_",
        expect![[r#"
        heatsink_window_seconds 15.5
    "#]],
    );

    snapshot.windows.extents = Duration::ZERO;
    check(&snapshot, "heatsink_window_", expect![[""]]);
    snapshot.gpus[0].up = Err(Down::Late);
    check(&snapshot, "heatsink_power_", expect![[""]]);
}

#[test]
fn each_windowed_quantity_has_three_families() {
    let mut some = gpu();
    some.extents = Quantity::ALL
        .map(|quantity| Extent { quantity, min: 1.0, mean: 2.0, max: 3.0, from_driver: true })
        .to_vec();
    let page = page(&snapshot(vec![], vec![some]));
    let ended = |word: &str| {
        let named = page.families.iter().filter(|family| family.name.contains(word));
        named.map(|family| family.samples[0].value).collect::<Vec<_>>()
    };
    assert_eq!(ended("_min_"), [1.0; 7]);
    assert_eq!(ended("_mean_"), [2.0; 7]);
    assert_eq!(ended("_max_"), [3.0; 7]);
}

#[test]
fn durations_of_driver_calls() {
    let calls = [("temperature", Duration::from_micros(12)), ("fields", Duration::from_secs(2))];
    let gpu = GpuView { calls: Arc::new(BTreeMap::from(calls)), ..gpu() };
    check(
        &snapshot(vec![], vec![gpu]),
        "heatsink_driver_call_",
        expect![[r#"
            heatsink_driver_call_duration_seconds{gpu="0",UUID="GPU-aaaa",call="fields"} 2
            heatsink_driver_call_duration_seconds{gpu="0",UUID="GPU-aaaa",call="temperature"} 0.000012
        "#]],
    );
}

/// The unavailable fields of two GPUs; the first has a link, a peer and an instance.
fn unavailable(field: u16, kind: Kind, all: [Reading; 5]) -> Option<String> {
    let watches = vec![watch(field, "F", kind, "F."), watch(field, "F", kind, "Again.")];
    let [first, link, peer, of_instance, second] = all;
    let mut first = up(identity(0, "GPU-a"), vec![first]);
    first.parts = vec![
        part(Entity::Link(0), vec![(0, link)]),
        part(Entity::Peer(1), vec![(0, peer)]),
        part(instance(0, 0, None), vec![(0, of_instance)]),
    ];
    let gone = down(identity(2, "GPU-c"), Down::Lost, vec![Err(Reason::Lost)]);
    let gpus = vec![first, up(identity(1, "GPU-b"), vec![second]), gone];
    let page = page(&snapshot(watches, gpus));
    let samples = page.samples("heatsink_field_unavailable_info");
    assert!(samples.len() < 2);
    let sample = samples.first()?;
    assert_eq!((sample.label("field"), sample.value), (Some("F"), 1.0));
    sample.label("reason").map(str::to_owned)
}

#[test]
fn a_field_that_no_gpu_serves_has_one_series_with_its_reason() {
    use Reason::{Lost, NoData, NotPermitted, NotServed, NotSupported};
    let all = |reason| [(); 5].map(|()| Err(reason));
    let but = |place: usize, reading: Reading| {
        let mut all = all(NotSupported);
        all[place] = reading;
        unavailable(150, Kind::Gauge, all)
    };
    assert_eq!(unavailable(150, Kind::Gauge, all(NotServed)).as_deref(), Some("not_served"));
    assert_eq!(unavailable(150, Kind::Label, all(NotPermitted)).as_deref(), Some("not_permitted"));
    assert_eq!(unavailable(150, Kind::Hidden, all(NotServed)), None);
    for place in 0..5 {
        assert_eq!(but(place, Err(NotServed)).as_deref(), Some("not_served"));
        assert_eq!(but(place, Err(NotPermitted)).as_deref(), Some("not_supported"));
        // A field of links has no reading for the GPU itself.
        let of_gpu = if place == 0 { Some("not_supported") } else { None };
        assert_eq!(but(place, Err(NoData)).as_deref(), of_gpu);
        assert_eq!(but(place, Err(Lost)), None);
        assert_eq!(but(place, int(1)), None);
        assert_eq!(but(place, text("x")), None);
    }
    for counted in [230, 9001, 9002, 9003, 9005, 9006] {
        assert_eq!(unavailable(counted, Kind::Gauge, all(NotServed)), None);
    }
    assert_eq!(unavailable(9004, Kind::Gauge, all(NotServed)).as_deref(), Some("not_served"));
}

#[test]
fn no_field_is_reported_unavailable_while_all_gpus_are_down() {
    let watches = || vec![watch(150, "F", Kind::Gauge, "F.")];
    let lost = down(identity(0, "GPU-a"), Down::Lost, vec![Err(Reason::NotSupported)]);
    for gpus in [vec![], vec![lost], vec![gpu()]] {
        let page = page(&snapshot(watches(), gpus));
        metric("heatsink_field_unavailable_info").assert_absent_from(&page);
    }
}

#[test]
fn active_links_are_counted() {
    let link = |number, state: Reading| part(Entity::Link(number), vec![(0, state)]);
    let with = |parts| GpuView { parts, ..up(identity(0, "GPU-a"), vec![Err(Reason::NoData)]) };
    let active_links = |gpu| {
        let watches = vec![watch(1508, "state", Kind::Hidden, "")];
        page(&snapshot(watches, vec![gpu])).value_of(&metric("heatsink_nvlinks_active"))
    };
    let unreadable = || link(2, Err(Reason::NotSupported));
    assert_eq!(active_links(with(vec![link(0, int(1)), link(1, int(2)), unreadable()])), Some(2.0));
    assert_eq!(active_links(with(vec![link(0, int(0))])), Some(0.0));
    assert_eq!(active_links(with(vec![unreadable()])), None);
    assert_eq!(active_links(with(vec![])), None);
    let lost = GpuView { up: Err(Down::Lost), ..with(vec![link(0, int(1))]) };
    assert_eq!(active_links(lost), None);
}

#[test]
fn every_family_of_the_catalogue_is_in_a_set() {
    let names =
        model::catalog::FIELDS.iter().filter(|field| !field.name.starts_with("DCGM_")).count();
    assert_eq!(own_families().len(), names);
}

/// The lines about incidents and the history.
fn check_history(history: Option<HistoryView>, expected: Expect) {
    let settings = Settings { history: history.map(Arc::new), ..settings() };
    let page = render(&snapshot(vec![], vec![gpu()]), None, &settings);
    Page::parse(&page).expect("a page that parses");
    let is_of_history = |line: &&str| {
        ["heatsink_incidents_", "heatsink_last_incident_", "heatsink_history_"]
            .iter()
            .any(|prefix| line.starts_with(prefix))
    };
    let lines = page.lines().filter(is_of_history);
    expected.assert_eq(&lines.map(|line| format!("{line}\n")).collect::<String>());
}

#[test]
fn incidents_are_counted_and_the_folder_of_the_history_is_described() {
    let at = |seconds| Some(UNIX_EPOCH + Duration::from_secs(seconds));
    let incidents = BTreeMap::from([
        ("oom_kill", Tally::default()),
        ("xid", Tally { count: 2, born: at(1_700_000_000) }),
    ]);
    let history = HistoryView {
        incidents,
        last_incident: at(1_700_000_100),
        memory_bytes: 65_536,
        memory_oldest: at(1_700_000_050),
        store: Some(StoreView {
            is_writable: false,
            bytes: 1_000,
            bytes_written: 900,
            oldest: at(1_699_000_000),
            last_sync: at(1_700_000_090),
            errors: BTreeMap::from([("full", 3)]),
            rows_lost: 7,
        }),
    };
    check_history(
        Some(history),
        expect![[r#"
            heatsink_incidents_total{kind="oom_kill"} 0
            heatsink_incidents_total{kind="xid"} 2
            heatsink_last_incident_timestamp_seconds 1700000100
            heatsink_history_writable 0
            heatsink_history_size_bytes 1000
            heatsink_history_written_bytes_total 900
            heatsink_history_oldest_timestamp_seconds 1699000000
            heatsink_history_last_sync_timestamp_seconds 1700000090
            heatsink_history_errors_total{reason="full"} 3
            heatsink_history_rows_lost_total 7
            heatsink_history_memory_bytes 65536
        "#]],
    );
}

#[test]
fn a_history_in_memory_has_no_folder_and_no_history_has_nothing() {
    let empty = StoreView::default();
    check_history(
        Some(HistoryView { store: Some(empty), ..HistoryView::default() }),
        expect![[r#"
            heatsink_history_writable 0
            heatsink_history_size_bytes 0
            heatsink_history_written_bytes_total 0
            heatsink_history_rows_lost_total 0
            heatsink_history_memory_bytes 0
        "#]],
    );
    check_history(
        Some(HistoryView::default()),
        expect![[r#"
            heatsink_history_memory_bytes 0
        "#]],
    );
    check_history(None, expect![""]);
}
