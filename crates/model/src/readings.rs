//! Where a reader writes what it read.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use crate::{Entity, Moment, Reading, Reason};

/// A reading, and the moment its pass began or the driver sampled it, so that its age is never
/// understated.
#[derive(Clone, PartialEq, Debug)]
pub struct Slot {
    /// What was read.
    pub reading: Reading,
    /// When that was; `None` before the first answer.
    pub at: Option<Moment>,
}

impl Slot {
    /// Nothing was read yet.
    pub const EMPTY: Self = Self { reading: Err(Reason::NoData), at: None };
}

/// The readings of one entity of a GPU.
#[derive(Clone, PartialEq, Debug)]
pub struct Part {
    /// Which.
    pub entity: Entity,
    /// By slot, the position of its watch among the session's.
    pub watches: Arc<[usize]>,
    /// What was read.
    pub slots: Vec<Slot>,
    /// By slot, from one reading to the next where that is longer than its watch asks for: the
    /// driver takes too long over it.
    pub slower: BTreeMap<usize, Duration>,
    /// Whether the driver samples by itself, so that moments are its own and not those of passes.
    pub sampled: bool,
}

impl Part {
    /// A part without data.
    pub fn new(entity: Entity, watches: &Arc<[usize]>) -> Self {
        let slots = vec![Slot::EMPTY; watches.len()];
        let (watches, slower) = (Arc::clone(watches), BTreeMap::new());
        Self { entity, watches, slots, slower, sampled: false }
    }
}

/// Where a reader writes what it read: one slot per watch that it serves, of the GPU itself and of
/// each smaller entity that it has found.
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
    pub fn new(watches: &Arc<[usize]>, now: Moment) -> Self {
        Self { parts: vec![Part::new(Entity::Gpu, watches)], now }
    }

    /// Begins a pass: what is set from here on is stamped with `now`.
    pub fn begin(&mut self, now: Moment) {
        self.now = now;
    }

    /// The moment this pass began.
    pub fn now(&self) -> Moment {
        self.now
    }

    /// Writes the reading of slot `index` of the GPU itself.
    pub fn set(&mut self, index: usize, reading: Reading) {
        self.set_in(0, index, reading);
    }

    /// Writes the reading of slot `index` of part number `part`.
    pub fn set_in(&mut self, part: usize, index: usize, reading: Reading) {
        self.parts[part].slots[index] = Slot { reading, at: Some(self.now) };
    }

    /// Writes what the driver read by itself at `at`, of slot `index` of part number `part`: news only
    /// if it is another moment than before.
    pub fn set_sampled_in(&mut self, part: usize, index: usize, reading: Reading, at: Moment) {
        let part = &mut self.parts[part];
        part.sampled = true;
        part.slots[index] = Slot { reading, at: Some(at) };
    }

    /// Says how often slot `index` of the GPU itself is read from now on, where that is not as
    /// often as its watch asks for.
    pub fn set_every(&mut self, index: usize, every: Option<Duration>) {
        self.set_every_in(0, index, every);
    }

    /// Says how often slot `index` of part number `part` is read from now on, where that is not as
    /// often as its watch asks for.
    pub fn set_every_in(&mut self, part: usize, index: usize, every: Option<Duration>) {
        let slower = &mut self.parts[part].slower;
        match every {
            Some(every) => slower.insert(index, every),
            None => slower.remove(&index),
        };
    }

    /// The number of the part of `entity`, which is added if it is new or has other watches. The
    /// GPU itself is part 0.
    pub fn part(&mut self, entity: &Entity, watches: &Arc<[usize]>) -> usize {
        let known = self.parts.iter().position(|part| part.entity == *entity);
        match known {
            Some(number) if self.parts[number].watches == *watches => number,
            Some(number) => {
                self.parts[number] = Part::new(entity.clone(), watches);
                number
            }
            None => {
                self.parts.push(Part::new(entity.clone(), watches));
                self.parts.len() - 1
            }
        }
    }

    /// Drops the parts of entities that are gone. The GPU itself stays; numbers of parts change.
    pub fn retain(&mut self, mut stays: impl FnMut(&Entity) -> bool) {
        self.parts.retain(|part| part.entity == Entity::Gpu || stays(&part.entity));
    }

    /// Forgets everything, as after a GPU was lost.
    pub fn clear(&mut self) {
        self.parts.truncate(1);
        self.parts[0].slots.fill(Slot::EMPTY);
        self.parts[0].slower.clear();
    }

    /// All slots of the GPU itself, in the order of the reader's watches.
    pub fn slots(&self) -> &[Slot] {
        &self.parts[0].slots
    }

    /// All parts; the first is the GPU itself.
    pub fn parts(&self) -> &[Part] {
        &self.parts
    }
}
