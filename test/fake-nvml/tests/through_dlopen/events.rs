//! XIDs through event sets.

use std::{
    thread,
    time::{Duration, Instant},
};

use crate::driver::*;

/// The longest wait for an event that comes: long, because the machine may stand still.
const SOON: Duration = Duration::from_secs(60);
const BRIEF: Duration = Duration::from_millis(30);

#[test]
fn a_burst_of_a_thousand_is_delivered_whole_and_in_order() {
    let driver = Driver::with_gpus("2");
    let gpu = driver.device(1).unwrap();
    let set = driver.event_set(&[gpu]);
    let lines: Vec<String> = (0..1000).map(|i| format!("gpu 1 xid {}", i + 1001)).collect();
    driver.control.set(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    let got: Vec<u64> = (0..1000).map(|_| set.wait(SOON).unwrap().1).collect();
    assert_eq!(got, (1001..=2000).collect::<Vec<_>>());
    assert_eq!(set.wait(BRIEF), Err(TIMEOUT), "each of them once");
    driver.control.add(&["gpu 1 xid 94"]);
    assert_eq!(set.wait(SOON), Ok((gpu, 94)));
}

#[test]
fn a_storm_over_all_gpus_reaches_each_set_once_and_soon() {
    // On a machine that stands still for a moment, one storm takes longer.
    let took = (0..5).map(|_| time_of_a_storm()).find(|took| *took < Duration::from_secs(1));
    println!("{:?} for 1000 events to two sets each", took.expect("a storm that is soon over"));
}

/// How long it takes until each set has got all of them.
fn time_of_a_storm() -> Duration {
    const CODES: u32 = 20;
    let driver = Driver::start(&[("FAKE_NVML_GPUS", "8"), ("FAKE_NVML_SPEED", "20")]);
    let gpus: Vec<_> = (0..8).map(|index| driver.device(index).unwrap()).collect();
    let lines: Vec<(usize, u32)> = (0..1000).map(|i| (i as usize % 8, 31 + i % CODES)).collect();
    let text: Vec<String> = lines.iter().map(|(gpu, xid)| format!("gpu {gpu} xid {xid}")).collect();
    // One set for all GPUs, and one for each, as programs differ in that.
    let whole = driver.event_set(&gpus);
    let single: Vec<_> = gpus.iter().map(|gpu| driver.event_set(&[*gpu])).collect();
    let began = Instant::now();
    driver.control.set(&text.iter().map(String::as_str).collect::<Vec<_>>());
    let all: Vec<_> = (0..1000).map(|_| whole.wait(SOON).unwrap()).collect();
    for (index, gpu) in gpus.iter().enumerate() {
        let of_gpu = lines.iter().filter(|(known, _)| *known == index);
        let expected: Vec<u64> = of_gpu.map(|(_, xid)| (*xid).into()).collect();
        let delivered = all.iter().filter(|(known, _)| known == gpu).map(|(_, xid)| *xid);
        assert_eq!(delivered.collect::<Vec<_>>(), expected, "GPU {index}, in the common set");
        let own: Vec<_> = expected.iter().map(|_| single[index].wait(SOON).unwrap().1).collect();
        assert_eq!(own, expected, "GPU {index}, in its own set");
    }
    let took = began.elapsed();
    for set in single.iter().chain([&whole]) {
        assert_eq!(set.wait(Duration::from_millis(10)), Err(TIMEOUT), "each of them once");
    }
    took
}

#[test]
fn whoever_waits_is_woken_soon() {
    let driver = Driver::with_gpus("1");
    let set = driver.event_set(&[driver.device(0).unwrap()]);
    let time = |_| {
        thread::scope(|scope| {
            let wait = || (set.wait(SOON).unwrap().1, Instant::now());
            let waiter = thread::Builder::new().spawn_scoped(scope, wait).unwrap();
            thread::sleep(Duration::from_millis(50));
            let written = Instant::now();
            driver.control.add(&["gpu 0 xid 31"]);
            let (code, woken) = waiter.join().unwrap();
            assert_eq!(code, 31);
            woken - written
        })
    };
    // A handful of milliseconds, but for a machine that is busy with other things or stands still.
    assert!((0..20).map(time).any(|took| took < Duration::from_millis(200)));
}

#[test]
fn each_set_gets_each_event_and_a_later_set_none_that_were_delivered() {
    let driver = Driver::with_gpus("2");
    let gpu = driver.device(0).unwrap();
    driver.control.set(&["gpu 0 xid 48", "gpu 1 xid 31"]);
    thread::sleep(BRIEF);
    let (one, other) = (driver.event_set(&[gpu]), driver.event_set(&[gpu]));
    assert_eq!(one.wait(SOON), Ok((gpu, 48)), "it waited for a set");
    assert_eq!(other.wait(SOON), Ok((gpu, 48)));
    drop((one, other));
    let later = driver.event_set(&[gpu, driver.device(1).unwrap()]);
    assert_eq!(later.wait(SOON).unwrap().1, 31, "the other GPU's");
    assert_eq!(later.wait(BRIEF), Err(TIMEOUT));
}

#[test]
fn a_new_session_does_not_get_the_old_events() {
    let driver = Driver::with_gpus("1");
    let gpu = driver.device(0).unwrap();
    driver.control.set(&["gpu 0 xid 48"]);
    assert_eq!(driver.event_set(&[gpu]).wait(SOON), Ok((gpu, 48)));
    assert_eq!((driver.shutdown(), driver.init()), (Ok(()), Ok(())));
    let gpu = driver.device(0).unwrap();
    let set = driver.event_set(&[gpu]);
    assert_eq!(set.wait(BRIEF), Err(TIMEOUT));
    driver.control.add(&["gpu 0 xid 63"]);
    assert_eq!(set.wait(SOON), Ok((gpu, 63)));
}

#[test]
fn xids_of_the_kernel_log_only_raise_no_event() {
    let driver = Driver::with_gpus("1");
    let gpu = driver.device(0).unwrap();
    let set = driver.event_set(&[gpu]);
    driver.control.set(&["gpu 0 xid 79", "gpu 0 xid 119", "gpu 0 xid 31", "gpu 0 xid 120"]);
    assert_eq!(set.wait(SOON), Ok((gpu, 31)));
    assert_eq!(set.wait(BRIEF), Err(TIMEOUT));
}

#[test]
fn a_lost_gpu_delivers_what_it_has_and_then_says_that_it_is_lost() {
    let driver = Driver::with_gpus("2");
    let (well, sick) = (driver.device(0).unwrap(), driver.device(1).unwrap());
    let (set, other) = (driver.event_set(&[sick]), driver.event_set(&[well]));
    driver.control.set(&["gpu 1 xid 94", "gpu 1 lost"]);
    assert_eq!(set.wait(SOON), Ok((sick, 94)));
    let began = Instant::now();
    assert_eq!(set.wait(BRIEF), Err(GPU_IS_LOST));
    assert!(began.elapsed() >= BRIEF);
    assert_eq!(other.wait(BRIEF), Err(TIMEOUT), "another GPU's set does not mind");
}

#[test]
fn a_wait_ends_with_its_session() {
    let driver = Driver::with_gpus("1");
    let set = driver.event_set(&[driver.device(0).unwrap()]);
    thread::scope(|scope| {
        let wait = || set.wait(Duration::from_secs(30));
        let waiter = thread::Builder::new().spawn_scoped(scope, wait).unwrap();
        thread::sleep(BRIEF);
        driver.shutdown().unwrap();
        assert_eq!(waiter.join().unwrap(), Err(UNINITIALIZED));
    });
}

#[test]
fn kinds_that_the_board_does_not_have_are_refused() {
    let driver = Driver::with_example();
    let geforce = driver.device(1).unwrap();
    let set = driver.event_set(&[geforce]);
    // SAFETY: the set is valid.
    let code = unsafe { driver.nvml.nvmlDeviceRegisterEvents(geforce.raw(), 2, set.raw()) };
    assert_eq!(code, NOT_SUPPORTED, "no ECC errors without ECC");
}
