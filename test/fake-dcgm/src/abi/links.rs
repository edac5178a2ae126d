//! P2P status between GPUs.

use std::ffi::c_int;

use super::fill;
use crate::{engine::Engine, layout::P2pStatus, status::Status};

/// The P2P status where none is known, that of a GPU to itself included.
const UNKNOWN: u32 = 6;

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetNvLinkP2PStatus(handle: usize, status: *mut P2pStatus) -> c_int {
    let serve = |engine: &Engine, filled: &mut P2pStatus| {
        // SAFETY: its version says that it is such a struct, which the caller has filled in.
        let request = unsafe { status.read() };
        let state = engine.state();
        let gpus: Vec<u32> = match request.count as usize {
            0 => state.gpus.iter().map(|gpu| gpu.index).collect(),
            count if count <= request.gpus.len() => {
                request.gpus[..count].iter().map(|row| row.gpu).collect()
            }
            _ => return Err(Status::BAD_PARAM),
        };
        filled.count = gpus.len().min(filled.gpus.len()) as u32;
        for (row, index) in filled.gpus.iter_mut().zip(gpus) {
            let gpu = state.gpus.iter().find(|gpu| gpu.index == index);
            let peers = &gpu.ok_or(Status::BAD_PARAM)?.peers;
            row.gpu = index;
            row.states = std::array::from_fn(|peer| {
                let state = peers.get(&(peer as u32)).copied();
                state.and_then(|state| u32::try_from(state).ok()).unwrap_or(UNKNOWN)
            });
        }
        Ok(())
    };
    // SAFETY: the caller passes a struct that begins with its version.
    unsafe { fill(handle, status, serve) }
}
