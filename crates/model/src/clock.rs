//! Clock event reasons: why the driver keeps clocks lower than they could be.

use crate::field;
use crate::watch::FieldId;

/// A reason, which is a bit of the driver's mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReason {
    /// Its bit.
    pub mask: u64,
    /// Its name in labels, as dcgm-exporter has it.
    pub name: &'static str,
    /// The field with the nanoseconds in which it was in force, where drivers count them.
    pub time: Option<FieldId>,
}

/// All reasons, by bit.
#[rustfmt::skip]
pub static CLOCK_REASONS: [ClockReason; 9] = [
    reason(0x001, "gpu_idle",        None),
    reason(0x002, "clocks_setting",  None),
    reason(0x004, "power_cap",       Some(field::CLOCKS_EVENT_REASON_SW_POWER_CAP_NS)),
    reason(0x008, "hw_slowdown",     None),
    reason(0x010, "sync_boost",      Some(field::CLOCKS_EVENT_REASON_SYNC_BOOST_NS)),
    reason(0x020, "sw_thermal",      Some(field::CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS)),
    reason(0x040, "hw_thermal",      Some(field::CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS)),
    reason(0x080, "hw_power_brake",  Some(field::CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS)),
    reason(0x100, "display_clocks",  None),
];

const fn reason(mask: u64, name: &'static str, time: Option<FieldId>) -> ClockReason {
    ClockReason { mask, name, time }
}

/// The state and the counts of one reason on one GPU.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct ClockEvent {
    /// Whether it is in force; `None` while that is not known.
    pub active: Option<bool>,
    /// Seconds in which it was in force: as the driver counts them, else the time between samples
    /// that had it.
    pub seconds: Option<f64>,
    /// The number of samples in the window in which it was in force.
    pub samples_in_window: u64,
    /// How often it came into force from one sample to the next, since this process started.
    pub begun: u64,
}
