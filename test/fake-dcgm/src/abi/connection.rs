//! Starting and ending: the library, connections, engines.

use std::{
    ffi::{c_char, c_int},
    time::Duration,
};

use super::{answer, put_one, text};
use crate::{
    engine::Mode,
    layout::{
        ConnectV2Params, ConnectV3Params, StartEmbeddedParams, VersionInfo, check, fresh, put,
        put_text,
    },
    library,
    status::{self, Status},
};

#[unsafe(no_mangle)]
extern "C" fn dcgmInit() -> c_int {
    answer(|| {
        library::init();
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn errorString(code: c_int) -> *const c_char {
    status::text(code).map_or(std::ptr::null(), |text| text.as_ptr())
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmConnect_v2(
    address: *const c_char,
    params: *mut ConnectV2Params,
    handle: *mut usize,
) -> c_int {
    answer(|| {
        library::setup()?;
        // SAFETY: the caller passes a text, and a struct that begins with its version.
        unsafe {
            text(address)?;
            check(params)?;
        }
        // SAFETY: its version says that it is such a struct.
        let timeout = timeout(unsafe { (*params).timeout_ms });
        // SAFETY: the caller passes a place for a handle.
        unsafe { put_one(handle, library::connect(timeout)?) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmConnect_v3(
    address: *const c_char,
    params: *mut ConnectV3Params,
    handle: *mut usize,
) -> c_int {
    answer(|| {
        library::setup()?;
        // SAFETY: the caller passes a text, and a struct that begins with its version.
        let address = unsafe {
            check(params)?;
            text(address)?
        };
        let scheme = address.split_once("://").map(|(scheme, _)| scheme);
        if address.is_empty() || !matches!(scheme, None | Some("tcp" | "unix" | "vsock")) {
            return Err(Status::BAD_PARAM);
        }
        // SAFETY: its version says that it is such a struct.
        let timeout = timeout(unsafe { (*params).timeout_ms });
        // SAFETY: the caller passes a place for a handle.
        unsafe { put_one(handle, library::connect(timeout)?) }
    })
}

fn timeout(millis: u32) -> Option<Duration> {
    (millis > 0).then(|| Duration::from_millis(millis.into()))
}

#[unsafe(no_mangle)]
extern "C" fn dcgmDisconnect(handle: usize) -> c_int {
    answer(|| library::disconnect(handle))
}

/// The mode in which an embedded engine samples at its own pace: the only one here.
const AUTOMATIC: i32 = 1;

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmStartEmbedded_v2(params: *mut StartEmbeddedParams) -> c_int {
    answer(|| {
        library::setup()?;
        // SAFETY: the caller passes a struct that begins with its version.
        unsafe { check(params) }?;
        // SAFETY: its version says that it is such a struct.
        if unsafe { (*params).mode } != AUTOMATIC {
            return Err(Status::BAD_PARAM);
        }
        let handle = library::start_embedded()?;
        // SAFETY: as above.
        unsafe { (*params).handle = handle };
        Ok(())
    })
}

#[unsafe(no_mangle)]
extern "C" fn dcgmStopEmbedded(handle: usize) -> c_int {
    answer(|| library::stop_embedded(handle))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmVersionInfo(info: *mut VersionInfo) -> c_int {
    answer(|| {
        let setup = library::setup()?;
        // SAFETY: the caller passes a struct that begins with its version.
        unsafe { put_version(info, &setup.settings.version) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmHostengineVersionInfo(handle: usize, info: *mut VersionInfo) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            let faults = engine.faults();
            let commanded = faults.version.as_ref().filter(|_| engine.mode == Mode::Remote);
            let version = commanded.unwrap_or(&engine.setup.settings.version);
            // SAFETY: the caller passes a struct that begins with its version.
            unsafe { put_version(info, version) }
        })
    })
}

/// # Safety
///
/// `info` is null or points to a struct that begins with its version.
unsafe fn put_version(info: *mut VersionInfo, version: &str) -> Result<(), Status> {
    // SAFETY: as the caller says.
    unsafe { check(info) }?;
    let mut filled = fresh::<VersionInfo>();
    let rest = "arch:x86_64;buildtype:Release;buildid:1;builddate:2026-01-01;commit:0;branch:x;\
                buildplatform:Linux";
    put_text(&mut filled.build, &format!("version:{version};{rest}"));
    // SAFETY: it was checked.
    unsafe { put(info, &filled) };
    Ok(())
}
