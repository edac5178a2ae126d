//! Families about clocks: why they are reduced, for how long, and by how much.

use model::{CLOCK_REASONS, FieldId, SlowdownWatches, field};

use crate::inputs::{Inputs, Samples, per_gpu};
use crate::per_device::known_clock_events;
use crate::text::{Family, Number};

pub(super) const FAMILIES: &[(FieldId, Samples)] = &[
    (field::CLOCK_EVENT_ACTIVE, active),
    (field::CLOCK_EVENT_SECONDS_TOTAL, seconds),
    (field::GPU_SLOWDOWN_RATIO, slowdown),
];

fn active(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus {
        for (reason, event) in known_clock_events(gpu.view) {
            let line = family.line(&gpu.labels).text("reason", reason.name);
            line.value(event.active == Some(true));
        }
    }
}

fn seconds(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    for gpu in inputs.gpus.iter().filter(|gpu| gpu.view.up.is_ok()) {
        for (reason, event) in CLOCK_REASONS.iter().zip(&gpu.view.clock_events) {
            if let Some(seconds) = event.seconds.and_then(Number::finite) {
                let birth = gpu.view.counting_since.filter(|_| !event.driver_counted);
                let line = family.counter(birth, &gpu.labels);
                line.text("reason", reason.name).value(seconds);
            }
        }
    }
}

fn slowdown(inputs: &Inputs<'_>, family: &mut Family<'_>) {
    let Some(watches) = SlowdownWatches::among(&inputs.snapshot.watches) else { return };
    per_gpu(inputs, family, |gpu| Number::finite(watches.ratio(gpu)?));
}
