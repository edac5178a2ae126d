//! One H100: how load becomes power, power heat, and both a state.

use crate::governor::{
    Governor, IDLE_CLOCK_MHZ, MAX_CLOCK_MHZ, SHUTDOWN_CELSIUS, SLOWDOWN_CELSIUS,
};
use crate::job::{Demand, NOTHING};
use crate::random::Random;
use crate::script::Fate;
use crate::{Activity, GpuState};

const MIB: u64 = 1 << 20;
const MEMORY_TOTAL_BYTES: u64 = 81_559 * MIB;
const MEMORY_RESERVED_BYTES: u64 = 551 * MIB;
const MEMORY_CLOCK_MHZ: f64 = 2619.0;
/// Processes get memory in pages of this, bytes.
const PAGE_BYTES: u64 = 2 * MIB;
/// How fast a process that starts takes its memory, as a share of all, per second.
const ALLOCATION_SHARE_PER_SECOND: f64 = 0.25;
/// The allocator never gets the very last of it.
const FULL_SHARE: f64 = 0.998;

const POWER_LIMIT_WATTS: f64 = 700.0;
const IDLE_WATTS: f64 = 70.0;
/// What full clocks cost without any work, W.
const CLOCK_WATTS: f64 = 50.0;
/// What the hottest kernel draws on top of that at full clock, W.
const LOAD_WATTS: f64 = 565.0;
/// The board's capacitors, and the power sensor, average over about this long, s.
const POWER_SECONDS: f64 = 0.4;

/// Heat sink and board, J/°C; with a healthy thermal resistance it makes a time constant of 45 s.
const HEAT_CAPACITY_JOULES_PER_CELSIUS: f64 = 776.0;
const MEMORY_HEAT_SECONDS: f64 = 25.0;
/// Memory is this much hotter than the core, °C, and at full load that much more.
const MEMORY_OFFSET_CELSIUS: f64 = 3.0;
const MEMORY_LOAD_CELSIUS: f64 = 10.0;

/// Up to where the memory is meant to run, °C.
const MAX_MEMORY_CELSIUS: f64 = 95.0;

const PCIE_GENERATION: u32 = 5;
const PCIE_LANES: u32 = 16;
const NVLINKS: u32 = 18;

const NO_ACTION: u32 = 0;
const DRAIN_AND_RESET: u32 = 4;

/// The driver's utilisation figures average over about this long, s.
const UTILIZATION_SECONDS: f64 = 0.8;

/// What is true of a board and not visible from outside.
#[derive(Clone, Debug)]
pub(crate) struct Board {
    random: Random,
    governor: Governor,
    ambient_celsius: f64,
    /// Core to ambient, while the cooling is healthy.
    celsius_per_watt: f64,
    /// No two dies draw the same power for the same work: 1 is an average one.
    thirst: f64,
    /// Share of the memory that the job takes on it.
    job_share: f64,
    /// Share of the memory that is taken now.
    taken_share: f64,
    /// Noise that wanders slowly around 0.
    wander: f64,
}

impl Board {
    /// A cold, idle board and its state, at position `index` of the machine.
    pub(crate) fn new(mut random: Random, index: usize) -> (Self, GpuState) {
        let uuid = random.gpu_uuid();
        let board = Self {
            governor: Governor::new(),
            ambient_celsius: random.between(27.0, 29.5),
            celsius_per_watt: random.between(0.056, 0.059),
            thirst: random.between(0.96, 1.05),
            job_share: random.between(0.695, 0.71),
            taken_share: 0.0,
            wander: 0.0,
            random,
        };
        let temperature = board.ambient_celsius + IDLE_WATTS * board.celsius_per_watt;
        let state = GpuState {
            uuid,
            model_name: "NVIDIA H100 80GB HBM3".to_owned(),
            // An odd stride never meets a number twice, and comes to 0 only at the 255th board.
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

    /// Lives through `dt_seconds` of its fate, under the job's demand if it runs a process.
    pub(crate) fn advance(
        &mut self,
        gpu: &mut GpuState,
        fate: &Fate,
        demand: &Demand,
        dt_seconds: f64,
    ) {
        self.wander += self.random.between(-0.004, 0.004) - 0.02 * self.wander;
        let demand = if fate.running { demand } else { &NOTHING };
        let noise = 1.0 + self.wander;

        gpu.lost = fate.lost;
        self.heat(gpu, fate, demand.intensity * noise, dt_seconds);
        self.hold_memory(gpu, fate, dt_seconds);
        self.wear(gpu, fate, dt_seconds);
        work(gpu, demand, noise, dt_seconds);
    }

    /// Load → clock → power → temperature.
    fn heat(&mut self, gpu: &mut GpuState, fate: &Fate, intensity: f64, dt_seconds: f64) {
        let load_watts = LOAD_WATTS * self.thirst * intensity;
        let watts = |clock_mhz: f64| {
            let above_idle = (clock_mhz - IDLE_CLOCK_MHZ) / (MAX_CLOCK_MHZ - IDLE_CLOCK_MHZ);
            // Voltage rises with the clock over most of the range, so that power goes between its
            // square and its cube.
            let ratio = clock_mhz / MAX_CLOCK_MHZ;
            IDLE_WATTS + CLOCK_WATTS * above_idle + load_watts * ratio * ratio * ratio.sqrt()
        };
        let (clock_mhz, reasons) = self.governor.decide(
            dt_seconds,
            gpu.temperature_celsius,
            fate.running,
            gpu.power_limit_watts,
            watts,
        );
        gpu.sm_clock_mhz = clock_mhz;
        gpu.clock_event_reasons = reasons;

        let drawn = watts(clock_mhz) + 20.0 * self.wander;
        gpu.power_watts += (drawn - gpu.power_watts) * (dt_seconds / POWER_SECONDS);
        gpu.power_watts = gpu.power_watts.min(gpu.power_limit_watts);
        gpu.energy_joules += gpu.power_watts * dt_seconds;

        let resistance = self.celsius_per_watt * fate.cooling_factor;
        let leaving = (gpu.temperature_celsius - self.ambient_celsius) / resistance;
        gpu.temperature_celsius +=
            (gpu.power_watts - leaving) * dt_seconds / HEAT_CAPACITY_JOULES_PER_CELSIUS;
        let memory_target = gpu.temperature_celsius
            + MEMORY_OFFSET_CELSIUS
            + MEMORY_LOAD_CELSIUS * gpu.memory_utilization;
        gpu.memory_temperature_celsius +=
            (memory_target - gpu.memory_temperature_celsius) * (dt_seconds / MEMORY_HEAT_SECONDS);
    }

    fn hold_memory(&mut self, gpu: &mut GpuState, fate: &Fate, dt_seconds: f64) {
        let wanted = if fate.running { self.job_share + fate.leaked_share } else { 0.0 };
        let reachable = self.taken_share + ALLOCATION_SHARE_PER_SECOND * dt_seconds;
        self.taken_share = wanted.min(reachable).min(FULL_SHARE);
        let all = gpu.memory_total_bytes - gpu.memory_reserved_bytes;
        let pages = (all as f64 * self.taken_share) as u64 / PAGE_BYTES;
        gpu.memory_used_bytes = pages * PAGE_BYTES;
    }

    fn wear(&mut self, gpu: &mut GpuState, fate: &Fate, dt_seconds: f64) {
        if fate.correctable_per_second > 0.0 {
            gpu.ecc_correctable += self.random.count(fate.correctable_per_second * dt_seconds);
        }
        if fate.replays_per_second > 0.0 {
            gpu.pcie_replays += self.random.count(fate.replays_per_second * dt_seconds);
        }
        gpu.ecc_uncorrectable = fate.uncorrectable;
        gpu.rows_remapped_uncorrectable = fate.uncorrectable;
        gpu.row_remap_pending = fate.uncorrectable > 0;
        gpu.recovery_action = if gpu.row_remap_pending { DRAIN_AND_RESET } else { NO_ACTION };
        gpu.pcie_lanes = (f64::from(gpu.max_pcie_lanes) * fate.lanes_share) as u32;
    }
}

/// What the profiling counters, the utilisation figures and the links show of the demand.
fn work(gpu: &mut GpuState, demand: &Demand, noise: f64, dt_seconds: f64) {
    let share = |x: f64| (x * noise).clamp(0.0, 1.0);
    let activity = Activity {
        // A GPU that always has a kernel shows no noise here.
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

    let settle = dt_seconds / UTILIZATION_SECONDS;
    gpu.gpu_utilization += (activity.graphics - gpu.gpu_utilization) * settle;
    gpu.memory_utilization += (activity.dram - gpu.memory_utilization) * settle;

    gpu.pcie_tx_bytes_per_second = demand.pcie_tx_bytes_per_second * noise;
    gpu.pcie_rx_bytes_per_second = demand.pcie_rx_bytes_per_second * noise;
    gpu.nvlink_tx_bytes_per_second = demand.nvlink_bytes_per_second * noise;
    gpu.nvlink_rx_bytes_per_second = demand.nvlink_bytes_per_second * noise;
    gpu.pcie_tx_bytes += gpu.pcie_tx_bytes_per_second * dt_seconds;
    gpu.pcie_rx_bytes += gpu.pcie_rx_bytes_per_second * dt_seconds;
    gpu.nvlink_tx_bytes += gpu.nvlink_tx_bytes_per_second * dt_seconds;
    gpu.nvlink_rx_bytes += gpu.nvlink_rx_bytes_per_second * dt_seconds;
}
