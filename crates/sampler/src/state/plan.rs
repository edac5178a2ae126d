//! The watches of a sampler, how often they are read, and where each field's readings are found.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use model::{FieldId, Kind, Moment, Part, Quantity, SlotIndex, Watch, WatchIndex, field};

use crate::settings::Settings;

/// What is read until a reload changes it.
pub(crate) struct Plan {
    pub(crate) watches: Arc<[Watch]>,
    /// From one tick to the next: the shortest period of any watch.
    pub(crate) tick: Duration,
    /// The watch whose readings are used for what is derived from a field. If there are two watches
    /// on the field, it is the hidden one.
    pub(crate) positions: BTreeMap<FieldId, WatchIndex>,
    /// The quantities with a window.
    pub(crate) quantities: Vec<Quantity>,
}

/// The quantities whose families are requested, if windows have any length.
pub(crate) fn quantities(requested: &[Watch], window: Duration) -> Vec<Quantity> {
    let is_requested = |quantity: &Quantity| {
        let families = quantity.families();
        !window.is_zero() && requested.iter().any(|watch| families.contains(&watch.field))
    };
    Quantity::ALL.into_iter().filter(is_requested).collect()
}

impl Plan {
    pub(crate) fn new(watches: Arc<[Watch]>, settings: &Settings) -> Self {
        let interval = settings.interval;
        let periods = watches.iter().map(|watch| watch.pace.period(interval));
        let tick = periods.fold(interval, Duration::min);
        let mut positions = BTreeMap::new();
        for (index, watch) in WatchIndex::enumerate(&watches) {
            if watch.kind == Kind::Hidden || !positions.contains_key(&watch.field) {
                positions.insert(watch.field, index);
            }
        }
        let quantities = quantities(&watches, settings.windows.extents);
        Self { watches, tick, positions, quantities }
    }

    /// A period rounded up to whole ticks: passes begin at ticks.
    pub(crate) fn in_ticks(&self, period: Duration) -> Duration {
        let ticks = period.as_nanos().div_ceil(self.tick.as_nanos().max(1));
        self.tick.saturating_mul(u32::try_from(ticks).unwrap_or(u32::MAX))
    }

    /// Whether any of these fields is watched.
    pub(crate) fn has(&self, fields: &[FieldId]) -> bool {
        fields.iter().any(|field| self.positions.contains_key(field))
    }

    /// Whether the health of GPUs is requested.
    pub(crate) fn assesses_health(&self) -> bool {
        self.has(&[field::EXP_GPU_HEALTH_STATUS])
    }

    /// A part of this plan with the readings of a part of the plan `before`. They are matched by
    /// field, since the positions of watches differ.
    pub(crate) fn adopt(&self, before: &Self, part: &Part) -> Part {
        let fields = part.watches.iter().map(|index| before.watches[*index].field);
        let fields: BTreeSet<FieldId> = fields.collect();
        let watches = WatchIndex::enumerate(&self.watches);
        let known = watches.filter(|(_, watch)| fields.contains(&watch.field));
        let watches = known.map(|(index, _)| index).collect();
        let mut new = Part::new(part.entity.clone(), &watches);
        let new_field = |index: WatchIndex| self.watches[index].field;
        copy(&mut new, part, new_field, |index| before.watches[index].field);
        new
    }
}

/// Copies to `new` what `old`, a part of the same plan, has read.
pub(crate) fn inherit(new: &mut Part, old: &Part) {
    copy(new, old, |index| index, |index| index);
}

/// Copies what `old` has read to the slots of `new` with the same key.
fn copy<K: Ord>(
    new: &mut Part,
    old: &Part,
    new_key: impl Fn(WatchIndex) -> K,
    old_key: impl Fn(WatchIndex) -> K,
) {
    let slots: BTreeMap<K, SlotIndex> =
        old.iter().map(|(slot, index, _)| (old_key(index), slot)).collect();
    let watches = Arc::clone(&new.watches);
    for (to, index) in new.slots().zip(watches.iter()) {
        if let Some(from) = slots.get(&new_key(*index)) {
            new.at_mut(to).clone_from(old.at(*from));
            if let Some(slower) = old.slower.get(from) {
                new.slower.insert(to, *slower);
            }
        }
    }
}

/// The first tick after `now`. Ticks are counted from the epoch, so that all readers read at the same
/// moments.
pub(crate) fn next_tick(epoch: Moment, tick: Duration, now: Moment) -> Moment {
    let passed = (now - epoch).as_nanos() / tick.as_nanos().max(1) + 1;
    let nanos = passed.saturating_mul(tick.as_nanos());
    epoch + Duration::from_nanos(u64::try_from(nanos).unwrap_or(u64::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_counted_from_the_epoch() {
        let epoch = Moment::now();
        let second = Duration::from_secs(1);
        assert_eq!(next_tick(epoch, second, epoch), epoch + second);
        assert_eq!(next_tick(epoch, second, epoch + second / 2), epoch + second);
        assert_eq!(next_tick(epoch, second, epoch + second), epoch + 2 * second);
    }
}
