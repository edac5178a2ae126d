//! Each command of the control file.

use std::{
    sync::mpsc,
    thread,
    time::{Duration, Instant},
};

use nvml_wrapper_sys::bindings::{nvmlGpmSample_t, nvmlGpmSupport_t, nvmlUtilization_t};

use crate::driver::*;

/// Longer than the library takes to notice a change.
const NOTICED: Duration = Duration::from_millis(8);

fn set(driver: &Driver, commands: &[&str]) {
    driver.control.set(commands);
    thread::sleep(NOTICED);
}

fn utilization(driver: &Driver, gpu: Device) -> Answer<nvmlUtilization_t> {
    // SAFETY: get() passes a place for the struct.
    get(|out| unsafe { driver.nvml.nvmlDeviceGetUtilizationRates(gpu.raw(), out) })
}

#[test]
fn a_hung_gpu_blocks_its_own_calls_and_nobody_elses() {
    let driver = Driver::with_gpus("8");
    let gpus: Vec<Device> = (0..8).map(|i| driver.device(i).unwrap()).collect();
    set(&driver, &["gpu 3 hang"]);
    let (done, is_done) = mpsc::channel();
    thread::scope(|scope| {
        // A call with a handle, one that gets a handle, and one with a field hang at once.
        let (driver, gpus) = (&driver, &gpus);
        let calls: [Box<dyn Fn() + Send>; 3] = [
            Box::new(|| assert!(driver.power(gpus[3]).is_ok())),
            Box::new(|| assert!(driver.device(3).is_ok())),
            Box::new(|| assert!(driver.field(gpus[3], 82, 0).is_ok())),
        ];
        for call in calls {
            let done = done.clone();
            let run = move || {
                call();
                done.send(()).unwrap();
            };
            thread::Builder::new().spawn_scoped(scope, run).unwrap();
        }
        thread::sleep(NOTICED);
        let began = Instant::now();
        for _ in 0..1000 {
            for gpu in gpus.iter().filter(|gpu| **gpu != gpus[3]) {
                driver.power(*gpu).unwrap();
            }
        }
        let elapsed = began.elapsed();
        let hung = is_done.try_recv().is_err();
        // Nothing is asserted before they are let go: the scope would wait for them for ever.
        driver.control.clear();
        assert!(hung);
        // If each waited for a look at the file, it would be longer: 7000 times 5 ms.
        assert!(elapsed < Duration::from_secs(30), "{elapsed:?}");
        for _ in 0..3 {
            is_done.recv_timeout(Duration::from_secs(60)).unwrap();
        }
    });
}

#[test]
fn only_the_listed_calls_hang() {
    let driver = Driver::with_gpus("2");
    let gpu = driver.device(1).unwrap();
    let names = "nvmlDeviceGetUtilizationRates,nvmlDeviceGetHandleByIndex_v2";
    set(&driver, &[&format!("gpu 1 hang-calls {names}")]);
    assert!(driver.power(gpu).is_ok());
    assert!(driver.device(0).is_ok());
    thread::scope(|scope| {
        let call = || utilization(&driver, gpu);
        let hung = thread::Builder::new().spawn_scoped(scope, call).unwrap();
        thread::sleep(Duration::from_millis(30));
        let was_hung = !hung.is_finished();
        driver.control.clear();
        assert!(hung.join().unwrap().is_ok() && was_hung);
    });
}

#[test]
fn a_lost_gpu_says_so_to_every_call() {
    let driver = Driver::with_gpus("3");
    let gpu = driver.device(2).unwrap();
    set(&driver, &["gpu 2 lost"]);
    assert_eq!(driver.device(2), Err(GPU_IS_LOST));
    assert_eq!(driver.power(gpu), Err(GPU_IS_LOST));
    assert_eq!(driver.name(gpu), Err(GPU_IS_LOST));
    assert_eq!(driver.field(gpu, 82, 0).map(drop), Err(GPU_IS_LOST));
    assert_eq!(driver.count(), Ok(3));
    assert!(driver.power(driver.device(1).unwrap()).is_ok());
    set(&driver, &[]);
    assert!(driver.power(gpu).is_ok());
}

#[test]
fn a_slow_gpu_takes_longer_by_what_is_said() {
    let driver = Driver::with_gpus("2");
    let (slow, quick) = (driver.device(1).unwrap(), driver.device(0).unwrap());
    let time = |gpu| {
        let began = Instant::now();
        driver.power(gpu).unwrap();
        began.elapsed()
    };
    // Some of the calls may be longer, on a machine that stands still.
    let is_quick = |gpu| (0..10).any(|_| time(gpu) < Duration::from_millis(60));
    set(&driver, &["gpu 1 slow 60"]);
    assert!(!is_quick(slow));
    assert!(is_quick(quick));
    set(&driver, &["gpu 1 slow 60 nvmlDeviceGetName"]);
    assert!(is_quick(slow));
}

#[test]
fn a_function_a_field_or_gpm_is_refused() {
    let driver = Driver::with_gpus("1");
    let gpu = driver.device(0).unwrap();
    for (word, code) in
        [("unsupported", NOT_SUPPORTED), ("denied", NO_PERMISSION), ("fail", UNKNOWN)]
    {
        set(&driver, &[&format!("gpu 0 {word} nvmlDeviceGetPowerUsage")]);
        assert_eq!(driver.power(gpu), Err(code));
        assert!(driver.name(gpu).is_ok());
        set(&driver, &[&format!("gpu 0 {word} field 82")]);
        assert_eq!(driver.field(gpu, 82, 0).map(drop), Err(code));
        assert!(driver.field(gpu, 83, 0).is_ok());

        set(&driver, &[&format!("gpu 0 {word} gpm")]);
        let mut support = nvmlGpmSupport_t { version: 1, isSupportedDevice: 9 };
        // SAFETY: places of the right type are passed.
        unsafe {
            let sample: nvmlGpmSample_t = get(|out| driver.nvml.nvmlGpmSampleAlloc(out)).unwrap();
            assert_eq!(driver.nvml.nvmlGpmSampleGet(gpu.raw(), sample), code);
            assert_eq!(driver.nvml.nvmlGpmQueryDeviceSupport(gpu.raw(), &mut support), 0);
        }
        assert_eq!(support.isSupportedDevice, u32::from(code != NOT_SUPPORTED));
    }
}

#[test]
fn mig_mode_takes_the_utilization_away_and_leaves_gpm() {
    let driver = Driver::with_gpus("1");
    let gpu = driver.device(0).unwrap();
    set(&driver, &["gpu 0 mig on"]);
    let nvml = &driver.nvml;
    let (mut pending, mut period) = (0, 0);
    // SAFETY: places of the right type are passed.
    unsafe {
        let current = get(|out| nvml.nvmlDeviceGetMigMode(gpu.raw(), out, &mut pending));
        assert_eq!((current, pending), (Ok(1), 1));
        let load = get(|out| nvml.nvmlDeviceGetEncoderUtilization(gpu.raw(), out, &mut period));
        assert_eq!(load, Err(NOT_SUPPORTED));
        let sample: nvmlGpmSample_t = get(|out| nvml.nvmlGpmSampleAlloc(out)).unwrap();
        assert_eq!(nvml.nvmlGpmSampleGet(gpu.raw(), sample), 0);
    }
    assert_eq!(utilization(&driver, gpu).map(drop), Err(NOT_SUPPORTED));
    set(&driver, &["gpu 0 mig off"]);
    assert!(utilization(&driver, gpu).is_ok());
}

#[test]
fn the_driver_lists_fewer_gpus() {
    let driver = Driver::with_gpus("8");
    let last = driver.device(7).unwrap();
    set(&driver, &["gpus 7"]);
    // A session keeps the list that it began with.
    assert_eq!(driver.count(), Ok(8));
    assert_eq!(driver.power(last), Err(GPU_IS_LOST));
    assert_eq!((driver.shutdown(), driver.init()), (Ok(()), Ok(())));
    assert_eq!(driver.count(), Ok(7));
    assert_eq!(driver.device(7), Err(INVALID_ARGUMENT));
    set(&driver, &["gpus 80"]);
    assert_eq!(driver.count(), Ok(7));
    assert_eq!((driver.init(), driver.shutdown()), (Ok(()), Ok(())));
    assert_eq!(driver.count(), Ok(7), "as long as there is any user, the session goes on");
    assert_eq!((driver.shutdown(), driver.init()), (Ok(()), Ok(())));
    assert_eq!(driver.count(), Ok(8));
}

#[test]
fn a_gpu_that_was_reset_is_back_for_a_new_session() {
    let driver = Driver::with_gpus("2");
    let gpu = driver.device(1).unwrap();
    set(&driver, &["gpu 1 lost until-init"]);
    assert_eq!(driver.power(gpu), Err(GPU_IS_LOST));
    set(&driver, &[]);
    assert_eq!(driver.power(gpu), Err(GPU_IS_LOST));
    assert_eq!(driver.device(1), Err(GPU_IS_LOST));
    assert_eq!((driver.shutdown(), driver.init()), (Ok(()), Ok(())));
    assert!(driver.power(driver.device(1).unwrap()).is_ok());
}

#[test]
fn initialisation_fails_as_asked() {
    let driver = Driver::open(&[("FAKE_NVML_GPUS", "1")]);
    set(&driver, &["init mismatch"]);
    assert_eq!(driver.init(), Err(LIB_RM_VERSION_MISMATCH));
    set(&driver, &["init not-loaded"]);
    assert_eq!(driver.init(), Err(DRIVER_NOT_LOADED));
    assert_eq!(driver.count(), Err(UNINITIALIZED));
    set(&driver, &[]);
    assert_eq!(driver.init(), Ok(()));
    let gpu = driver.device(0).unwrap();
    set(&driver, &["init mismatch"]);
    assert_eq!(driver.count(), Err(LIB_RM_VERSION_MISMATCH), "in a live session too");
    assert_eq!(driver.power(gpu), Err(LIB_RM_VERSION_MISMATCH));
    set(&driver, &["init not-loaded"]);
    assert!(driver.power(gpu).is_ok());
}

#[test]
fn initialisation_hangs_until_it_may_go_on() {
    let driver = Driver::with_gpus("1");
    set(&driver, &["init hang"]);
    thread::scope(|scope| {
        let init = || driver.init();
        let hung = thread::Builder::new().spawn_scoped(scope, init).unwrap();
        thread::sleep(Duration::from_millis(30));
        let (was_hung, count) = (!hung.is_finished(), driver.count());
        driver.control.clear();
        assert_eq!((hung.join().unwrap(), was_hung), (Ok(()), true));
        assert_eq!(count, Ok(1), "whoever is in already goes on");
    });
}

#[test]
fn the_driver_can_be_another() {
    let driver = Driver::start(&[("FAKE_NVML_GPUS", "1"), ("FAKE_NVML_DRIVER", "535.1")]);
    assert_eq!(driver.driver_version().as_deref(), Ok("535.1"));
    set(&driver, &["driver 570.86.10"]);
    assert_eq!(driver.driver_version().as_deref(), Ok("570.86.10"));
    // SAFETY: get() passes a place for the number.
    let cuda = get(|out| unsafe { driver.nvml.nvmlSystemGetCudaDriverVersion_v2(out) });
    assert_eq!(cuda, Ok(12_080));
}

#[test]
fn nonsense_is_answered() {
    let driver = Driver::with_gpus("1");
    let gpu = driver.device(0).unwrap();
    let memory = utilization(&driver, gpu).unwrap().memory;
    let first = "nonsense 0 nvmlDeviceGetUtilizationRates 808334905";
    set(
        &driver,
        &[first, "nonsense 0 nvmlDeviceGetPowerUsage 4294967295", "nonsense 0 field 82 300"],
    );
    let rates = utilization(&driver, gpu).unwrap();
    assert_eq!((rates.gpu, rates.memory), (808_334_905, memory));
    assert_eq!(driver.power(gpu), Ok(u32::MAX));
    // SAFETY: the field is an unsigned int.
    assert_eq!(unsafe { driver.field(gpu, 82, 0).unwrap().value.uiVal }, 300);
}

#[test]
fn quick_changes_of_equal_length_are_all_seen() {
    let driver = Driver::with_gpus("2");
    let gpus = [driver.device(0).unwrap(), driver.device(1).unwrap()];
    for i in 0..50 {
        let sick = i % 2;
        set(&driver, &[&format!("gpu {sick} lost")]);
        assert_eq!(driver.power(gpus[sick]), Err(GPU_IS_LOST), "change {i}");
        assert!(driver.power(gpus[1 - sick]).is_ok(), "change {i}");
    }
}

#[test]
fn a_bad_fixture_is_an_error_and_not_a_crash() {
    let driver = Driver::open(&[("FAKE_NVML_FIXTURE", "/does/not/exist.toml")]);
    assert_eq!(driver.init(), Err(UNKNOWN));
}

#[test]
fn quantities_of_a_simulated_gpu_are_set_and_go_back() {
    let driver = Driver::start(&[("FAKE_NVML_SPEED", "20")]);
    let gpu = driver.device(1).unwrap();
    let count = |id, scope| {
        let field = driver.field(gpu, id, scope)?;
        assert_eq!(field.valueType, 1, "unsigned int");
        // SAFETY: the value type says that this member was written.
        Ok::<u32, u32>(unsafe { field.value.uiVal })
    };
    let power = || driver.power(gpu).unwrap();
    let until = |what: &str, condition: &dyn Fn() -> bool| {
        let end = Instant::now() + Duration::from_secs(15);
        while !condition() {
            assert!(Instant::now() < end, "not in time: {what}");
            thread::sleep(NOTICED);
        }
    };
    // Link 2 is the first that stays up; 145 is the failed remapping.
    until("links are up", &|| count(165, 1) == Ok(1));
    driver.control.set(&["gpu 1 set links_down 2", "gpu 1 set remap_failed 1"]);
    until("links are down", &|| count(165, 1) == Ok(0));
    assert_eq!((count(165, 2), count(145, 0)), (Ok(1), Ok(1)));
    driver.control.set(&["gpu 1 silent", "gpu 1 set power 650"]);
    until("it is silent", &|| utilization(&driver, gpu).is_ok_and(|shares| shares.gpu == 0));
    assert_eq!((power(), count(165, 1), count(145, 0)), (650_000, Ok(1), Ok(0)));
    assert!(utilization(&driver, driver.device(0).unwrap()).unwrap().gpu > 0);
    driver.control.clear();
    until("it works again", &|| utilization(&driver, gpu).is_ok_and(|shares| shares.gpu > 0));
}
