//! Families asked for whose samples are not one reading each: XIDs, clock events, health, peers.
//!
//! Labels that a family adds stand after all others, sorted by name, as dcgm-exporter has them.

use std::time::Duration;

use model::{
    CLOCK_REASONS, ClockEvent, ClockReason, FieldId, GpuView, Value, WatchIndex, Windows, XidLog,
    field,
};

use crate::gpus::{Row, Shown};
use crate::text::{Family, Line};

/// A device of which samples are wanted.
pub(crate) struct Device<'a> {
    /// Its GPU.
    pub(crate) row: &'a Row<'a>,
    /// The device itself.
    pub(crate) shown: &'a Shown<'a>,
    /// The watch's, among the readings.
    pub(crate) index: WatchIndex,
    /// How long the windows are.
    pub(crate) windows: Windows,
}

/// What writes a family's samples of one device.
pub(crate) type Samples = fn(&Device<'_>, &mut Family<'_>);

/// All of them. What is known of a whole GPU is said of each of its instances.
const FAMILIES: &[(FieldId, Samples)] = &[
    (field::XID_ERRORS, last_xid),
    (field::EXP_XID_ERRORS_COUNT, xids_in_window),
    (field::EXP_XID_ERRORS_TOTAL, xids),
    (field::EXP_CLOCK_EVENTS_COUNT, clock_events_in_window),
    (field::EXP_CLOCK_EVENTS_TOTAL, clock_events),
    (field::EXP_GPU_HEALTH_STATUS, health),
    (field::EXP_P2P_STATUS, peers),
];

/// What writes the samples of this field's families, if it is one of these.
pub(crate) fn samples_of(field: FieldId) -> Option<Samples> {
    let row = FAMILIES.iter().find(|(known, _)| *known == field)?;
    Some(row.1)
}

/// The reasons of which anything is known; of a GPU that is down, none.
pub(crate) fn known_clock_events(
    gpu: &GpuView,
) -> impl Iterator<Item = (&'static ClockReason, &ClockEvent)> {
    let events = CLOCK_REASONS.iter().zip(&gpu.clock_events);
    events.filter(|(_, event)| gpu.up.is_ok() && event.active.is_some())
}

/// Adds the label of an XID's code.
pub(crate) fn xid_label(line: Line<'_>, code: u32) -> Line<'_> {
    match code {
        XidLog::OTHER => line.text("xid", "other"),
        code => line.number("xid", code),
    }
}

/// The last XID, with its number and its meaning as labels.
fn last_xid(device: &Device<'_>, family: &mut Family<'_>) {
    let gpu = device.row.view;
    let last = match device.shown.instance {
        Some(instance) => gpu.last_xid_of(instance),
        None => gpu.last_xid(),
    };
    if let Some(xid) = last {
        let line = family.line(&device.shown.labels).number("err_code", xid.code);
        line.text("err_msg", xid.message).value(xid.code);
    }
}

/// That nothing happened is known only while the GPU is up and its events are listened to.
fn xids_in_window(device: &Device<'_>, family: &mut Family<'_>) {
    let (gpu, labels) = (device.row.view, &device.shown.labels);
    let window = milliseconds(device.windows.xids);
    let xids = &gpu.xids_in_window;
    for (place, (code, count)) in xids.iter().enumerate() {
        if xids[..place].iter().all(|(before, _)| before != code) {
            let line = family.line(labels).number("window_size_in_ms", window);
            xid_label(line, *code).value(*count);
        }
    }
    if xids.is_empty() && gpu.xids.listening && gpu.up.is_ok() {
        family.line(labels).number("window_size_in_ms", window).value(0_u64);
    }
}

/// Codes that are expected stand at 0 before the first of them comes, so that it is an increase.
fn xids(device: &Device<'_>, family: &mut Family<'_>) {
    for (code, entry) in &device.row.view.xids.counts {
        xid_label(family.line(&device.shown.labels), *code).value(entry.count);
    }
}

fn clock_events_in_window(device: &Device<'_>, family: &mut Family<'_>) {
    let window = milliseconds(device.windows.clock_events);
    for (reason, event) in known_clock_events(device.row.view) {
        let line = family.line(&device.shown.labels).text("clock_event", reason.name);
        line.number("window_size_in_ms", window).value(event.samples_in_window);
    }
}

fn clock_events(device: &Device<'_>, family: &mut Family<'_>) {
    for (reason, event) in known_clock_events(device.row.view) {
        let line = family.line(&device.shown.labels).text("clock_event", reason.name);
        line.value(event.begun);
    }
}

fn health(device: &Device<'_>, family: &mut Family<'_>) {
    let gpu = device.row.view;
    for (place, health) in gpu.health.iter().enumerate().filter(|_| gpu.up.is_ok()) {
        let before = &gpu.health[..place];
        if before.iter().all(|before| before.subsystem != health.subsystem) {
            let error = if health.error.is_empty() { "DCGM_FR_OK" } else { health.error };
            let line = family.line(&device.shown.labels).text("health_error_code", error);
            line.text("health_watch", health.subsystem).value(health.status.value());
        }
    }
}

fn peers(device: &Device<'_>, family: &mut Family<'_>) {
    for (peer, part) in &device.row.peers {
        let Some(Ok(Value::Int(status))) = part.reading(device.index) else { continue };
        let Ok(status) = u64::try_from(*status) else { continue };
        let line = family.line(&device.shown.labels).text("link_status", link_status(status));
        line.number("peer_gpu", *peer).value(status);
    }
}

fn link_status(status: u64) -> &'static str {
    match status {
        0 => "OK",
        1 => "ChipsetNotSupported",
        2 => "GPUNotSupported",
        3 => "TopologyNotSupported",
        4 => "DisabledByRegKey",
        5 => "NotSupported",
        _ => "Unknown",
    }
}

fn milliseconds(window: Duration) -> u64 {
    u64::try_from(window.as_millis()).unwrap_or(u64::MAX)
}
