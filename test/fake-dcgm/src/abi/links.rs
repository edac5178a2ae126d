//! How GPUs reach each other.

use std::ffi::{c_int, c_void};

use super::answer;
use crate::{
    layout::{P2pStatus, check, fresh, put},
    library,
    status::Status,
};

/// The state of a way of which nothing is known, that of a GPU to itself included.
const UNKNOWN: u32 = 6;

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetNvLinkP2PStatus(handle: usize, status: *mut P2pStatus) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            // SAFETY: the caller passes a struct that begins with its version.
            unsafe { check(status) }?;
            // SAFETY: its version says that it is such a struct, which the caller has filled in.
            let asked = unsafe { status.read() };
            let state = engine.state();
            let wanted: Vec<u32> = match asked.count as usize {
                0 => state.gpus.iter().map(|gpu| gpu.index).collect(),
                count if count <= asked.gpus.len() => {
                    asked.gpus[..count].iter().map(|row| row.gpu).collect()
                }
                _ => return Err(Status::BAD_PARAM),
            };
            let mut filled = fresh::<P2pStatus>();
            filled.count = wanted.len().min(filled.gpus.len()) as u32;
            for (row, wanted) in filled.gpus.iter_mut().zip(wanted) {
                let gpu = state.gpus.iter().find(|gpu| gpu.index == wanted);
                let peers = &gpu.ok_or(Status::BAD_PARAM)?.peers;
                row.gpu = wanted;
                row.states = std::array::from_fn(|peer| {
                    let way = peers.get(&(peer as u32)).copied();
                    way.and_then(|way| u32::try_from(way).ok()).unwrap_or(UNKNOWN)
                });
            }
            // SAFETY: it was checked.
            unsafe { put(status, &filled) };
            Ok(())
        })
    })
}

/// Answers that it cannot: the fields of links say the same.
#[unsafe(no_mangle)]
extern "C" fn dcgmGetNvLinkLinkStatus(handle: usize, _status: *mut c_void) -> c_int {
    answer(|| library::call(handle, |_, _| Err(Status::NOT_SUPPORTED)))
}
