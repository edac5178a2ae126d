//! Values: sampling now, and handing out what was sampled.

use std::ffi::{c_int, c_longlong, c_void};

use super::{answer, put_one};
use crate::{
    engine::{Answer, Engine},
    entity::EntityId,
    layout::{FieldValueV1, ValueCallback, Versioned},
    library,
    status::Status,
    value::{Blank, ROOM, Type, Value},
};

/// The size of the message that the real library builds for each call that fetches values.
const MESSAGE_BYTES: usize = 4 << 20;

/// Takes memory from the C library as the real one does: on the thread that calls, all of it written,
/// and freed when the call is over.
fn message() -> Vec<u8> {
    std::hint::black_box(vec![1; MESSAGE_BYTES])
}

#[unsafe(no_mangle)]
extern "C" fn dcgmUpdateAllFields(handle: usize, wait: c_int) -> c_int {
    answer(|| library::call(handle, |engine, _| engine.update(wait != 0)))
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetLatestValues_v2(
    handle: usize,
    group: usize,
    field_group: usize,
    callback: ValueCallback,
    user: *mut c_void,
) -> c_int {
    answer(|| {
        let _message = message();
        let values = library::call(handle, |engine, _| {
            let entities = engine.group(group)?;
            let fields = engine.state().groups.fields(field_group)?.to_vec();
            let answers = engine.latest(&entities, &fields);
            Ok(values(engine, answers))
        })?;
        // SAFETY: the caller passes a function that may be called with values and what it gave.
        unsafe { call_back(values, callback, user) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmGetValuesSince_v2(
    handle: usize,
    group: usize,
    field_group: usize,
    since: c_longlong,
    next: *mut c_longlong,
    callback: ValueCallback,
    user: *mut c_void,
) -> c_int {
    answer(|| {
        let _message = message();
        let values = library::call(handle, |engine, _| {
            let entities = engine.group(group)?;
            let fields = engine.state().groups.fields(field_group)?.to_vec();
            let answers = engine.since(&entities, &fields, since);
            Ok(values(engine, answers))
        })?;
        let last = values.iter().filter(|value| value.status == 0).map(|value| value.at).max();
        // SAFETY: the caller passes a place for a moment.
        unsafe { put_one(next, last.map_or(since, |last| last + 1)) }?;
        // SAFETY: the caller passes a function that may be called with values and what it gave.
        unsafe { call_back(values, callback, user) }
    })
}

/// A value with its type.
struct TypedValue {
    entity: EntityId,
    field: u16,
    of: Type,
    status: i32,
    at: i64,
    value: Value,
}

fn values(engine: &Engine, answers: Vec<Answer>) -> Vec<TypedValue> {
    let values = answers.into_iter().map(|Answer { entity, field, result }| {
        let of = engine.setup.fields.get(field).map_or(Type::Int, |field| field.value);
        let (status, at, value) = match result {
            Ok(sample) => (Status::OK, sample.at, sample.value),
            Err(status) => (status, 0, Value::Blank(Blank::Plain)),
        };
        TypedValue { entity, field, of, status: status.0, at, value }
    });
    values.collect()
}

impl TypedValue {
    fn as_v1(&self) -> FieldValueV1 {
        let mut value = [0; ROOM];
        self.value.write(self.of, &mut value);
        FieldValueV1 {
            version: FieldValueV1::VERSION,
            field: self.field,
            letter: self.of.letter().into(),
            status: self.status,
            at: self.at,
            value,
        }
    }
}

/// Calls back with one value at a time, on this thread, until the caller has enough.
///
/// # Safety
///
/// `callback` may be called with pointers to values that are good during the call, and with `user`.
unsafe fn call_back(
    values: Vec<TypedValue>,
    callback: ValueCallback,
    user: *mut c_void,
) -> Result<(), Status> {
    let callback = callback.ok_or(Status::BAD_PARAM)?;
    for value in values {
        let mut filled = value.as_v1();
        // SAFETY: as the caller says; the value lives until the call is over.
        if unsafe { callback(value.entity.kind, value.entity.id, &mut filled, 1, user) } != 0 {
            break;
        }
    }
    Ok(())
}
