//! Builds snapshots of synthetic machines.

use std::sync::Arc;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use exposition::{Settings, Show};
use model::catalog::builtin::Set;
use model::{
    Down, Entity, FieldId, Gpu, GpuView, Identity, Instance, Kind, Moment, Pace, PartView, Process,
    Reading, Snapshot, SourceView, Value, Watch, WatchIndex, When, Windows, Xid, XidEvent, XidLog,
    XidSource,
};

/// When the program started.
pub(crate) fn started() -> SystemTime {
    UNIX_EPOCH + Duration::from_secs(1_699_999_000)
}

/// A row of a counters file.
pub(crate) fn watch(field: u16, name: &str, kind: Kind, help: &str) -> Watch {
    let (field, name, help) = (FieldId(field), name.into(), help.into());
    Watch { field, name, kind, help, pace: Pace::Every, cumulative: kind == Kind::Counter }
}

/// The identity of a GPU.
pub(crate) fn identity(index: u32, uuid: &str) -> Identity {
    Identity {
        index: Some(index),
        uuid: Some(uuid.into()),
        pci_bus_id: Some(format!("00000000:{:02X}:00.0", 0x1a + index)),
        model_name: Some("NVIDIA H100 80GB HBM3".into()),
        minor: None,
    }
}

/// A GPU that is up.
pub(crate) fn up(identity: Identity, readings: Vec<Reading>) -> GpuView {
    GpuView {
        gpu: Gpu { index: identity.index, identity: Some(Arc::new(identity)) },
        up: Ok(()),
        readings,
        last_success: Some(UNIX_EPOCH + Duration::from_millis(1_700_000_000_250)),
        pass_duration: Some(Duration::from_micros(4_200)),
        ..unknown(0, Down::Starting)
    }
}

/// A GPU that is down and was up before.
pub(crate) fn down(identity: Identity, why: Down, readings: Vec<Reading>) -> GpuView {
    GpuView { up: Err(why), ..up(identity, readings) }
}

/// A GPU that has never been up.
pub(crate) fn unknown(index: u32, why: Down) -> GpuView {
    GpuView {
        gpu: Gpu { index: Some(index), identity: None },
        up: Err(why),
        readings: Vec::new(),
        parts: Vec::new(),
        xids: Arc::default(),
        xids_in_window: Vec::new(),
        clock_events: Default::default(),
        extents: Vec::new(),
        health: Vec::new(),
        calls: Arc::default(),
        last_success: None,
        pass_duration: None,
        errors: Arc::default(),
        counting_since: Some(started()),
    }
}

/// A part with its readings, each with the index of its watch.
pub(crate) fn part(entity: Entity, readings: Vec<(usize, Reading)>) -> PartView {
    let (watches, readings): (Vec<_>, Vec<_>) =
        readings.into_iter().map(|(at, reading)| (WatchIndex(at), reading)).unzip();
    PartView { entity, watches: watches.into(), readings }
}

/// A GPU instance with its number in DCGM (eight per GPU), which differs from the driver's; or a compute
/// instance in it.
pub(crate) fn instance(gpu: u32, place: u32, compute_instance: Option<u32>) -> Entity {
    let profile = if compute_instance.is_some() { "1c.2g.20gb" } else { "2g.20gb" }.into();
    Entity::Instance(Arc::new(Instance {
        gpu_instance: place + 3,
        compute_instance,
        number: 8 * gpu + place,
        profile,
        mig_devices: Vec::new(),
    }))
}

/// The history of these XIDs.
pub(crate) fn xids(listening: bool, xids: &[Xid]) -> Arc<XidLog> {
    let mut log = XidLog { listening, ..XidLog::default() };
    // One per second.
    for (after, xid) in (0..).zip(xids) {
        let time =
            UNIX_EPOCH + Duration::from_millis(1_700_000_000_500) + Duration::from_secs(after);
        let at = When { time, moment: Moment::BOOT };
        log.record(XidEvent { xid: *xid, instance: None, before: None }, Some(at), Some(time));
    }
    Arc::new(log)
}

/// Rows for all of heatsink's own families.
pub(crate) fn own_families() -> Vec<Watch> {
    let sets = [Set::Health, Set::All].map(Set::watches);
    sets.concat().into_iter().filter(|watch| !watch.name.starts_with("DCGM_")).collect()
}

/// A snapshot of these GPUs, with all of heatsink's own families selected.
pub(crate) fn snapshot(mut watches: Vec<Watch>, gpus: Vec<GpuView>) -> Snapshot {
    watches.extend(own_families());
    Snapshot {
        watches: watches.into(),
        gpus,
        machine: Vec::new(),
        source: SourceView {
            name: "nvml",
            up: Ok(()),
            driver_version: Some("570.124.06".into()),
            needs_restart: None,
        },
        xid_source: Some(XidSource::NvmlEvents),
        driver_log: None,
        reader_restarts: 0,
        process: Process {
            cpu: Some(Duration::from_millis(1_250)),
            resident_bytes: Some(7_340_032),
            started: started(),
        },
        counting_since: Some(started()),
        windows: Windows {
            extents: Duration::ZERO,
            xids: Duration::from_secs(300),
            clock_events: Duration::from_secs(300),
        },
        good_until: Moment::now(),
    }
}

/// The settings of version 0.1.0 on host `n1`.
pub(crate) fn settings() -> Settings {
    Settings {
        hostname: Some("n1".into()),
        host_label: "hostname",
        old_namespace: false,
        show: Show::default(),
        holders: exposition::HolderSettings::default(),
        version: "0.1.0",
        rows_skipped: 0,
        is_reloaded: true,
        reloaded_at: Some(UNIX_EPOCH + Duration::from_secs(1_699_999_100)),
        replace_blanks_in_model_name: false,
        expected_gpus: None,
        labels_since: None,
        connections_closed: 0,
        history: None,
    }
}

/// An integer reading.
pub(crate) fn int(value: i64) -> Reading {
    Ok(Value::Int(value))
}

/// A float reading.
pub(crate) fn float(value: f64) -> Reading {
    Ok(Value::Float(value))
}

/// A text reading.
pub(crate) fn text(value: &str) -> Reading {
    Ok(Value::Text(value.into()))
}
