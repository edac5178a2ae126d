//! The watches of all clients: when each field is due, and its samples.

use std::{
    collections::{BTreeMap, BTreeSet, VecDeque},
    time::Duration,
};

use model::field;

use crate::{entity::EntityId, groups::Client, value::Value};

/// From one tick of an engine to the next.
pub(crate) const TICK: Duration = Duration::from_millis(50);

/// How many samples of XIDs are kept, and how many of all else.
const MAX_XIDS: usize = 4096;
const MAX_SAMPLES: usize = 2;

/// How many times in a row a field without a value is read again at the next tick.
const MAX_MISSES: u32 = 8;

/// An entity and a field.
pub(crate) type Key = (EntityId, u16);

/// What is watched.
#[derive(Default)]
pub(crate) struct Watches {
    watched: BTreeMap<Key, Watched>,
}

/// One watched field of one entity.
pub(crate) struct Watched {
    watchers: Vec<Watcher>,
    /// The tick from which it is due again.
    due: u64,
    samples: VecDeque<Sample>,
    /// How many times in a row there was no value.
    misses: u32,
}

/// The client that watches it, its groups, and the interval in ticks.
#[derive(Clone, Copy)]
pub(crate) struct Watcher {
    pub client: Client,
    pub group: usize,
    pub field_group: usize,
    pub every: u64,
}

/// One value, and when it was read: microseconds of the engine's clock.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Sample {
    pub at: i64,
    pub value: Value,
}

/// How many ticks this is, rounded up.
pub(crate) fn ticks(micros: i64) -> u64 {
    let micros = u64::try_from(micros).unwrap_or(0);
    micros.div_ceil(TICK.as_micros() as u64).max(1)
}

impl Watches {
    /// Adds a watcher, in place of any other of the same client: an engine knows a watcher by its
    /// connection, not by its groups.
    pub(crate) fn watch(&mut self, key: Key, watcher: Watcher) {
        let (watchers, samples) = (Vec::new(), VecDeque::new());
        let new = || Watched { watchers, due: 0, samples, misses: 0 };
        let watched = self.watched.entry(key).or_insert_with(new);
        watched.watchers.retain(|known| known.client != watcher.client);
        watched.watchers.push(watcher);
        watched.due = 0;
    }

    /// Drops watchers. A field without watchers is forgotten.
    pub(crate) fn drop_watchers(&mut self, is_dropped: impl Fn(&Watcher) -> bool) {
        self.watched.retain(|_, watched| {
            watched.watchers.retain(|watcher| !is_dropped(watcher));
            !watched.watchers.is_empty()
        });
    }

    /// Drops a client's watcher of one field of one entity. The groups do not matter: an engine ends a
    /// client's second watch with its first.
    pub(crate) fn unwatch(&mut self, key: Key, client: Client) {
        if let Some(watched) = self.watched.get_mut(&key) {
            watched.watchers.retain(|watcher| watcher.client != client);
            if watched.watchers.is_empty() {
                self.watched.remove(&key);
            }
        }
    }

    /// The watched fields.
    pub(crate) fn fields(&self) -> BTreeSet<u16> {
        self.watched.keys().map(|(_, field)| *field).collect()
    }

    pub(crate) fn is_due(&self, tick: u64) -> bool {
        let is_polled = |field: u16| field != field::XID_ERRORS.0;
        self.watched.iter().any(|((_, field), watched)| is_polled(*field) && watched.due <= tick)
    }

    /// What is due at this tick, or all of it.
    pub(crate) fn due(
        &mut self,
        tick: u64,
        all: bool,
    ) -> impl Iterator<Item = (Key, &mut Watched)> {
        let watched = self.watched.iter_mut().map(|(key, watched)| (*key, watched));
        watched.filter(move |((_, field), watched)| {
            *field != field::XID_ERRORS.0 && (all || watched.due <= tick)
        })
    }

    /// What was sampled of it, oldest first; none if it is not watched.
    pub(crate) fn samples(&self, key: Key) -> Option<&VecDeque<Sample>> {
        self.watched.get(&key).map(|watched| &watched.samples)
    }

    /// Stores an event, if it is watched; returns whether it is. Each event has another time.
    pub(crate) fn record_event(&mut self, key: Key, mut sample: Sample) -> bool {
        let Some(watched) = self.watched.get_mut(&key) else { return false };
        if let Some(last) = watched.samples.back() {
            sample.at = sample.at.max(last.at + 1);
        }
        watched.store(sample, MAX_XIDS);
        true
    }
}

impl Watched {
    /// Notes that it was read at this tick. Without a sample it is read again at the next ticks, a few
    /// times: a rate may have been read too early.
    pub(crate) fn sampled(&mut self, tick: u64, sample: Option<Sample>) {
        self.misses = if sample.is_none() { self.misses + 1 } else { 0 };
        if (1..MAX_MISSES).contains(&self.misses) {
            return;
        }
        let every = self.watchers.iter().map(|watcher| watcher.every).min().unwrap_or(1);
        self.due = (tick / every + 1) * every;
        if let Some(sample) = sample {
            self.store(sample, MAX_SAMPLES);
        }
    }

    fn store(&mut self, sample: Sample, most: usize) {
        if self.samples.len() == most {
            self.samples.pop_front();
        }
        self.samples.push_back(sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const KEY: Key = (EntityId::MACHINE, 150);

    fn watcher(client: Client, every: u64) -> Watcher {
        Watcher { client, group: 6, field_group: 7, every }
    }

    fn sample(at: i64) -> Option<Sample> {
        Some(Sample { at, value: Value::Int(at) })
    }

    #[test]
    fn the_fastest_watcher_says_when_it_is_due() {
        let mut watches = Watches::default();
        watches.watch(KEY, watcher(1, 20));
        watches.watch(KEY, watcher(2, 4));
        let mut due_at = Vec::new();
        for tick in 3..18 {
            for (_, watched) in watches.due(tick, false) {
                due_at.push(tick);
                watched.sampled(tick, sample(tick as i64));
            }
        }
        assert_eq!(due_at, [3, 4, 8, 12, 16]);
        let kept: Vec<i64> = watches.samples(KEY).unwrap().iter().map(|it| it.at).collect();
        assert_eq!(kept, [12, 16]);
        watches.drop_watchers(|watcher| watcher.client == 2);
        assert!(watches.samples(KEY).is_some());
        watches.drop_watchers(|watcher| watcher.client == 1);
        assert_eq!(watches.samples(KEY), None);
    }

    #[test]
    fn xids_are_events_and_not_polled() {
        let mut watches = Watches::default();
        let key = (EntityId::gpu(0), 230);
        let record = |watches: &mut Watches| {
            watches.record_event(key, Sample { at: 7, value: Value::Int(79) })
        };
        assert!(!record(&mut watches), "it is not watched");
        watches.watch(key, watcher(1, 20));
        assert!(!watches.is_due(100));
        assert!((0..5000).all(|_| record(&mut watches)));
        let samples = watches.samples(key).unwrap();
        assert_eq!((samples.len(), samples[0].at, samples[4095].at), (4096, 911, 5006));
    }

    #[test]
    fn periods_are_rounded_up_to_ticks() {
        assert_eq!([1, 50_000, 50_001, 1_000_000, -5].map(ticks), [1, 1, 2, 20, 1]);
    }
}
