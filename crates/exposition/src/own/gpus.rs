//! Of each GPU: whether it answers, and what it costs to ask it.

use model::Kind;

use super::{Known, Own, per_gpu, since_1970};
use crate::text::{Family, Labels};

pub(super) const FAMILIES: &[Own] = &[
    Own {
        name: "heatsink_gpu_up",
        kind: Kind::Gauge,
        help: "Whether the GPU answers (1) or not (0).",
        samples: |known, family| per_gpu(known, family, |gpu| Some(gpu.up.is_ok())),
    },
    Own {
        name: "heatsink_gpu_down_info",
        kind: Kind::Gauge,
        help: "Why the GPU shows nothing; 1 while it does not answer.",
        samples: down_info,
    },
    Own {
        name: "heatsink_gpus_expected",
        kind: Kind::Gauge,
        help: "How many GPUs the machine should have, as --expected-gpus says (count).",
        samples: |known, family| {
            if let Some(expected) = known.settings.expected_gpus {
                family.sample(&Labels::default(), u64::from(expected));
            }
        },
    },
    Own {
        name: "heatsink_gpu_last_success_timestamp_seconds",
        kind: Kind::Gauge,
        help: "When the last complete pass over the GPU ended (in seconds since 1970).",
        samples: |known, family| {
            per_gpu(known, family, |gpu| gpu.last_success.and_then(since_1970));
        },
    },
    Own {
        name: "heatsink_collection_duration_seconds",
        kind: Kind::Gauge,
        help: "How long the last complete pass over the GPU took in the driver (in seconds).",
        samples: |known, family| per_gpu(known, family, |gpu| gpu.pass_duration),
    },
    Own {
        name: "heatsink_driver_call_duration_seconds",
        kind: Kind::Gauge,
        help: "How long each kind of driver call took the last time (in seconds).",
        samples: call_durations,
    },
];

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
