//! Why clocks are lower than they could be: the reasons that the driver tells apart.

use crate::{FieldId, field};

/// One reason, a bit of the driver's mask.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct ClockReason {
    /// Its bit.
    pub mask: u64,
    /// Its name in labels, dcgm-exporter's.
    pub name: &'static str,
    /// The field that counts the nanoseconds it was in force, where drivers have one.
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

/// What is known of one reason on one GPU.
#[derive(Clone, Copy, PartialEq, Default, Debug)]
pub struct ClockEvent {
    /// Whether it is in force; none while that is not known.
    pub active: Option<bool>,
    /// For how many seconds it has been in force: what the driver counts, or else the time between
    /// samples that had it.
    pub seconds: Option<f64>,
    /// In how many samples of the window it was in force.
    pub samples_in_window: u64,
    /// How often it came up, from one sample to the next, since this process began.
    pub begun: u64,
}
