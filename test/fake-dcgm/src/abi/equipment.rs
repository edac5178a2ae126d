//! CPUs.

use std::ffi::c_int;

use super::fill;
use crate::{
    engine::Engine,
    layout::{CpuHierarchy, OWNED_CORES_VERSION, put_text},
};

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetCpuHierarchy_v2(handle: usize, hierarchy: *mut CpuHierarchy) -> c_int {
    let serve = |engine: &Engine, filled: &mut CpuHierarchy| {
        let cpus = &engine.setup.equipment.cpus;
        for (row, cpu) in filled.cpus.iter_mut().zip(cpus) {
            row.cpu = cpu.id;
            row.cores.version = OWNED_CORES_VERSION;
            for core in &cpu.cores {
                if let Some(bits) = row.cores.bits.get_mut(*core as usize / 64) {
                    *bits |= 1 << (core % 64);
                }
            }
            put_text(&mut row.serial, &cpu.serial);
        }
        filled.count = cpus.len().min(filled.cpus.len()) as u32;
        Ok(())
    };
    // SAFETY: the caller passes a struct that begins with its version.
    unsafe { fill(handle, hierarchy, serve) }
}
