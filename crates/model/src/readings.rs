//! Readings of a reader, by part and slot.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::{Entity, Moment, PartIndex, Reading, Reason, SlotIndex, WatchIndex};

/// A reading with its moment: the start of its pass, or the time of the driver's sample. So a reading
/// never appears newer than it is.
#[derive(Clone, PartialEq, Debug)]
pub struct TimedReading {
    /// The value, or the reason why there is none.
    pub reading: Reading,
    /// Its moment; `None` before the first reading.
    pub at: Option<Moment>,
}

impl TimedReading {
    /// The slot before its first reading.
    pub const EMPTY: Self = Self { reading: Err(Reason::NoData), at: None };
}

/// The readings of one entity of a GPU.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// The entity of the readings.
    pub entity: Entity,
    /// The watch of each slot.
    pub watches: Arc<[WatchIndex]>,
    /// The reading of each slot.
    pub readings: Vec<TimedReading>,
    /// The actual interval of slots that are read less often than their watch requires, because the
    /// driver call takes too long.
    pub slower: BTreeMap<SlotIndex, Duration>,
    /// Whether the driver samples by itself. Moments are then those of its samples.
    pub sampled: bool,
}

impl Part {
    /// A part without data.
    pub fn new(entity: Entity, watches: &Arc<[WatchIndex]>) -> Self {
        let readings = vec![TimedReading::EMPTY; watches.len()];
        let (watches, slower) = (Arc::clone(watches), BTreeMap::new());
        Self { entity, watches, readings, slower, sampled: false }
    }

    /// Its slots.
    pub fn slots(&self) -> impl Iterator<Item = SlotIndex> + use<> {
        SlotIndex::all(self.readings.len())
    }

    /// Its slots, each with its watch and its reading.
    pub fn iter(&self) -> impl Iterator<Item = (SlotIndex, WatchIndex, &TimedReading)> {
        let watched = self.watches.iter().zip(&self.readings);
        self.slots().zip(watched).map(|(slot, (watch, reading))| (slot, *watch, reading))
    }

    /// The reading of a slot.
    ///
    /// # Panics
    ///
    /// If the slot is of another part.
    pub fn at(&self, slot: SlotIndex) -> &TimedReading {
        &self.readings[slot.0]
    }

    /// The reading of a slot, to be replaced.
    ///
    /// # Panics
    ///
    /// If the slot is of another part.
    pub fn at_mut(&mut self, slot: SlotIndex) -> &mut TimedReading {
        &mut self.readings[slot.0]
    }

    /// The slot of a watch.
    pub fn slot(&self, watch: WatchIndex) -> Option<SlotIndex> {
        self.watches.iter().position(|watched| *watched == watch).map(SlotIndex)
    }
}

/// The readings of a reader: a part for the GPU itself and for each of its entities, with one slot per
/// watch.
///
/// Slots that a pass does not write keep their reading and its moment; the sampler lets them
/// expire.
#[derive(Clone, Debug)]
pub struct Readings {
    parts: Vec<Part>,
    now: Moment,
}

impl Readings {
    /// The slots of the GPU itself, without data, in a pass that begins at `now`.
    pub fn new(watches: &Arc<[WatchIndex]>, now: Moment) -> Self {
        Self { parts: vec![Part::new(Entity::Gpu, watches)], now }
    }

    /// Begins a pass. Readings that are set from now on have the moment `now`.
    pub fn begin(&mut self, now: Moment) {
        self.now = now;
    }

    /// The moment this pass began.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Writes the reading of a slot of the GPU itself.
    pub fn set(&mut self, slot: SlotIndex, reading: Reading) {
        self.set_in(PartIndex::GPU, slot, reading);
    }

    /// Writes the reading of a slot of a part.
    pub fn set_in(&mut self, part: PartIndex, slot: SlotIndex, reading: Reading) {
        *self.parts[part.0].at_mut(slot) = TimedReading { reading, at: Some(self.now) };
    }

    /// Writes a sample that the driver took at `at`. It counts as new only if `at` has changed.
    pub fn set_sampled_in(
        &mut self,
        part: PartIndex,
        slot: SlotIndex,
        reading: Reading,
        at: Moment,
    ) {
        let part = &mut self.parts[part.0];
        part.sampled = true;
        *part.at_mut(slot) = TimedReading { reading, at: Some(at) };
    }

    /// Sets the interval of a slot of the GPU that is read less often than its watch requires; `None`
    /// to clear it.
    pub fn set_every(&mut self, slot: SlotIndex, every: Option<Duration>) {
        self.set_every_in(PartIndex::GPU, slot, every);
    }

    /// Sets the interval of a slot of a part that is read less often than its watch requires; `None`
    /// to clear it.
    pub fn set_every_in(&mut self, part: PartIndex, slot: SlotIndex, every: Option<Duration>) {
        let slower = &mut self.parts[part.0].slower;
        match every {
            Some(every) => slower.insert(slot, every),
            None => slower.remove(&slot),
        };
    }

    /// Clears the intervals of all slots.
    pub fn forget_slower(&mut self) {
        self.parts.iter_mut().for_each(|part| part.slower.clear());
    }

    /// The index of the part of `entity`, which is added if it is new or has other watches.
    pub fn part(&mut self, entity: &Entity, watches: &Arc<[WatchIndex]>) -> PartIndex {
        let known = self.parts.iter().position(|part| part.entity == *entity);
        match known {
            Some(at) if self.parts[at].watches == *watches => PartIndex(at),
            Some(at) => {
                self.parts[at] = Part::new(entity.clone(), watches);
                PartIndex(at)
            }
            None => {
                self.parts.push(Part::new(entity.clone(), watches));
                PartIndex(self.parts.len() - 1)
            }
        }
    }

    /// Drops the parts of entities that are gone. The GPU itself stays; part indexes change.
    pub fn retain(&mut self, mut stays: impl FnMut(&Entity) -> bool) {
        self.parts.retain(|part| part.entity == Entity::Gpu || stays(&part.entity));
    }

    /// Forgets everything, as after a GPU was lost.
    pub fn clear(&mut self) {
        self.parts.truncate(1);
        self.parts[0].readings.fill(TimedReading::EMPTY);
        self.parts[0].slower.clear();
    }

    /// The readings of the GPU itself, in the order of the reader's watches.
    pub fn of_gpu(&self) -> &[TimedReading] {
        &self.parts[0].readings
    }

    /// All parts; the first is the GPU itself.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}
