//! The readings of one GPU that the page shows, in base units.

use std::time::Duration;

use model::catalog::xid::{self, Severity};
use model::{
    CLOCK_REASONS, ClockReason, FieldId, GpuView, Instance, Snapshot, Value, When, Xid, XidCount,
    field,
};

/// The fields with a quantity, each with the factor to its base unit. The counters file and the
/// generation of names decide which of them is watched.
type Quantity = &'static [(FieldId, f64)];

const MIB: f64 = 1_048_576.0;

const TEMPERATURE: Quantity = &[(field::GPU_TEMP, 1.0)];
const SLOWDOWN_TEMPERATURE: Quantity = &[(field::SLOWDOWN_TEMP, 1.0)];
const POWER: Quantity = &[(field::POWER_USAGE, 1.0)];
const POWER_LIMIT: Quantity = &[(field::ENFORCED_POWER_LIMIT, 1.0)];
const MEMORY_USED: Quantity = &[(field::FB_USED_BYTES, 1.0), (field::FB_USED, MIB)];
const MEMORY_TOTAL: Quantity = &[(field::FB_CAPACITY_BYTES, 1.0), (field::FB_TOTAL, MIB)];
const UTILIZATION: Quantity = &[(field::GPU_UTIL_RATIO, 1.0), (field::GPU_UTIL, 0.01)];
const SM_CLOCK: Quantity = &[(field::SM_CLOCK_HERTZ, 1.0), (field::SM_CLOCK, 1e6)];
const MAX_SM_CLOCK: Quantity = &[(field::MAX_SM_CLOCK_OF_PSTATE, 1e6), (field::MAX_SM_CLOCK, 1e6)];
const UNCORRECTABLE_ERRORS: Quantity = &[(field::ECC_DBE_VOL_TOTAL, 1.0)];
const ROW_REMAP_FAILURE: Quantity = &[(field::ROW_REMAP_FAILURE, 1.0)];
const ROW_REMAP_PENDING: Quantity = &[(field::ROW_REMAP_PENDING, 1.0)];
const RECOVERY_ACTION: Quantity = &[(field::GET_GPU_RECOVERY_ACTION, 1.0)];

/// How long an XID counts as a problem. Whether the GPU was reset since is not known.
const XID_RECENT: Duration = Duration::from_secs(24 * 60 * 60);

/// A GPU is hot if it is less than this below the temperature at which it slows down, °C. The same as
/// in the shipped alert rules.
const NEAR_SLOWDOWN: f64 = 5.0;

/// One GPU. A quantity is absent if it is not watched or has no reading.
pub(super) struct Readings<'a> {
    pub(super) view: &'a GpuView,
    pub(super) now: When,
    /// °C.
    pub(super) temperature: Option<f64>,
    /// The temperature at which the GPU slows down, °C.
    pub(super) slowdown_temperature: Option<f64>,
    /// W.
    pub(super) power: Option<f64>,
    /// The limit in force, W.
    pub(super) power_limit: Option<f64>,
    /// Bytes.
    pub(super) memory_used: Option<f64>,
    /// Bytes.
    pub(super) memory_total: Option<f64>,
    /// 0 to 1.
    pub(super) utilization: Option<f64>,
    /// Hz.
    pub(super) sm_clock: Option<f64>,
    /// Hz.
    pub(super) max_sm_clock: Option<f64>,
    /// Since the driver was loaded or the GPU was reset.
    pub(super) uncorrectable_errors: Option<f64>,
    /// 0 or 1.
    pub(super) row_remap_failure: Option<f64>,
    /// 0 or 1.
    pub(super) row_remap_pending: Option<f64>,
    /// The code of the recovery action that the driver asks for; 0 for none.
    pub(super) recovery_action: Option<f64>,
}

impl<'a> Readings<'a> {
    pub(super) fn of(view: &'a GpuView, snapshot: &Snapshot, now: When) -> Self {
        let read = |quantity| number(view, snapshot, quantity);
        Self {
            view,
            now,
            temperature: read(TEMPERATURE),
            slowdown_temperature: read(SLOWDOWN_TEMPERATURE),
            power: read(POWER),
            power_limit: read(POWER_LIMIT),
            memory_used: read(MEMORY_USED),
            memory_total: read(MEMORY_TOTAL),
            utilization: read(UTILIZATION),
            sm_clock: read(SM_CLOCK),
            max_sm_clock: read(MAX_SM_CLOCK),
            uncorrectable_errors: read(UNCORRECTABLE_ERRORS),
            row_remap_failure: read(ROW_REMAP_FAILURE),
            row_remap_pending: read(ROW_REMAP_PENDING),
            recovery_action: read(RECOVERY_ACTION),
        }
    }

    /// The reasons for low clocks that are in force, each with its position in [`CLOCK_REASONS`].
    pub(super) fn clock_reasons(&self) -> impl Iterator<Item = (usize, &'static ClockReason)> {
        let events = CLOCK_REASONS.iter().zip(&self.view.clock_events).enumerate();
        let is_active = |active: Option<bool>| self.view.up.is_ok() && active == Some(true);
        events
            .filter(move |(_, (_, event))| is_active(event.active))
            .map(|(at, (reason, _))| (at, reason))
    }

    /// Whether it is near the temperature at which it slows down.
    pub(super) fn is_hot(&self) -> bool {
        let margin =
            self.slowdown_temperature.zip(self.temperature).map(|(limit, now)| limit - now);
        margin.is_some_and(|margin| margin < NEAR_SLOWDOWN)
    }

    /// Whether the clock reason of this name is in force.
    pub(super) fn is_slowed_by(&self, name: &str) -> bool {
        self.clock_reasons().any(|(_, reason)| reason.name == name)
    }

    /// The newest recent XID of this severity, and how long ago it came.
    pub(super) fn recent_xid(&self, severity: Severity) -> Option<(Xid, Duration)> {
        let counts = self.view.xids.counts.values();
        let recent = counts.filter_map(|count| Some((count.xid, self.age(count)?)));
        recent
            .filter(|(xid, age)| self.severity_of(xid.code) == severity && *age < XID_RECENT)
            .min_by_key(|(_, age)| *age)
    }

    /// An NVLink XID is only a warning if the kernel's log says that the fault was not fatal.
    fn severity_of(&self, code: u32) -> Severity {
        let faults = self.view.xids.link_faults.keys().filter(|fault| fault.code == code);
        let mut severities = faults.map(|fault| fault.severity).peekable();
        let is_nonfatal = severities.peek().is_some() && severities.all(|of| of == "nonfatal");
        match xid::severity(code) {
            Severity::Critical if is_nonfatal => Severity::Warning,
            severity => severity,
        }
    }

    /// The last XID, and how long ago it came, if that is known. Code 0 if there was none.
    pub(super) fn last_xid(&self) -> Option<(Xid, Option<Duration>)> {
        let xid = self.view.last_xid()?;
        let count = self.view.xids.counts.get(&xid.code);
        Some((xid, count.and_then(|count| self.age(count))))
    }

    fn age(&self, count: &XidCount) -> Option<Duration> {
        count.last.map(|last| self.now.moment - last.moment)
    }

    /// The time since it last answered.
    pub(super) fn last_answer(&self) -> Option<Duration> {
        self.now.time.duration_since(self.view.last_success?).ok()
    }

    /// How many GPU instances it is partitioned into.
    pub(super) fn gpu_instances(&self) -> usize {
        let is_whole = |instance: &Instance| instance.compute_instance.is_none();
        self.view.instances().filter(|(instance, _)| is_whole(instance)).count()
    }
}

/// The reading of the first field of a quantity that has one; none for a GPU that is down.
fn number(view: &GpuView, snapshot: &Snapshot, quantity: Quantity) -> Option<f64> {
    view.up.ok()?;
    let of_field = |id: FieldId| {
        let readings = snapshot.watches.iter().zip(&view.readings);
        readings.filter(move |(watch, _)| watch.field == id).filter_map(
            |(_, reading)| match reading.as_ref().ok()? {
                Value::Int(number) => Some(*number as f64),
                Value::Float(number) => Some(*number),
                Value::Text(_) => None,
            },
        )
    };
    quantity.iter().find_map(|(id, factor)| Some(of_field(*id).next()? * factor))
}

/// `5 min ago`.
pub(super) fn ago(age: Duration) -> String {
    match age.as_secs() / 60 {
        0 => "just now".to_owned(),
        minutes @ 1..=119 => format!("{minutes} min ago"),
        minutes if minutes < 48 * 60 => format!("{} h ago", minutes / 60),
        minutes => format!("{} days ago", minutes / (24 * 60)),
    }
}
