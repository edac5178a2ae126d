//! Converts a GPU's state to readings: one row per field, in the units of DCGM.

use std::time::Duration;

use model::field;
use model::{FieldId, Reading, Reason, Value};

use crate::{Activity, GpuState};

/// The input of a getter.
pub(crate) struct View<'a> {
    pub(crate) gpu: &'a GpuState,
    /// Averages since the last pass; `None` at the first.
    pub(crate) rates: Option<Rates>,
}

/// Reads one field of the GPU; `None` if the field is not a reading of the GPU (XIDs, links).
pub(crate) type Getter = Option<fn(&View<'_>) -> Reading>;

/// The driver version that the simulation reports.
pub(crate) const DRIVER_VERSION: &str = "simulated";

/// The getter of `field`, if the simulation serves it.
pub(crate) fn getter(field: FieldId) -> Option<Getter> {
    let row = FIELDS.iter().find(|(id, _)| *id == field)?;
    Some(row.1)
}

/// Reads one field of the NVLink with this number.
pub(crate) type LinkGetter = fn(&GpuState, u32) -> Reading;

/// The getter of `field` for each NVLink, if it is a field of links.
pub(crate) fn link_getter(field: FieldId) -> Option<LinkGetter> {
    let row = LINK_FIELDS.iter().find(|(id, _)| *id == field)?;
    Some(row.1)
}

/// NVML's number for a GPU that has joined its NVLink fabric.
const FABRIC_JOINED: u64 = 3;
/// NVML's number for a healthy fabric.
const FABRIC_HEALTHY: u64 = 1;
const LINK_ACTIVE: u64 = 1;
const LINK_DOWN: u64 = 0;

/// All fields that the simulation serves.
#[rustfmt::skip]
const FIELDS: &[(FieldId, Getter)] = &[
    (field::DRIVER_VERSION,           Some(|_| Ok(Value::Text(DRIVER_VERSION.into())))),
    (field::SM_CLOCK,                 Some(|v| whole(v.gpu.sm_clock_mhz))),
    (field::MEM_CLOCK,                Some(|v| whole(v.gpu.memory_clock_mhz))),
    (field::CLOCKS_EVENT_REASONS,      Some(|v| count(v.gpu.clock_event_reasons))),
    (field::MAX_SM_CLOCK,             Some(|v| whole(v.gpu.max_sm_clock_mhz))),
    (field::MEMORY_TEMP,              Some(|v| whole(v.gpu.memory_temperature_celsius))),
    (field::GPU_TEMP,                 Some(|v| whole(v.gpu.temperature_celsius))),
    (field::MEM_MAX_OP_TEMP,          Some(|v| whole(v.gpu.max_memory_celsius))),
    (field::POWER_USAGE,              Some(|v| Ok(Value::Float(milliwatts(v.gpu.power_watts) as f64 / 1000.0)))),
    (field::TOTAL_ENERGY_CONSUMPTION,             Some(|v| truncated(v.gpu.energy_joules * 1000.0))),
    (field::SLOWDOWN_TEMP,            Some(|v| whole(v.gpu.slowdown_celsius))),
    (field::SHUTDOWN_TEMP,            Some(|v| whole(v.gpu.shutdown_celsius))),
    (field::POWER_MGMT_LIMIT,              Some(|v| Ok(Value::Float((milliwatts(v.gpu.power_limit_watts) / 1000) as f64)))),
    (field::ENFORCED_POWER_LIMIT,     Some(|v| Ok(Value::Float((milliwatts(v.gpu.power_limit_watts) / 1000) as f64)))),
    (field::FABRIC_MANAGER_STATUS,    Some(|_| count(FABRIC_JOINED))),
    (field::FABRIC_HEALTH_SUMMARY,    Some(|_| count(FABRIC_HEALTHY))),
    (field::FAN_SPEED,                Some(|v| v.gpu.fan_percent.map_or(Err(Reason::NotSupported), whole))),
    (field::PCIE_TX_THROUGHPUT,       Some(|v| truncated(v.gpu.pcie_tx_bytes_per_second / 1000.0))),
    (field::PCIE_RX_THROUGHPUT,       Some(|v| truncated(v.gpu.pcie_rx_bytes_per_second / 1000.0))),
    (field::PCIE_REPLAY_COUNTER,             Some(|v| count(v.gpu.pcie_replays))),
    (field::GPU_UTIL,                 Some(|v| whole(v.gpu.gpu_utilization * 100.0))),
    (field::MEM_COPY_UTIL,            Some(|v| whole(v.gpu.memory_utilization * 100.0))),
    (field::ENC_UTIL,                 Some(|v| whole(v.gpu.encoder_utilization * 100.0))),
    (field::DEC_UTIL,                 Some(|v| whole(v.gpu.decoder_utilization * 100.0))),
    (field::XID_ERRORS,               None),
    (field::PCIE_MAX_LINK_GEN,        Some(|v| count(v.gpu.max_pcie_generation.into()))),
    (field::PCIE_MAX_LINK_WIDTH,      Some(|v| count(v.gpu.max_pcie_lanes.into()))),
    (field::PCIE_LINK_GEN,            Some(|v| count(v.gpu.pcie_generation.into()))),
    (field::PCIE_LINK_WIDTH,          Some(|v| count(v.gpu.pcie_lanes.into()))),
    (field::FB_TOTAL,                 Some(|v| mebibytes(v.gpu.memory_total_bytes))),
    (field::FB_FREE,                  Some(|v| mebibytes(allocatable(v.gpu) - v.gpu.memory_used_bytes))),
    (field::FB_USED,                  Some(|v| mebibytes(v.gpu.memory_used_bytes))),
    (field::FB_RESERVED,              Some(|v| mebibytes(v.gpu.memory_reserved_bytes))),
    (field::FB_USED_PERCENT,            Some(|v| Ok(Value::Float(v.gpu.memory_used_bytes as f64 / allocatable(v.gpu) as f64)))),
    (field::ECC_SBE_VOL_TOTAL,          Some(|v| count(v.gpu.ecc_correctable))),
    (field::ECC_DBE_VOL_TOTAL,        Some(|v| count(v.gpu.ecc_uncorrectable))),
    (field::THRESHOLD_SRM,            Some(|v| count(v.gpu.sram_threshold_exceeded.into()))),
    // Hopper remaps rows, and retires no pages.
    (field::RETIRED_SBE,              Some(|_| Err(Reason::NotSupported))),
    (field::RETIRED_DBE,              Some(|_| Err(Reason::NotSupported))),
    (field::UNCORRECTABLE_REMAPPED_ROWS,       Some(|v| count(v.gpu.rows_remapped_uncorrectable))),
    (field::CORRECTABLE_REMAPPED_ROWS,         Some(|v| count(v.gpu.rows_remapped_correctable))),
    (field::ROW_REMAP_FAILURE,         Some(|v| count(v.gpu.row_remap_failed.into()))),
    (field::ROW_REMAP_PENDING,        Some(|v| count(v.gpu.row_remap_pending.into()))),
    (field::NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL, Some(|v| count(v.gpu.nvlink_crc_flit_errors))),
    (field::NVLINK_CRC_DATA_ERROR_COUNT_TOTAL, Some(|v| count(v.gpu.nvlink_crc_data_errors))),
    (field::NVLINK_REPLAY_ERROR_COUNT_TOTAL, Some(|v| count(v.gpu.nvlink_replays))),
    (field::NVLINK_RECOVERY_ERROR_COUNT_TOTAL, Some(|v| count(v.gpu.nvlink_recoveries))),
    (field::NVLINK_BANDWIDTH_TOTAL,         Some(|v| rate(v, |r| r.nvlink_bytes_per_second / 1024.0 / 1000.0))),
    (field::VGPU_LICENSE_STATUS,             Some(|_| count(0))),
    (field::PROF_GR_ENGINE_ACTIVE,          Some(|v| ratio(v, |a| a.graphics))),
    (field::PROF_SM_ACTIVE,                Some(|v| ratio(v, |a| a.sm))),
    (field::PROF_SM_OCCUPANCY,             Some(|v| ratio(v, |a| a.occupancy))),
    (field::PROF_PIPE_TENSOR_ACTIVE,            Some(|v| ratio(v, |a| a.tensor))),
    (field::PROF_DRAM_ACTIVE,              Some(|v| ratio(v, |a| a.dram))),
    (field::PROF_PCIE_TX_BYTES,            Some(|v| rate(v, |r| r.pcie_tx_bytes_per_second))),
    (field::PROF_PCIE_RX_BYTES,            Some(|v| rate(v, |r| r.pcie_rx_bytes_per_second))),
    (field::NVLINK_GET_STATE,         None),
    (field::GET_GPU_RECOVERY_ACTION,  Some(|v| count(v.gpu.recovery_action.into()))),
    (field::SM_CLOCK_HERTZ,           Some(|v| whole(v.gpu.sm_clock_mhz).map(|mhz| scaled(mhz, 1_000_000)))),
    (field::MEMORY_CLOCK_HERTZ,       Some(|v| whole(v.gpu.memory_clock_mhz).map(|mhz| scaled(mhz, 1_000_000)))),
    (field::GPU_ENERGY_JOULES_TOTAL,  Some(|v| truncated((v.gpu.energy_joules * 1000.0).floor() / 1000.0))),
    (field::GPU_UTIL_RATIO,           Some(|v| hundredths(v.gpu.gpu_utilization))),
    (field::MEMORY_UTIL_RATIO,        Some(|v| hundredths(v.gpu.memory_utilization))),
    (field::ENC_UTIL_RATIO,           Some(|v| hundredths(v.gpu.encoder_utilization))),
    (field::DEC_UTIL_RATIO,           Some(|v| hundredths(v.gpu.decoder_utilization))),
    (field::FB_CAPACITY_BYTES,        Some(|v| count(v.gpu.memory_total_bytes))),
    (field::FB_FREE_BYTES,            Some(|v| count(allocatable(v.gpu) - v.gpu.memory_used_bytes))),
    (field::FB_USED_BYTES,            Some(|v| count(v.gpu.memory_used_bytes))),
    (field::FB_RESERVED_BYTES,        Some(|v| count(v.gpu.memory_reserved_bytes))),
    (field::NVLINK_THROUGHPUT_BYTES_PER_SECOND, Some(|v| rate(v, |r| r.nvlink_bytes_per_second))),
    (field::MAX_SM_CLOCK_OF_PSTATE,   Some(|v| whole(v.gpu.max_sm_clock_mhz))),
];

/// The fields of each NVLink. The GPU itself has no value for them.
const LINK_FIELDS: &[(FieldId, LinkGetter)] = &[(field::NVLINK_GET_STATE, |gpu, link| {
    count(if link < gpu.nvlinks_down { LINK_DOWN } else { LINK_ACTIVE })
})];

/// Averages over a time, or rates at one moment.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Rates {
    /// Shares, 0 to 1.
    pub(crate) activity: Activity,
    pub(crate) pcie_tx_bytes_per_second: f64,
    pub(crate) pcie_rx_bytes_per_second: f64,
    /// Both directions together.
    pub(crate) nvlink_bytes_per_second: f64,
}

impl Rates {
    /// The rates at this moment.
    pub(crate) fn of_moment(gpu: &GpuState) -> Self {
        Self {
            activity: gpu.activity,
            pcie_tx_bytes_per_second: gpu.pcie_tx_bytes_per_second,
            pcie_rx_bytes_per_second: gpu.pcie_rx_bytes_per_second,
            nvlink_bytes_per_second: gpu.nvlink_tx_bytes_per_second
                + gpu.nvlink_rx_bytes_per_second,
        }
    }
}

/// The totals at one moment. Two of them give averages.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Totals {
    at: Duration,
    activity_seconds: Activity,
    pcie_tx_bytes: f64,
    pcie_rx_bytes: f64,
    nvlink_bytes: f64,
}

impl Totals {
    pub(crate) fn of(at: Duration, gpu: &GpuState) -> Self {
        Self {
            at,
            activity_seconds: gpu.activity_seconds,
            pcie_tx_bytes: gpu.pcie_tx_bytes,
            pcie_rx_bytes: gpu.pcie_rx_bytes,
            nvlink_bytes: gpu.nvlink_tx_bytes + gpu.nvlink_rx_bytes,
        }
    }

    /// The averages since `earlier`; `None` if no time has passed.
    pub(crate) fn since(&self, earlier: &Self) -> Option<Rates> {
        let seconds = self.at.saturating_sub(earlier.at).as_secs_f64();
        if seconds <= 0.0 {
            return None;
        }
        let average = |now: f64, then: f64| (now - then) / seconds;
        let (now, then) = (&self.activity_seconds, &earlier.activity_seconds);
        Some(Rates {
            activity: Activity {
                graphics: average(now.graphics, then.graphics),
                sm: average(now.sm, then.sm),
                occupancy: average(now.occupancy, then.occupancy),
                tensor: average(now.tensor, then.tensor),
                dram: average(now.dram, then.dram),
            },
            pcie_tx_bytes_per_second: average(self.pcie_tx_bytes, earlier.pcie_tx_bytes),
            pcie_rx_bytes_per_second: average(self.pcie_rx_bytes, earlier.pcie_rx_bytes),
            nvlink_bytes_per_second: average(self.nvlink_bytes, earlier.nvlink_bytes),
        })
    }
}

fn allocatable(gpu: &GpuState) -> u64 {
    gpu.memory_total_bytes - gpu.memory_reserved_bytes
}

fn milliwatts(watts: f64) -> i64 {
    (watts * 1000.0).round() as i64
}

fn whole(x: f64) -> Reading {
    Ok(Value::Int(x.round() as i64))
}

fn truncated(x: f64) -> Reading {
    Ok(Value::Int(x as i64))
}

fn count(n: u64) -> Reading {
    i64::try_from(n).map(Value::Int).map_err(|_| Reason::Failed)
}

/// Multiplies a whole number to convert it to a smaller unit.
fn scaled(value: Value, factor: i64) -> Value {
    match value {
        Value::Int(int) => Value::Int(int.saturating_mul(factor)),
        value => value,
    }
}

/// A share rounded to whole percent, as drivers report it.
fn hundredths(share: f64) -> Reading {
    match whole(share * 100.0)? {
        Value::Int(percent) => Ok(Value::Float(percent as f64 / 100.0)),
        value => Ok(value),
    }
}

fn mebibytes(bytes: u64) -> Reading {
    count(bytes >> 20)
}

fn rate(view: &View<'_>, pick: fn(&Rates) -> f64) -> Reading {
    truncated(pick(view.rates.as_ref().ok_or(Reason::NoData)?))
}

/// A share, limited to 1: differences of long sums can exceed it by a rounding error.
fn ratio(view: &View<'_>, pick: fn(&Activity) -> f64) -> Reading {
    let rates = view.rates.as_ref().ok_or(Reason::NoData)?;
    Ok(Value::Float(pick(&rates.activity).clamp(0.0, 1.0)))
}

#[cfg(test)]
mod tests {
    use super::FIELDS;

    #[test]
    fn fields_are_unique_and_in_order() {
        assert!(FIELDS.windows(2).all(|w| w[0].0 < w[1].0));
    }
}
