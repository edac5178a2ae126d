//! Health, as the engine judges it.

use std::ffi::c_int;

use super::{answer, fill};
use crate::{
    engine::Engine,
    entity::{EntityId, kind},
    layout::{HealthResponse, HealthSetParams, check, put_text},
    library,
};

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmHealthSet_v2(handle: usize, params: *mut HealthSetParams) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            // SAFETY: the caller passes a struct that begins with its version.
            unsafe { check(params) }?;
            // SAFETY: its version says that it is such a struct.
            let (group, systems) = unsafe { ((*params).group, (*params).systems) };
            engine.group(group)?;
            engine.state().health.insert(group, systems);
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmHealthCheck(
    handle: usize,
    group: usize,
    response: *mut HealthResponse,
) -> c_int {
    let serve = |engine: &Engine, filled: &mut HealthResponse| {
        let faults = engine.faults();
        let entities = engine.group(group)?;
        let watched = engine.state().health.get(&group).copied().unwrap_or(0);
        let gpus =
            entities.iter().filter(|entity| entity.kind == kind::GPU).map(|entity| entity.id);
        let found = gpus.flat_map(|gpu| {
            let incidents = faults.gpu(gpu).map_or(&[][..], |faults| &faults.incidents);
            incidents.iter().map(move |incident| (gpu, incident))
        });
        let found = found.filter(|(_, incident)| incident.system & watched != 0);
        for (place, (gpu, incident)) in filled.incidents.iter_mut().zip(found) {
            place.system = incident.system;
            place.health = incident.health;
            place.code = incident.code;
            place.entity = EntityId::gpu(gpu);
            put_text(&mut place.message, &incident.message);
            filled.count += 1;
            filled.health = filled.health.max(incident.health);
        }
        Ok(())
    };
    // SAFETY: the caller passes a struct that begins with its version.
    unsafe { fill(handle, response, serve) }
}
