//! Quantities of a simulated GPU that a command sets, whatever the simulation says.

use sim::{Activity, GpuState};

/// Sets a quantity to a value.
type Setter = fn(&mut GpuState, u64);

/// A command that sets a quantity.
#[derive(Clone, Copy, Debug)]
pub(crate) struct StateChange {
    apply: Setter,
    value: u64,
    /// Whether it is about the profiling metrics.
    pub is_activity: bool,
}

const MIB: u64 = 1 << 20;
const IDLE: u64 = 0x1;
const IDLE_CLOCK_MHZ: f64 = 345.0;
const IDLE_WATTS: f64 = 70.0;

/// All quantities: name, and what setting it does.
#[rustfmt::skip]
const QUANTITIES: &[(&str, Setter)] = &[
    ("temperature", |gpu, celsius| gpu.temperature_celsius = celsius as f64),
    ("memory_temperature", |gpu, celsius| gpu.memory_temperature_celsius = celsius as f64),
    ("power", |gpu, watts| gpu.power_watts = watts as f64),
    ("sm_clock", |gpu, mhz| gpu.sm_clock_mhz = mhz as f64),
    ("clock_reasons", |gpu, bits| gpu.clock_event_reasons = bits),
    ("memory_used", |gpu, mib| gpu.memory_used_bytes = (mib * MIB).min(gpu.memory_total_bytes - gpu.memory_reserved_bytes)),
    ("ecc_corrected", |gpu, errors| gpu.ecc_correctable = errors),
    ("ecc_uncorrected", |gpu, errors| gpu.ecc_uncorrectable = errors),
    ("rows_remapped", |gpu, rows| gpu.rows_remapped_uncorrectable = rows),
    ("remap_pending", |gpu, flag| gpu.row_remap_pending = flag != 0),
    ("remap_failed", |gpu, flag| gpu.row_remap_failed = flag != 0),
    ("links_down", |gpu, links| gpu.nvlinks_down = (links as u32).min(gpu.nvlinks)),
    ("pcie_lanes", |gpu, lanes| gpu.pcie_lanes = (lanes as u32).min(gpu.max_pcie_lanes)),
    ("pcie_replays", |gpu, replays| gpu.pcie_replays = replays),
];

impl StateChange {
    /// The quantity with this name, set to a value.
    pub(crate) fn parse(name: &str, value: &str) -> Option<Self> {
        let (_, apply) = QUANTITIES.iter().find(|(known, _)| *known == name)?;
        // More than any quantity has; so that no unit overflows.
        let value = value.parse().ok().filter(|value| *value <= u64::from(u32::MAX))?;
        Some(Self { apply: *apply, value, is_activity: false })
    }

    /// A GPU whose process does nothing, and keeps its memory.
    pub(crate) const SILENT: Self = Self { apply: silence, value: 0, is_activity: true };

    /// A GPU without a process.
    pub(crate) const IDLE: Self = Self {
        apply: |gpu, value| {
            silence(gpu, value);
            gpu.memory_used_bytes = 0;
        },
        value: 0,
        is_activity: true,
    };

    /// Changes the state.
    pub(crate) fn apply(&self, gpu: &mut GpuState) {
        (self.apply)(gpu, self.value);
    }
}

fn silence(gpu: &mut GpuState, _: u64) {
    (gpu.gpu_utilization, gpu.memory_utilization) = (0.0, 0.0);
    gpu.activity = Activity::default();
    (gpu.pcie_tx_bytes_per_second, gpu.pcie_rx_bytes_per_second) = (0.0, 0.0);
    (gpu.nvlink_tx_bytes_per_second, gpu.nvlink_rx_bytes_per_second) = (0.0, 0.0);
    (gpu.sm_clock_mhz, gpu.clock_event_reasons) = (IDLE_CLOCK_MHZ, IDLE);
    gpu.power_watts = IDLE_WATTS;
}

#[cfg(test)]
mod tests {
    use sim::{Scenario, World};

    use super::*;

    #[test]
    fn each_quantity_changes_the_state_and_takes_any_number() {
        let world = World::new(Scenario::steady(1), 1);
        let gpu = &world.gpus()[0];
        for (name, _) in QUANTITIES {
            let set = |value: u32| {
                let mut changed = gpu.clone();
                StateChange::parse(name, &value.to_string()).unwrap().apply(&mut changed);
                changed
            };
            assert_ne!(set(3), *gpu, "{name}");
            set(u32::MAX);
        }
        assert!(StateChange::parse("weight", "1").is_none());
        assert!(StateChange::parse("power", "-1").is_none());
        assert!(StateChange::parse("power", "4294967296").is_none());
    }

    #[test]
    fn a_silent_gpu_keeps_its_memory_and_an_idle_one_does_not() {
        let mut world = World::new(Scenario::steady(1), 1);
        world.advance_to(std::time::Duration::from_secs(60));
        let used = |change: StateChange| {
            let mut gpu = world.gpus()[0].clone();
            change.apply(&mut gpu);
            assert_eq!((gpu.gpu_utilization, gpu.clock_event_reasons), (0.0, 0x1));
            gpu.memory_used_bytes
        };
        assert_eq!(used(StateChange::SILENT), world.gpus()[0].memory_used_bytes);
        assert_eq!(used(StateChange::IDLE), 0);
    }
}
