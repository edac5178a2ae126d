//! Each scenario with one fault shows that fault, for several seeds, and nothing else.

use std::time::Duration;

use sim::{Fault, GpuState, World};

const SEEDS: std::ops::Range<u64> = 0..4;
const SLOWED: u64 = 0x20 | 0x40;
const POWER_BRAKE: u64 = 0x80;

/// The machine at each second from `from` to `to`.
fn watch(fault: Fault, seed: u64, from: u64, to: u64) -> Vec<Vec<GpuState>> {
    let mut world = World::new(fault.scenario(), seed);
    (from..to)
        .map(|second| {
            world.advance_to(Duration::from_secs(second));
            world.gpus().to_vec()
        })
        .collect()
}

/// The machine at one second.
fn at(fault: Fault, seed: u64, second: u64) -> Vec<GpuState> {
    watch(fault, seed, second, second + 1).remove(0)
}

/// The XIDs of a GPU, with their seconds.
fn xids(fault: Fault, gpu: usize) -> Vec<(u64, u32)> {
    let mut world = World::new(fault.scenario(), 1);
    world.advance_to(Duration::from_secs(1_000));
    world.events(gpu).iter().map(|xid| (xid.at.as_secs(), xid.code)).collect()
}

#[test]
fn names_are_unique_and_parse() {
    for (fault, name) in Fault::ALL {
        assert_eq!((Fault::parse(name), fault.name()), (Some(fault), name));
        assert_eq!(World::new(fault.scenario(), 1).gpus().len(), 8, "{name}");
        assert!(fault.scenario().chapters().is_empty(), "{name}");
    }
    assert_eq!(Fault::parse("calm"), None);
}

#[test]
fn gpu_2_is_slowed_by_heat_for_an_hour_and_then_the_job_is_killed() {
    for seed in SEEDS {
        let states = watch(Fault::Overheat, seed, 0, 3_900);
        let slowed = |gpu: &GpuState| gpu.clock_event_reasons & SLOWED != 0;
        let seconds = states.iter().filter(|gpus| slowed(&gpus[2])).count();
        assert!((3_590..3_610).contains(&seconds), "seed {seed}: {seconds} s");
        let first = states.iter().position(|gpus| slowed(&gpus[2])).expect("it is slowed");
        assert!((175..195).contains(&first), "seed {seed}: {first}");
        assert!(states[first..3_785].iter().all(|gpus| slowed(&gpus[2])), "seed {seed}: no pause");
        let others = |gpus: &Vec<GpuState>| gpus.iter().filter(|gpu| slowed(gpu)).count() <= 1;
        assert!(states.iter().all(others), "seed {seed}");
        assert!(states.iter().flatten().all(|gpu| gpu.temperature_celsius < gpu.shutdown_celsius));

        assert!(states[3_784].iter().all(|gpu| gpu.memory_used_bytes > 0), "seed {seed}");
        for gpu in &states[3_790] {
            assert_eq!((gpu.memory_used_bytes, gpu.clock_event_reasons), (0, 0x1), "seed {seed}");
            assert!(gpu.gpu_utilization < 0.01 && !gpu.lost, "seed {seed}");
        }
        assert!(states.last().is_some_and(|gpus| gpus[2].temperature_celsius < 75.0));
    }
    assert!((0..8).all(|gpu| xids(Fault::Overheat, gpu).is_empty()));
}

#[test]
fn the_power_brake_slows_all_gpus_for_three_minutes() {
    for seed in SEEDS {
        let states = watch(Fault::PowerBrake, seed, 200, 600);
        let braked = |gpus: &Vec<GpuState>| {
            gpus.iter().filter(|gpu| gpu.clock_event_reasons & POWER_BRAKE != 0).count()
        };
        assert_eq!(states.iter().filter(|gpus| braked(gpus) == 8).count(), 180, "seed {seed}");
        assert!(states.iter().all(|gpus| [0, 8].contains(&braked(gpus))), "seed {seed}");
        assert!(states.iter().flatten().all(|gpu| gpu.clock_event_reasons & SLOWED == 0));
        assert!(states[110].iter().all(|gpu| gpu.sm_clock_mhz <= 705.0), "seed {seed}");
        assert!(states[399].iter().all(|gpu| gpu.sm_clock_mhz > 1_800.0), "seed {seed}");
    }
}

#[test]
fn the_memory_of_gpu_4_fills_up_and_is_freed_at_once() {
    for seed in SEEDS {
        let share = |second| {
            let gpu = &at(Fault::MemoryLeak, seed, second)[4];
            gpu.memory_used_bytes as f64
                / (gpu.memory_total_bytes - gpu.memory_reserved_bytes) as f64
        };
        assert!(share(298) > 0.98 && share(200) < 0.95, "seed {seed}: {}", share(298));
        assert_eq!([share(301), share(900)], [0.0, 0.0], "seed {seed}");
    }
    assert!(xids(Fault::MemoryLeak, 4).is_empty());
}

#[test]
fn an_uncorrectable_error_may_be_followed_by_a_loss() {
    let error = [(300, 48), (300, 94), (300, 63)];
    assert_eq!(xids(Fault::MemoryError, 5), error);
    let gpus = at(Fault::MemoryError, 1, 400);
    assert_eq!((gpus[5].ecc_uncorrectable, gpus[5].row_remap_pending), (1, true));
    assert!(gpus.iter().all(|gpu| !gpu.lost));

    let lost = [&error[..], &[(302, 79)]].concat();
    assert_eq!(xids(Fault::MemoryErrorThenOffBus, 5), lost);
    let lost = |second| at(Fault::MemoryErrorThenOffBus, 1, second)[5].lost;
    assert_eq!([301, 302, 900].map(lost), [false, true, true]);
}

#[test]
fn gpu_7_is_lost_with_and_without_a_degraded_link() {
    for (fault, lanes, replays) in
        [(Fault::OffBus, 16, 0..1), (Fault::LinkThenOffBus, 8, 20..1_000)]
    {
        let before = &at(fault, 1, 299)[7];
        assert_eq!((before.pcie_lanes, before.lost), (lanes, false), "{fault:?}");
        assert!(replays.contains(&before.pcie_replays), "{fault:?}: {}", before.pcie_replays);
        assert!([300, 900].iter().all(|second| at(fault, 1, *second)[7].lost), "{fault:?}");
        assert_eq!(xids(fault, 7), [(300, 79)], "{fault:?}");
    }
}

#[test]
fn two_nvlinks_of_gpu_3_go_down_and_the_job_dies() {
    let down = |second| at(Fault::NvlinkDown, 1, second)[3].nvlinks_down;
    assert_eq!([299, 300, 900].map(down), [0, 2, 2]);
    assert_eq!(xids(Fault::NvlinkDown, 3), [(300, 74)]);
    let gpus = at(Fault::NvlinkDown, 1, 305);
    assert!(gpus.iter().all(|gpu| gpu.memory_used_bytes == 0));
    assert!(gpus.iter().enumerate().all(|(index, gpu)| (gpu.nvlinks_down > 0) == (index == 3)));
}
