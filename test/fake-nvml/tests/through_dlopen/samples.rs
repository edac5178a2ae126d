//! The sample buffers.

use std::{
    ptr, thread,
    time::{Duration, Instant, SystemTime, UNIX_EPOCH},
};

use nvml_wrapper_sys::bindings::{nvmlSample_t, nvmlValue_t};

use crate::driver::*;

const POWER: u32 = 0;
const GPU_UTILIZATION: u32 = 1;
const SM_CLOCK: u32 = 5;
const MEMORY_CLOCK: u32 = 6;

/// Time stamps and values.
fn samples(driver: &Driver, gpu: Device, kind: u32, after: u64) -> Answer<Vec<(u64, u32)>> {
    samples_into(driver, gpu, kind, after, 500)
}

fn samples_into(
    driver: &Driver,
    gpu: Device,
    kind: u32,
    after: u64,
    room: u32,
) -> Answer<Vec<(u64, u32)>> {
    let empty = nvmlSample_t { timeStamp: 0, sampleValue: nvmlValue_t { ullVal: 0 } };
    let mut places = vec![empty; room as usize];
    let (mut value_type, mut count) = (99, room);
    // SAFETY: as many places are passed as the count says.
    done(unsafe {
        let places = places.as_mut_ptr();
        driver.nvml.nvmlDeviceGetSamples(
            gpu.raw(),
            kind,
            after,
            &mut value_type,
            &mut count,
            places,
        )
    })?;
    assert_eq!(value_type, 1, "unsigned int");
    let samples_read = &places[..count as usize];
    // SAFETY: the type says that this member was written.
    Ok(samples_read
        .iter()
        .map(|sample| (sample.timeStamp, unsafe { sample.sampleValue.uiVal }))
        .collect())
}

fn now_us() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros() as u64
}

#[test]
fn a_fixture_tells_its_values_in_turn() {
    let driver = Driver::with_example();
    let gpu = driver.device(0).unwrap();
    let asked = now_us();
    let all = samples(&driver, gpu, POWER, 0).unwrap();
    assert_eq!(all.len(), 120);
    let newest = all[119].0;
    assert!(
        (asked - 1_000_000..=now_us()).contains(&newest),
        "the newest is of {newest}, not {asked}"
    );
    for pair in all.windows(2) {
        assert_eq!(pair[1].0 - pair[0].0, 20_000);
        let next = if pair[0].1 == 303_003 { 301_001 } else { pair[0].1 + 1_001 };
        assert_eq!(pair[1].1, next);
    }
    let clocks = samples(&driver, gpu, SM_CLOCK, 0).unwrap();
    assert!(clocks.iter().all(|(_, mhz)| [1750, 1755].contains(mhz)));
    assert_eq!(samples(&driver, gpu, MEMORY_CLOCK, 0), Err(NOT_SUPPORTED), "not in the table");
    assert_eq!(samples(&driver, driver.device(1).unwrap(), POWER, 0), Err(NOT_SUPPORTED));
}

#[test]
fn only_newer_samples_are_returned() {
    let driver = Driver::with_example();
    let gpu = driver.device(0).unwrap();
    let attempt = || {
        let all = samples(&driver, gpu, POWER, 0).unwrap();
        let newest = all[119].0;
        assert_eq!(samples(&driver, gpu, POWER, newest + 60_000_000), Err(NOT_FOUND));
        thread::sleep(Duration::from_millis(60));
        let newer = samples(&driver, gpu, POWER, newest).unwrap();
        let some = samples_into(&driver, gpu, POWER, all[116].0, 2).unwrap();
        let is_kept = now_us() - newest < 2_000_000;
        is_kept.then_some((all, newer, some))
    };
    // The buffer holds 2.4 seconds, and the machine may stand still for longer.
    let (all, newer, some) = (0..10).find_map(|_| attempt()).expect("a machine that is quick once");
    assert_eq!(newer[0].0, all[119].0 + 20_000);
    assert_eq!(some, all[117..119], "the oldest of them, where there is no room for all");
}

#[test]
fn without_a_place_for_samples_it_tells_how_many_there_are() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(0).unwrap();
    let (mut value_type, mut count) = (99, 0);
    // SAFETY: a null pointer is allowed for the samples.
    let mut ask = |kind, count| unsafe {
        nvml.nvmlDeviceGetSamples(gpu.raw(), kind, 0, &mut value_type, count, ptr::null_mut())
    };
    assert_eq!((ask(POWER, &mut count), count), (0, 120));
    assert_eq!(ask(3, &mut count), NOT_SUPPORTED);
    assert_eq!(ask(99, &mut count), INVALID_ARGUMENT);
    assert_eq!(ask(POWER, ptr::null_mut()), INVALID_ARGUMENT);
    assert_eq!(samples_into(&driver, gpu, POWER, 0, 0), Err(INVALID_ARGUMENT));
}

#[test]
fn a_simulated_gpu_keeps_what_it_told() {
    let driver = Driver::start(&[("FAKE_NVML_GPUS", "1"), ("FAKE_NVML_SPEED", "20")]);
    let gpu = driver.device(0).unwrap();
    let attempt = || {
        let began = Instant::now();
        let before = samples(&driver, gpu, POWER, 0).unwrap();
        thread::sleep(Duration::from_millis(350));
        let after = samples(&driver, gpu, POWER, 0).unwrap();
        (began.elapsed() < Duration::from_millis(480)).then_some((before, after))
    };
    // The buffer holds 0.6 seconds at this speed, and the machine may stand still for longer.
    let (before, after) = (0..100).find_map(|_| attempt()).expect("a machine that is quick once");
    assert_eq!((before.len(), before[1].0 - before[0].0), (120, 100_000));
    let kept = after.iter().position(|sample| *sample == before[119]).unwrap();
    assert_eq!(after[..=kept], before[119 - kept..], "they move up and stay as they are");
    assert!((2..100).contains(&(119 - kept)), "{kept}");
    for kind in [GPU_UTILIZATION, 2, SM_CLOCK, MEMORY_CLOCK] {
        assert!(samples(&driver, gpu, kind, 0).unwrap()[0].1 > 0, "kind {kind}");
    }
    driver.control.set(&["gpu 0 mig on"]);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(samples(&driver, gpu, GPU_UTILIZATION, 0), Err(NOT_SUPPORTED));
    assert!(samples(&driver, gpu, POWER, 0).is_ok());
}

#[test]
fn a_spike_is_in_the_samples_alone() {
    // The buffer holds 2.4 seconds, and the machine may stand still for longer.
    assert!((0..10).any(|_| a_spike_is_seen()), "a machine that is quick once");
}

/// False if it may have left the buffer before it was looked for.
fn a_spike_is_seen() -> bool {
    let driver = Driver::with_example();
    let gpu = driver.device(0).unwrap();
    let seen = |kind, value| {
        let samples_read = samples(&driver, gpu, kind, 0).unwrap();
        samples_read.iter().filter(|sample| sample.1 == value).count()
    };
    assert_eq!(seen(POWER, 900_000), 0);
    driver.control.set(&["gpu 0 spike power 100 900000", "gpu 0 spike gpu_utilization 200 100"]);
    let began = Instant::now();
    while began.elapsed() < Duration::from_millis(400) {
        assert_eq!(driver.power(gpu), Ok(299_999), "no reading but a sample shows it");
        thread::sleep(Duration::from_millis(5));
    }
    let first = (seen(POWER, 900_000), seen(GPU_UTILIZATION, 100));
    driver.control.clear();
    thread::sleep(Duration::from_millis(40));
    let second = seen(POWER, 900_000);
    if began.elapsed() > Duration::from_secs(2) {
        return false;
    }
    assert_eq!(first, (5, 2));
    assert_eq!(second, 5, "what was sampled stays");
    true
}
