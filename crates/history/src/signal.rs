//! The signals that are recorded: one row each.

use model::{FieldId, Value, field};

/// A quantity that is recorded once per collection interval.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Signal {
    /// Its number in files. It never changes its meaning, and is never used again.
    pub number: u16,
    /// Its name in queries and reports: `gpu_temperature`.
    pub name: &'static str,
    /// Its unit: `°C`, `W`, `MHz`, `MiB`, `ratio`, ...; empty for counts and codes.
    pub unit: &'static str,
    /// What it is of.
    pub of: Of,
    /// Where its values come from.
    pub from: From,
    /// How values become whole numbers.
    pub resolution: Resolution,
    /// How its values behave over time.
    pub shape: Shape,
}

/// What a signal is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Of {
    /// Each GPU.
    Gpu,
    /// The machine.
    Host,
}

/// Where the values of a signal come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum From {
    /// A field of each GPU, read for the history even if no counters file asks for it.
    Field(FieldId),
    /// A field of each GPU, recorded only where a counters file asks for it: its driver calls are slow.
    FieldIfWatched(FieldId),
    /// Whether the GPU answers: 0 or 1.
    Up,
    /// Why it does not: a position in [`DOWN_REASONS`]; absent while it answers.
    DownReason,
    /// How far its clock is below what its power state allows: 0 to 1.
    Slowdown,
    /// Memory of the machine that programs can still get.
    MemoryAvailable,
    /// Share of time in which at least one program waited for memory, over ten seconds (`some avg10` of
    /// `/proc/pressure/memory`), in percent.
    MemoryPressureSome,
    /// The same for all programs at once (`full avg10`).
    MemoryPressureFull,
}

/// How values become whole numbers, and back.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Resolution {
    /// This many decimal digits are kept.
    Digits(u8),
    /// Values are rounded to multiples of this.
    Step(u32),
}

/// How the values of a signal behave over time.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Shape {
    /// A value that goes up and down: minimum, mean and maximum make sense.
    Gauge,
    /// A count that only grows, except at a restart.
    Counter,
    /// A mask of bits.
    Flags,
    /// A code: only its last value makes sense.
    Code,
}

/// The reasons why a GPU is down, by the number that is recorded. New ones come last.
pub const DOWN_REASONS: [model::Down; 9] = [
    model::Down::Late,
    model::Down::Lost,
    model::Down::Missing,
    model::Down::NotInitialized,
    model::Down::NoThread,
    model::Down::NotPermitted,
    model::Down::Failed,
    model::Down::Starting,
    model::Down::SourceDown,
];

impl Resolution {
    /// The whole number of a value; `None` for a text, and for what does not fit.
    pub fn encode(self, value: &Value) -> Option<i64> {
        match (self, value) {
            (Self::Digits(0), Value::Int(value)) => Some(*value),
            (_, Value::Int(value)) => self.encode_float(*value as f64),
            (_, Value::Float(value)) => self.encode_float(*value),
            (_, Value::Text(_)) => None,
        }
    }

    /// The whole number of a float; `None` for what does not fit.
    pub fn encode_float(self, value: f64) -> Option<i64> {
        let scaled = match self {
            Self::Digits(digits) => value * 10_f64.powi(digits.into()),
            Self::Step(step) => value / f64::from(step.max(1)),
        };
        let rounded = scaled.round();
        // Beyond it, floats are not exact.
        let is_exact = rounded.is_finite() && rounded.abs() < 9_007_199_254_740_992.0;
        is_exact.then_some(rounded as i64)
    }

    /// The value of a whole number.
    pub fn decode(self, number: i64) -> f64 {
        match self {
            Self::Digits(digits) => number as f64 / 10_f64.powi(digits.into()),
            Self::Step(step) => number as f64 * f64::from(step.max(1)),
        }
    }
}

/// All signals, those of the machine first.
#[rustfmt::skip]
pub static SIGNALS: &[Signal] = &[
    host( 1, "memory_available",       "MiB",     From::MemoryAvailable,       Resolution::Digits(0)),
    host( 2, "memory_pressure_some",   "%",       From::MemoryPressureSome,    Resolution::Digits(2)),
    host( 3, "memory_pressure_full",   "%",       From::MemoryPressureFull,    Resolution::Digits(2)),

    gpu(20, "up",                      "",        From::Up,                                           Resolution::Digits(0), Shape::Code),
    gpu(21, "down_reason",             "",        From::DownReason,                                   Resolution::Digits(0), Shape::Code),
    gpu(22, "gpu_temperature",         "°C",      From::Field(field::GPU_TEMP),                       Resolution::Digits(0), Shape::Gauge),
    gpu(25, "power",                   "W",       From::Field(field::POWER_USAGE),                    Resolution::Digits(3), Shape::Gauge),
];

const fn host(
    number: u16,
    name: &'static str,
    unit: &'static str,
    from: From,
    resolution: Resolution,
) -> Signal {
    Signal { number, name, unit, of: Of::Host, from, resolution, shape: Shape::Gauge }
}

const fn gpu(
    number: u16,
    name: &'static str,
    unit: &'static str,
    from: From,
    resolution: Resolution,
    shape: Shape,
) -> Signal {
    Signal { number, name, unit, of: Of::Gpu, from, resolution, shape }
}
