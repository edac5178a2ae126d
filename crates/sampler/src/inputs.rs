//! The fields that have to be read in addition, for families that are derived from readings.

use std::collections::BTreeMap;
use std::time::Duration;

use model::{FieldId, Kind, Pace, Watch, Windows, field};

use crate::state::plan::quantities;
use crate::state::{clock_events, health};

/// The longest time from one sample to the next of what is tracked between scrapes.
const POLL: Duration = Duration::from_secs(1);

/// The fields that the derived families among `requested` need, each with its pace: to be watched as
/// [`Kind::Hidden`]. None for families that are not requested.
pub fn inputs(requested: &[Watch], interval: Duration, windows: &Windows) -> Vec<(FieldId, Pace)> {
    debug_assert!(requested.iter().all(|watch| watch.kind != Kind::Hidden));
    let requests = |fields: &[FieldId]| requested.iter().any(|watch| fields.contains(&watch.field));
    let often = Pace::At(interval.min(POLL));
    let mut inputs: BTreeMap<FieldId, Pace> = BTreeMap::new();
    // Growth is measured over a minute, whatever the interval.
    let slow = Pace::At(model::SLOW_INTERVAL);
    if requests(&[field::EXP_GPU_HEALTH_STATUS]) {
        inputs.extend(health::INPUTS.iter().map(|input| (*input, slow)));
    }
    if requests(&[field::NVLINKS_ACTIVE]) {
        inputs.insert(field::NVLINK_GET_STATE, Pace::Slow);
    }
    if requests(&[field::GPU_SLOWDOWN_RATIO]) {
        inputs.insert(field::SM_CLOCK_HERTZ, Pace::Every);
        inputs.insert(field::MAX_SM_CLOCK_OF_PSTATE, Pace::Every);
    }
    if requests(&[field::CLOCK_EVENT_SECONDS_TOTAL]) {
        let times = model::CLOCK_REASONS.iter().filter_map(|reason| reason.time);
        inputs.extend(times.map(|time| (time, Pace::Every)));
    }
    if requests(&clock_events::FAMILIES) {
        inputs.insert(field::CLOCKS_EVENT_REASONS, often);
    }
    let quantities = quantities(requested, windows.extents);
    inputs.extend(quantities.into_iter().map(|quantity| (quantity.field(), often)));
    inputs.into_iter().collect()
}
