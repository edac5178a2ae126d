//! The chapters of the story happen in the simulation, for several seeds.

use std::time::Duration;

use sim::{GpuState, Scenario, World, XidEvent};

const SEEDS: std::ops::Range<u64> = 0..6;
const SOFTWARE_THERMAL: u64 = 0x20;
const HARDWARE_THERMAL: u64 = 0x40;

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}

/// The state of one GPU at every tenth of a second between two times.
fn watch(seed: u64, gpu: usize, from: u64, to: u64) -> Vec<GpuState> {
    let mut world = World::new(Scenario::story(), seed);
    (from * 10..to * 10)
        .map(|tenth| {
            world.advance_to(Duration::from_millis(tenth * 100));
            world.gpus()[gpu].clone()
        })
        .collect()
}

fn at(seed: u64, t: u64) -> World {
    let mut world = World::new(Scenario::story(), seed);
    world.advance_to(seconds(t));
    world
}

fn mean(states: &[GpuState], pick: fn(&GpuState) -> f64) -> f64 {
    states.iter().map(pick).sum::<f64>() / states.len() as f64
}

fn used_share(gpu: &GpuState) -> f64 {
    gpu.memory_used_bytes as f64 / (gpu.memory_total_bytes - gpu.memory_reserved_bytes) as f64
}

#[test]
fn chapters_are_in_order_and_name_existing_gpus() {
    let story = Scenario::story();
    assert!(story.chapters().windows(2).all(|w| w[0].at <= w[1].at));
    assert!(
        story.chapters().iter().all(|c| c.gpu.is_none_or(|gpu| gpu < 8) && c.text.ends_with('.'))
    );
    assert!(Scenario::steady(8).chapters().is_empty());
}

#[test]
fn all_gpus_are_idle_and_then_busy() {
    for seed in SEEDS {
        assert!(at(seed, 9).gpus().iter().all(|gpu| gpu.power_watts < 80.0));
        for gpu in at(seed, 60).gpus() {
            assert!(gpu.power_watts > 500.0 && gpu.gpu_utilization > 0.95, "{gpu:?}");
            assert!((0.68..0.72).contains(&used_share(gpu)), "{gpu:?}");
        }
    }
}

#[test]
fn gpu_2_overheats_throttles_and_recovers() {
    for seed in SEEDS {
        let healthy = watch(seed, 2, 60, 90);
        assert!(healthy.iter().all(|gpu| gpu.temperature_celsius < 65.0), "seed {seed}");
        assert!(healthy.iter().all(|gpu| gpu.sm_clock_mhz > 1_850.0), "seed {seed}");

        let chapters = Scenario::story();
        let chapter_seconds = |word: &str| {
            let mut found = chapters.chapters().iter().filter(|c| c.text.contains(word));
            found.next().expect("the chapter is there").at.as_secs_f64()
        };
        let rising = watch(seed, 2, 90, 300);
        let crosses = |celsius: f64| {
            let tenth = rising.iter().position(|gpu| gpu.temperature_celsius > celsius);
            90.0 + tenth.expect("it gets that hot") as f64 / 10.0
        };
        assert!(
            (crosses(80.0) - chapter_seconds("80 °C")).abs() < 10.0,
            "seed {seed}: {}",
            crosses(80.0)
        );
        assert!(
            (crosses(87.0) - chapter_seconds("87 °C")).abs() < 10.0,
            "seed {seed}: {}",
            crosses(87.0)
        );

        let hot = watch(seed, 2, 240, 900);
        assert!(hot.iter().all(|gpu| gpu.temperature_celsius > 80.0), "seed {seed}");
        assert!(hot.iter().all(|gpu| gpu.clock_event_reasons & SOFTWARE_THERMAL != 0));
        assert!(hot.iter().any(|gpu| gpu.clock_event_reasons & HARDWARE_THERMAL != 0));
        assert!(mean(&hot, |gpu| gpu.sm_clock_mhz) < 1_350.0, "seed {seed}");

        let cooled = watch(seed, 2, 1_000, 1_200);
        assert!(cooled.iter().all(|gpu| gpu.temperature_celsius < 75.0), "seed {seed}");
        assert!(cooled.iter().all(|gpu| gpu.clock_event_reasons & !0x4 == 0), "seed {seed}");
    }
}

#[test]
fn a_slow_gpu_slows_the_whole_job() {
    for seed in SEEDS {
        let (before, meanwhile) = (watch(seed, 0, 60, 120), watch(seed, 0, 240, 300));
        let ratio = |pick: fn(&GpuState) -> f64| mean(&meanwhile, pick) / mean(&before, pick);
        let nvlink = ratio(|gpu| gpu.nvlink_tx_bytes_per_second);
        assert!((0.4..0.85).contains(&nvlink), "seed {seed}: {nvlink}");
        let tensor = ratio(|gpu| gpu.activity.tensor);
        assert!((0.4..0.85).contains(&tensor), "seed {seed}: {tensor}");
        let power = ratio(|gpu| gpu.power_watts);
        assert!((0.7..0.95).contains(&power), "seed {seed}: {power}");
        // A GPU that waits in a collective has full utilization.
        assert!(mean(&meanwhile, |gpu| gpu.gpu_utilization) > 0.98, "seed {seed}");
        assert_eq!(mean(&meanwhile, |gpu| (gpu.clock_event_reasons & !0x4) as f64), 0.0);
    }
}

#[test]
fn gpu_4_runs_out_of_memory_and_its_process_restarts() {
    for seed in SEEDS {
        let share = |t| used_share(&at(seed, t).gpus()[4]);
        assert!((0.83..0.86).contains(&share(200)), "seed {seed}");
        assert!(share(358) > 0.98, "seed {seed}");
        assert_eq!(share(361), 0.0, "seed {seed}");
        assert!((0.68..0.72).contains(&share(430)), "seed {seed}");
        assert!((0.68..0.72).contains(&share(3_000)), "seed {seed}: the leak is fixed");
        assert!(at(seed, 3_000).events(4).is_empty(), "running out of memory causes no XID");
    }
}

#[test]
fn gpu_5_has_memory_errors_and_a_pending_row_remapping() {
    for seed in SEEDS {
        let errors = |t| at(seed, t).gpus()[5].ecc_correctable;
        assert_eq!(errors(119), 0);
        let (first, then) = (errors(210), errors(299));
        assert!(first > 20 && then > 3 * first, "seed {seed}: {first} {then}");

        let before = at(seed, 299);
        assert_eq!((before.gpus()[5].ecc_uncorrectable, before.events(5).len()), (0, 0));
        let after = at(seed, 301);
        let gpu = &after.gpus()[5];
        assert_eq!((gpu.ecc_uncorrectable, gpu.rows_remapped_uncorrectable), (1, 1));
        assert!(gpu.row_remap_pending && !gpu.row_remap_failed);
        let codes: Vec<u32> = after.events(5).iter().map(|xid| xid.code).collect();
        assert_eq!(codes, [48, 94, 63]);
        assert_eq!(gpu.memory_used_bytes, 0, "its process died");
        assert!(used_share(&at(seed, 330).gpus()[5]) > 0.68, "the process runs again");

        let action = |world: &World| world.gpus()[5].recovery_action;
        assert_eq!([action(&before), action(&after), action(&at(seed, 3_000))], [0, 4, 4]);
        assert!(after.gpus().iter().all(|gpu| gpu.row_remap_pending == (gpu.recovery_action == 4)));
    }
}

#[test]
fn gpu_7_falls_off_the_bus_and_comes_back() {
    for seed in SEEDS {
        let before = at(seed, 479);
        assert!(before.gpus()[7].pcie_replays > 20 && !before.gpus()[7].lost);
        let meanwhile = at(seed, 480);
        assert!(meanwhile.gpus()[7].lost);
        assert_eq!(meanwhile.events(7), [XidEvent { at: seconds(480), code: 79 }]);
        assert!(at(seed, 1_199).gpus()[7].lost);
        assert!(at(seed, 700).gpus()[0].power_watts > 300.0, "the job goes on");
        let after = at(seed, 1_240);
        assert!(!after.gpus()[7].lost && after.gpus()[7].power_watts > 500.0);
        assert_eq!(after.events(7).len(), 1);

        let lanes = |t| at(seed, t).gpus()[7].pcie_lanes;
        assert_eq!([449, 450, 479, 1_200].map(lanes), [16, 8, 8, 16]);
        assert!(before.gpus()[..7].iter().all(|gpu| gpu.pcie_lanes == gpu.max_pcie_lanes));
    }
}
