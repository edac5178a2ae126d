//! Health, limits and links, as the example fixture has them.

use std::ptr;

use nvml_wrapper_sys::bindings::{
    nvmlDevice_t, nvmlEccSramErrorStatus_t, nvmlGpuFabricInfo_v2_t, nvmlGpuFabricInfo_v3_t,
    nvmlMarginTemperature_t, nvmlReturn_t,
};

use crate::driver::*;

const fn version<T>(number: u32) -> u32 {
    size_of::<T>() as u32 | number << 24
}

#[test]
fn names_and_modes() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(0).unwrap().raw();
    // SAFETY: in this test, get() and text() pass places of the right type and length.
    unsafe {
        assert_eq!(get(|out| nvml.nvmlDeviceGetBrand(gpu, out)), Ok(14));
        assert_eq!(get(|out| nvml.nvmlDeviceGetPersistenceMode(gpu, out)), Ok(1));
        assert_eq!(get(|out| nvml.nvmlDeviceGetComputeMode(gpu, out)), Ok(3));
        assert_eq!(get(|out| nvml.nvmlDeviceGetVirtualizationMode(gpu, out)), Ok(0));
        let vbios = text(32, |out, length| nvml.nvmlDeviceGetVbiosVersion(gpu, out, length));
        assert_eq!(vbios.as_deref(), Ok("96.00.89.00.0A"));
        let image = text(16, |out, length| nvml.nvmlDeviceGetInforomImageVersion(gpu, out, length));
        assert_eq!(image.as_deref(), Ok("G520.0200.00.05"));
        let object = |object| {
            text(16, |out, length| nvml.nvmlDeviceGetInforomVersion(gpu, object, out, length))
        };
        assert_eq!((object(0).as_deref(), object(1).as_deref()), (Ok("2.1"), Ok("7.16")));
        assert_eq!((object(2), object(3)), (Err(NOT_SUPPORTED), Err(INVALID_ARGUMENT)));
    }
}

#[test]
fn limits() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(0).unwrap().raw();
    // SAFETY: in this test, get() and list() pass places of the right type and length.
    unsafe {
        let usual = get(|out| nvml.nvmlDeviceGetPowerManagementDefaultLimit(gpu, out));
        assert_eq!(usual, Ok(698_765));
        let mut most = 0;
        let least =
            get(|out| nvml.nvmlDeviceGetPowerManagementLimitConstraints(gpu, out, &mut most));
        assert_eq!((least, most), (Ok(200_123), 700_321));
        let mut margin = nvmlMarginTemperature_t { version: 1, marginTemperature: 0 };
        let refused = nvml.nvmlDeviceGetMarginTemperature(gpu, &mut margin);
        assert_eq!(refused, ARGUMENT_VERSION_MISMATCH);
        margin.version = version::<nvmlMarginTemperature_t>(1);
        assert_eq!(nvml.nvmlDeviceGetMarginTemperature(gpu, &mut margin), 0);
        assert_eq!(margin.marginTemperature, -3);
        let application =
            [0, 1, 2].map(|kind| get(|out| nvml.nvmlDeviceGetApplicationsClock(gpu, kind, out)));
        assert_eq!(application, [Ok(1965), Err(NOT_SUPPORTED), Ok(2618)]);
        let bar1 = get(|out| nvml.nvmlDeviceGetBAR1MemoryInfo(gpu, out)).unwrap();
        let bar1 = (bar1.bar1Total, bar1.bar1Free, bar1.bar1Used);
        assert_eq!(bar1, (137_438_953_471, 137_430_000_001, 8_953_470));
        let (mut fps, mut latency) = (0, 0);
        let sessions = get(|out| nvml.nvmlDeviceGetEncoderStats(gpu, out, &mut fps, &mut latency));
        assert_eq!((sessions, fps, latency), (Ok(2), 59, 1234));
    }
}

#[test]
fn memory_that_wears_out() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(0).unwrap().raw();
    // SAFETY: in this test, get() and list() pass places of the right type and length, and zeros
    // are a valid struct.
    unsafe {
        let mut pending = 9;
        let ecc = get(|out| nvml.nvmlDeviceGetEccMode(gpu, out, &mut pending));
        assert_eq!((ecc, pending), (Ok(1), 0));
        let mut sram: nvmlEccSramErrorStatus_t = std::mem::zeroed();
        let refused = nvml.nvmlDeviceGetSramEccErrorStatus(gpu, &mut sram);
        assert_eq!(refused, ARGUMENT_VERSION_MISMATCH);
        sram.version = version::<nvmlEccSramErrorStatus_t>(1);
        assert_eq!(nvml.nvmlDeviceGetSramEccErrorStatus(gpu, &mut sram), 0);
        let counts = [sram.aggregateUncParity, sram.volatileCor, sram.aggregateUncBucketOther];
        assert_eq!((counts, sram.bThresholdExceeded), ([11, 16, 21], 1));
        let (mut unc, mut pending, mut failed) = (0, 0, 9);
        let rows = get(|out| {
            nvml.nvmlDeviceGetRemappedRows(gpu, out, &mut unc, &mut pending, &mut failed)
        });
        assert_eq!((rows, unc, pending, failed), (Ok(3), 2, 1, 0));
        let banks = get(|out| nvml.nvmlDeviceGetRowRemapperHistogram(gpu, out)).unwrap();
        let banks = [banks.max, banks.high, banks.partial, banks.low, banks.none];
        assert_eq!(banks, [2551, 4, 3, 2, 1]);
        let retired =
            |cause| list(|count, start| nvml.nvmlDeviceGetRetiredPages(gpu, cause, count, start));
        assert_eq!((retired(0), retired(2)), (Ok(vec![]), Err(INVALID_ARGUMENT)));
        assert_eq!(retired(1), Ok(vec![0x1_F2E3_D000, 0xABC000]));
        let mut count = 0;
        let ask = |count| nvml.nvmlDeviceGetRetiredPages(gpu, 1, count, ptr::null_mut());
        assert_eq!((ask(&mut count), count), (INSUFFICIENT_SIZE, 2), "only the number");

        // What the bindings lack is looked up by its name.
        type Flag = unsafe extern "C" fn(nvmlDevice_t, *mut u32) -> nvmlReturn_t;
        let flag = driver.symbol::<Flag>(c"nvmlDeviceGetUnrepairableMemoryFlag_v1");
        assert_eq!(get(|out| flag(gpu, out)), Ok(1));
        let geforce = driver.device(1).unwrap().raw();
        assert_eq!(get(|out| flag(geforce, out)), Err(NOT_SUPPORTED));
    }
}

#[test]
fn links() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let (gpu, other) = (driver.device(0).unwrap().raw(), driver.device(1).unwrap().raw());
    // SAFETY: in this test, get() passes places of the right type, and zeros are a valid struct.
    unsafe {
        let pcie = [
            get(|out| nvml.nvmlDeviceGetCurrPcieLinkGeneration(gpu, out)),
            get(|out| nvml.nvmlDeviceGetCurrPcieLinkWidth(gpu, out)),
            get(|out| nvml.nvmlDeviceGetMaxPcieLinkGeneration(gpu, out)),
            get(|out| nvml.nvmlDeviceGetMaxPcieLinkWidth(gpu, out)),
        ];
        assert_eq!(pcie, [Ok(4), Ok(8), Ok(5), Ok(16)]);
        let state = |link| get(|out| nvml.nvmlDeviceGetNvLinkState(gpu, link, out));
        assert_eq!([state(0), state(1), state(2)], [Ok(1), Ok(0), Err(NOT_SUPPORTED)]);
        let errors =
            |link, kind| get(|out| nvml.nvmlDeviceGetNvLinkErrorCounter(gpu, link, kind, out));
        let first = [0, 1, 2, 3, 4, 5].map(|kind| errors(0, kind));
        let absent = [Err(NOT_SUPPORTED), Err(INVALID_ARGUMENT)];
        assert_eq!(first, [Ok(101), Ok(103), Ok(105), Ok(107), absent[0], absent[1]]);
        assert_eq!((errors(1, 2), errors(2, 2)), (Ok(0x1_0000_0006), Err(NOT_SUPPORTED)));
        let peer = |peer, index| get(|out| nvml.nvmlDeviceGetP2PStatus(gpu, peer, index, out));
        assert_eq!([peer(other, 2), peer(other, 0), peer(gpu, 2)], [Ok(5), Ok(2), Ok(6)]);
        assert_eq!([peer(other, 1), peer(other, 5)], [Err(NOT_SUPPORTED), Err(INVALID_ARGUMENT)]);
        assert_eq!(peer(ptr::null_mut(), 2), Err(INVALID_ARGUMENT));
    }
}

#[test]
fn the_fabric_in_both_versions_of_its_struct() {
    let driver = Driver::with_example();
    let nvml = &driver.nvml;
    let gpu = driver.device(0).unwrap().raw();
    // SAFETY: zeros are a valid struct, and that of version 2 is as long as its version says.
    unsafe {
        let mut newest: nvmlGpuFabricInfo_v3_t = std::mem::zeroed();
        let refused = nvml.nvmlDeviceGetGpuFabricInfoV(gpu, &mut newest);
        assert_eq!(refused, ARGUMENT_VERSION_MISMATCH);
        newest.version = version::<nvmlGpuFabricInfo_v3_t>(3);
        assert_eq!(nvml.nvmlDeviceGetGpuFabricInfoV(gpu, &mut newest), 0);
        assert_eq!((newest.state, newest.status, newest.cliqueId), (3, 0, 11));
        assert_eq!(newest.clusterUuid, [0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15]);
        assert_eq!((newest.healthMask, newest.healthSummary), (0x1AA, 1));
        let mut older: nvmlGpuFabricInfo_v2_t = std::mem::zeroed();
        older.version = version::<nvmlGpuFabricInfo_v2_t>(2);
        assert_eq!(nvml.nvmlDeviceGetGpuFabricInfoV(gpu, (&raw mut older).cast()), 0);
        assert_eq!((older.cliqueId, older.state, older.healthMask), (11, 3, 0x1AA));
    }
}

#[test]
fn simulated_boards_have_what_an_h100_has() {
    let driver = Driver::with_gpus("2");
    let nvml = &driver.nvml;
    let (gpu, other) = (driver.device(0).unwrap().raw(), driver.device(1).unwrap().raw());
    // SAFETY: in this test, get() and list() pass places of the right type and length.
    unsafe {
        let state = |link| get(|out| nvml.nvmlDeviceGetNvLinkState(gpu, link, out));
        assert_eq!((state(17), state(18)), (Ok(1), Err(NOT_SUPPORTED)));
        assert_eq!(get(|out| nvml.nvmlDeviceGetP2PStatus(gpu, other, 2, out)), Ok(0));
        assert_eq!(get(|out| nvml.nvmlDeviceGetP2PStatus(gpu, gpu, 2, out)), Ok(6));
        let banks = get(|out| nvml.nvmlDeviceGetRowRemapperHistogram(gpu, out)).unwrap();
        assert_eq!(banks.max + banks.high, 2560);
        let bar1 = get(|out| nvml.nvmlDeviceGetBAR1MemoryInfo(gpu, out)).unwrap();
        assert_eq!(bar1.bar1Total, bar1.bar1Free + bar1.bar1Used);
    }
}
