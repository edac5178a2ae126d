//! Of clocks: why they are lower than they could be, for how long, and by how much.

use model::{CLOCK_REASONS, GpuView, Kind, Value, Watch, field};

use super::{Known, Own, per_gpu};
use crate::derived::known_clock_events;
use crate::text::{Family, Number};

pub(super) const FAMILIES: &[Own] = &[
    Own {
        name: "heatsink_clock_event_active",
        kind: Kind::Gauge,
        help: "Whether the driver gives this reason for the clocks being what they are (1) or not (0).",
        samples: active,
    },
    Own {
        name: "heatsink_clock_event_seconds_total",
        kind: Kind::Counter,
        help: "How long the driver has given this reason for the clocks being what they are: as it \
               counts itself, or else from one sample to the next (in seconds).",
        samples: seconds,
    },
    Own {
        name: "heatsink_gpu_slowdown_ratio",
        kind: Kind::Gauge,
        help: "SM clock now, divided by the highest SM clock of the performance state that the GPU \
               is in: 1 is full speed, less is slower; low on an idle GPU, too (ratio).",
        samples: slowdown,
    },
];

fn active(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus {
        for (reason, event) in known_clock_events(row.view) {
            let line = family.line(&row.short).text("reason", reason.name);
            line.value(event.active == Some(true));
        }
    }
}

fn seconds(known: &Known<'_>, family: &mut Family<'_>) {
    for row in known.gpus.iter().filter(|row| row.view.up.is_ok()) {
        for (reason, event) in CLOCK_REASONS.iter().zip(&row.view.clock_events) {
            if let Some(seconds) = event.seconds.and_then(Number::finite) {
                family.line(&row.short).text("reason", reason.name).value(seconds);
            }
        }
    }
}

fn slowdown(known: &Known<'_>, family: &mut Family<'_>) {
    const HERTZ_PER_MEGAHERTZ: f64 = 1e6;
    let watches = &known.snapshot.watches;
    // One that is read for this very purpose comes before one that somebody asked for at a pace of
    // their own.
    let position = |field| {
        let of_field = |watch: &Watch| watch.field == field;
        let hidden = |watch: &Watch| of_field(watch) && watch.kind == Kind::Hidden;
        watches.iter().position(hidden).or_else(|| watches.iter().position(of_field))
    };
    let Some(highest) = position(field::MAX_SM_CLOCK_OF_PSTATE) else { return };
    let (hertz, megahertz) = (position(field::SM_CLOCK_HERTZ), position(field::SM_CLOCK));
    per_gpu(known, family, |gpu| {
        let highest = number(gpu, highest).filter(|highest| *highest > 0.0)?;
        let from_hertz = || Some(number(gpu, hertz?)? / HERTZ_PER_MEGAHERTZ);
        let now = from_hertz().or_else(|| number(gpu, megahertz?))?;
        Number::finite(now / highest)
    });
}

fn number(gpu: &GpuView, position: usize) -> Option<f64> {
    match gpu.readings.get(position).filter(|_| gpu.up.is_ok())? {
        Ok(Value::Int(int)) => Some(*int as f64),
        Ok(Value::Float(float)) => Some(*float),
        Ok(Value::Text(_)) | Err(_) => None,
    }
}
