//! Properties of all worlds, for any seed.

use std::time::Duration;

use proptest::prelude::*;
use sim::{Activity, GpuState, Scenario, World};

const STEP: Duration = Duration::from_millis(100);

fn assert_shares(activity: &Activity) {
    let Activity { graphics, sm, occupancy, tensor, dram } = *activity;
    for share in [graphics, sm, occupancy, tensor, dram] {
        assert!((0.0..=1.0).contains(&share), "{activity:?}");
    }
}

fn assert_possible(gpu: &GpuState) {
    let utilizations = [
        gpu.gpu_utilization,
        gpu.memory_utilization,
        gpu.encoder_utilization,
        gpu.decoder_utilization,
    ];
    assert!(utilizations.iter().all(|u| (0.0..=1.0).contains(u)), "{gpu:?}");
    assert_shares(&gpu.activity);
    assert!(gpu.memory_used_bytes + gpu.memory_reserved_bytes <= gpu.memory_total_bytes, "{gpu:?}");
    // Ambient temperature is at least 20 °C, and no scenario reaches the shutdown temperature.
    assert!((20.0..gpu.shutdown_celsius).contains(&gpu.temperature_celsius), "{gpu:?}");
    assert!((20.0..110.0).contains(&gpu.memory_temperature_celsius), "{gpu:?}");
    assert!((60.0..=gpu.power_limit_watts).contains(&gpu.power_watts), "{gpu:?}");
    assert!((345.0..=gpu.max_sm_clock_mhz).contains(&gpu.sm_clock_mhz), "{gpu:?}");
    assert_eq!(gpu.sm_clock_mhz % 15.0, 0.0, "{gpu:?}");
    assert!((0.0..450e9).contains(&gpu.nvlink_tx_bytes_per_second), "{gpu:?}");
    assert!((0.0..64e9).contains(&gpu.pcie_rx_bytes_per_second), "{gpu:?}");
    assert!((1..=gpu.max_pcie_lanes).contains(&gpu.pcie_lanes), "{gpu:?}");
}

fn assert_grew(before: &GpuState, after: &GpuState) {
    assert!(after.energy_joules > before.energy_joules, "{after:?}");
    assert!(after.ecc_correctable >= before.ecc_correctable, "{after:?}");
    assert!(after.ecc_uncorrectable >= before.ecc_uncorrectable, "{after:?}");
    assert!(after.pcie_replays >= before.pcie_replays, "{after:?}");
    assert!(after.pcie_tx_bytes >= before.pcie_tx_bytes, "{after:?}");
    assert!(after.nvlink_rx_bytes >= before.nvlink_rx_bytes, "{after:?}");
    assert!(after.activity_seconds.tensor >= before.activity_seconds.tensor, "{after:?}");
}

fn any_scenario() -> impl Strategy<Value = Scenario> {
    prop_oneof![
        3 => Just(Scenario::story()),
        1 => (0usize..4).prop_map(Scenario::steady),
        1 => (0usize..4).prop_map(Scenario::idle),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(16))]

    #[test]
    fn states_stay_within_physical_limits(
        scenario in any_scenario(),
        seed: u64,
        hops in prop::collection::vec(100u64..20_000, 100),
    ) {
        let mut world = World::new(scenario, seed);
        world.gpus().iter().for_each(assert_possible);
        for hop in hops {
            let before = world.gpus().to_vec();
            world.advance_to(world.now() + Duration::from_millis(hop));
            world.gpus().iter().for_each(assert_possible);
            before.iter().zip(world.gpus()).for_each(|(before, after)| assert_grew(before, after));
        }
    }

    #[test]
    fn the_state_depends_on_time_not_on_the_number_of_calls(
        seed: u64,
        hops in prop::collection::vec(0u64..15_000, 50),
    ) {
        let mut hopping = World::new(Scenario::story(), seed);
        let mut t = Duration::ZERO;
        for hop in hops {
            t += Duration::from_millis(hop);
            hopping.advance_to(t);
        }
        let mut at_once = World::new(Scenario::story(), seed);
        at_once.advance_to(t);
        prop_assert_eq!(hopping.now(), at_once.now());
        prop_assert_eq!(hopping.gpus(), at_once.gpus());
        for gpu in 0..8 {
            prop_assert_eq!(hopping.events(gpu), at_once.events(gpu));
        }
    }
}

#[test]
fn time_advances_in_whole_steps() {
    let mut world = World::new(Scenario::steady(2), 1);
    world.advance_to(Duration::from_millis(12_345));
    assert_eq!(world.now(), Duration::from_millis(12_300));
    let state = world.gpus().to_vec();
    world.advance_to(Duration::from_secs(1));
    world.advance_to(Duration::from_millis(12_399));
    assert_eq!(world.gpus(), state);
}

#[test]
fn energy_and_activity_seconds_are_integrals() {
    let mut world = World::new(Scenario::steady(1), 1);
    let (mut energy_joules, mut tensor_seconds) = (0.0, 0.0);
    for step in 1..=6_000 {
        world.advance_to(STEP * step);
        energy_joules += world.gpus()[0].power_watts * STEP.as_secs_f64();
        tensor_seconds += world.gpus()[0].activity.tensor * STEP.as_secs_f64();
    }
    let gpu = &world.gpus()[0];
    assert!((gpu.energy_joules - energy_joules).abs() < 1e-3, "{energy_joules} {gpu:?}");
    assert!((gpu.activity_seconds.tensor - tensor_seconds).abs() < 1e-6, "{gpu:?}");
    let average_watts = gpu.energy_joules / 600.0;
    assert!((550.0..690.0).contains(&average_watts), "{average_watts}");
}

#[test]
fn gpus_differ_within_a_world_and_between_seeds() {
    let world = World::new(Scenario::steady(usize::MAX), 1);
    let gpus = world.gpus();
    assert_eq!(gpus.len(), 64);
    for (i, one) in gpus.iter().enumerate() {
        for other in &gpus[..i] {
            assert_ne!(one.uuid, other.uuid);
            assert_ne!(one.pci_bus, other.pci_bus);
        }
    }
    assert_ne!(World::new(Scenario::steady(1), 2).gpus()[0].uuid, gpus[0].uuid);
}

#[test]
fn time_passes_in_a_world_without_gpus() {
    let mut world = World::new(Scenario::idle(0), 1);
    world.advance_to(Duration::from_secs(1));
    assert_eq!((world.now(), world.gpus().len()), (Duration::from_secs(1), 0));
    assert!(world.events(0).is_empty());
}

#[test]
fn an_idle_gpu_draws_idle_power() {
    let mut world = World::new(Scenario::idle(1), 1);
    world.advance_to(Duration::from_secs(600));
    let gpu = &world.gpus()[0];
    assert!((66.0..74.0).contains(&gpu.power_watts), "{gpu:?}");
    assert!((28.0..36.0).contains(&gpu.temperature_celsius), "{gpu:?}");
    assert_eq!((gpu.sm_clock_mhz, gpu.memory_clock_mhz), (345.0, 2619.0));
    assert_eq!((gpu.clock_event_reasons, gpu.gpu_utilization), (0x1, 0.0));
    assert_eq!(gpu.memory_used_bytes, 0);
}

#[test]
fn advancing_allocates_no_strings() {
    let mut world = World::new(Scenario::steady(1), 1);
    let before = (world.gpus()[0].uuid.as_ptr(), world.gpus()[0].model_name.as_ptr());
    world.advance_to(Duration::from_secs(60));
    let after = (world.gpus()[0].uuid.as_ptr(), world.gpus()[0].model_name.as_ptr());
    assert_eq!(before, after);
}
