//! Values: sampling now, and handing out what was sampled.

use std::ffi::{c_int, c_longlong, c_uint, c_ushort, c_void};

use super::{answer, list, put_one};
use crate::{
    engine::{Answer, Engine},
    layout::{FieldValueV1, FieldValueV2, ValueCallback, Versioned},
    library,
    pair::Pair,
    status::Status,
    value::{Blank, ROOM, Type, Value},
};

/// Asks for what the driver says now instead of what was sampled. The real engine may crash of it.
const LIVE: c_uint = 1;

/// The size of the message that the real library builds for each call that fetches values.
const MESSAGE_BYTES: usize = 4 << 20;

/// Takes memory from the C library as the real one does: on the thread that calls, all of it written,
/// and given back when the call is over. What is left of it in the process is the caller's concern.
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
        unsafe { tell(values, callback, user) }
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
        unsafe { tell(values, callback, user) }
    })
}

#[unsafe(no_mangle)]
unsafe extern "C" fn dcgmEntitiesGetLatestValues(
    handle: usize,
    entities: *const Pair,
    entity_count: c_uint,
    fields: *const c_ushort,
    field_count: c_uint,
    flags: c_uint,
    out: *mut FieldValueV2,
) -> c_int {
    answer(|| {
        let _message = message();
        library::call(handle, |engine, _| {
            // SAFETY: the caller passes lists that are as long as it says.
            let (entities, fields) = unsafe {
                (list(entities, entity_count as usize)?, list(fields, field_count as usize)?)
            };
            if out.is_null() {
                return Err(Status::BAD_PARAM);
            }
            if fields.iter().any(|field| engine.setup.fields.get(*field).is_none()) {
                return Err(Status::UNKNOWN_FIELD);
            }
            if flags & LIVE != 0 {
                engine.end();
                return Err(Status::CONNECTION_NOT_VALID);
            }
            let answers = engine.latest(entities, fields);
            for (at, value) in values(engine, answers).iter().enumerate() {
                let filled = value.as_v2();
                // SAFETY: the caller passes room for a value of each field of each entity.
                unsafe { out.add(at).write(filled) };
            }
            Ok(())
        })
    })
}

/// A value with its type.
struct Told {
    pair: Pair,
    field: u16,
    of: Type,
    status: i32,
    at: i64,
    value: Value,
}

fn values(engine: &Engine, answers: Vec<Answer>) -> Vec<Told> {
    let told = answers.into_iter().map(|Answer { pair, field, result }| {
        let of = engine.setup.fields.get(field).map_or(Type::Int, |field| field.value);
        let (status, at, value) = match result {
            Ok(sample) => (Status::OK, sample.at, sample.value),
            Err(status) => (status, 0, Value::Blank(Blank::Plain)),
        };
        Told { pair, field, of, status: status.0, at, value }
    });
    told.collect()
}

impl Told {
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

    fn as_v2(&self) -> FieldValueV2 {
        let FieldValueV1 { field, letter, status, at, value, .. } = self.as_v1();
        let (version, pair) = (FieldValueV2::VERSION, self.pair);
        FieldValueV2 { version, pair, field, letter, status, unused: 0, at, value }
    }
}

/// Calls back with one value at a time, on this thread, until the caller has enough.
///
/// # Safety
///
/// `callback` may be called with pointers to values that are good during the call, and with `user`.
unsafe fn tell(
    values: Vec<Told>,
    callback: ValueCallback,
    user: *mut c_void,
) -> Result<(), Status> {
    let callback = callback.ok_or(Status::BAD_PARAM)?;
    for value in values {
        let mut filled = value.as_v1();
        // SAFETY: as the caller says; the value lives until the call is over.
        if unsafe { callback(value.pair.kind, value.pair.id, &mut filled, 1, user) } != 0 {
            break;
        }
    }
    Ok(())
}
