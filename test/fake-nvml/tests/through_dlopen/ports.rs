//! Registers of the NVLinks' ports, as the example fixture has them, through a function that the
//! bindings lack.

use std::ptr;

use nvml_wrapper_sys::bindings::{nvmlDevice_t, nvmlReturn_t};

use crate::driver::*;

/// `nvmlPRMCounter_v1_t`, with the widest member of its union.
#[repr(C)]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
struct Counter {
    id: u32,
    port: u32,
    status: u32,
    kind: u32,
    value: u64,
}

#[repr(C)]
struct List {
    count: u32,
    counters: *mut Counter,
}

type Read = unsafe extern "C" fn(nvmlDevice_t, *mut List) -> nvmlReturn_t;

/// The example under these commands, which are there from the beginning.
fn under(commands: &[&str]) -> Driver {
    let example = concat!(env!("CARGO_MANIFEST_DIR"), "/fixtures/example.toml");
    let driver = Driver::open(&[("FAKE_NVML_FIXTURE", example)]);
    driver.control.set(commands);
    assert_eq!(driver.init(), Ok(()));
    driver
}

/// A counter with values that a driver must replace, or must keep.
fn request(id: u32, port: u32) -> Counter {
    Counter { id, port, status: 99, kind: 99, value: 0xDEAD_BEEF }
}

fn read(driver: &Driver, gpu: u32, counters: &mut [Counter]) -> Answer<()> {
    // SAFETY: this is the function's type.
    let read = unsafe { driver.symbol::<Read>(c"nvmlDeviceReadPRMCounters_v1") };
    let mut list = List { count: counters.len() as u32, counters: counters.as_mut_ptr() };
    // SAFETY: the list is of as many counters as it says.
    done(unsafe { read(driver.device(gpu).unwrap().raw(), &mut list) })
}

#[test]
fn each_port_has_its_registers() {
    let driver = under(&["driver 595.45.04"]);
    let mut counters =
        [(1, 1), (1, 2), (102, 2), (201, 1), (1001, 1)].map(|(id, port)| request(id, port));
    assert_eq!(read(&driver, 0, &mut counters), Ok(()));
    let read = counters.map(|counter| (counter.status, counter.kind, counter.value));
    let [u32, ulong, u64] = [1, 2, 3];
    let expected =
        [(0, u64, 111), (0, u64, 112), (0, u32, 114), (0, ulong, 0x1_0000_0073), (0, u32, 2)];
    assert_eq!(read, expected);
}

#[test]
fn missing_counters_have_only_a_status() {
    let driver = under(&["driver 600.10"]);
    // Not in the fixture, not of the second port, no port, a port too many, no counter.
    let absent = [(2, 1), (201, 2), (1, 0), (1, 3), (104, 1)].map(|(id, port)| request(id, port));
    let mut counters = absent;
    assert_eq!(read(&driver, 0, &mut counters), Ok(()));
    let statuses =
        [NOT_SUPPORTED, NOT_SUPPORTED, INVALID_ARGUMENT, INVALID_ARGUMENT, INVALID_ARGUMENT];
    assert_eq!(counters.map(|counter| counter.status), statuses);
    assert_eq!(counters.map(|counter| Counter { status: 99, ..counter }), absent);
    // A board without links has no ports.
    assert_eq!(read(&driver, 1, &mut counters[..1]), Ok(()));
    assert_eq!(counters[0].status, INVALID_ARGUMENT);
}

#[test]
fn the_function_as_a_whole() {
    let counters = &mut [request(1, 1)];
    for old in ["driver 550.163.01", "driver 590.48.01"] {
        assert_eq!(read(&under(&[old]), 0, counters), Err(NOT_SUPPORTED), "{old}");
    }
    let denied = under(&["driver 595.45.04", "gpu 0 denied nvmlDeviceReadPRMCounters_v1"]);
    assert_eq!(read(&denied, 0, counters), Err(NO_PERMISSION));
    assert_eq!(counters, &[request(1, 1)]);
    let driver = under(&["driver 595.45.04", "nonsense 0 nvmlDeviceReadPRMCounters_v1 7"]);
    assert_eq!(read(&driver, 0, counters), Ok(()));
    assert_eq!(counters[0].value, 7);
    // SAFETY: null is what the library is to notice.
    unsafe {
        let read = driver.symbol::<Read>(c"nvmlDeviceReadPRMCounters_v1");
        let gpu = driver.device(0).unwrap().raw();
        assert_eq!(read(gpu, ptr::null_mut()), INVALID_ARGUMENT);
        let mut list = List { count: 1, counters: ptr::null_mut() };
        assert_eq!(read(gpu, &mut list), INVALID_ARGUMENT);
    }
}
