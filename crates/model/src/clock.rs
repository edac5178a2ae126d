//! Clock event reasons: why the driver lowers the clocks.

use crate::field;
use crate::watch::FieldId;

/// A reason, which is a bit of the driver's mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReason {
    /// Its bit.
    pub mask: u64,
    /// Its name in labels, as in dcgm-exporter.
    pub name: &'static str,
    /// The field with its duration in nanoseconds, if drivers count it.
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
    /// Whether it is active; `None` while unknown.
    pub active: Option<bool>,
    /// Seconds in which it was active: counted by the driver, else the time between samples with it.
    pub seconds: Option<f64>,
    /// Whether the driver has counted the seconds, since a time that is not known.
    pub driver_counted: bool,
    /// The number of samples in the window with it.
    pub samples_in_window: u64,
    /// How often it became active from one sample to the next, since the start of this process.
    pub begun: u64,
}
