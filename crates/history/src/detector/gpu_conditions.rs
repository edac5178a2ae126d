//! What may go on for a while on a GPU: one row per condition.

use std::time::Duration;

use super::condition::Timing;
use super::extremes::Extremes;
use super::input::{GpuReading, Input};
use crate::sign::SignKind;
use crate::time::Time;
use crate::wording::{mib, whole};

/// A condition of a GPU.
pub(crate) struct GpuCondition {
    /// The sign that it is.
    pub(crate) kind: SignKind,
    /// When it becomes one.
    pub(crate) timing: Timing,
    /// Whether a row shows it; `None` if the row does not say.
    pub(crate) is_on: fn(&GpuReading, &Best) -> Option<bool>,
    /// What was seen, after the name of the GPU: `was slowed by heat`.
    pub(crate) text: &'static str,
    /// With which numbers: `, at up to 89 °C`.
    pub(crate) numbers: fn(&Extremes, &Best) -> String,
}

/// The best that was read of a GPU so far.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Best {
    /// Lanes of PCIe.
    pub(crate) width: f64,
    /// The generation of PCIe while it worked.
    pub(crate) generation: f64,
    /// The SM clock while it worked, in MHz.
    pub(crate) clock: f64,
    /// For how long it works without a pause.
    pub(crate) busy: Duration,
    last_row: Option<Time>,
}

impl Best {
    /// Takes a row. `gap` is the longest time between two rows which is no gap.
    pub(crate) fn add(&mut self, time: Time, gap: Duration, reading: &GpuReading) {
        self.width = self.width.max(reading.get(Input::PcieWidth).unwrap_or_default());
        self.generation =
            self.generation.max(reading.get(Input::PcieGeneration).unwrap_or_default());
        let Some(utilization) = reading.get(Input::Utilization) else { return };
        let passed = self.last_row.replace(time).map_or(Duration::ZERO, |last| time.since(last));
        if utilization > 0.0 {
            self.clock = self.clock.max(reading.get(Input::SmClock).unwrap_or_default());
        }
        let is_busy = utilization >= 30.0 && passed <= gap;
        self.busy = if is_busy { self.busy.saturating_add(passed) } else { Duration::ZERO };
    }

    /// Whether a clock is lower by more than a tenth.
    pub(crate) fn is_above(&self, clock: Option<f64>) -> bool {
        clock.is_some_and(|clock| clock < self.clock * 0.9)
    }
}

/// Work that is long enough for the generation of PCIe to be read again.
const BUSY: Duration = Duration::from_secs(30);

/// Bits of `clock_reasons`.
const POWER_CAP: u64 = 0x04;
const HARDWARE: u64 = 0x08;
const THERMAL: u64 = 0x20 | 0x40;
const BRAKE: u64 = 0x80;

const fn after(begin: u64, rows: u32, end: u64) -> Timing {
    Timing { begin: Duration::from_secs(begin), rows, end: Duration::from_secs(end) }
}

/// All of them.
#[rustfmt::skip]
pub(crate) static GPU_CONDITIONS: [GpuCondition; 8] = [
    GpuCondition { kind: SignKind::HeatSlowdown,        timing: after(30, 2, 10), is_on: heat,        text: "was slowed by heat",                                    numbers: heat_numbers },
    GpuCondition { kind: SignKind::PowerBrake,          timing: after(0, 2, 10),  is_on: brake,       text: "was slowed by a power brake",                           numbers: clock_number },
    GpuCondition { kind: SignKind::PowerCapped,         timing: after(600, 2, 30), is_on: capped,     text: "was held back by its power limit",                      numbers: limit_number },
    GpuCondition { kind: SignKind::PcieDegraded,        timing: after(0, 2, 10),  is_on: pcie,        text: "had a slower PCIe link than before",                    numbers: pcie_numbers },
    GpuCondition { kind: SignKind::GpuMemoryAlmostFull, timing: after(10, 2, 5),  is_on: almost_full, text: "had its memory almost full",                            numbers: memory_number },
    GpuCondition { kind: SignKind::FanFailing,          timing: after(30, 2, 30), is_on: fan,         text: "was hot while its fan stood still or ran at full speed", numbers: fan_numbers },
    GpuCondition { kind: SignKind::RemapPending,        timing: after(0, 1, 0),   is_on: pending,     text: "had a faulty memory row that is replaced at the next reset", numbers: no_numbers },
    GpuCondition { kind: SignKind::RemapFailed,         timing: after(0, 1, 0),   is_on: failed,      text: "had a faulty memory row that could not be replaced",    numbers: no_numbers },
];

fn bits(reading: &GpuReading) -> Option<u64> {
    reading.get(Input::ClockReasons).map(|mask| mask as u64)
}

/// The bit for any slowdown by hardware is heat only if it is hot.
fn heat(reading: &GpuReading, _: &Best) -> Option<bool> {
    let bits = bits(reading)?;
    let is_hot = || {
        let temperature = reading.get(Input::Temperature);
        let limit = reading.get(Input::SlowdownTemperature);
        matches!((temperature, limit), (Some(temperature), Some(limit)) if temperature >= limit - 3.0)
    };
    Some(bits & THERMAL != 0 || (bits & HARDWARE != 0 && bits & BRAKE == 0 && is_hot()))
}

fn brake(reading: &GpuReading, _: &Best) -> Option<bool> {
    Some(bits(reading)? & BRAKE != 0)
}

fn capped(reading: &GpuReading, _: &Best) -> Option<bool> {
    Some(bits(reading)? & POWER_CAP != 0)
}

/// A GPU without work may lower the generation, but never the number of lanes. The generation is read every
/// ten seconds, and may still be that of before when work begins.
fn pcie(reading: &GpuReading, best: &Best) -> Option<bool> {
    let width = reading.get(Input::PcieWidth).map(|width| width < best.width);
    let generation = reading
        .get(Input::PcieGeneration)
        .filter(|_| best.busy >= BUSY)
        .map(|generation| generation < best.generation);
    match (width, generation) {
        (None, None) => None,
        (width, generation) => Some(width == Some(true) || generation == Some(true)),
    }
}

/// The share of memory above which it is almost full.
pub(crate) const ALMOST_FULL: f64 = 0.97;

fn almost_full(reading: &GpuReading, _: &Best) -> Option<bool> {
    Some(reading.memory_share()? > ALMOST_FULL)
}

fn fan(reading: &GpuReading, _: &Best) -> Option<bool> {
    let fan = reading.get(Input::Fan)?;
    let temperature = reading.get(Input::Temperature)?;
    let hot = reading.get(Input::SlowdownTemperature).map_or(80.0, |limit| limit - 7.0);
    Some((fan <= 0.0 || fan >= 100.0) && temperature >= hot)
}

fn pending(reading: &GpuReading, _: &Best) -> Option<bool> {
    Some(reading.get(Input::RemapPending)? > 0.0)
}

fn failed(reading: &GpuReading, _: &Best) -> Option<bool> {
    Some(reading.get(Input::RemapFailed)? > 0.0)
}

fn no_numbers(_: &Extremes, _: &Best) -> String {
    String::new()
}

fn heat_numbers(seen: &Extremes, best: &Best) -> String {
    let mut text = String::new();
    if let Some(max) = seen.max(Input::Temperature) {
        text += &format!(", at up to {} °C", whole(max));
    }
    if let Some(max) = seen.max(Input::MemoryTemperature) {
        text += &format!(" (memory {} °C)", whole(max));
    }
    text + &clock_number(seen, best)
}

fn clock_number(seen: &Extremes, _: &Best) -> String {
    let clock = seen.min(Input::SmClock);
    clock.map(|min| format!(", down to {} MHz", whole(min))).unwrap_or_default()
}

fn limit_number(seen: &Extremes, _: &Best) -> String {
    let limit = seen.min(Input::PowerLimit);
    limit.map(|limit| format!(": {} W", whole(limit))).unwrap_or_default()
}

/// Only what is less than before.
fn pcie_numbers(seen: &Extremes, best: &Best) -> String {
    let width = seen.min(Input::PcieWidth).filter(|width| *width < best.width);
    let width = width.map(|width| format!("{} lanes", whole(width)));
    let generation = seen
        .min(Input::PcieGeneration)
        .filter(|number| *number < best.generation && width.is_none());
    let generation = generation.map(|number| format!("generation {}", whole(number)));
    let parts: Vec<_> = width.into_iter().chain(generation).collect();
    if parts.is_empty() { String::new() } else { format!(": {}", parts.join(", ")) }
}

fn memory_number(seen: &Extremes, _: &Best) -> String {
    let used = seen.max(Input::MemoryUsed).zip(seen.max(Input::MemoryTotal));
    let text = |(used, total)| format!(": {} of {}", mib(used), mib(total));
    used.map(text).unwrap_or_default()
}

fn fan_numbers(seen: &Extremes, _: &Best) -> String {
    let numbers = seen.max(Input::Fan).zip(seen.max(Input::Temperature));
    let text = |(fan, temperature)| format!(": {} %, {} °C", whole(fan), whole(temperature));
    numbers.map(text).unwrap_or_default()
}
