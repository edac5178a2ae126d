//! Families about each GPU: whether it answers, and the durations of its passes.

use model::{FieldId, field};

use crate::inputs::{Inputs, Samples, per_gpu, since_1970};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::GPU_UP, |inputs, family| per_gpu(inputs, family, |gpu| Some(gpu.up.is_ok()))),
    (field::GPU_DOWN_INFO, down_info),
    (field::GPUS_EXPECTED, |inputs, family| {
        if let Some(expected) = inputs.settings.expected_gpus {
            family.sample(&Labels::default(), u64::from(expected));
        }
    }),
    (field::GPU_LAST_SUCCESS_TIMESTAMP_SECONDS, |inputs, family| {
        per_gpu(inputs, family, |gpu| gpu.last_success.and_then(since_1970));
    }),
    (field::COLLECTION_DURATION_SECONDS, |inputs, family| {
        per_gpu(inputs, family, |gpu| gpu.pass_duration);
    }),
    (field::DRIVER_CALL_DURATION_SECONDS, call_durations),
    (field::NVLINKS_ACTIVE, active_links),
];

/// A GPU whose links cannot be read has no sample; a GPU with links of which none is active has 0.
fn active_links(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let Some(state) = inputs.watch(field::NVLINK_GET_STATE) else { return };
    per_gpu(inputs, family, |gpu| model::active_links(gpu, state));
}

fn down_info(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        if let Err(down) = gpu.view.up {
            family.line(&gpu.labels).text("reason", down.as_str()).value(true);
        }
    }
}

fn call_durations(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        for (call, duration) in &*gpu.view.calls {
            family.line(&gpu.labels).text("call", call).value(*duration);
        }
    }
}
