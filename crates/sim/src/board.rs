//! One H100 board: computes power, temperatures, memory and errors from the load.

use crate::governor::{
    Governor, IDLE_CLOCK_MHZ, MAX_CLOCK_MHZ, SHUTDOWN_CELSIUS, SLOWDOWN_CELSIUS,
};
use crate::job::{Demand, NO_DEMAND};
use crate::random::Random;
use crate::script::Condition;
use crate::{Activity, GpuState};

const MIB: u64 = 1 << 20;
const MEMORY_TOTAL_BYTES: u64 = 81_559 * MIB;
const MEMORY_RESERVED_BYTES: u64 = 551 * MIB;
const MEMORY_CLOCK_MHZ: f64 = 2619.0;
/// Processes allocate memory in pages of this size, bytes.
const PAGE_BYTES: u64 = 2 * MIB;
/// How fast a starting process allocates its memory, as a share of all memory per second.
const ALLOCATION_SHARE_PER_SECOND: f64 = 0.25;
/// The allocator cannot use more than this share of the memory.
const FULL_SHARE: f64 = 0.998;

const POWER_LIMIT_WATTS: f64 = 700.0;
const IDLE_WATTS: f64 = 70.0;
/// Power for full clocks without load, above idle, W.
const CLOCK_WATTS: f64 = 50.0;
/// Power that the most demanding kernel adds at full clock, W.
const LOAD_WATTS: f64 = 565.0;
/// Time constant of the power sensor and the board's capacitors, s.
const POWER_SECONDS: f64 = 0.4;

/// Heat capacity of heat sink and board. With a healthy thermal resistance, the time constant is
/// 45 s.
const HEAT_CAPACITY_JOULES_PER_CELSIUS: f64 = 776.0;
const MEMORY_HEAT_SECONDS: f64 = 25.0;
/// Memory temperature minus core temperature without load, °C.
const MEMORY_OFFSET_CELSIUS: f64 = 3.0;
/// Further difference at full memory load, °C.
const MEMORY_LOAD_CELSIUS: f64 = 10.0;

/// Highest operating temperature of the memory, °C.
const MAX_MEMORY_CELSIUS: f64 = 95.0;

const PCIE_GENERATION: u32 = 5;
const PCIE_LANES: u32 = 16;
const NVLINKS: u32 = 18;

const NO_ACTION: u32 = 0;
const DRAIN_AND_RESET: u32 = 4;

/// Time constant of the driver's utilization figures, s.
const UTILIZATION_SECONDS: f64 = 0.8;

/// The internal state of a board: what [`GpuState`] does not show.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    random: Random,
    governor: Governor,
    ambient_celsius: f64,
    /// Thermal resistance from core to ambient while the cooling is healthy.
    celsius_per_watt: f64,
    /// Power of this chip for a given load, relative to an average chip.
    power_factor: f64,
    /// Share of the memory that the job allocates on this GPU.
    job_share: f64,
    /// Share of the memory that is allocated now.
    allocated_share: f64,
    /// Slow noise around 0, relative to the load.
    drift: f64,
}

impl Board {
    /// A cold, idle board and its state, at position `index` of the machine.
    pub(crate) fn new(mut random: Random, index: usize) -> (Self, GpuState) {
        let uuid = random.gpu_uuid();
        let board = Self {
            governor: Governor::new(),
            ambient_celsius: random.between(27.0, 29.5),
            celsius_per_watt: random.between(0.056, 0.059),
            power_factor: random.between(0.96, 1.05),
            job_share: random.between(0.695, 0.71),
            allocated_share: 0.0,
            drift: 0.0,
            random,
        };
        let temperature = board.ambient_celsius + IDLE_WATTS * board.celsius_per_watt;
        let state = GpuState {
            uuid,
            model_name: "NVIDIA H100 80GB HBM3".to_owned(),
            // With an odd stride, all numbers differ, and 0 comes only at the 255th board.
            pci_bus: (0x1a + 13 * index) as u8,
            lost: false,
            temperature_celsius: temperature,
            memory_temperature_celsius: temperature + MEMORY_OFFSET_CELSIUS,
            max_memory_celsius: MAX_MEMORY_CELSIUS,
            slowdown_celsius: SLOWDOWN_CELSIUS,
            shutdown_celsius: SHUTDOWN_CELSIUS,
            power_watts: IDLE_WATTS,
            power_limit_watts: POWER_LIMIT_WATTS,
            energy_joules: 0.0,
            fan_percent: None,
            sm_clock_mhz: IDLE_CLOCK_MHZ,
            max_sm_clock_mhz: MAX_CLOCK_MHZ,
            memory_clock_mhz: MEMORY_CLOCK_MHZ,
            clock_event_reasons: 0x1,
            gpu_utilization: 0.0,
            memory_utilization: 0.0,
            encoder_utilization: 0.0,
            decoder_utilization: 0.0,
            memory_total_bytes: MEMORY_TOTAL_BYTES,
            memory_reserved_bytes: MEMORY_RESERVED_BYTES,
            memory_used_bytes: 0,
            ecc_correctable: 0,
            ecc_uncorrectable: 0,
            rows_remapped_correctable: 0,
            rows_remapped_uncorrectable: 0,
            row_remap_failed: false,
            row_remap_pending: false,
            sram_threshold_exceeded: false,
            recovery_action: NO_ACTION,
            pcie_generation: PCIE_GENERATION,
            max_pcie_generation: PCIE_GENERATION,
            pcie_lanes: PCIE_LANES,
            max_pcie_lanes: PCIE_LANES,
            pcie_tx_bytes_per_second: 0.0,
            pcie_rx_bytes_per_second: 0.0,
            pcie_tx_bytes: 0.0,
            pcie_rx_bytes: 0.0,
            pcie_replays: 0,
            nvlinks: NVLINKS,
            nvlinks_down: 0,
            nvlink_crc_flit_errors: 0,
            nvlink_crc_data_errors: 0,
            nvlink_replays: 0,
            nvlink_recoveries: 0,
            nvlink_tx_bytes_per_second: 0.0,
            nvlink_rx_bytes_per_second: 0.0,
            nvlink_tx_bytes: 0.0,
            nvlink_rx_bytes: 0.0,
            activity: Activity::default(),
            activity_seconds: Activity::default(),
        };
        (board, state)
    }

    /// Advances by `dt_seconds` under this condition, and the job's demand if a process runs.
    pub(crate) fn advance(
        &mut self,
        gpu: &mut GpuState,
        condition: &Condition,
        demand: &Demand,
        dt_seconds: f64,
    ) {
        self.drift += self.random.between(-0.004, 0.004) - 0.02 * self.drift;
        let demand = if condition.running { demand } else { &NO_DEMAND };
        let noise = 1.0 + self.drift;

        gpu.lost = condition.lost;
        self.update_power_and_heat(gpu, condition, demand.intensity * noise, dt_seconds);
        self.update_memory(gpu, condition, dt_seconds);
        self.update_errors(gpu, condition, dt_seconds);
        gpu.nvlinks_down = condition.links_down;
        update_activity(gpu, demand, noise, dt_seconds);
    }

    /// Load → clock → power → temperature.
    fn update_power_and_heat(
        &mut self,
        gpu: &mut GpuState,
        condition: &Condition,
        intensity: f64,
        dt_seconds: f64,
    ) {
        let load_watts = LOAD_WATTS * self.power_factor * intensity;
        let watts = |clock_mhz: f64| {
            let above_idle = (clock_mhz - IDLE_CLOCK_MHZ) / (MAX_CLOCK_MHZ - IDLE_CLOCK_MHZ);
            // Voltage rises with the clock over most of the range, so power grows with the clock to
            // the power of 2.5.
            let ratio = clock_mhz / MAX_CLOCK_MHZ;
            IDLE_WATTS + CLOCK_WATTS * above_idle + load_watts * ratio * ratio * ratio.sqrt()
        };
        let (clock_mhz, reasons) = self.governor.decide(
            dt_seconds,
            gpu.temperature_celsius,
            condition.running,
            condition.power_brake,
            gpu.power_limit_watts,
            watts,
        );
        gpu.sm_clock_mhz = clock_mhz;
        gpu.clock_event_reasons = reasons;

        let drawn = watts(clock_mhz) + 20.0 * self.drift;
        gpu.power_watts += (drawn - gpu.power_watts) * (dt_seconds / POWER_SECONDS);
        gpu.power_watts = gpu.power_watts.min(gpu.power_limit_watts);
        gpu.energy_joules += gpu.power_watts * dt_seconds;

        let resistance = self.celsius_per_watt * condition.cooling_factor;
        let dissipated_watts = (gpu.temperature_celsius - self.ambient_celsius) / resistance;
        gpu.temperature_celsius +=
            (gpu.power_watts - dissipated_watts) * dt_seconds / HEAT_CAPACITY_JOULES_PER_CELSIUS;
        let memory_target = gpu.temperature_celsius
            + MEMORY_OFFSET_CELSIUS
            + MEMORY_LOAD_CELSIUS * gpu.memory_utilization;
        gpu.memory_temperature_celsius +=
            (memory_target - gpu.memory_temperature_celsius) * (dt_seconds / MEMORY_HEAT_SECONDS);
    }

    fn update_memory(&mut self, gpu: &mut GpuState, condition: &Condition, dt_seconds: f64) {
        let target = if condition.running { self.job_share + condition.leaked_share } else { 0.0 };
        let reachable = self.allocated_share + ALLOCATION_SHARE_PER_SECOND * dt_seconds;
        self.allocated_share = target.min(reachable).min(FULL_SHARE);
        let allocatable = gpu.memory_total_bytes - gpu.memory_reserved_bytes;
        let pages = (allocatable as f64 * self.allocated_share) as u64 / PAGE_BYTES;
        gpu.memory_used_bytes = pages * PAGE_BYTES;
    }

    fn update_errors(&mut self, gpu: &mut GpuState, condition: &Condition, dt_seconds: f64) {
        if condition.correctable_per_second > 0.0 {
            gpu.ecc_correctable += self.random.count(condition.correctable_per_second * dt_seconds);
        }
        if condition.replays_per_second > 0.0 {
            gpu.pcie_replays += self.random.count(condition.replays_per_second * dt_seconds);
        }
        gpu.ecc_uncorrectable = condition.uncorrectable;
        gpu.rows_remapped_uncorrectable = condition.uncorrectable;
        gpu.row_remap_pending = condition.uncorrectable > 0;
        gpu.recovery_action = if gpu.row_remap_pending { DRAIN_AND_RESET } else { NO_ACTION };
        gpu.pcie_lanes = (f64::from(gpu.max_pcie_lanes) * condition.lanes_share) as u32;
    }
}

/// Updates the profiling counters, the utilization figures and the links' throughput from the
/// demand.
fn update_activity(gpu: &mut GpuState, demand: &Demand, noise: f64, dt_seconds: f64) {
    let share = |x: f64| (x * noise).clamp(0.0, 1.0);
    let activity = Activity {
        // No noise: a GPU that always runs a kernel shows exactly 1.
        graphics: demand.activity.graphics,
        sm: share(demand.activity.sm),
        occupancy: share(demand.activity.occupancy),
        tensor: share(demand.activity.tensor),
        dram: share(demand.activity.dram),
    };
    gpu.activity = activity;
    let sum = &mut gpu.activity_seconds;
    sum.graphics += activity.graphics * dt_seconds;
    sum.sm += activity.sm * dt_seconds;
    sum.occupancy += activity.occupancy * dt_seconds;
    sum.tensor += activity.tensor * dt_seconds;
    sum.dram += activity.dram * dt_seconds;

    let weight = dt_seconds / UTILIZATION_SECONDS;
    gpu.gpu_utilization += (activity.graphics - gpu.gpu_utilization) * weight;
    gpu.memory_utilization += (activity.dram - gpu.memory_utilization) * weight;

    gpu.pcie_tx_bytes_per_second = demand.pcie_tx_bytes_per_second * noise;
    gpu.pcie_rx_bytes_per_second = demand.pcie_rx_bytes_per_second * noise;
    gpu.nvlink_tx_bytes_per_second = demand.nvlink_bytes_per_second * noise;
    gpu.nvlink_rx_bytes_per_second = demand.nvlink_bytes_per_second * noise;
    gpu.pcie_tx_bytes += gpu.pcie_tx_bytes_per_second * dt_seconds;
    gpu.pcie_rx_bytes += gpu.pcie_rx_bytes_per_second * dt_seconds;
    gpu.nvlink_tx_bytes += gpu.nvlink_tx_bytes_per_second * dt_seconds;
    gpu.nvlink_rx_bytes += gpu.nvlink_rx_bytes_per_second * dt_seconds;
}
