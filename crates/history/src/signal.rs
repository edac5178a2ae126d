//! The signals that are recorded: one row each.

use model::{FieldId, Value, field};

use Shape::{Code, Counter, Flags, Gauge};

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
    /// A field of each GPU, recorded only where a counters file asks for it: its driver calls are slow, or
    /// disturb other profilers.
    FieldIfWatched(FieldId),
    /// The sum of fields of each GPU, read as [`From::Field`]. A field that the GPU does not have is left
    /// out; while another one has no value, there is no sum.
    Sum(&'static [FieldId]),
    /// Whether the GPU answers: 0 or 1.
    Up,
    /// Why it does not: a position in [`DOWN_REASONS`]; absent while it answers.
    DownReason,
    /// Its SM clock compared with the highest one of its performance state: 1 is full speed. The same number
    /// as `heatsink_gpu_slowdown_ratio`.
    Slowdown,
    /// How many of its NVLinks are active.
    ActiveLinks,
    /// The code of its last XID; 0 if there was none and it would have been seen.
    LastXid,
    /// Memory of the machine that programs can still get.
    MemoryAvailable,
    /// Share of time in which at least one program waited for memory, over ten seconds (`some avg10` of
    /// `/proc/pressure/memory`), in percent.
    MemoryPressureSome,
    /// The same for all programs at once (`full avg10`).
    MemoryPressureFull,
}

impl From {
    /// The fields that have to be read for it, even if no counters file asks for them.
    pub fn inputs(self) -> Vec<FieldId> {
        match self {
            Self::Field(field) => vec![field],
            Self::Sum(fields) => fields.to_vec(),
            // The clock itself is a signal too.
            Self::Slowdown => vec![field::MAX_SM_CLOCK_OF_PSTATE],
            Self::ActiveLinks => vec![field::NVLINK_GET_STATE],
            Self::FieldIfWatched(_)
            | Self::Up
            | Self::DownReason
            | Self::LastXid
            | Self::MemoryAvailable
            | Self::MemoryPressureSome
            | Self::MemoryPressureFull => Vec::new(),
        }
    }
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

/// The size of a step of traffic: 1 MB/s. The noise of a running job is many times larger, and a tenth of a
/// step would cost three bits more in each sample. An idle GPU's few kB/s are 0.
const TRAFFIC: Resolution = Resolution::Step(1_000_000);

/// All signals, those of the machine first.
///
/// Each has the resolution of its driver call where that has one (watts to a thousandth, whole degrees,
/// MHz, MiB and percent, energy in mJ), so that what is recorded is exactly what was read. Profiling ratios
/// are floats without an end; a ten-thousandth is far below what their windows of 100 ms tell.
#[rustfmt::skip]
pub static SIGNALS: &[Signal] = &[
    host( 1, "memory_available",       "MiB",        From::MemoryAvailable,                               DIGITS_0),
    host( 2, "memory_pressure_some",   "%",          From::MemoryPressureSome,                            DIGITS_2),
    host( 3, "memory_pressure_full",   "%",          From::MemoryPressureFull,                            DIGITS_2),

    gpu(20, "up",                      "",           From::Up,                                            DIGITS_0, Code),
    gpu(21, "down_reason",             "",           From::DownReason,                                    DIGITS_0, Code),

    gpu(22, "gpu_temperature",         "°C",         From::Field(field::GPU_TEMP),                        DIGITS_0, Gauge),
    gpu(23, "memory_temperature",      "°C",         From::Field(field::MEMORY_TEMP),                     DIGITS_0, Gauge),
    gpu(24, "slowdown_temperature",    "°C",         From::Field(field::SLOWDOWN_TEMP),                   DIGITS_0, Gauge),
    gpu(26, "fan",                     "%",          From::Field(field::FAN_SPEED),                       DIGITS_0, Gauge),

    gpu(25, "power",                   "W",          From::Field(field::POWER_USAGE),                     DIGITS_3, Gauge),
    gpu(27, "power_limit",             "W",          From::Field(field::ENFORCED_POWER_LIMIT),            DIGITS_3, Gauge),
    gpu(28, "energy",                  "mJ",         From::Field(field::TOTAL_ENERGY_CONSUMPTION),        DIGITS_0, Counter),

    gpu(29, "sm_clock",                "MHz",        From::Field(field::SM_CLOCK),                        DIGITS_0, Gauge),
    gpu(30, "memory_clock",            "MHz",        From::Field(field::MEM_CLOCK),                       DIGITS_0, Gauge),
    gpu(31, "pstate",                  "",           From::Field(field::PSTATE),                          DIGITS_0, Code),
    gpu(32, "clock_reasons",           "",           From::Field(field::CLOCKS_EVENT_REASONS),            DIGITS_0, Flags),
    gpu(33, "slowdown",                "ratio",      From::Slowdown,                                      DIGITS_4, Gauge),

    gpu(34, "gpu_utilization",         "%",          From::Field(field::GPU_UTIL),                        DIGITS_0, Gauge),
    gpu(35, "memory_utilization",      "%",          From::Field(field::MEM_COPY_UTIL),                   DIGITS_0, Gauge),
    gpu(36, "encoder_utilization",     "%",          From::Field(field::ENC_UTIL),                        DIGITS_0, Gauge),
    gpu(37, "decoder_utilization",     "%",          From::Field(field::DEC_UTIL),                        DIGITS_0, Gauge),

    gpu(38, "memory_total",            "MiB",        From::Field(field::FB_TOTAL),                        DIGITS_0, Gauge),
    gpu(39, "memory_free",             "MiB",        From::Field(field::FB_FREE),                         DIGITS_0, Gauge),
    gpu(40, "memory_used",             "MiB",        From::Field(field::FB_USED),                         DIGITS_0, Gauge),
    gpu(41, "memory_reserved",         "MiB",        From::Field(field::FB_RESERVED),                     DIGITS_0, Gauge),

    gpu(42, "graphics_active",         "ratio",      From::FieldIfWatched(field::PROF_GR_ENGINE_ACTIVE),  DIGITS_4, Gauge),
    gpu(43, "sm_active",               "ratio",      From::FieldIfWatched(field::PROF_SM_ACTIVE),         DIGITS_4, Gauge),
    gpu(44, "sm_occupancy",            "ratio",      From::FieldIfWatched(field::PROF_SM_OCCUPANCY),      DIGITS_4, Gauge),
    gpu(45, "tensor_active",           "ratio",      From::FieldIfWatched(field::PROF_PIPE_TENSOR_ACTIVE), DIGITS_4, Gauge),
    gpu(46, "dram_active",             "ratio",      From::FieldIfWatched(field::PROF_DRAM_ACTIVE),       DIGITS_4, Gauge),

    // Not the fields in KB/s, which take the driver 20 ms each, and show only these 20 ms.
    gpu(47, "pcie_tx",                 "B/s",        From::FieldIfWatched(field::PROF_PCIE_TX_BYTES),     TRAFFIC, Gauge),
    gpu(48, "pcie_rx",                 "B/s",        From::FieldIfWatched(field::PROF_PCIE_RX_BYTES),     TRAFFIC, Gauge),
    gpu(49, "nvlink_tx",               "B/s",        From::FieldIfWatched(field::PROF_NVLINK_TX_BYTES),   TRAFFIC, Gauge),
    gpu(50, "nvlink_rx",               "B/s",        From::FieldIfWatched(field::PROF_NVLINK_RX_BYTES),   TRAFFIC, Gauge),
    gpu(51, "nvlink_bandwidth",        "1000 KiB/s", From::FieldIfWatched(field::NVLINK_BANDWIDTH_TOTAL), DIGITS_0, Gauge),

    gpu(52, "pcie_replays",            "",           From::Field(field::PCIE_REPLAY_COUNTER),             DIGITS_0, Counter),
    gpu(53, "pcie_link_generation",    "",           From::Field(field::PCIE_LINK_GEN),                   DIGITS_0, Gauge),
    gpu(54, "pcie_link_width",         "",           From::Field(field::PCIE_LINK_WIDTH),                 DIGITS_0, Gauge),

    gpu(55, "ecc_corrected",           "",           From::Field(field::ECC_SBE_VOL_TOTAL),               DIGITS_0, Counter),
    gpu(56, "ecc_uncorrected",         "",           From::Field(field::ECC_DBE_VOL_TOTAL),               DIGITS_0, Counter),
    gpu(57, "remapped_corrected",      "",           From::Field(field::CORRECTABLE_REMAPPED_ROWS),       DIGITS_0, Counter),
    gpu(58, "remapped_uncorrected",    "",           From::Field(field::UNCORRECTABLE_REMAPPED_ROWS),     DIGITS_0, Counter),
    gpu(59, "remap_pending",           "",           From::Field(field::ROW_REMAP_PENDING),               DIGITS_0, Code),
    gpu(60, "remap_failed",            "",           From::Field(field::ROW_REMAP_FAILURE),               DIGITS_0, Code),

    gpu(61, "nvlink_errors",           "",           From::Sum(NVLINK_ERRORS),                            DIGITS_0, Counter),
    gpu(62, "links_active",            "",           From::ActiveLinks,                                   DIGITS_0, Gauge),
    gpu(63, "xid",                     "",           From::LastXid,                                       DIGITS_0, Code),
];

/// Errors on all links of a GPU. Four totals, which the driver keeps; those of each link would be 72.
const NVLINK_ERRORS: &[FieldId] = &[
    field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL,
    field::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL,
    field::NVLINK_REPLAY_ERROR_COUNT_TOTAL,
    field::NVLINK_RECOVERY_ERROR_COUNT_TOTAL,
];

const DIGITS_0: Resolution = Resolution::Digits(0);
const DIGITS_2: Resolution = Resolution::Digits(2);
const DIGITS_3: Resolution = Resolution::Digits(3);
const DIGITS_4: Resolution = Resolution::Digits(4);

const fn host(
    number: u16,
    name: &'static str,
    unit: &'static str,
    from: From,
    resolution: Resolution,
) -> Signal {
    Signal { number, name, unit, of: Of::Host, from, resolution, shape: Gauge }
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use model::catalog::{self, Level, ValueType};
    use proptest::prelude::*;

    use super::*;

    /// Units of counts and codes, which signals have no unit for.
    const WITHOUT_UNIT: [&str; 9] =
        ["count", "rows", "flag", "links", "code", "lanes", "generation", "P-state", "bitmask"];

    #[test]
    fn no_number_and_no_name_is_used_twice() {
        let numbers: BTreeSet<u16> = SIGNALS.iter().map(|signal| signal.number).collect();
        let names: BTreeSet<&str> = SIGNALS.iter().map(|signal| signal.name).collect();
        assert_eq!((numbers.len(), names.len()), (SIGNALS.len(), SIGNALS.len()));
        let is_host = |signal: &Signal| signal.of == Of::Host;
        assert!(
            SIGNALS.is_sorted_by_key(|signal| !is_host(signal)),
            "those of the machine come first"
        );
    }

    #[test]
    fn numbers_never_change_their_meaning() {
        let known = [
            (1, "memory_available"),
            (20, "up"),
            (25, "power"),
            (32, "clock_reasons"),
            (63, "xid"),
        ];
        for (number, name) in known {
            let signal = SIGNALS.iter().find(|signal| signal.number == number);
            assert_eq!(signal.map(|signal| signal.name), Some(name));
        }
    }

    #[test]
    fn each_field_is_one_of_a_gpu_and_has_the_unit_of_its_signal() {
        for signal in SIGNALS {
            let fields = match signal.from {
                From::FieldIfWatched(field) => vec![field],
                from => from.inputs(),
            };
            for field in fields.into_iter().filter(|field| *field != field::MAX_SM_CLOCK_OF_PSTATE)
            {
                let row =
                    catalog::by_id(field).unwrap_or_else(|| panic!("{}: {field}", signal.name));
                assert_ne!(row.value, ValueType::Text, "{}", signal.name);
                assert!(
                    !row.level.is_beside_gpus() && row.level != Level::Exporter,
                    "{}",
                    signal.name
                );
                if signal.from == From::ActiveLinks {
                    assert_eq!(row.level, Level::Link);
                    continue;
                }
                let unit = if WITHOUT_UNIT.contains(&row.unit) { "" } else { row.unit };
                assert_eq!(signal.unit, unit, "{}", signal.name);
                let is_counter = signal.shape == Shape::Counter;
                assert_eq!(is_counter, row.is_cumulative(), "{}", signal.name);
                if row.value == ValueType::Int && signal.unit != "B/s" {
                    assert_eq!(
                        signal.resolution,
                        Resolution::Digits(0),
                        "{} is exact",
                        signal.name
                    );
                }
            }
        }
    }

    #[test]
    fn every_reason_of_a_gpu_that_is_down_has_a_number() {
        use model::Down;
        // A new one does not compile until it is added to both.
        let number = |down: Down| match down {
            Down::Late => 0,
            Down::Lost => 1,
            Down::Missing => 2,
            Down::NotInitialized => 3,
            Down::NoThread => 4,
            Down::NotPermitted => 5,
            Down::Failed => 6,
            Down::Starting => 7,
            Down::SourceDown => 8,
        };
        for (position, down) in DOWN_REASONS.into_iter().enumerate() {
            assert_eq!(number(down), position);
        }
    }

    #[test]
    fn values_become_whole_numbers() {
        let digits = |digits, value: f64| Resolution::Digits(digits).encode(&Value::Float(value));
        assert_eq!(digits(3, 698.123), Some(698_123));
        assert_eq!(digits(4, 0.98765), Some(9877));
        assert_eq!(Resolution::Digits(0).encode(&Value::Int(i64::MAX)), Some(i64::MAX));
        assert_eq!(Resolution::Step(1_000_000).encode(&Value::Int(1_499_999)), Some(1));
        assert_eq!(Resolution::Step(1_000_000).encode(&Value::Int(499_999)), Some(0));
        assert_eq!(Resolution::Digits(0).encode(&Value::Text("a".into())), None);
        for value in [f64::NAN, f64::INFINITY, 1e300] {
            assert_eq!(digits(4, value), None);
        }
    }

    proptest! {
        #[test]
        fn a_value_comes_back_to_its_resolution(value in -1e6..1e6_f64, digits in 0..5_u8, step in 1..2_000_000_u32) {
            for (resolution, half) in [
                (Resolution::Digits(digits), 0.5 / 10_f64.powi(digits.into())),
                (Resolution::Step(step), 0.5 * f64::from(step)),
            ] {
                let back = resolution.decode(resolution.encode_float(value).unwrap());
                prop_assert!((back - value).abs() <= half * 1.000_001);
            }
        }
    }
}
