//! CPUs, and the engine's modules.

use std::ffi::c_int;

use super::answer;
use crate::{
    layout::{
        CpuHierarchy, MetricGroups, ModuleStatuses, OWNED_CORES_VERSION, check, fresh, put,
        put_text,
    },
    library,
    status::Status,
};

/// How many modules an engine has; profiling is number 8.
const MODULES: u32 = 11;
const PROFILING: u32 = 8;

const NOT_LOADED: u32 = 0;
const LOADED: u32 = 3;

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetCpuHierarchy_v2(handle: usize, hierarchy: *mut CpuHierarchy) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            // SAFETY: the caller passes a struct that begins with its version.
            unsafe { check(hierarchy) }?;
            let mut filled = fresh::<CpuHierarchy>();
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
            // SAFETY: it was checked.
            unsafe { put(hierarchy, &filled) };
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmModuleGetStatuses(handle: usize, statuses: *mut ModuleStatuses) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            // SAFETY: the caller passes a struct that begins with its version.
            unsafe { check(statuses) }?;
            let no_profiling = engine.orders().no_profiling;
            let mut filled = fresh::<ModuleStatuses>();
            for (place, module) in filled.modules.iter_mut().zip(0..MODULES) {
                let is_missing = module == PROFILING && no_profiling;
                *place = [module, if is_missing { NOT_LOADED } else { LOADED }];
            }
            filled.count = MODULES;
            // SAFETY: it was checked.
            unsafe { put(statuses, &filled) };
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmProfGetSupportedMetricGroups(
    handle: usize,
    groups: *mut MetricGroups,
) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            // SAFETY: the caller passes a struct that begins with its version.
            unsafe { check(groups) }?;
            // Which fields can be measured together is not told.
            let is_missing = engine.orders().no_profiling;
            Err(if is_missing { Status::MODULE_NOT_LOADED } else { Status::NOT_SUPPORTED })
        })
    })
}
