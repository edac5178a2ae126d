//! Functions of the library and the driver as a whole.

use std::ffi::{c_char, c_int, c_uint};

use nvml_wrapper_sys::bindings::nvmlReturn_t;

use super::{
    answer,
    out::{Out, TextOut},
};
use crate::{refusal::Refusal, session};

#[unsafe(no_mangle)]
extern "C" fn nvmlInit_v2() -> nvmlReturn_t {
    answer(session::open)
}

#[unsafe(no_mangle)]
extern "C" fn nvmlShutdown() -> nvmlReturn_t {
    answer(session::close)
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetDriverVersion(
    version: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    answer(|| {
        let driver = driver()?;
        // SAFETY: the caller promises NVML a buffer of this length.
        unsafe { TextOut::new(version, length) }?.set(&driver)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetNVMLVersion(
    version: *mut c_char,
    length: c_uint,
) -> nvmlReturn_t {
    answer(|| {
        let driver = driver()?;
        let nvml = format!("{}.{driver}", cuda(&driver) / 1000);
        // SAFETY: the caller promises NVML a buffer of this length.
        unsafe { TextOut::new(version, length) }?.set(&nvml)
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlSystemGetCudaDriverVersion_v2(version: *mut c_int) -> nvmlReturn_t {
    answer(|| {
        let driver = driver()?;
        // SAFETY: the caller promises NVML a place for one number.
        unsafe { Out::new(version) }?.set(cuda(&driver));
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn nvmlDeviceGetCount_v2(count: *mut c_uint) -> nvmlReturn_t {
    answer(|| {
        let (session, _) = session::current()?;
        // SAFETY: the caller promises NVML a place for one number.
        unsafe { Out::new(count) }?.set(session.listed() as c_uint);
        Ok(())
    })
}

fn driver() -> Result<String, Refusal> {
    let (session, faults) = session::current()?;
    Ok(faults.driver.clone().unwrap_or_else(|| session.machine.driver.clone()))
}

/// The branch of the driver: 550 of `550.163.01`.
pub(super) fn driver_branch() -> Result<u32, Refusal> {
    Ok(branch(&driver()?))
}

fn branch(driver: &str) -> u32 {
    driver.split('.').next().and_then(|branch| branch.parse().ok()).unwrap_or(0)
}

/// The CUDA version that came with a driver: major × 1000 + minor × 10.
fn cuda(driver: &str) -> c_int {
    let branch = branch(driver);
    CUDA.iter().rev().find(|(first, _)| *first <= branch).map_or(11_000, |(_, cuda)| *cuda)
}

/// Driver branches and the CUDA version each brought.
const CUDA: &[(u32, c_int)] = &[
    (470, 11_040),
    (510, 11_060),
    (515, 11_070),
    (520, 11_080),
    (525, 12_000),
    (530, 12_010),
    (535, 12_020),
    (545, 12_030),
    (550, 12_040),
    (555, 12_050),
    (560, 12_060),
    (565, 12_070),
    (570, 12_080),
    (575, 12_090),
    (580, 13_000),
    (590, 13_010),
    (595, 13_020),
];
