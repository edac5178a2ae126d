//! Calls each function on simulated GPUs, with valid and with invalid arguments.

use std::{
    ffi::CStr,
    fs, ptr,
    time::{Duration, Instant},
};

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlGpmMetricsGet_t, nvmlGpmSample_t, nvmlGpmSupport_t, nvmlMemory_v2_t,
};

use crate::driver::*;

const MEMORY_V2: u32 = size_of::<nvmlMemory_v2_t>() as u32 | 2 << 24;

#[test]
fn a_smoke_pass() {
    let driver = Driver::with_gpus("2");
    let nvml = &driver.nvml;
    assert_eq!(driver.count(), Ok(2));
    assert_eq!(driver.driver_version().as_deref(), Ok("550.163.01"));
    // SAFETY: here and in the rest of this test, get() and text() pass places of the right type
    // and length, and handles are those of this session.
    unsafe {
        let version = text(80, |out, length| nvml.nvmlSystemGetNVMLVersion(out, length));
        assert_eq!(version.as_deref(), Ok("12.550.163.01"));
        assert_eq!(get(|out| nvml.nvmlSystemGetCudaDriverVersion_v2(out)), Ok(12_040));

        let device = driver.device(1).unwrap();
        let gpu = device.raw();
        assert_eq!(get(|out| nvml.nvmlDeviceGetIndex(gpu, out)), Ok(1));
        assert_eq!(get(|out| nvml.nvmlDeviceGetMinorNumber(gpu, out)), Ok(1));
        assert_eq!(get(|out| nvml.nvmlDeviceGetArchitecture(gpu, out)), Ok(9));
        assert!(driver.name(device).unwrap().contains("H100"));
        let serial = text(30, |out, length| nvml.nvmlDeviceGetSerial(gpu, out, length));
        assert_eq!(serial.unwrap().len(), 13);

        let uuid = text(96, |out, length| nvml.nvmlDeviceGetUUID(gpu, out, length)).unwrap();
        assert!(uuid.starts_with("GPU-"), "{uuid}");

        let pci = get(|out| nvml.nvmlDeviceGetPciInfo_v3(gpu, out)).unwrap();
        let bus_id = CStr::from_ptr(pci.busId.as_ptr()).to_str().unwrap();
        assert_eq!(bus_id, format!("00000000:{:02X}:00.0", pci.bus));

        let rates = get(|out| nvml.nvmlDeviceGetUtilizationRates(gpu, out)).unwrap();
        assert!(rates.gpu > 0 && rates.gpu <= 100 && rates.memory <= 100);
        let mut period = 0;
        let load = get(|out| nvml.nvmlDeviceGetEncoderUtilization(gpu, out, &mut period));
        assert!(load.unwrap() <= 100 && period > 0);
        let load = get(|out| nvml.nvmlDeviceGetDecoderUtilization(gpu, out, &mut period));
        assert!(load.unwrap() <= 100 && period > 0);

        let old = get(|out| nvml.nvmlDeviceGetMemoryInfo(gpu, out)).unwrap();
        let mut new =
            nvmlMemory_v2_t { version: MEMORY_V2, total: 0, reserved: 0, free: 0, used: 0 };
        assert_eq!(nvml.nvmlDeviceGetMemoryInfo_v2(gpu, &mut new), 0);
        assert_eq!((old.total, old.free), (new.total, new.free));
        assert_eq!(old.used, new.used + new.reserved);
        assert_eq!(new.total, new.free + new.used + new.reserved);

        let temperature = get(|out| nvml.nvmlDeviceGetTemperature(gpu, 0, out)).unwrap();
        let slowdown = get(|out| nvml.nvmlDeviceGetTemperatureThreshold(gpu, 1, out)).unwrap();
        assert!(temperature > 20 && temperature < slowdown);
        let no_such_sensor = get(|out| nvml.nvmlDeviceGetTemperature(gpu, 1, out));
        assert_eq!(no_such_sensor, Err(INVALID_ARGUMENT));

        let limit = get(|out| nvml.nvmlDeviceGetPowerManagementLimit(gpu, out)).unwrap();
        assert_eq!(get(|out| nvml.nvmlDeviceGetEnforcedPowerLimit(gpu, out)), Ok(limit));
        let power = driver.power(device).unwrap();
        assert!(power > 50_000 && power <= limit + limit / 10, "{power} of {limit}");
        let energy = get(|out| nvml.nvmlDeviceGetTotalEnergyConsumption(gpu, out)).unwrap();
        assert!(energy > 30 * 50_000);

        let clock = get(|out| nvml.nvmlDeviceGetClockInfo(gpu, 1, out)).unwrap();
        let most = get(|out| nvml.nvmlDeviceGetMaxClockInfo(gpu, 1, out)).unwrap();
        assert!(clock > 0 && clock <= most);
        let reasons = get(|out| nvml.nvmlDeviceGetCurrentClocksEventReasons(gpu, out));
        let old_name = get(|out| nvml.nvmlDeviceGetCurrentClocksThrottleReasons(gpu, out));
        assert!(reasons.is_ok() && reasons == old_name);
        assert_eq!(get(|out| nvml.nvmlDeviceGetPerformanceState(gpu, out)), Ok(0));
        let fan = get(|out| nvml.nvmlDeviceGetFanSpeed(gpu, out));
        assert_eq!(fan, Err(NOT_SUPPORTED), "an H100 has none");

        let began = Instant::now();
        assert!(get(|out| nvml.nvmlDeviceGetPcieThroughput(gpu, 1, out)).unwrap() > 0);
        assert!(began.elapsed() >= Duration::from_millis(20));
        assert_eq!(get(|out| nvml.nvmlDeviceGetPcieReplayCounter(gpu, out)), Ok(0));

        let features = get(|out| nvml.nvmlDeviceGetGridLicensableFeatures_v4(gpu, out)).unwrap();
        assert_eq!(features.isGridLicenseSupported, 0);
        let mut pending = 9;
        assert_eq!(get(|out| nvml.nvmlDeviceGetMigMode(gpu, out, &mut pending)), Ok(0));
        assert_eq!(pending, 0);

        let kinds = get(|out| nvml.nvmlDeviceGetSupportedEventTypes(gpu, out)).unwrap();
        assert_eq!(kinds & 8, 8);
        let set = driver.event_set(&[device]);
        assert_eq!(set.wait(Duration::from_millis(10)), Err(TIMEOUT));
        let mut support = nvmlGpmSupport_t { version: 1, isSupportedDevice: 9 };
        assert_eq!(nvml.nvmlGpmQueryDeviceSupport(gpu, &mut support), 0);
        assert_eq!(support.isSupportedDevice, 1);
    }
}

#[test]
fn the_library_has_every_function_of_the_list() {
    // The list is what the control file accepts; the file of the library names what it exports.
    let source = include_str!("../../src/functions.rs");
    let list = source.split_once("FUNCTIONS: &[&str] = &[").unwrap().1.split_once("];").unwrap().0;
    let names: Vec<&str> = list.split('"').filter(|name| name.starts_with("nvml")).collect();
    assert_eq!(names.len(), 86);
    let library = fs::read(fake_nvml::library_path()).unwrap();
    for name in names {
        let symbol = [b"\0", name.as_bytes(), b"\0"].concat();
        assert!(library.windows(symbol.len()).any(|bytes| bytes == symbol), "{name}");
    }
}

#[test]
fn sessions_are_counted_and_handles_end_with_them() {
    let driver = Driver::open(&[("FAKE_NVML_GPUS", "1"), ("FAKE_NVML_AT", "0")]);
    assert_eq!(driver.count(), Err(UNINITIALIZED));
    assert_eq!(driver.shutdown(), Err(UNINITIALIZED));
    assert_eq!([driver.init(), driver.init(), driver.init()], [Ok(()); 3]);
    let device = driver.device(0).unwrap();
    for _ in 0..2 {
        assert_eq!(driver.shutdown(), Ok(()));
        assert!(driver.power(device).is_ok());
    }
    assert_eq!(driver.shutdown(), Ok(()));
    assert_eq!(driver.power(device), Err(UNINITIALIZED));
    assert_eq!(driver.init(), Ok(()));
    assert_eq!(driver.power(device), Err(INVALID_ARGUMENT), "a handle of an earlier session");
    assert!(driver.power(driver.device(0).unwrap()).is_ok());
}

#[test]
fn wrong_arguments_are_refused() {
    let driver = Driver::with_gpus("1");
    let nvml = &driver.nvml;
    let device = driver.device(0).unwrap();
    let set = driver.event_set(&[device]);
    assert_eq!(driver.device(1), Err(INVALID_ARGUMENT));
    // SAFETY: null is what the library is to notice; what is not null is of the right type.
    unsafe {
        let gpu = device.raw();
        assert_eq!(nvml.nvmlDeviceGetCount_v2(ptr::null_mut()), INVALID_ARGUMENT);
        assert_eq!(nvml.nvmlDeviceGetPowerUsage(gpu, ptr::null_mut()), INVALID_ARGUMENT);
        assert_eq!(nvml.nvmlDeviceGetFieldValues(gpu, 1, ptr::null_mut()), INVALID_ARGUMENT);
        assert_eq!(nvml.nvmlDeviceGetUUID(gpu, ptr::null_mut(), 80), INVALID_ARGUMENT);
        assert_eq!(nvml.nvmlGpmMetricsGet(ptr::null_mut()), INVALID_ARGUMENT);
        assert_eq!(nvml.nvmlEventSetWait_v2(set.raw(), ptr::null_mut(), 0), INVALID_ARGUMENT);
        let mut entry = request(82, 0);
        assert_eq!(nvml.nvmlDeviceGetFieldValues(gpu, -1, &mut entry), INVALID_ARGUMENT);

        let no_device: nvmlDevice_t = ptr::null_mut();
        assert_eq!(get(|out| nvml.nvmlDeviceGetPowerUsage(no_device, out)), Err(INVALID_ARGUMENT));
        let a_set: nvmlDevice_t = set.raw().cast();
        assert_eq!(get(|out| nvml.nvmlDeviceGetPowerUsage(a_set, out)), Err(INVALID_ARGUMENT));

        let short = text(4, |out, length| nvml.nvmlDeviceGetName(gpu, out, length));
        assert_eq!(short, Err(INSUFFICIENT_SIZE));
        let mut memory = nvmlMemory_v2_t { version: 2, total: 0, reserved: 0, free: 0, used: 0 };
        let refused = nvml.nvmlDeviceGetMemoryInfo_v2(gpu, &mut memory);
        assert_eq!(refused, ARGUMENT_VERSION_MISMATCH);
        let mut support = nvmlGpmSupport_t { version: 0, isSupportedDevice: 0 };
        let refused = nvml.nvmlGpmQueryDeviceSupport(gpu, &mut support);
        assert_eq!(refused, ARGUMENT_VERSION_MISMATCH);

        let sample: nvmlGpmSample_t = get(|out| nvml.nvmlGpmSampleAlloc(out)).unwrap();
        let mut request: nvmlGpmMetricsGet_t = std::mem::zeroed();
        assert_eq!(nvml.nvmlGpmMetricsGet(&mut request), ARGUMENT_VERSION_MISMATCH);
        request.version = 1;
        request.sample1 = sample;
        request.sample2 = sample;
        assert_eq!(nvml.nvmlGpmMetricsGet(&mut request), INVALID_ARGUMENT, "not taken yet");
        assert_eq!(nvml.nvmlGpmSampleFree(sample), 0);
        assert_eq!(nvml.nvmlGpmSampleFree(sample), INVALID_ARGUMENT);
        assert_eq!(nvml.nvmlGpmSampleGet(gpu, sample), INVALID_ARGUMENT);
    }
}
