//! Simulated GPUs: time that stands still, and time that passes.

use std::{
    thread,
    time::{Duration, Instant},
};

use nvml_wrapper_sys::bindings::{nvmlGpmMetricsGet_t, nvmlGpmSample_t};

use crate::driver::*;

#[test]
fn frozen_time_keeps_the_state_and_counts_in_whole_seconds() {
    let driver = Driver::with_gpus("1");
    let gpu = driver.device(0).unwrap();
    let power = driver.power(gpu).unwrap();
    let read = |id, scope| driver.counter(gpu, id, scope).unwrap();
    for (id, scope) in [(138, u32::MAX), (139, u32::MAX), (138, 17), (197, 0), (198, 0)] {
        let [first, second, third] = [read(id, scope), read(id, scope), read(id, scope)];
        assert_eq!((second.0 - first.0, third.0 - second.0), (1_000_000, 1_000_000));
        assert!(second.1 > first.1, "field {id} counts");
        assert_eq!(second.1 - first.1, third.1 - second.1);
    }
    assert_eq!(driver.power(gpu), Ok(power));
    // SAFETY: get() passes a place for the number.
    let energy =
        || get(|out| unsafe { driver.nvml.nvmlDeviceGetTotalEnergyConsumption(gpu.raw(), out) });
    assert_eq!(energy(), energy());
    assert_eq!(read(83, 0).1, read(83, 0).1, "energy stands still");
}

#[test]
fn the_same_moment_is_the_same_in_each_run() {
    let at = |seed| {
        let driver = Driver::start(&[("FAKE_NVML_AT", "45"), ("FAKE_NVML_SEED", seed)]);
        assert_eq!(driver.count(), Ok(8));
        (0..8).map(|i| driver.power(driver.device(i).unwrap()).unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(at("5"), at("5"));
    assert_ne!(at("5"), at("6"));
}

#[test]
fn running_time_passes_for_all_readings() {
    let driver = Driver::start(&[("FAKE_NVML_GPUS", "1"), ("FAKE_NVML_SPEED", "20")]);
    let gpu = driver.device(0).unwrap();
    let energy = || driver.counter(gpu, 83, 0);
    let sample = || {
        // SAFETY: get() passes a place for the handle, which is used once it is valid.
        unsafe {
            let sample: nvmlGpmSample_t = get(|out| driver.nvml.nvmlGpmSampleAlloc(out)).unwrap();
            assert_eq!(driver.nvml.nvmlGpmSampleGet(gpu.raw(), sample), 0);
            sample
        }
    };
    let (before, first) = (energy().unwrap(), sample());
    thread::sleep(Duration::from_millis(150));
    let (after, second) = (energy().unwrap(), sample());

    // These are three seconds of the simulation, or more on a slow machine, less one step.
    let (micros, millijoules) = (after.0 - before.0, after.1 - before.1);
    assert!(micros >= 2_800_000, "{micros}");
    let watts = millijoules as f64 * 1e3 / micros as f64;
    assert!((50.0..1000.0).contains(&watts), "{watts}");

    // SAFETY: zeros are a valid request, and its samples are valid.
    unsafe {
        let mut request: nvmlGpmMetricsGet_t = std::mem::zeroed();
        (request.version, request.numMetrics) = (1, 2);
        (request.sample1, request.sample2) = (first, second);
        request.metrics[0].metricId = 2;
        request.metrics[1].metricId = 11;
        assert_eq!(driver.nvml.nvmlGpmMetricsGet(&mut request), 0);
        assert_eq!(request.metrics[0].nvmlReturn, 0);
        assert!((1.0..=100.1).contains(&request.metrics[0].value), "{}", request.metrics[0].value);
        assert_eq!(request.metrics[1].nvmlReturn, NOT_SUPPORTED);
        request.sample1 = second;
        assert_eq!(driver.nvml.nvmlGpmMetricsGet(&mut request), 0);
        assert_eq!(request.metrics[0].nvmlReturn, NO_DATA, "no time has passed");
    }
}

#[test]
fn the_story_loses_a_gpu_and_no_event_says_so() {
    // A machine that stands still for a while misses the time in which it is lost.
    assert!((0..10).any(|_| the_story_is_seen_to_lose_a_gpu()), "a machine that is in time once");
}

/// False if the time in which the GPU is lost was missed.
fn the_story_is_seen_to_lose_a_gpu() -> bool {
    let began = Instant::now();
    let driver = Driver::start(&[("FAKE_NVML_SCENARIO", "story"), ("FAKE_NVML_SPEED", "300")]);
    assert_eq!(driver.count(), Ok(8));
    let gpu = driver.device(7).unwrap();
    let set = driver.event_set(&[gpu]);
    // It is lost from 480 s to 1200 s, which are 1.6 s and 4 s here. The driver prints its XID 79.
    let event = set.wait(Duration::from_secs(2));
    let (lost, other) = (driver.power(gpu), driver.power(driver.device(0).unwrap()));
    if began.elapsed() >= Duration::from_secs(4) {
        return false;
    }
    assert_eq!(event, Err(GPU_IS_LOST));
    assert_eq!(lost, Err(GPU_IS_LOST));
    assert!(other.is_ok());
    true
}

#[test]
fn threads_share_a_session_and_calls_are_cheap() {
    let driver = Driver::start(&[]);
    let calls = 20_000;
    let time = |_| {
        let began = Instant::now();
        thread::scope(|scope| {
            for index in 0..8 {
                let driver = &driver;
                let read = move || {
                    let gpu = driver.device(index).unwrap();
                    for _ in 0..calls {
                        driver.power(gpu).unwrap();
                    }
                };
                thread::Builder::new().spawn_scoped(scope, read).unwrap();
            }
        });
        began.elapsed() / (8 * calls)
    };
    // Far above what it takes, so that a busy machine passes too, if not each time; a lock that is held too
    // long does not.
    let each = (0..5).map(time).find(|each| *each < Duration::from_micros(50));
    println!("{:?} a call", each.expect("calls that are cheap"));
}
