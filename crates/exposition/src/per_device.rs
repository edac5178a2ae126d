//! Families with several samples per device: XIDs, clock events, health, peers.
//!
//! The labels that such a family adds come last, sorted by name, as in dcgm-exporter.

use std::time::{Duration, SystemTime};

use model::{
    CLOCK_REASONS, ClockEvent, ClockReason, FieldId, GpuView, Value, WatchIndex, Windows, XidLog,
    field,
};

use crate::gpus::{Device, GpuRow};
use crate::text::{Family, Line};

/// A device, and the watch whose samples are written.
pub(crate) struct Target<'a> {
    pub(crate) gpu: &'a GpuRow<'a>,
    pub(crate) device: &'a Device<'a>,
    pub(crate) watch: WatchIndex,
    pub(crate) windows: Windows,
    /// Whether the labels of devices are those of their holders, too, and change with them.
    pub(crate) has_holders: bool,
}

impl Target<'_> {
    /// Begins a sample of a counter of the device. It has the birth of its count, if the series is as old.
    /// The series of an instance, and one without or with the labels of a holder, may begin when the count
    /// is not 0.
    fn counter<'f>(&self, birth: Option<SystemTime>, family: &'f mut Family<'_>) -> Line<'f> {
        let birth = birth.filter(|_| self.device.instance.is_none() && !self.has_holders);
        family.counter(birth, &self.device.labels)
    }
}

/// Writes the samples of one device.
pub(crate) type Samples = fn(&Target<'_>, &mut Family<'_>);

/// All families with several samples per device. Values of a whole GPU apply to each of its instances.
const FAMILIES: &[(FieldId, Samples)] = &[
    (field::XID_ERRORS, last_xid),
    (field::EXP_XID_ERRORS_COUNT, xids_in_window),
    (field::EXP_XID_ERRORS_TOTAL, xids),
    (field::EXP_CLOCK_EVENTS_COUNT, clock_events_in_window),
    (field::EXP_CLOCK_EVENTS_TOTAL, clock_events),
    (field::EXP_GPU_HEALTH_STATUS, health),
    (field::EXP_P2P_STATUS, peers),
];

/// The function that writes the samples of a field, if it is one of these.
pub(crate) fn samples_of(field: FieldId) -> Option<Samples> {
    let row = FAMILIES.iter().find(|(known, _)| *known == field)?;
    Some(row.1)
}

/// The clock event reasons with a known state; none for a GPU that is down.
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
fn last_xid(target: &Target<'_>, family: &mut Family<'_>) {
    let gpu = target.gpu.view;
    let last = match target.device.instance {
        Some(instance) => gpu.last_xid_of(instance),
        None => gpu.last_xid(),
    };
    if let Some(xid) = last {
        let line = family.line(&target.device.labels).number("err_code", xid.code);
        line.text("err_msg", xid.message).value(xid.code);
    }
}

/// A 0 is written only while the GPU is up and its XIDs would be seen.
fn xids_in_window(target: &Target<'_>, family: &mut Family<'_>) {
    let (gpu, labels) = (target.gpu.view, &target.device.labels);
    let window = milliseconds(target.windows.xids);
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

/// Expected codes are at 0 before the first XID, so that the first one is an increase.
fn xids(target: &Target<'_>, family: &mut Family<'_>) {
    for (code, entry) in &target.gpu.view.xids.counts {
        let line = target.counter(entry.tally.born, family);
        xid_label(line, *code).value(entry.tally.count);
    }
}

fn clock_events_in_window(target: &Target<'_>, family: &mut Family<'_>) {
    let window = milliseconds(target.windows.clock_events);
    for (reason, event) in known_clock_events(target.gpu.view) {
        let line = family.line(&target.device.labels).text("clock_event", reason.name);
        line.number("window_size_in_ms", window).value(event.samples_in_window);
    }
}

fn clock_events(target: &Target<'_>, family: &mut Family<'_>) {
    for (reason, event) in known_clock_events(target.gpu.view) {
        let line = target.counter(target.gpu.view.counting_since, family);
        line.text("clock_event", reason.name).value(event.begun);
    }
}

fn health(target: &Target<'_>, family: &mut Family<'_>) {
    let gpu = target.gpu.view;
    for (place, health) in gpu.health.iter().enumerate().filter(|_| gpu.up.is_ok()) {
        let before = &gpu.health[..place];
        if before.iter().all(|before| before.subsystem != health.subsystem) {
            let error = if health.error.is_empty() { "DCGM_FR_OK" } else { health.error };
            let line = family.line(&target.device.labels).text("health_error_code", error);
            line.text("health_watch", health.subsystem).value(health.status.value());
        }
    }
}

fn peers(target: &Target<'_>, family: &mut Family<'_>) {
    for (peer, part) in &target.gpu.peers {
        let Some(Ok(Value::Int(status))) = part.reading(target.watch) else { continue };
        let Ok(status) = u64::try_from(*status) else { continue };
        let line = family.line(&target.device.labels).text("link_status", link_status(status));
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
