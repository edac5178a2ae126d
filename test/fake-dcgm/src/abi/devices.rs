//! Lists of entities, and attributes of GPUs.

use std::ffi::{c_int, c_uint};

use model::field;

use super::{answer, fill, put_one};
use crate::{
    engine::Engine,
    entity::{EntityId, NumberedInstance, kind},
    gpu::{Gpu, state},
    layout::{
        CLOCK_SETS_VERSION, DEVICE_SETTINGS_VERSION, DeviceAttributes, IDENTIFIERS_VERSION,
        MEMORY_USAGE_VERSION, MigHierarchy, POWER_LIMITS_VERSION, THERMALS_VERSION, blanks,
        put_text,
    },
    library,
    status::Status,
    value::{BLANK_INT32, BLANK_TEXT},
};

/// The most GPUs that are listed without a fault command.
const MAX_GPUS: usize = 32;

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetAllDevices(
    handle: usize,
    gpus: *mut c_uint,
    count: *mut c_int,
) -> c_int {
    answer(|| {
        let (found, counted) = library::call(handle, |engine, _| {
            let faults = engine.faults();
            let there = engine.entities(kind::GPU).into_iter().map(|entity| entity.id);
            let there: Vec<u32> = there.collect();
            let absent = (0..faults.listed_gpus as u32).filter(|gpu| !there.contains(gpu));
            let mut found: Vec<u32> = absent.collect();
            found.extend(there);
            found.truncate(MAX_GPUS.max(faults.listed_gpus));
            Ok((found, faults.counted_gpus))
        })?;
        if gpus.is_null() {
            return Err(Status::BAD_PARAM);
        }
        // SAFETY: the caller passes room for as many as this release lists, and for a number.
        unsafe {
            gpus.copy_from_nonoverlapping(found.as_ptr(), found.len());
            put_one(count, counted.unwrap_or(found.len() as c_int))
        }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetEntityGroupEntities(
    handle: usize,
    of: c_uint,
    entities: *mut c_uint,
    count: *mut c_int,
    _flags: c_uint,
) -> c_int {
    answer(|| {
        let (found, counted) = library::call(handle, |engine, _| {
            let found: Vec<u32> = engine.entities(of).into_iter().map(|entity| entity.id).collect();
            Ok((found, engine.faults().counted_entities))
        })?;
        if count.is_null() || (entities.is_null() && !found.is_empty()) {
            return Err(Status::BAD_PARAM);
        }
        // SAFETY: it is not null, and the caller has written there how much room there is.
        let room = unsafe { count.read() };
        // SAFETY: it is not null.
        unsafe { count.write(counted.unwrap_or(found.len() as c_int)) };
        if found.len() > usize::try_from(room).unwrap_or(0) {
            return Err(Status::INSUFFICIENT_SIZE);
        }
        if !found.is_empty() {
            // SAFETY: it is not null, and there is room for as many.
            unsafe { entities.copy_from_nonoverlapping(found.as_ptr(), found.len()) };
        }
        Ok(())
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetGpuStatus(handle: usize, gpu: c_uint, state: *mut c_uint) -> c_int {
    answer(|| {
        let found = library::call(handle, |engine, _| {
            let faults = engine.faults();
            let known = engine.state();
            match known.gpus.iter().find(|it| it.index == gpu) {
                Some(found) => Ok(found.state(faults.gpu(gpu))),
                None if (gpu as usize) < faults.listed_gpus => Ok(state::DETACHED),
                None => Err(Status::BAD_PARAM),
            }
        })?;
        // SAFETY: the caller passes a place for a number.
        unsafe { put_one(state, found) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetDeviceAttributes(
    handle: usize,
    gpu: c_uint,
    attributes: *mut DeviceAttributes,
) -> c_int {
    let serve = |engine: &Engine, filled: &mut DeviceAttributes| {
        let state = engine.state();
        let found = state.gpus.iter().find(|it| it.index == gpu).ok_or(Status::BAD_PARAM)?;
        fill_attributes(filled, found);
        Ok(())
    };
    // SAFETY: the caller passes a struct that begins with its version.
    unsafe { fill(handle, attributes, serve) }
}

fn fill_attributes(filled: &mut DeviceAttributes, gpu: &Gpu) {
    filled.clock_sets.version = CLOCK_SETS_VERSION;
    filled.thermal = blanks(THERMALS_VERSION);
    filled.power = blanks(POWER_LIMITS_VERSION);
    filled.memory = blanks(MEMORY_USAGE_VERSION);
    filled.settings = blanks(DEVICE_SETTINGS_VERSION);
    let identifiers = &mut filled.identifiers;
    identifiers.version = IDENTIFIERS_VERSION;
    let text = |field| gpu.texts.get(&field).map_or(BLANK_TEXT, String::as_str);
    for (room, field) in [
        (&mut identifiers.brand, field::BRAND),
        (&mut identifiers.name, field::NAME),
        (&mut identifiers.pci_bus_id, field::PCI_BUSID),
        (&mut identifiers.serial, field::SERIAL),
        (&mut identifiers.uuid, field::UUID),
        (&mut identifiers.vbios, field::VBIOS_VERSION),
        (&mut identifiers.driver, field::DRIVER_VERSION),
    ] {
        put_text(room, text(field.0));
    }
    put_text(&mut identifiers.inforom, BLANK_TEXT);
    identifiers.pci_device = BLANK_INT32;
    identifiers.pci_subsystem = BLANK_INT32;
    identifiers.virtualization = BLANK_INT32;
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetGpuInstanceHierarchy(
    handle: usize,
    hierarchy: *mut MigHierarchy,
) -> c_int {
    let serve = |engine: &Engine, filled: &mut MigHierarchy| {
        let state = engine.state();
        let all = state.gpus.iter().flat_map(|gpu| gpu.instances.iter().map(move |it| (gpu, it)));
        for (row, (gpu, it)) in filled.rows.iter_mut().zip(all.clone()) {
            row.entity = it.entity;
            row.parent = parent(gpu, it);
            let info = &mut row.info;
            let uuid = gpu.texts.get(&field::UUID.0).map_or(BLANK_TEXT, String::as_str);
            put_text(&mut info.gpu_uuid, uuid);
            info.gpu_index = gpu.index;
            info.instance = it.instance.gpu_instance;
            info.compute_instance = it.instance.compute_instance.unwrap_or(u32::MAX);
            info.slices = slices(&it.instance.profile);
            info.profile = profile(info.slices, it.instance.compute_instance.is_some());
        }
        filled.count = all.count().min(filled.rows.len()) as u32;
        Ok(())
    };
    // SAFETY: the caller passes a struct that begins with its version.
    unsafe { fill(handle, hierarchy, serve) }
}

/// What an instance is in: a GPU, or a GPU instance.
fn parent(gpu: &Gpu, it: &NumberedInstance) -> EntityId {
    let whole_gpu = EntityId::gpu(gpu.index);
    if it.instance.compute_instance.is_none() {
        return whole_gpu;
    }
    let gpu_instance = gpu.instances.iter().find(|of| {
        of.instance.compute_instance.is_none()
            && of.instance.gpu_instance == it.instance.gpu_instance
    });
    gpu_instance.map_or(whole_gpu, |it| it.entity)
}

/// How many slices a profile has: 3 of `3g.40gb`, 1 of `1c.3g.40gb`.
fn slices(profile: &str) -> u32 {
    let digits = profile.split(|c: char| !c.is_ascii_digit()).next();
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// The number of a profile with so many slices.
fn profile(slices: u32, is_compute: bool) -> u32 {
    let place = [1, 2, 3, 4, 7, 8, 6].iter().position(|of| *of == slices);
    let first = if is_compute { 30 } else { 1 };
    place.map_or(0, |place| first + place as u32)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_numbers() {
        let number = |text, is_compute| profile(slices(text), is_compute);
        assert_eq!((number("3g.40gb", false), number("1c.3g.40gb", true)), (3, 30));
        assert_eq!((number("7g.80gb", false), number("", false)), (5, 0));
    }
}
