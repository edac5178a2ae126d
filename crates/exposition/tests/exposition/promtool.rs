//! `promtool check metrics` on a page with extreme texts.

use std::io::Write;
use std::process::{Command, Stdio};
use std::sync::Arc;

use exposition::{Settings, render};
use model::{
    Attribution, ClockEvent, DeviceKey, DeviceUse, Down, DriverError, DriverLog, Entity, Extent,
    GpuKey, GpuView, Health, HealthStatus, Holder, Identity, Instance, Kind, LinkFault, Moment,
    Pod, Quantity, Reason, RefresherView, Snapshot, Xid, XidLog,
};

use crate::machine::{
    down, float, identity, int, own_families, part, settings, snapshot, text, up, watch, xids,
};

const NASTY: &str = "q\" b\\ n\n r\r t\t \u{1} {a=\"b\",c} # HELP é🔥 \u{2028} \\n \\";

const WORST: Xid = Xid { code: 79, message: NASTY, class: NASTY, action: NASTY, critical: true };

/// A machine with all readings, and texts that need every escape.
pub(crate) fn worst() -> Snapshot {
    let watches = vec![
        watch(1, "driver_version", Kind::Label, NASTY),
        watch(150, "dcgm_temperature_celsius", Kind::Gauge, NASTY),
        watch(230, "dcgm_last_xid", Kind::Gauge, "Last XID."),
        watch(156, "dcgm_energy_joules_total", Kind::Counter, "Energy."),
        watch(449, "dcgm_link", Kind::Gauge, "Traffic."),
        watch(9001, "dcgm_xids_in_window", Kind::Gauge, "XIDs."),
        watch(9002, "dcgm_clock_events_in_window", Kind::Gauge, "Clock events."),
        watch(9003, "dcgm_health", Kind::Gauge, "Health."),
        watch(9004, "dcgm_peers", Kind::Gauge, "Peers."),
        watch(9005, "dcgm_clock_events_total", Kind::Counter, "Clock events."),
        watch(9006, "dcgm_xids_total", Kind::Counter, "XIDs."),
        watch(100, "dcgm_clock", Kind::Hidden, NASTY),
        watch(9101, "dcgm_clock_max", Kind::Hidden, NASTY),
        watch(999, "dcgm_nobody_has", Kind::Gauge, "Absent."),
        watch(1508, "dcgm_link_state", Kind::Hidden, ""),
    ];
    let absent = || Err(Reason::NotSupported);
    let mut readings = vec![text(NASTY), float(5e-324), text("never"), float(f64::MAX)];
    readings.extend((4..=10).map(|_| absent()));
    readings.extend([int(1), int(2), absent()]);
    let identity_of = |index| Identity { model_name: Some(NASTY.into()), ..identity(index, NASTY) };

    let mut whole = known(up(identity_of(0), readings.clone()));
    whole.parts = vec![
        part(Entity::Link(0), vec![(4, int(1)), (14, int(1))]),
        part(Entity::Peer(1), vec![(8, int(0))]),
    ];
    let mut parted = known(up(identity_of(1), readings));
    parted.parts = [1, 2].map(|number| part(nasty_instance(number), vec![])).into();
    let mut lost = down(identity(0, "GPU-gone"), Down::Missing, vec![]);
    lost.xids = xids(false, &[WORST]);

    let mut snapshot = snapshot(watches, vec![whole, parted, lost]);
    let of_machine =
        |entity| part(entity, vec![(0, text(NASTY)), (1, float(f64::MIN)), (4, int(1))]);
    snapshot.machine = vec![
        of_machine(Entity::Switch(0)),
        of_machine(Entity::SwitchLink { switch: 0, link: 0 }),
        of_machine(Entity::Cpu(0)),
        of_machine(Entity::CpuCore { cpu: 0, core: 0 }),
    ];
    snapshot.windows.extents = std::time::Duration::from_secs(30);
    let mut log = DriverLog { lost: u64::MAX, ..DriverLog::default() };
    log.count_sxid(NASTY, u32::MAX, None);
    log.count_error(NASTY, DriverError::InitFailed, None);
    snapshot.driver_log = Some(std::sync::Arc::new(log));
    snapshot
}

/// Holders of the first GPU, and the refresher that found them.
pub(crate) fn holders() -> Attribution {
    let text = || Arc::from(NASTY);
    let pod = Pod {
        namespace: text(),
        name: text(),
        container: text(),
        uid: Some(text()),
        labels: [(Arc::from("app"), text())].into(),
        claim: None,
    };
    let one = |holder| DeviceUse {
        holder: Arc::new(holder),
        compute_instance: None,
        share: Some(text()),
    };
    let uses = vec![one(Holder::Pod(pod)), one(Holder::Job { id: text() })];
    Attribution {
        uses: [(DeviceKey::whole(GpuKey::Index(0)), uses)].into(),
        allocatable: None,
        is_complete: true,
        refreshers: vec![RefresherView {
            name: NASTY,
            up: true,
            last_success: Some(std::time::SystemTime::UNIX_EPOCH),
            duration: Some(std::time::Duration::from_nanos(1)),
            entries: Some(u64::MAX),
            errors: [(NASTY, u64::MAX)].into(),
        }],
        pod_labels_cut: Some(u64::MAX),
        good_until: Moment::BOOT,
    }
}

fn nasty_instance(gpu_instance: u32) -> Entity {
    let (compute_instance, place, profile) = (None, gpu_instance, NASTY.into());
    Entity::Instance(
        Instance { gpu_instance, compute_instance, number: place, profile, mig_devices: vec![] }
            .into(),
    )
}

fn known(gpu: GpuView) -> GpuView {
    let mut log = XidLog::clone(&xids(true, &[WORST]));
    let fault = LinkFault { code: 145, unit: NASTY.into(), severity: "fatal", link: None };
    log.record_link_fault(fault, None);
    let event = ClockEvent {
        active: Some(true),
        seconds: Some(1e-9),
        samples_in_window: 1,
        begun: 1,
        driver_counted: true,
    };
    let extent =
        |quantity| Extent { quantity, min: 1e-9, mean: 1.0, max: 1e300, from_driver: true };
    GpuView {
        xids: log.into(),
        xids_in_window: vec![(79, 1)],
        clock_events: [event; 9],
        extents: Quantity::ALL.map(extent).into(),
        health: vec![Health { subsystem: "ALL", status: HealthStatus::Fail, error: NASTY }],
        calls: std::sync::Arc::new([(NASTY, std::time::Duration::from_nanos(1))].into()),
        errors: std::sync::Arc::new([((model::FieldId(100), Reason::Failed), 1)].into()),
        ..gpu
    }
}

fn history() -> model::HistoryView {
    let time = std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1);
    model::HistoryView {
        incidents: [("xid", model::Tally::default())].into(),
        last_incident: Some(time),
        memory_bytes: 1,
        memory_oldest: Some(time),
        store: Some(model::StoreView {
            is_writable: true,
            bytes: 1,
            bytes_written: 1,
            oldest: Some(time),
            last_sync: Some(time),
            errors: [("full", 1)].into(),
            rows_lost: 1,
        }),
    }
}

#[test]
fn promtool_accepts_a_page_with_extreme_texts() {
    let settings = Settings {
        hostname: Some(NASTY.into()),
        expected_gpus: Some(8),
        history: Some(history().into()),
        ..settings()
    };
    let page = render(&worst(), Some(&holders()), &settings);

    let mut tool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    tool.stdin.take().unwrap().write_all(page.as_bytes()).unwrap();
    let output = tool.wait_with_output().unwrap();
    let lint = String::from_utf8_lossy(&output.stderr).into_owned()
        + &String::from_utf8_lossy(&output.stdout);
    let families = page.lines().filter(|line| line.starts_with("# TYPE ")).count();
    // All requested families except the one that no GPU has, and all of heatsink's own.
    assert_eq!(
        families,
        10 + own_families().len(),
        "a family without a sample is not checked:\n{page}"
    );
    // dcgm-exporter's label `modelName` is against Prometheus' style, but queries use it.
    let rest: Vec<&str> = lint.lines().filter(|line| !line.ends_with("not 'camelCase'")).collect();
    assert!(rest.iter().all(|line| line.is_empty()), "{lint}\n{page}");
}
