//! The numbers of the example fixture, as they must come out of C.

use nvml_wrapper_sys::bindings::{
    nvmlGpmMetricsGet_t, nvmlGpmSample_t, nvmlGpmSupport_t, nvmlMemory_v2_t,
};

use crate::driver::*;

#[test]
fn an_h100_as_it_is_written() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    assert_eq!(driver.count(), Ok(3));
    let device = driver.device(0).unwrap();
    let gpu = device.raw();
    assert_eq!(driver.name(device).as_deref(), Ok("NVIDIA H100 80GB HBM3"));
    assert_eq!(driver.power(device), Ok(299_999));
    // SAFETY: in this test, get() and text() pass places of the right type and length.
    unsafe {
        let energy = get(|out| nvml.nvmlDeviceGetTotalEnergyConsumption(gpu, out));
        assert_eq!(energy, Ok(0x1_2345_6789));
        let throughput = |counter| get(|out| nvml.nvmlDeviceGetPcieThroughput(gpu, counter, out));
        assert_eq!((throughput(0), throughput(1)), (Ok(1_234_567), Ok(7_654_321)));
        assert_eq!(throughput(2), Err(INVALID_ARGUMENT));
        let thresholds = [0, 1, 2, 3, 4]
            .map(|kind| get(|out| nvml.nvmlDeviceGetTemperatureThreshold(gpu, kind, out)));
        assert_eq!(thresholds, [Ok(92), Ok(89), Ok(95), Ok(87), Err(NOT_SUPPORTED)]);
        let clocks =
            [0, 1, 2, 3].map(|kind| get(|out| nvml.nvmlDeviceGetClockInfo(gpu, kind, out)));
        assert_eq!(clocks, [Ok(1755), Ok(1750), Ok(2619), Ok(1545)]);
        let most =
            [0, 1, 2, 3].map(|kind| get(|out| nvml.nvmlDeviceGetMaxClockInfo(gpu, kind, out)));
        assert_eq!(most, [Ok(1980), Ok(1975), Ok(2620), Ok(1950)]);
        let version = size_of::<nvmlMemory_v2_t>() as u32 | 2 << 24;
        let mut memory = nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
        assert_eq!(nvml.nvmlDeviceGetMemoryInfo_v2(gpu, &mut memory), 0);
        assert_eq!((memory.used, memory.reserved), (42_968_734_719, 552_075_263));
        let features = get(|out| nvml.nvmlDeviceGetGridLicensableFeatures_v4(gpu, out)).unwrap();
        assert_eq!((features.isGridLicenseSupported, features.licensableFeaturesCount), (1, 1));
        let feature = &features.gridLicensableFeatures[0];
        assert_eq!((feature.featureCode, feature.featureState, feature.featureEnabled), (1, 5, 1));
    }
}

#[test]
fn fields_have_the_type_and_the_rate_that_is_written() {
    let driver = Driver::with_example();
    let gpu = driver.device(0).unwrap();
    let u64_of = |id, scope| driver.counter(gpu, id, scope);
    let total = u32::MAX;
    let tx: Vec<_> = (0..4).map(|_| u64_of(138, total).unwrap()).collect();
    for pair in tx.windows(2) {
        assert_eq!((pair[1].0 - pair[0].0, pair[1].1 - pair[0].1), (250_000, 2_000_000));
    }
    assert_eq!(u64_of(138, 4), Ok((1_700_000_000_000_000, 100)), "a script of its own");
    assert_eq!(u64_of(138, 5), Err(NOT_SUPPORTED), "no such link");
    let first = 1_700_000_000_000_000;
    let recoveries = [(0, 0, 109), (0, 1, 109), (1, 0, 110), (1, 1, 112), (1, 2, 114)];
    for (link, second, count) in recoveries {
        assert_eq!(u64_of(162, link), Ok((first + second * 1_000_000, count)), "link {link}");
    }
    assert_eq!(u64_of(162, 2), Err(NOT_SUPPORTED), "no such link");

    assert_eq!(u64_of(83, 0).unwrap().1, 0x1_2345_6789);
    assert_eq!(u64_of(83, 0).unwrap().1, 0x1_2345_6789 + 299_999);
    assert_eq!(u64_of(3, 0).unwrap().1, 0x1_0000_0002);
    assert_eq!(driver.field(gpu, 6, 0).map(drop), Err(NO_PERMISSION));
    assert_eq!(driver.field(gpu, 9_999, 0).map(drop), Err(NOT_SUPPORTED));

    let memory = driver.field(gpu, 82, 0).unwrap();
    // SAFETY: type 1 is an unsigned int.
    assert_eq!((memory.valueType, unsafe { memory.value.uiVal }), (1, 71));
    let unfilled = driver.field(gpu, 5, 0).unwrap();
    assert_eq!((unfilled.valueType, unfilled.timestamp, unfilled.latencyUsec), (0, 0, 0));
}

#[test]
fn one_bad_field_leaves_the_others_alone() {
    let driver = Driver::with_example();
    let gpu = driver.device(0).unwrap();
    let mut entries = [request(82, 0), request(9_999, 0), request(142, 0)];
    // SAFETY: three entries are passed, and three are announced.
    let code = unsafe { driver.nvml.nvmlDeviceGetFieldValues(gpu.raw(), 3, entries.as_mut_ptr()) };
    assert_eq!(code, 0);
    assert_eq!(entries.map(|entry| entry.nvmlReturn), [0, NOT_SUPPORTED, 0]);
    // SAFETY: request() wrote this member, and the library is to leave it alone.
    assert_eq!(unsafe { entries[1].value.ullVal }, 0xDEAD_BEEF);
}

#[test]
fn a_workstation_board_lacks_what_it_lacks() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let device = driver.device(1).unwrap();
    let gpu = device.raw();
    // SAFETY: in this test, get() and text() pass places of the right type and length.
    unsafe {
        assert_eq!(get(|out| nvml.nvmlDeviceGetFanSpeed(gpu, out)), Ok(45));
        let serial = text(30, |out, length| nvml.nvmlDeviceGetSerial(gpu, out, length));
        assert_eq!(serial, Err(NOT_SUPPORTED));
        let mut pending = 0;
        let mig = get(|out| nvml.nvmlDeviceGetMigMode(gpu, out, &mut pending));
        assert_eq!(mig, Err(NOT_SUPPORTED));
        let pci = get(|out| nvml.nvmlDeviceGetPciInfo_v3(gpu, out)).unwrap();
        let text_of = |chars: &[std::ffi::c_char]| {
            chars.iter().take_while(|c| **c != 0).map(|c| *c as u8 as char).collect::<String>()
        };
        assert_eq!(text_of(&pci.busId), "00010000:C1:00.0");
        let mut support = nvmlGpmSupport_t { version: 1, isSupportedDevice: 9 };
        assert_eq!(nvml.nvmlGpmQueryDeviceSupport(gpu, &mut support), 0);
        assert_eq!(support.isSupportedDevice, 0);
        let sample: nvmlGpmSample_t = get(|out| nvml.nvmlGpmSampleAlloc(out)).unwrap();
        assert_eq!(nvml.nvmlGpmSampleGet(gpu, sample), NOT_SUPPORTED);
    }
    for id in [3, 4, 138, 142] {
        assert_eq!(driver.field(device, id, 0).map(drop), Err(NOT_SUPPORTED), "field {id}");
    }
    // SAFETY: the field is an unsigned int.
    assert_eq!(unsafe { driver.field(device, 82, 0).unwrap().value.uiVal }, 0xFF);
}

#[test]
fn gpm_answers_what_is_listed() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(0).unwrap().raw();
    // SAFETY: places are of the right type, and zeros are a valid request.
    unsafe {
        let mut request: nvmlGpmMetricsGet_t = std::mem::zeroed();
        request.version = 1;
        request.sample1 = get(|out| nvml.nvmlGpmSampleAlloc(out)).unwrap();
        request.sample2 = get(|out| nvml.nvmlGpmSampleAlloc(out)).unwrap();
        assert_eq!(nvml.nvmlGpmSampleGet(gpu, request.sample1), 0);
        assert_eq!(nvml.nvmlGpmSampleGet(gpu, request.sample2), 0);
        let ids = [1, 20, 21, 11];
        request.numMetrics = ids.len() as u32;
        for (metric, id) in request.metrics.iter_mut().zip(ids) {
            metric.metricId = id;
        }
        assert_eq!(nvml.nvmlGpmMetricsGet(&mut request), 0);
        let [active, tx, rx, fp64] = [0, 1, 2, 3].map(|i| &request.metrics[i]);
        assert_eq!((active.nvmlReturn, active.value), (0, 97.25));
        assert_eq!((tx.nvmlReturn, tx.value), (0, 1.5));
        assert!(rx.nvmlReturn == 0 && rx.value.is_nan());
        assert_eq!(fp64.nvmlReturn, NOT_SUPPORTED);
    }
}
