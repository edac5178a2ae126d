//! Rolling windows: extents of samples, and counts of events, over the last minute or so.
//!
//! A window slides in steps, a fixed number of them to its length. It holds every sample of the
//! current step and of as many whole steps before it as make up its length. So it is never shorter
//! than its length and at most one step longer, exact over the samples that it holds, and takes the
//! same memory however many samples come.

use std::collections::{BTreeMap, VecDeque};
use std::time::Duration;

/// How many steps of an extent's window make up its length.
const EXTENT_STEPS: u64 = 60;

/// The same for counts of events.
const COUNT_STEPS: u64 = 300;

/// The buckets of a window, one for each step that has samples.
#[derive(Clone, Debug)]
struct Window<T> {
    /// The length of a step, in ns.
    step: u64,
    /// How many steps make up the length of the window.
    steps: u64,
    /// Each with the number of its step, counted from the epoch; ascending.
    buckets: VecDeque<(u64, T)>,
}

impl<T: Default> Window<T> {
    fn new(length: Duration, steps: u64) -> Self {
        let nanos = u64::try_from(length.as_nanos()).unwrap_or(u64::MAX);
        Self { step: nanos.div_ceil(steps).max(1), steps, buckets: VecDeque::new() }
    }

    fn number(&self, at: Duration) -> u64 {
        u64::try_from(at.as_nanos()).unwrap_or(u64::MAX) / self.step
    }

    /// The bucket of a moment, added if it is new; `None` if it is too old for the window of the
    /// newest.
    fn bucket(&mut self, at: Duration) -> Option<&mut T> {
        let number = self.number(at);
        let newest = self.buckets.back().map_or(number, |(newest, _)| number.max(*newest));
        let oldest = newest.saturating_sub(self.steps);
        while self.buckets.front().is_some_and(|(number, _)| *number < oldest) {
            self.buckets.pop_front();
        }
        if number < oldest {
            return None;
        }
        let place = self.buckets.partition_point(|(other, _)| *other < number);
        if self.buckets.get(place).is_none_or(|(other, _)| *other != number) {
            self.buckets.insert(place, (number, T::default()));
        }
        self.buckets.get_mut(place).map(|(_, bucket)| bucket)
    }

    /// The buckets of the window at `now`.
    fn at(&self, now: Duration) -> impl Iterator<Item = &T> {
        let oldest = self.number(now).saturating_sub(self.steps);
        self.buckets.iter().filter(move |(number, _)| *number >= oldest).map(|(_, bucket)| bucket)
    }
}

/// The least, the mean and the greatest of the samples in a window.
#[derive(Clone, Debug)]
pub(crate) struct Extents(Window<Summary>);

/// Samples, summed up.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Summary {
    pub(crate) min: f64,
    pub(crate) max: f64,
    sum: f64,
    count: u64,
    /// Whether the driver took any of the samples by itself.
    pub(crate) from_driver: bool,
}

impl Default for Summary {
    fn default() -> Self {
        let (min, max) = (f64::INFINITY, f64::NEG_INFINITY);
        Self { min, max, sum: 0.0, count: 0, from_driver: false }
    }
}

impl Summary {
    fn add(&mut self, other: Self) {
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count += other.count;
        self.from_driver |= other.from_driver;
    }

    pub(crate) fn mean(&self) -> f64 {
        // Rounding must not move the mean of equal numbers.
        (self.sum / self.count as f64).clamp(self.min, self.max)
    }
}

impl Extents {
    pub(crate) fn new(window: Duration) -> Self {
        Self(Window::new(window, EXTENT_STEPS))
    }

    /// Adds a sample. Samples may come a little out of order; one that is too old for the window of
    /// the newest is ignored.
    pub(crate) fn add(&mut self, at: Duration, value: f64, from_driver: bool) {
        if let Some(bucket) = self.0.bucket(at) {
            bucket.add(Summary { min: value, max: value, sum: value, count: 1, from_driver });
        }
    }

    /// The summary of the window at `now`; `None` if it has no samples.
    pub(crate) fn summary(&self, now: Duration) -> Option<Summary> {
        let mut all = Summary::default();
        self.0.at(now).for_each(|bucket| all.add(*bucket));
        (all.count > 0).then_some(all)
    }
}

/// How many events of each kind are in a window.
#[derive(Clone, Debug)]
pub(crate) struct Counts(Window<BTreeMap<u32, u64>>);

impl Counts {
    pub(crate) fn new(window: Duration) -> Self {
        Self(Window::new(window, COUNT_STEPS))
    }

    /// Counts one event.
    pub(crate) fn add(&mut self, now: Duration, kind: u32) {
        if let Some(counts) = self.0.bucket(now) {
            *counts.entry(kind).or_insert(0) += 1;
        }
    }

    /// The counts of the window at `now`, by kind.
    pub(crate) fn at(&self, now: Duration) -> BTreeMap<u32, u64> {
        let mut all = BTreeMap::new();
        for (kind, count) in self.0.at(now).flatten() {
            *all.entry(*kind).or_insert(0) += count;
        }
        all
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    const WINDOW: Duration = Duration::from_secs(60);

    fn seconds(seconds: f64) -> Duration {
        Duration::from_secs_f64(seconds)
    }

    #[test]
    fn a_spike_stays_for_a_window_and_no_longer() {
        let mut extents = Extents::new(WINDOW);
        for second in 0..300 {
            let value = if second == 100 { 900.0 } else { 300.0 };
            extents.add(seconds(f64::from(second)), value, false);
            let max = extents.summary(seconds(f64::from(second))).unwrap().max;
            let is_high = (100..=160).contains(&second);
            assert_eq!(max, if is_high { 900.0 } else { 300.0 }, "at {second} s");
        }
    }

    #[test]
    fn without_samples_there_is_no_summary() {
        let mut extents = Extents::new(WINDOW);
        assert_eq!(extents.summary(seconds(5.0)), None);
        extents.add(seconds(5.0), 1.0, true);
        assert!(extents.summary(seconds(65.9)).is_some());
        assert_eq!(extents.summary(seconds(66.0)), None, "no sample for a whole window");
    }

    #[test]
    fn memory_is_bounded() {
        let mut extents = Extents::new(WINDOW);
        let mut counts = Counts::new(WINDOW);
        for milli in 0..1_000_000_u32 {
            let at = Duration::from_millis(milli.into());
            extents.add(at, 1.0, false);
            counts.add(at, milli % 9);
        }
        assert_eq!(extents.0.buckets.len() as u64, EXTENT_STEPS + 1);
        assert_eq!(counts.0.buckets.len() as u64, COUNT_STEPS + 1);
    }

    /// The samples of a window as the module defines it, by looking at all samples.
    fn brute_force(
        samples: &[(u64, i32)],
        window: Duration,
        steps: u64,
        now: u64,
    ) -> Vec<(u64, i32)> {
        let step = u64::try_from(window.as_nanos()).unwrap().div_ceil(steps);
        let is_held = |(at, _): &&(u64, i32)| at / step + steps >= now / step;
        samples.iter().filter(is_held).copied().collect()
    }

    /// Samples at random moments, in order, of which some come a little late.
    fn series() -> impl Strategy<Value = (Duration, Vec<(u64, i32)>)> {
        let gaps = prop_oneof![0..50_000_000_u64, 0..3_000_000_000_u64, 0..80_000_000_000_u64];
        let samples = prop::collection::vec((gaps, -1000..1000_i32), 1..60);
        let windows = prop_oneof![Just(1_u64), Just(60), Just(3600), 1..600_u64];
        (windows, samples).prop_map(|(window, gaps)| {
            let mut at = 0;
            let samples = gaps.into_iter().map(|(gap, value)| {
                at += gap;
                (at, value)
            });
            (Duration::from_secs(window), samples.collect())
        })
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 10_000, ..ProptestConfig::default() })]

        #[test]
        fn extents_are_those_of_brute_force((window, samples) in series(), wait in 0..100_u64) {
            let mut extents = Extents::new(window);
            for (seen, (at, value)) in samples.iter().enumerate() {
                extents.add(Duration::from_nanos(*at), f64::from(*value), false);
                let now = at + if seen + 1 == samples.len() { wait * 1_000_000_000 } else { 0 };
                let held = brute_force(&samples[..=seen], window, EXTENT_STEPS, now);
                let summary = extents.summary(Duration::from_nanos(now));
                let values = || held.iter().map(|(_, value)| *value);
                prop_assert_eq!(summary.map(|s| s.min), values().min().map(f64::from));
                prop_assert_eq!(summary.map(|s| s.max), values().max().map(f64::from));
                let sum: i64 = values().map(i64::from).sum();
                let mean = sum as f64 / held.len() as f64;
                prop_assert_eq!(summary.map(|s| s.mean()), (!held.is_empty()).then_some(mean));
                let least = now.saturating_sub(u64::try_from(window.as_nanos()).unwrap());
                let all_recent = samples[..=seen].iter().filter(|(at, _)| *at >= least).count();
                prop_assert!(held.len() >= all_recent, "shorter than its length");
            }
        }
    }

    proptest! {
        #[test]
        fn counts_are_those_of_brute_force((window, samples) in series(), wait in 0..100_u64) {
            let mut counts = Counts::new(window);
            for (at, value) in &samples {
                counts.add(Duration::from_nanos(*at), value.unsigned_abs() % 5);
            }
            let now = samples[samples.len() - 1].0 + wait * 1_000_000_000;
            let mut expected = BTreeMap::new();
            for (_, value) in brute_force(&samples, window, COUNT_STEPS, now) {
                *expected.entry(value.unsigned_abs() % 5).or_insert(0) += 1;
            }
            prop_assert_eq!(counts.at(Duration::from_nanos(now)), expected);
        }

        #[test]
        fn order_does_not_matter_within_a_window(
            samples in prop::collection::vec((0..60_000_u64, -1000..1000_i32), 1..100),
        ) {
            let mut sorted = samples.clone();
            sorted.sort_by_key(|(at, _)| *at);
            let summary = |samples: &[(u64, i32)]| {
                let mut extents = Extents::new(WINDOW);
                for (at, value) in samples {
                    extents.add(Duration::from_millis(*at), f64::from(*value), false);
                }
                extents.summary(Duration::from_secs(60))
            };
            prop_assert_eq!(summary(&samples), summary(&sorted));
        }
    }
}
