//! Who watches what, and when it is due: slots, targets and turns.

use std::sync::Arc;
use std::time::Duration;

use model::{FieldId, Pace, PartIndex, Pass, Reading, Readings, SlotIndex, Watch, WatchIndex};

/// The watches that a reader serves for one kind of entity, by slot.
pub(crate) struct Plan {
    /// Ascending.
    pub(crate) watches: Arc<[WatchIndex]>,
    slots: Vec<(FieldId, Pace)>,
}

impl Plan {
    /// One slot for each watch on a field that is `served`.
    pub(crate) fn of(all: &[Watch], served: impl Fn(FieldId) -> bool) -> Self {
        let mine = || WatchIndex::enumerate(all).filter(|(_, watch)| served(watch.field));
        Self {
            watches: mine().map(|(index, _)| index).collect(),
            slots: mine().map(|(_, watch)| (watch.field, watch.pace)).collect(),
        }
    }

    /// The slots of every watch on `field` in `part`, and when they are due.
    pub(crate) fn targets(
        &self,
        field: FieldId,
        part: TargetPart,
        paces: &mut Paces,
    ) -> (Vec<Target>, u64) {
        let mut targets = Vec::new();
        let mut turns = 0;
        let slots = SlotIndex::all(self.slots.len()).zip(&self.slots);
        for (slot, (_, pace)) in slots.filter(|(_, (of, _))| *of == field) {
            targets.push(Target { part, slot });
            turns |= paces.turn(*pace);
        }
        // There are hundreds of these for each GPU, most of one target.
        targets.shrink_to_fit();
        (targets, turns)
    }
}

/// A part as call groups number it: the GPU or instance that they read, then its links. The parts of
/// the readings have other numbers, since they come and go ([`Sink::parts`]).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct TargetPart(pub(crate) usize);

impl TargetPart {
    /// The GPU or instance that is read.
    pub(crate) const ITSELF: Self = Self(0);
}

/// Where a reading goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Target {
    pub(crate) part: TargetPart,
    pub(crate) slot: SlotIndex,
}

/// Readings, as seen by those who know targets.
pub(crate) struct Sink<'a> {
    pub(crate) out: &'a mut Readings,
    /// The part of the readings for each [`TargetPart`].
    pub(crate) parts: &'a [PartIndex],
}

impl Sink<'_> {
    /// Writes a reading to each of its targets.
    pub(crate) fn set(&mut self, targets: &[Target], reading: &Reading) {
        for target in targets {
            self.out.set_in(self.parts[target.part.0], target.slot, reading.clone());
        }
    }

    /// Says how often targets are read from now on, where that is not as often as was asked for.
    pub(crate) fn set_every(&mut self, targets: &[Target], every: Option<Duration>) {
        for target in targets {
            self.out.set_every_in(self.parts[target.part.0], target.slot, every);
        }
    }
}

/// The distinct paces of a reader's watches, each a bit of a mask, so that each is asked once per
/// pass whether it is due.
pub(crate) struct Paces {
    all: Vec<Pace>,
}

/// The bit of [`Pace::Slow`].
pub(crate) const SLOW: u64 = 1;

/// How many bits there are; paces beyond share the last one.
const BITS: usize = u64::BITS as usize;

impl Paces {
    pub(crate) fn new() -> Self {
        Self { all: vec![Pace::Slow] }
    }

    /// The bit of this pace.
    pub(crate) fn turn(&mut self, pace: Pace) -> u64 {
        let known = self.all.iter().position(|known| *known == pace);
        let place = known.unwrap_or_else(|| {
            self.all.push(pace);
            self.all.len() - 1
        });
        1 << place.min(BITS - 1)
    }

    /// The bits of the paces that are due in this pass.
    pub(crate) fn due(&self, pass: &Pass) -> u64 {
        let bits =
            |(place, pace): (usize, &Pace)| u64::from(pass.is_due(*pace)) << place.min(BITS - 1);
        self.all.iter().enumerate().map(bits).fold(0, |due, bit| due | bit)
    }

    /// From one reading to the next, of what is read at these paces.
    pub(crate) fn period(&self, turns: u64, interval: Duration) -> Duration {
        let mine = self
            .all
            .iter()
            .enumerate()
            .filter(|(place, _)| turns & 1 << (*place).min(BITS - 1) != 0);
        let periods = mine.map(|(_, pace)| pace.period(interval));
        periods.min().unwrap_or_else(|| Pace::Slow.period(interval))
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
        let (targets, turns) = plan.targets(FieldId(5), TargetPart(2), &mut paces);
        assert_eq!(
            targets,
            [1, 2].map(|slot| Target { part: TargetPart(2), slot: SlotIndex(slot) })
        );
        assert_eq!(turns, 0b110);
        assert_eq!(plan.targets(FieldId(9), TargetPart::ITSELF, &mut paces).1, SLOW);
        assert_eq!(plan.targets(FieldId(7), TargetPart::ITSELF, &mut paces), (vec![], 0));
    }

    #[test]
    fn turns_are_due_when_one_of_their_paces_is() {
        let mut paces = Paces::new();
        let every = paces.turn(Pace::Every);
        let second = paces.turn(Pace::At(Duration::from_secs(1)));
        assert_eq!(paces.turn(Pace::Every), every);
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
        assert_eq!(paces.due(&pass(9, 10)), SLOW | second);
        assert_eq!(paces.period(every | SLOW, interval), interval);
        assert_eq!(paces.period(SLOW, interval), Duration::from_secs(10));
    }

    #[test]
    fn more_paces_than_bits_share_the_last() {
        let mut paces = Paces::new();
        for millis in 1..100 {
            let turn = paces.turn(Pace::At(Duration::from_millis(millis)));
            assert_eq!(turn, 1 << millis.min(63));
        }
    }
}
