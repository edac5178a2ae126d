//! Groups, field groups, and watching one on the other.

use std::ffi::{c_char, c_double, c_int, c_longlong, c_uint, c_ushort};

use super::{answer, list, put_one, text};
use crate::{entity::EntityId, faults::FieldFault, library, status::Status};

/// The type of a group without entities: the only one that can be made here.
const EMPTY: c_int = 1;

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGroupCreate(
    handle: usize,
    of: c_int,
    name: *const c_char,
    group: *mut usize,
) -> c_int {
    answer(|| {
        let made = library::call(handle, |engine, client| {
            // SAFETY: the caller passes a text.
            unsafe { text(name) }?;
            if of != EMPTY {
                return Err(Status::BAD_PARAM);
            }
            let faults = engine.faults();
            engine.state().groups.create(client, &faults)
        })?;
        // SAFETY: the caller passes a place for the group.
        unsafe { put_one(group, made) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn dcgmGroupAddEntity(handle: usize, group: usize, of: c_uint, id: c_uint) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            let entity = EntityId { kind: of, id };
            if !engine.has(entity) {
                return Err(Status::BAD_PARAM);
            }
            if let Some(refusal) = engine.refusal(entity) {
                return Err(refusal);
            }
            engine.state().groups.add(group, entity)
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn dcgmGroupDestroy(handle: usize, group: usize) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            let mut state = engine.state();
            state.groups.destroy(group)?;
            state.health.remove(&group);
            state.watches.drop_watchers(|watcher| watcher.group == group);
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmFieldGroupCreate(
    handle: usize,
    count: c_int,
    fields: *const c_ushort,
    name: *const c_char,
    group: *mut usize,
) -> c_int {
    answer(|| {
        let made = library::call(handle, |engine, client| {
            let count = usize::try_from(count).map_err(|_| Status::BAD_PARAM)?;
            // SAFETY: the caller passes a text, and as many fields as it says.
            let (name, fields) = unsafe { (text(name)?, list(fields, count)?) };
            if fields.iter().any(|field| engine.setup.fields.get(*field).is_none()) {
                return Err(Status::UNKNOWN_FIELD);
            }
            let faults = engine.faults();
            let is_refused = |field: &u16| faults.field(*field) == Some(&FieldFault::Refused);
            if fields.iter().any(is_refused) {
                return Err(Status::BAD_PARAM);
            }
            engine.state().groups.create_fields(client, name, fields.to_vec(), &faults)
        })?;
        // SAFETY: the caller passes a place for the group.
        unsafe { put_one(group, made) }
    })
}

#[unsafe(no_mangle)]
extern "C" fn dcgmFieldGroupDestroy(handle: usize, group: usize) -> c_int {
    answer(|| {
        library::call(handle, |engine, _| {
            let mut state = engine.state();
            state.groups.destroy_fields(group)?;
            state.watches.drop_watchers(|watcher| watcher.field_group == group);
            Ok(())
        })
    })
}

#[unsafe(no_mangle)]
extern "C" fn dcgmWatchFields(
    handle: usize,
    group: usize,
    field_group: usize,
    every_us: c_longlong,
    _keep_seconds: c_double,
    _keep_samples: c_int,
) -> c_int {
    answer(|| {
        library::call(handle, |engine, client| engine.watch(client, (group, field_group), every_us))
    })
}

#[unsafe(no_mangle)]
extern "C" fn dcgmUnwatchFields(handle: usize, group: usize, field_group: usize) -> c_int {
    answer(|| library::call(handle, |engine, client| engine.unwatch(client, group, field_group)))
}
