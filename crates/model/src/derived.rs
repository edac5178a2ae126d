//! Numbers of a GPU that are computed from its readings, for pages and for the history.

use crate::{Entity, FieldId, GpuView, Kind, Reading, Value, Watch, WatchIndex, field};

const HERTZ_PER_MEGAHERTZ: f64 = 1e6;

/// The watch of a field from which other numbers are derived: a hidden watch, else one of a counters
/// file, which may have another interval.
pub fn watch_of(watches: &[Watch], field: FieldId) -> Option<WatchIndex> {
    let mut found = None;
    for (index, watch) in WatchIndex::enumerate(watches) {
        if watch.field == field {
            if watch.kind == Kind::Hidden {
                return Some(index);
            }
            found = found.or(Some(index));
        }
    }
    found
}

/// The watches from which the slowdown ratio is computed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SlowdownWatches {
    highest: WatchIndex,
    hertz: Option<WatchIndex>,
    megahertz: Option<WatchIndex>,
}

impl SlowdownWatches {
    /// The watches among these; `None` without the highest clock.
    pub fn among(watches: &[Watch]) -> Option<Self> {
        Some(Self {
            highest: watch_of(watches, field::MAX_SM_CLOCK_OF_PSTATE)?,
            hertz: watch_of(watches, field::SM_CLOCK_HERTZ),
            megahertz: watch_of(watches, field::SM_CLOCK),
        })
    }

    /// The SM clock of a GPU compared with the highest one of its performance state: 1 is full speed.
    pub fn ratio(&self, gpu: &GpuView) -> Option<f64> {
        let number = |watch: WatchIndex| number(gpu.reading(watch).filter(|_| gpu.up.is_ok())?);
        let highest = number(self.highest).filter(|highest| *highest > 0.0)?;
        let hertz = self.hertz.and_then(number).map(|hertz| hertz / HERTZ_PER_MEGAHERTZ);
        let now = hertz.or_else(|| self.megahertz.and_then(number))?;
        Some(now / highest).filter(|ratio| ratio.is_finite())
    }
}

/// How many NVLinks of a GPU are active; `state` is the watch of their state. `None` without links, and
/// while the state of one of them is not known.
pub fn active_links(gpu: &GpuView, state: WatchIndex) -> Option<u64> {
    if gpu.up.is_err() {
        return None;
    }
    let mut active = None;
    for part in gpu.parts.iter().filter(|part| matches!(part.entity, Entity::Link(_))) {
        match part.reading(state) {
            Some(Ok(Value::Int(state))) => {
                active = Some(active.unwrap_or(0) + u64::from(*state > 0));
            }
            Some(Err(reason)) if !reason.is_lasting() => return None,
            Some(_) | None => {}
        }
    }
    active
}

fn number(reading: &Reading) -> Option<f64> {
    match reading {
        Ok(Value::Int(int)) => Some(*int as f64),
        Ok(Value::Float(float)) => Some(*float),
        Ok(Value::Text(_)) | Err(_) => None,
    }
}
