//! Who watches what, and when it is due: each watched field has a target, which is slots of a part.

use std::ops::{BitOr, BitOrAssign};
use std::sync::Arc;
use std::time::Duration;

use model::{FieldId, Pace, Pass, SlotIndex, Watch, WatchIndex};

/// How often fields that were not supported are read again.
pub(crate) const RETRY_UNSUPPORTED: Duration = Duration::from_secs(600);

/// The watches that a reader serves for one kind of entity, by slot.
pub(crate) struct Plan {
    /// Ascending.
    pub(crate) watches: Arc<[WatchIndex]>,
    slots: Vec<(FieldId, Pace)>,
}

impl Plan {
    /// One slot for each watch on a field that is `served`.
    pub(crate) fn of(all: &[Watch], served: impl Fn(FieldId) -> bool) -> Self {
        let (watches, slots) = WatchIndex::enumerate(all)
            .filter(|(_, watch)| served(watch.field))
            .map(|(index, watch)| (index, (watch.field, watch.pace)))
            .unzip::<_, _, Vec<_>, _>();
        Self { watches: watches.into(), slots }
    }

    /// The slots of every watch on `field` in `part`; `None` if no watch is on it.
    pub(crate) fn target(
        &self,
        field: FieldId,
        part: TargetPart,
        paces: &mut Paces,
    ) -> Option<Target> {
        let mut slots = Vec::new();
        let mut due = DueMask::NEVER;
        let all = SlotIndex::all(self.slots.len()).zip(&self.slots);
        for (slot, (_, pace)) in all.filter(|(_, (of, _))| *of == field) {
            slots.push(slot);
            due |= paces.mask(*pace);
        }
        (!slots.is_empty()).then(|| Target { field, part, slots: slots.into(), due })
    }
}

/// A part as call groups number it: the GPU or instance that they read, then its NVLinks. Indexes of
/// the readings' parts change when instances come and go, these do not.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TargetPart(pub(crate) u16);

impl TargetPart {
    /// The GPU or instance that is read.
    pub(crate) const ITSELF: Self = Self(0);

    /// An NVLink.
    pub(crate) fn of_link(link: u32) -> Self {
        Self(1 + link as u16)
    }
}

/// Where readings of a field go: the slots of all watches on it, in one part.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) field: FieldId,
    pub(crate) part: TargetPart,
    pub(crate) slots: Box<[SlotIndex]>,
    /// The paces of the watches.
    pub(crate) due: DueMask,
}

/// A set of paces of a reader, each a bit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct DueMask(u64);

impl DueMask {
    /// No pace.
    pub(crate) const NEVER: Self = Self(0);
    /// [`Pace::Slow`] alone.
    pub(crate) const SLOW: Self = Self(1);

    /// Whether one of the paces is among `due`.
    pub(crate) fn is_due(self, due: Self) -> bool {
        self.0 & due.0 != 0
    }

    /// Paces beyond the last bit share it.
    fn of_place(place: usize) -> Self {
        Self(1 << place.min(u64::BITS as usize - 1))
    }
}

impl BitOr for DueMask {
    type Output = Self;

    fn bitor(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }
}

impl BitOrAssign for DueMask {
    fn bitor_assign(&mut self, other: Self) {
        *self = *self | other;
    }
}

/// The distinct paces of a reader's watches, so that each is compared with the clock once per pass.
pub(crate) struct Paces {
    /// The place is the bit of the mask.
    all: Vec<Pace>,
}

impl Paces {
    pub(crate) fn new() -> Self {
        Self { all: vec![Pace::Slow] }
    }

    /// The mask of this pace alone.
    pub(crate) fn mask(&mut self, pace: Pace) -> DueMask {
        let known = self.all.iter().position(|known| *known == pace);
        DueMask::of_place(known.unwrap_or_else(|| {
            self.all.push(pace);
            self.all.len() - 1
        }))
    }

    /// The paces that are due in this pass.
    pub(crate) fn due(&self, pass: &Pass) -> DueMask {
        let due = self.masks().filter(|(_, pace)| pass.is_due(*pace));
        due.fold(DueMask::NEVER, |due, (mask, _)| due | mask)
    }

    /// From one reading to the next, of what is read at these paces.
    pub(crate) fn period(&self, due: DueMask, interval: Duration) -> Duration {
        let paces = self.masks().filter(|(mask, _)| mask.is_due(due));
        let shortest = paces.map(|(_, pace)| pace.period(interval)).min();
        shortest.unwrap_or_else(|| Pace::Slow.period(interval))
    }

    fn masks(&self) -> impl Iterator<Item = (DueMask, Pace)> {
        self.all.iter().enumerate().map(|(place, pace)| (DueMask::of_place(place), *pace))
    }
}

#[cfg(test)]
mod tests {

    use model::{Kind, Moment};

    use super::*;

    fn watch(field: u16, pace: Pace) -> Watch {
        Watch {
            field: FieldId(field),
            name: "a".into(),
            kind: Kind::Gauge,
            help: "b".into(),
            pace,
            cumulative: false,
        }
    }

    #[test]
    fn slots_are_in_the_order_of_the_watches() {
        let second = Pace::At(Duration::from_secs(1));
        let watches =
            [watch(9, Pace::Slow), watch(5, Pace::Every), watch(7, Pace::Slow), watch(5, second)];
        let plan = Plan::of(&watches, |field| field != FieldId(7));
        assert_eq!(*plan.watches, [0, 1, 3].map(WatchIndex));
        let mut paces = Paces::new();
        let target = plan.target(FieldId(5), TargetPart(2), &mut paces).expect("a target");
        assert_eq!(*target.slots, [1, 2].map(SlotIndex));
        assert_eq!((target.field, target.part), (FieldId(5), TargetPart(2)));
        assert_eq!(target.due, DueMask(0b110));
        let slow = plan.target(FieldId(9), TargetPart::ITSELF, &mut paces).expect("a target");
        assert_eq!(slow.due, DueMask::SLOW);
        assert_eq!(plan.target(FieldId(7), TargetPart::ITSELF, &mut paces), None);
    }

    #[test]
    fn a_mask_is_due_when_one_of_its_paces_is() {
        let mut paces = Paces::new();
        let every = paces.mask(Pace::Every);
        let second = paces.mask(Pace::At(Duration::from_secs(1)));
        assert_eq!(paces.mask(Pace::Every), every);
        let interval = Duration::from_secs(3);
        let pass = |from: u64, to: u64| Pass {
            now: Moment::now(),
            elapsed: Duration::from_secs(to),
            previous: Some(Duration::from_secs(from)),
            interval,
            cadence: Duration::from_secs(1),
        };
        assert_eq!(paces.due(&pass(3, 4)), second);
        assert_eq!(paces.due(&pass(5, 6)), every | second);
        assert_eq!(paces.due(&pass(9, 10)), DueMask::SLOW | second);
        assert_eq!(paces.period(every | DueMask::SLOW, interval), interval);
        assert_eq!(paces.period(DueMask::SLOW, interval), Duration::from_secs(10));
    }

    #[test]
    fn more_paces_than_bits_share_the_last() {
        let mut paces = Paces::new();
        for millis in 1..100 {
            let mask = paces.mask(Pace::At(Duration::from_millis(millis)));
            assert_eq!(mask, DueMask(1 << millis.min(63)));
        }
    }
}
