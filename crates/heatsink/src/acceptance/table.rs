//! The comparisons, one row each: a field of the page, the column of `nvidia-smi` with the same number,
//! and the tolerance with its reason.
//!
//! heatsink reads once a second, so a value may be a second older than an answer of `nvidia-smi`. Where
//! no other reason is given, that is the reason of a tolerance.
//!
//! Missing on purpose: labels that `-f all` leaves out; `fabric.state`, which is `N/A` in `nvidia-smi`
//! where NVML and DCGM have a number; `nvidia-smi nvlink`, which prints prose.

use std::fmt::Debug;

use Kind::{Below, Bits, Grows, Mean, Number, Peak, Set, Text, Word};
use Phase::{Capped, Idle, Load};

/// The phases of a run, in their order.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Phase {
    Idle,
    Load,
    /// Under the same load with the lowest power limit.
    Capped,
}

/// How a served value is compared.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(super) enum Kind {
    /// It lies between the answers before and after the scrape, times `scale`.
    Number,
    /// The same for answers in words: `Yes`, `Enabled`, `Active` are 1, `P8` is 8.
    Word,
    /// A bit that is set in both answers is set, and a bit that is set in neither is not.
    Bits,
    /// The label of every series of the GPU is one of the two answers.
    Text,
    /// 1 where both answers are `Active`. Otherwise any value passes.
    Set,
    /// Below 1 where both answers are `Active`. Otherwise any value passes.
    Below,
    /// Over a phase, while both answers are `Active`: it grows, and no faster than time.
    Grows,
    /// No lower than this family was within heatsink's window.
    Peak(&'static str),
    /// The mean over a phase is that of this GPM metric in `nvidia-smi dmon`, times `scale`.
    Mean(u32),
}

/// One comparison.
#[derive(Clone, Copy)]
pub(super) struct Row {
    /// A family, a family with labels, or `label:NAME`.
    pub(super) field: &'static str,
    /// Columns of `--query-gpu` or `--query-remapped-rows`. This `nvidia-smi` may not have all: the
    /// first that it has is used. `a/b` is a quotient. Empty where `kind` has the source.
    pub(super) columns: &'static [&'static str],
    /// Without one, all phases.
    pub(super) phase: Option<Phase>,
    pub(super) kind: Kind,
    /// Units of the page per unit of `nvidia-smi`.
    pub(super) scale: f64,
    /// The tolerance is the larger of this, in units of the page, and `percent`.
    pub(super) absolute: f64,
    pub(super) percent: f64,
}

impl Row {
    pub(super) fn is_in(&self, phase: Phase) -> bool {
        self.phase.is_none_or(|only| only == phase)
    }

    /// The difference that still passes at this value.
    pub(super) fn tolerance(&self, value: f64) -> f64 {
        self.absolute.max(self.percent / 100.0 * value)
    }

    const fn within(mut self, absolute: f64, percent: f64) -> Self {
        (self.absolute, self.percent) = (absolute, percent);
        self
    }

    const fn times(mut self, scale: f64) -> Self {
        self.scale = scale;
        self
    }

    const fn only(mut self, phase: Phase) -> Self {
        self.phase = Some(phase);
        self
    }
}

const fn row(kind: Kind, field: &'static str, columns: &'static [&'static str]) -> Row {
    Row { field, columns, phase: None, kind, scale: 1.0, absolute: 0.0, percent: 0.0 }
}

/// From a percentage to a ratio.
const fn ratio(field: &'static str, metric: u32) -> Row {
    row(Mean(metric), field, &[]).times(0.01)
}

/// From MiB/s to bytes per second, within 64 MiB/s: nothing is copied, and `dmon` prints whole MiB/s.
const fn traffic(field: &'static str, metric: u32) -> Row {
    row(Mean(metric), field, &[]).times(1_048_576.0).within(67_108_864.0, 10.0)
}

/// A time, from microseconds to nanoseconds. Two seconds instead of one, because it counts time.
const fn nanoseconds(field: &'static str, columns: &'static [&'static str]) -> Row {
    row(Number, field, columns).times(1000.0).within(2e9, 0.0)
}

const POWER_CAP: &[&str] =
    &["clocks_event_reasons.sw_power_cap", "clocks_throttle_reasons.sw_power_cap"];

#[rustfmt::skip]
pub(super) const TABLE: &[Row] = &[
    // Identity.
    row(Text, "label:UUID", &["uuid"]),
    row(Text, "label:gpu", &["index"]),
    row(Text, "label:pci_bus_id", &["pci.bus_id"]),
    row(Text, "label:modelName", &["name"]),
    row(Text, "label:DCGM_FI_DRIVER_VERSION", &["driver_version"]),

    // At the power limit, the SM clock moves by several steps of 15 MHz between two readings, and the
    // video clock with it.
    row(Number, "DCGM_FI_DEV_SM_CLOCK", &["clocks.sm"]).within(45.0, 8.0),
    row(Number, "DCGM_FI_DEV_VIDEO_CLOCK", &["clocks.video"]).within(45.0, 8.0),
    // Constant within a power state.
    row(Number, "DCGM_FI_DEV_MEM_CLOCK", &["clocks.mem"]).within(10.0, 0.0),
    // Constants and settings.
    row(Number, "DCGM_FI_DEV_MAX_SM_CLOCK", &["clocks.max.sm"]),
    row(Number, "DCGM_FI_DEV_MAX_MEM_CLOCK", &["clocks.max.mem"]),
    row(Number, "DCGM_FI_DEV_APP_SM_CLOCK", &["clocks.applications.graphics"]),
    row(Number, "DCGM_FI_DEV_APP_MEM_CLOCK", &["clocks.applications.memory"]),
    // Does not change within a phase.
    row(Word, "DCGM_FI_DEV_PSTATE", &["pstate"]),

    // Whole degrees, a second apart.
    row(Number, "DCGM_FI_DEV_GPU_TEMP", &["temperature.gpu"]).within(2.0, 0.0),
    row(Number, "DCGM_FI_DEV_GPU_TEMP_LIMIT", &["temperature.gpu.tlimit"]).within(2.0, 0.0),
    row(Number, "DCGM_FI_DEV_MEMORY_TEMP", &["temperature.memory"]).within(2.0, 0.0),

    // NVML is accurate to 5 W; under load the power changes within a second.
    row(Number, "DCGM_FI_DEV_POWER_USAGE", &["power.draw"]).within(5.0, 5.0),
    // Not averaged: it changes with every kernel.
    row(Number, "DCGM_FI_DEV_POWER_USAGE_INSTANT", &["power.draw.instant"]).within(20.0, 20.0),
    // Whole watts, rounded down.
    row(Number, "DCGM_FI_DEV_POWER_MGMT_LIMIT", &["power.limit"]).within(1.0, 0.0),
    row(Number, "DCGM_FI_DEV_POWER_MGMT_LIMIT_MIN", &["power.min_limit"]).within(1.0, 0.0),
    row(Number, "DCGM_FI_DEV_POWER_MGMT_LIMIT_MAX", &["power.max_limit"]).within(1.0, 0.0),
    row(Number, "DCGM_FI_DEV_POWER_MGMT_LIMIT_DEF", &["power.default_limit"]).within(1.0, 0.0),
    row(Number, "DCGM_FI_DEV_ENFORCED_POWER_LIMIT", &["enforced.power.limit"]).within(1.0, 0.0),

    // The driver averages over 1/6 s to 1 s, so two readings are of different times.
    row(Number, "DCGM_FI_DEV_GPU_UTIL", &["utilization.gpu"]).within(10.0, 0.0),
    row(Number, "DCGM_FI_DEV_MEM_COPY_UTIL", &["utilization.memory"]).within(10.0, 0.0),
    // The same, but nothing is encoded or decoded.
    row(Number, "DCGM_FI_DEV_ENC_UTIL", &["utilization.encoder"]).within(5.0, 0.0),
    row(Number, "DCGM_FI_DEV_DEC_UTIL", &["utilization.decoder"]).within(5.0, 0.0),

    // MiB; the driver itself allocates and frees a little.
    row(Number, "DCGM_FI_DEV_FB_USED", &["memory.used"]).within(16.0, 0.0),
    row(Number, "DCGM_FI_DEV_FB_FREE", &["memory.free"]).within(16.0, 0.0),
    // MiB; rounding only.
    row(Number, "DCGM_FI_DEV_FB_TOTAL", &["memory.total"]).within(1.0, 0.0),
    row(Number, "DCGM_FI_DEV_FB_RESERVED", &["memory.reserved"]).within(1.0, 0.0),
    // Percent; follows the temperature.
    row(Number, "DCGM_FI_DEV_FAN_SPEED", &["fan.speed"]).within(3.0, 0.0),

    // Counts that do not change on a healthy GPU, and states.
    row(Word, "DCGM_FI_DEV_ECC_CURRENT", &["ecc.mode.current"]),
    row(Number, "DCGM_FI_DEV_ECC_SBE_VOL_TOTAL", &["ecc.errors.corrected.volatile.total"]),
    row(Number, "DCGM_FI_DEV_ECC_DBE_VOL_TOTAL", &["ecc.errors.uncorrected.volatile.total"]),
    row(Number, "DCGM_FI_DEV_ECC_SBE_AGG_TOTAL", &["ecc.errors.corrected.aggregate.total"]),
    row(Number, "DCGM_FI_DEV_ECC_DBE_AGG_TOTAL", &["ecc.errors.uncorrected.aggregate.total"]),
    row(Word, "DCGM_FI_DEV_THRESHOLD_SRM", &["ecc.errors.uncorrected.aggregate.sram.thresholdExceeded"]),
    row(Number, "DCGM_FI_DEV_RETIRED_SBE", &["retired_pages.single_bit_ecc.count"]),
    row(Number, "DCGM_FI_DEV_RETIRED_DBE", &["retired_pages.double_bit.count"]),
    row(Word, "DCGM_FI_DEV_RETIRED_PENDING", &["retired_pages.pending"]),
    row(Number, "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS", &["remapped_rows.correctable"]),
    row(Number, "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS", &["remapped_rows.uncorrectable"]),
    row(Word, "DCGM_FI_DEV_ROW_REMAP_FAILURE", &["remapped_rows.failure"]),
    row(Word, "DCGM_FI_DEV_ROW_REMAP_PENDING", &["remapped_rows.pending"]),
    row(Number, "DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_MAX", &["remapped_rows.histogram.max"]),
    row(Number, "DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_HIGH", &["remapped_rows.histogram.high"]),
    row(Number, "DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_PARTIAL", &["remapped_rows.histogram.partial"]),
    row(Number, "DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_LOW", &["remapped_rows.histogram.low"]),
    row(Number, "DCGM_FI_DEV_BANKS_REMAP_ROWS_AVAIL_NONE", &["remapped_rows.histogram.none"]),
    // From `None`, 0, to `Drain and Reset`, 4.
    row(Word, "DCGM_FI_DEV_GET_GPU_RECOVERY_ACTION", &["gpu_recovery_action"]),

    // A count that does not change on a healthy link; generation and width do not change within a phase.
    row(Number, "DCGM_FI_DEV_PCIE_REPLAY_COUNTER", &["pcie.replay.counter", "pcie.replay_count"]),
    row(Number, "DCGM_FI_DEV_PCIE_LINK_GEN", &["pcie.link.gen.current"]),
    row(Number, "DCGM_FI_DEV_PCIE_MAX_LINK_GEN", &["pcie.link.gen.max"]),
    row(Number, "DCGM_FI_DEV_PCIE_LINK_WIDTH", &["pcie.link.width.current"]),
    row(Number, "DCGM_FI_DEV_PCIE_MAX_LINK_WIDTH", &["pcie.link.width.max"]),

    row(Bits, "DCGM_FI_DEV_CLOCKS_EVENT_REASONS", &["clocks_event_reasons.active", "clocks_throttle_reasons.active"]),
    nanoseconds("DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_POWER_CAP_NS", &["clocks_event_reasons_counters.sw_power_cap"]),
    nanoseconds("DCGM_FI_DEV_CLOCKS_EVENT_REASON_SYNC_BOOST_NS", &["clocks_event_reasons_counters.sync_boost"]),
    nanoseconds("DCGM_FI_DEV_CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN_NS", &["clocks_event_reasons_counters.sw_thermal_slowdown"]),
    nanoseconds("DCGM_FI_DEV_CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN_NS", &["clocks_event_reasons_counters.hw_thermal_slowdown"]),
    nanoseconds("DCGM_FI_DEV_CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN_NS", &["clocks_event_reasons_counters.hw_power_brake_slowdown"]),
    // The same counters of NVML.
    nanoseconds("DCGM_FI_DEV_POWER_VIOLATION", &["clocks_event_reasons_counters.sw_power_cap"]),
    nanoseconds("DCGM_FI_DEV_SYNC_BOOST_VIOLATION", &["clocks_event_reasons_counters.sync_boost"]),

    // At the lowest limit the power cap stays, so an age of a second changes nothing.
    row(Set, r#"heatsink_clock_event_active{reason="power_cap"}"#, POWER_CAP).only(Capped),
    // The first and the last value may each be a second old; the driver's clock and heatsink's differ.
    row(Grows, r#"heatsink_clock_event_seconds_total{reason="power_cap"}"#, POWER_CAP).within(2.0, 5.0).only(Capped),
    row(Below, "heatsink_gpu_slowdown_ratio", POWER_CAP).only(Capped),
    // The SM clock moves, and the highest clock of the power state may be a step lower than `clocks.max.sm`.
    row(Number, "heatsink_gpu_slowdown_ratio", &["clocks.sm/clocks.max.sm"]).within(0.05, 0.0).only(Capped),
    row(Peak("DCGM_FI_DEV_POWER_USAGE"), "heatsink_power_max_watts", &[]).within(5.0, 0.0).only(Capped),

    // `dmon` prints whole percent, over other seconds than the rounds.
    ratio("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1).within(0.05, 0.0).only(Idle),
    ratio("DCGM_FI_PROF_SM_ACTIVE", 2).within(0.05, 0.0).only(Idle),
    ratio("DCGM_FI_PROF_SM_OCCUPANCY", 3).within(0.05, 0.0).only(Idle),
    ratio("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 5).within(0.05, 0.0).only(Idle),
    ratio("DCGM_FI_PROF_DRAM_ACTIVE", 10).within(0.05, 0.0).only(Idle),
    traffic("DCGM_FI_PROF_PCIE_TX_BYTES", 20).only(Idle),
    traffic("DCGM_FI_PROF_PCIE_RX_BYTES", 21).only(Idle),
    // Also, the load waits between two batches, in some seconds longer than in others.
    ratio("DCGM_FI_PROF_GR_ENGINE_ACTIVE", 1).within(0.10, 0.0).only(Load),
    ratio("DCGM_FI_PROF_SM_ACTIVE", 2).within(0.10, 0.0).only(Load),
    ratio("DCGM_FI_PROF_SM_OCCUPANCY", 3).within(0.10, 0.0).only(Load),
    ratio("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", 5).within(0.10, 0.0).only(Load),
    ratio("DCGM_FI_PROF_DRAM_ACTIVE", 10).within(0.10, 0.0).only(Load),
    traffic("DCGM_FI_PROF_PCIE_TX_BYTES", 20).only(Load),
    traffic("DCGM_FI_PROF_PCIE_RX_BYTES", 21).only(Load),
];

/// The name of a phase or a kind in files: `idle`, `peak`.
pub(super) fn name(value: impl Debug) -> String {
    let name = format!("{value:?}").to_lowercase();
    name.split('(').next().unwrap_or_default().to_owned()
}
