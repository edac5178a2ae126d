//! Of each GPU: whether it answers, and what it costs to ask it.

use model::{Entity, FieldId, Value, field};

use super::{Known, Samples, per_gpu, since_1970};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::GPU_UP, |known, family| per_gpu(known, family, |gpu| Some(gpu.up.is_ok()))),
    (field::GPU_DOWN_INFO, down_info),
    (field::GPUS_EXPECTED, |known, family| {
        if let Some(expected) = known.settings.expected_gpus {
            family.sample(&Labels::default(), u64::from(expected));
        }
    }),
    (field::GPU_LAST_SUCCESS_TIMESTAMP_SECONDS, |known, family| {
        per_gpu(known, family, |gpu| gpu.last_success.and_then(since_1970));
    }),
    (field::COLLECTION_DURATION_SECONDS, |known, family| {
        per_gpu(known, family, |gpu| gpu.pass_duration);
    }),
    (field::DRIVER_CALL_DURATION_SECONDS, call_durations),
    (field::NVLINKS_ACTIVE, active_links),
];

/// Of a GPU whose links cannot be read there is none, and of one that has links and uses none it is 0.
fn active_links(known: &Known<'_>, family: &mut Family<'_>) {
    let Some(state) = known.index(field::NVLINK_GET_STATE) else { return };
    per_gpu(known, family, |gpu| {
        let parts = gpu.parts.iter().filter(|part| gpu.up.is_ok() && is_link(&part.entity));
        let states = parts.filter_map(|part| match part.reading(state) {
            Some(Ok(Value::Int(state))) => Some(*state),
            _ => None,
        });
        states.fold(None, |active, state| Some(active.unwrap_or(0_u64) + u64::from(state > 0)))
    });
}

fn is_link(entity: &Entity) -> bool {
    matches!(entity, Entity::Link(_))
}

fn down_info(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        if let Err(down) = row.view.up {
            family.line(&row.short).text("reason", down.as_str()).value(true);
        }
    }
}

fn call_durations(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for (call, duration) in &*row.view.calls {
            family.line(&row.short).text("call", call).value(*duration);
        }
    }
}
