//! GPUs that are cut into instances.

use std::{thread, time::Duration};

use nvml_wrapper_sys::bindings::{
    nvmlGpmMetricsGet_t, nvmlGpmSample_t, nvmlGpuInstance_t, nvmlGpuInstanceProfileInfo_v2_t,
    nvmlMemory_v2_t, nvmlReturn_t,
};

use crate::driver::*;

const BRIEF: Duration = Duration::from_millis(30);
const SOON: Duration = Duration::from_secs(60);

fn mig_device(driver: &Driver, gpu: Device, index: u32) -> Answer<Device> {
    let nvml = &driver.nvml;
    // SAFETY: get() passes a place for the handle.
    get(|out| unsafe { nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu.raw(), index, out) })
        .map(|device: nvml_wrapper_sys::bindings::nvmlDevice_t| Device(device.addr()))
}

fn uuid(driver: &Driver, device: Device) -> Answer<String> {
    // SAFETY: text() passes a buffer of the length that it says.
    text(96, |out, length| unsafe { driver.nvml.nvmlDeviceGetUUID(device.raw(), out, length) })
}

/// Metric 1 between two samples that `take` takes.
fn activity(driver: &Driver, take: impl Fn(nvmlGpmSample_t) -> nvmlReturn_t) -> Answer<f64> {
    let nvml = &driver.nvml;
    // SAFETY: places are of the right type, zeros are a valid request, and handles are valid.
    unsafe {
        let mut request: nvmlGpmMetricsGet_t = std::mem::zeroed();
        request.version = 1;
        request.numMetrics = 1;
        request.metrics[0].metricId = 1;
        request.sample1 = get(|out| nvml.nvmlGpmSampleAlloc(out))?;
        request.sample2 = get(|out| nvml.nvmlGpmSampleAlloc(out))?;
        done(take(request.sample1))?;
        thread::sleep(BRIEF);
        done(take(request.sample2))?;
        done(nvml.nvmlGpmMetricsGet(&mut request))?;
        done(request.metrics[0].nvmlReturn)?;
        Ok(request.metrics[0].value)
    }
}

#[test]
fn each_compute_instance_is_a_mig_device() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(2).unwrap();
    let devices: Vec<_> = (0..8).map(|index| mig_device(&driver, gpu, index)).collect();
    let found: Vec<_> = devices.iter().map(Result::is_ok).collect();
    assert_eq!(found, [true, true, false, false, true, false, false, false]);
    assert_eq!((devices[2], devices[7]), (Err(NOT_FOUND), Err(INVALID_ARGUMENT)));
    // SAFETY: in this test, get() passes places of the right type.
    unsafe {
        let most = |gpu: Device| get(|out| nvml.nvmlDeviceGetMaxMigDeviceCount(gpu.raw(), out));
        assert_eq!((most(gpu), most(driver.device(0).unwrap())), (Ok(7), Ok(0)));
        let found = devices.iter().flatten().map(|device| {
            let device = device.raw();
            (
                get(|out| nvml.nvmlDeviceGetGpuInstanceId(device, out)).unwrap(),
                get(|out| nvml.nvmlDeviceGetComputeInstanceId(device, out)).unwrap(),
                get(|out| nvml.nvmlDeviceGetIndex(device, out)).unwrap(),
            )
        });
        assert_eq!(found.collect::<Vec<_>>(), [(2, 1, 0), (2, 0, 1), (9, 0, 4)]);
        let (first, last) = (devices[1].unwrap(), devices[4].unwrap());
        assert_eq!(driver.name(first).as_deref(), Ok("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb"));
        assert_eq!(driver.name(last).as_deref(), Ok("NVIDIA H100 80GB HBM3 MIG 1g.10gb"));
        assert_eq!(uuid(&driver, last).as_deref(), Ok("MIG-77777777-8888-9999-aaaa-bbbbbbbbbbbb"));
        let parent = get(|out| nvml.nvmlDeviceGetDeviceHandleFromMigDeviceHandle(first.raw(), out));
        assert_eq!(parent, Ok(gpu.raw()));
        let is_mig =
            |device: Device| get(|out| nvml.nvmlDeviceIsMigDeviceHandle(device.raw(), out));
        assert_eq!((is_mig(first), is_mig(gpu)), (Ok(1), Ok(0)));
        let attributes = get(|out| nvml.nvmlDeviceGetAttributes_v2(first.raw(), out)).unwrap();
        let slices = (attributes.gpuInstanceSliceCount, attributes.computeInstanceSliceCount);
        assert_eq!((attributes.multiprocessorCount, slices), (20, (3, 1)));
        assert_eq!((attributes.memorySizeMB, attributes.sharedJpegCount), (40_191, 2));
        let id_of_gpu = get(|out| nvml.nvmlDeviceGetGpuInstanceId(gpu.raw(), out));
        assert_eq!(id_of_gpu, Err(INVALID_ARGUMENT));
    }
}

#[test]
fn a_mig_device_has_memory_of_its_own_and_little_else() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(2).unwrap();
    let device = mig_device(&driver, gpu, 1).unwrap().raw();
    // SAFETY: in this test, get() passes places of the right type.
    unsafe {
        let version = size_of::<nvmlMemory_v2_t>() as u32 | 2 << 24;
        let mut memory = nvmlMemory_v2_t { version, total: 0, reserved: 0, free: 0, used: 0 };
        assert_eq!(nvml.nvmlDeviceGetMemoryInfo_v2(device, &mut memory), 0);
        assert_eq!((memory.used, memory.reserved), (10_043_366_583, 101_000_001));
        let bar1 = get(|out| nvml.nvmlDeviceGetBAR1MemoryInfo(device, out)).unwrap();
        assert_eq!(bar1.bar1Used, 476_734);
        let rates = get(|out| nvml.nvmlDeviceGetUtilizationRates(device, out));
        assert_eq!(rates.map(drop), Err(NOT_SUPPORTED));
        let temperature = get(|out| nvml.nvmlDeviceGetTemperature(device, 0, out));
        assert_eq!(temperature, Err(INVALID_ARGUMENT));
        assert_eq!(driver.power(Device(device.addr())), Err(INVALID_ARGUMENT));
        assert_eq!(driver.field(Device(device.addr()), 142, 0).map(drop), Err(INVALID_ARGUMENT));

        let rates = get(|out| nvml.nvmlDeviceGetUtilizationRates(gpu.raw(), out));
        assert_eq!(rates.map(drop), Err(NOT_SUPPORTED), "nor has the GPU that is cut up");
        let (mut unc, mut pending, mut failed) = (0, 0, 0);
        let mut rows = || {
            get(|out| {
                let gpu = gpu.raw();
                nvml.nvmlDeviceGetRemappedRows(gpu, out, &mut unc, &mut pending, &mut failed)
            })
        };
        assert_eq!(rows(), Err(NOT_SUPPORTED));
        assert_eq!(driver.field(gpu, 142, 0).map(drop), Err(NOT_SUPPORTED));
        driver.control.set(&["gpu 2 mig-destroy 2", "gpu 2 mig-destroy 9", "gpu 2 mig-destroy 11"]);
        thread::sleep(BRIEF);
        assert_eq!(rows(), Ok(3), "without instances they are supported");
        assert!(driver.field(gpu, 142, 0).is_ok());
    }
}

#[test]
fn gpm_of_the_gpu_of_an_instance_and_of_a_compute_instance() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(2).unwrap();
    let of_device = |device: Device| {
        // SAFETY: the handles are valid.
        activity(&driver, |sample| unsafe { nvml.nvmlGpmSampleGet(device.raw(), sample) })
    };
    let of_instance = |id| {
        // SAFETY: the handles are valid.
        activity(&driver, |sample| unsafe { nvml.nvmlGpmMigSampleGet(gpu.raw(), id, sample) })
    };
    assert_eq!(of_device(gpu), Ok(60.5));
    assert_eq!(of_device(mig_device(&driver, gpu, 1).unwrap()), Ok(71.5));
    assert_eq!(of_device(mig_device(&driver, gpu, 0).unwrap()), Ok(81.25), "as its instance");
    assert_eq!(of_instance(2), Ok(81.25));
    assert_eq!(of_instance(9), Err(NOT_SUPPORTED), "none in the fixture");
    assert_eq!(of_instance(11), Err(NO_DATA), "no compute instance");
    assert_eq!(of_instance(5), Err(INVALID_ARGUMENT));
}

#[test]
fn instances_without_a_compute_instance_are_found_too() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(2).unwrap().raw();
    // SAFETY: in this test, places are of the right type, and there are seven for instances.
    unsafe {
        let mut info: nvmlGpuInstanceProfileInfo_v2_t = std::mem::zeroed();
        info.version = size_of::<nvmlGpuInstanceProfileInfo_v2_t>() as u32 | 2 << 24;
        assert_eq!(nvml.nvmlDeviceGetGpuInstanceProfileInfoV(gpu, 0, &mut info), 0);
        let name = std::ffi::CStr::from_ptr(info.name.as_ptr());
        assert_eq!((name, info.instanceCount), (c"MIG 1g.10gb", 7));
        let mut handles: [nvmlGpuInstance_t; 7] = [std::ptr::null_mut(); 7];
        let find = |handles: &mut [nvmlGpuInstance_t; 7]| {
            get(|out| nvml.nvmlDeviceGetGpuInstances(gpu, info.id, handles.as_mut_ptr(), out))
        };
        assert_eq!(find(&mut handles), Ok(2));
        let found = handles[..2].iter().map(|handle| {
            let info = get(|out| nvml.nvmlGpuInstanceGetInfo(*handle, out)).unwrap();
            (info.device == gpu, info.id, info.profileId, info.placement.size)
        });
        assert_eq!(found.collect::<Vec<_>>(), [(true, 9, 19, 1), (true, 11, 19, 1)]);
        driver.control.set(&["gpu 2 denied nvmlDeviceGetGpuInstances"]);
        thread::sleep(BRIEF);
        assert_eq!(find(&mut handles), Err(NO_PERMISSION));
        let whole = driver.device(0).unwrap().raw();
        let refused = nvml.nvmlDeviceGetGpuInstanceProfileInfoV(whole, 0, &mut info);
        assert_eq!(refused, NOT_SUPPORTED);
    }
}

#[test]
fn instances_come_and_go_on_a_simulated_gpu() {
    let driver = Driver::start(&[("FAKE_NVML_GPUS", "2"), ("FAKE_NVML_SPEED", "20")]);
    let nvml = &driver.nvml;
    let gpu = driver.device(1).unwrap();
    driver.control.set(&["gpu 1 mig on"]);
    thread::sleep(BRIEF);
    assert_eq!(mig_device(&driver, gpu, 0), Err(NOT_FOUND), "it begins with none");
    driver.control.add(&["gpu 1 mig-create 3 1g.10gb", "gpu 1 mig-create 5 2g.20gb"]);
    thread::sleep(BRIEF);
    let device = mig_device(&driver, gpu, 0).unwrap();
    let name = uuid(&driver, device).unwrap();
    assert!(name.starts_with("MIG-") && name.len() == 40, "{name}");
    assert_ne!(uuid(&driver, mig_device(&driver, gpu, 1).unwrap()), Ok(name.clone()));
    // SAFETY: get() passes a place for the struct, and the handles are valid.
    unsafe {
        let memory = get(|out| nvml.nvmlDeviceGetMemoryInfo(device.raw(), out)).unwrap();
        assert_eq!(memory.total, memory.free + memory.used);
        assert!(activity(&driver, |sample| nvml.nvmlGpmSampleGet(device.raw(), sample)).is_ok());
    }
    driver.control.add(&["gpu 1 mig-destroy 3"]);
    thread::sleep(BRIEF);
    assert_eq!(mig_device(&driver, gpu, 0), Err(NOT_FOUND));
    assert!(mig_device(&driver, gpu, 1).is_ok(), "the other keeps its index");
    assert_eq!(uuid(&driver, device), Err(INVALID_ARGUMENT), "a handle of what is gone");
    driver.control.add(&["gpu 1 mig-create 3 1g.10gb"]);
    thread::sleep(BRIEF);
    assert_eq!(uuid(&driver, mig_device(&driver, gpu, 0).unwrap()), Ok(name));
    driver.control.clear();
    thread::sleep(BRIEF);
    assert_eq!(mig_device(&driver, gpu, 1), Err(NOT_FOUND), "MIG is off");
}

#[test]
fn an_xid_names_its_instance() {
    let driver = Driver::with_example();
    let gpu = driver.device(2).unwrap();
    let set = driver.event_set(&[gpu]);
    driver.control.set(&[
        "gpu 2 xid 43 instance 2",
        "gpu 2 xid 94 instance 2 compute 1",
        "gpu 2 xid 31",
    ]);
    let found = (0..3).map(|_| {
        let event = set.wait_for_any(SOON).unwrap();
        (event.eventData, event.gpuInstanceId, event.computeInstanceId)
    });
    let whole = u32::MAX;
    assert_eq!(found.collect::<Vec<_>>(), [(43, 2, whole), (94, 2, 1), (31, whole, whole)]);
}
