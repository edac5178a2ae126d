//! What is read, how often, and where each field's readings are found.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use model::{FieldId, Kind, Part, Quantity, SlotIndex, Watch, WatchIndex, field};

use crate::Settings;

/// The watches of a sampler, until it is told to read others.
pub(crate) struct Plan {
    pub(crate) watches: Arc<[Watch]>,
    /// From one tick to the next: the shortest period of any watch.
    pub(crate) tick: Duration,
    /// Where the readings of a field are found, for what is derived from them: of two watches on
    /// one field, the one that is read for this very purpose.
    pub(crate) positions: BTreeMap<FieldId, WatchIndex>,
    /// Of which windows are kept.
    pub(crate) quantities: Vec<Quantity>,
}

/// The quantities that are asked for over a window of this length.
pub(crate) fn quantities(asked: &[Watch], window: Duration) -> Vec<Quantity> {
    let is_asked = |quantity: &Quantity| {
        let families = quantity.families();
        !window.is_zero() && asked.iter().any(|watch| families.contains(&watch.field))
    };
    Quantity::ALL.into_iter().filter(is_asked).collect()
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

    /// Whether any of these fields is read or asked for.
    pub(crate) fn has(&self, fields: &[FieldId]) -> bool {
        fields.iter().any(|field| self.positions.contains_key(field))
    }

    /// Whether the health of GPUs is asked for.
    pub(crate) fn assesses_health(&self) -> bool {
        self.has(&[field::EXP_GPU_HEALTH_STATUS])
    }

    /// A part of this plan with what one of `earlier` has read: by field, since positions are
    /// others.
    pub(crate) fn adopt(&self, earlier: &Self, part: &Part) -> Part {
        let fields: BTreeMap<FieldId, SlotIndex> =
            part.iter().map(|(slot, index, _)| (earlier.watches[index].field, slot)).collect();
        let watches = WatchIndex::enumerate(&self.watches);
        let has_it = |(_, watch): &(WatchIndex, &Watch)| fields.contains_key(&watch.field);
        let watches = watches.filter(has_it).map(|(index, _)| index).collect();
        let mut adopted = Part::new(part.entity.clone(), &watches);
        for (slot, index) in adopted.slots().zip(watches.iter()) {
            if let Some(read) = fields.get(&self.watches[*index].field) {
                copy(&mut adopted, slot, part, *read);
            }
        }
        adopted
    }
}

/// Lets `new` begin with what `old`, a part of the same plan, has read.
pub(crate) fn inherit(new: &mut Part, old: &Part) {
    let slots: BTreeMap<WatchIndex, SlotIndex> =
        old.iter().map(|(slot, index, _)| (index, slot)).collect();
    let watches = Arc::clone(&new.watches);
    for (slot, index) in new.slots().zip(watches.iter()) {
        if let Some(read) = slots.get(index) {
            copy(new, slot, old, *read);
        }
    }
}

/// Copies what `old` has read in its slot `from` to the slot `to` of `new`.
fn copy(new: &mut Part, to: SlotIndex, old: &Part, from: SlotIndex) {
    new.at_mut(to).clone_from(old.at(from));
    if let Some(slower) = old.slower.get(&from) {
        new.slower.insert(to, *slower);
    }
}
