//! The machines under `test/fixtures/machines`: each is read, and has what such boards have.

use std::fs;

use nvml_wrapper_sys::bindings::{nvmlGpmSupport_t, nvmlGpuFabricInfo_v3_t};

use crate::driver::*;

const FOLDER: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/../../test/fixtures/machines");
const TOTAL: u32 = u32::MAX;

fn machine(name: &str) -> Driver {
    Driver::start(&[("FAKE_NVML_FIXTURE", &format!("{FOLDER}/{name}.toml"))])
}

fn devices(driver: &Driver) -> Vec<Device> {
    (0..driver.count().unwrap()).map(|index| driver.device(index).unwrap()).collect()
}

fn has_gpm(driver: &Driver, gpu: Device) -> bool {
    let mut support = nvmlGpmSupport_t { version: 1, isSupportedDevice: 9 };
    // SAFETY: a place for the struct is passed, with its version.
    done(unsafe { driver.nvml.nvmlGpmQueryDeviceSupport(gpu.raw(), &mut support) }).unwrap();
    support.isSupportedDevice == 1
}

/// The indexes at which a GPU has MIG devices.
fn mig_devices(driver: &Driver, gpu: Device) -> Vec<u32> {
    let is_there = |index: &u32| {
        // SAFETY: get() passes a place for the handle.
        get(|out| unsafe {
            driver.nvml.nvmlDeviceGetMigDeviceHandleByIndex(gpu.raw(), *index, out)
        })
        .is_ok()
    };
    (0..7).filter(is_there).collect()
}

#[test]
fn the_number_of_gpus_matches_the_file_name() {
    let files = fs::read_dir(FOLDER).unwrap().map(|file| file.unwrap().path());
    let mut machines: Vec<String> = files
        .map(|file| {
            let name = file.file_stem().unwrap().to_str().unwrap();
            let driver = machine(name);
            let devices = devices(&driver);
            let gpm = devices.iter().filter(|gpu| has_gpm(&driver, **gpu)).count();
            let version = driver.driver_version().unwrap();
            format!("{name}: {} GPUs, {gpm} with GPM, driver {version}", devices.len())
        })
        .collect();
    machines.sort();
    let expected = [
        "a100x2-mig: 2 GPUs, 0 with GPM, driver 535.183.06",
        "gb200x2: 2 GPUs, 2 with GPM, driver 595.45.04",
        "geforce: 1 GPUs, 0 with GPM, driver 565.57.01",
        "h100x2: 2 GPUs, 2 with GPM, driver 550.163.01",
        "t4x2: 2 GPUs, 0 with GPM, driver 535.161.08",
    ];
    assert_eq!(machines, expected);
}

#[test]
fn the_links_add_up() {
    for (name, links) in [("h100x2", 18), ("a100x2-mig", 12), ("gb200x2", 18)] {
        let driver = machine(name);
        for gpu in devices(&driver) {
            let sent: u64 = (0..links).map(|link| driver.counter(gpu, 138, link).unwrap().1).sum();
            assert_eq!(driver.counter(gpu, 138, TOTAL).unwrap().1, sent, "{name}");
            let next = driver.counter(gpu, 138, TOTAL).unwrap();
            let after = driver.counter(gpu, 138, TOTAL).unwrap();
            assert!(after.0 - next.0 == 1_000_000 && after.1 > next.1, "{name}");
            assert_eq!(driver.counter(gpu, 138, links).map(drop), Err(NOT_SUPPORTED), "{name}");
        }
    }
}

#[test]
fn an_a100_is_cut_as_it_is_written() {
    let driver = machine("a100x2-mig");
    let cut: Vec<_> = devices(&driver).iter().map(|gpu| mig_devices(&driver, *gpu).len()).collect();
    assert_eq!(cut, [0, 2]);
    assert_eq!(driver.field(driver.device(1).unwrap(), 142, 0).map(drop), Err(NOT_SUPPORTED));
    assert!(driver.field(driver.device(0).unwrap(), 142, 0).is_ok());
}

#[test]
fn each_generation_has_fields_of_its_own() {
    let has = |driver: &Driver, ids: &[u32]| -> Vec<bool> {
        let gpu = driver.device(0).unwrap();
        ids.iter().map(|id| driver.field(gpu, *id, TOTAL).is_ok()).collect()
    };
    // Retired pages, NVLink CRC errors, remapped rows, recovery action, NVLink 5, and the times of
    // slowdowns as older and newer drivers number them.
    let ids = [30, 38, 142, 230, 204, 251, 269];
    let [f, t] = [false, true];
    assert_eq!(has(&machine("t4x2"), &ids), [t, f, f, f, f, f, f]);
    assert_eq!(has(&machine("a100x2-mig"), &ids), [f, t, t, f, f, f, f]);
    assert_eq!(has(&machine("geforce"), &ids), [f, f, f, f, f, f, f]);
    assert_eq!(has(&machine("h100x2"), &ids), [f, t, t, t, f, t, f]);
    assert_eq!(has(&machine("gb200x2"), &ids), [f, f, t, t, t, f, t]);
}

#[test]
fn a_rack_has_a_fabric() {
    let driver = machine("gb200x2");
    for gpu in devices(&driver) {
        // SAFETY: zeros are a valid struct, and its version is filled in.
        unsafe {
            let mut fabric: nvmlGpuFabricInfo_v3_t = std::mem::zeroed();
            fabric.version = size_of::<nvmlGpuFabricInfo_v3_t>() as u32 | 3 << 24;
            assert_eq!(driver.nvml.nvmlDeviceGetGpuFabricInfoV(gpu.raw(), &mut fabric), 0);
            assert_eq!((fabric.state, fabric.status), (3, 0));
            assert!(fabric.healthMask != 0 && fabric.healthSummary != 0);
        }
    }
}
