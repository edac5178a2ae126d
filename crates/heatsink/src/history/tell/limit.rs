//! How often the command is run.

use std::collections::VecDeque;
use std::time::{Duration, Instant};

/// The shortest time from one run to the next.
const LEAST_DISTANCE: Duration = Duration::from_secs(60);

/// The most runs in [`PERIOD`].
const MOST_RUNS: usize = 20;

/// The time in which runs are counted.
const PERIOD: Duration = Duration::from_secs(3600);

/// Holds what is to be told until it may be. While it must wait, the newest replaces the one before, which
/// is counted.
#[derive(Debug)]
pub(super) struct Limit<T> {
    /// When the last runs were, the oldest first.
    runs: VecDeque<Instant>,
    held: Option<T>,
    replaced: u64,
}

impl<T> Limit<T> {
    pub(super) fn new() -> Self {
        Self { runs: VecDeque::new(), held: None, replaced: 0 }
    }

    /// Takes something to tell.
    pub(super) fn put(&mut self, told: T) {
        self.replaced += u64::from(self.held.replace(told).is_some());
    }

    /// Counts something that will not be told.
    pub(super) fn skip(&mut self, count: u64) {
        self.replaced += count;
    }

    /// How long what is held has to wait; `None` if nothing is held.
    pub(super) fn wait(&self, now: Instant) -> Option<Duration> {
        self.held.as_ref()?;
        let since = |run: &Instant| now.saturating_duration_since(*run);
        let after_last = self.runs.back().map(|last| LEAST_DISTANCE.saturating_sub(since(last)));
        let is_full = self.runs.len() >= MOST_RUNS;
        let after_first = self.runs.front().filter(|_| is_full);
        let after_first = after_first.map(|first| PERIOD.saturating_sub(since(first)));
        Some(after_last.max(after_first).unwrap_or_default())
    }

    /// What may be told now, and how many were replaced since the last run.
    pub(super) fn take(&mut self, now: Instant) -> Option<(T, u64)> {
        if !self.wait(now)?.is_zero() {
            return None;
        }
        let told = self.held.take()?;
        if self.runs.len() >= MOST_RUNS {
            self.runs.pop_front();
        }
        self.runs.push_back(now);
        Some((told, std::mem::take(&mut self.replaced)))
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn the_first_is_told_at_once_and_the_newest_after_a_minute_with_the_number_of_the_others() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = Limit::new();
        assert_eq!(limit.wait(start), None);
        limit.put(1);
        assert_eq!(limit.take(start), Some((1, 0)));
        for number in 2..=4 {
            limit.put(number);
            assert_eq!(limit.take(at(number)), None);
        }
        assert_eq!(limit.wait(at(20)), Some(Duration::from_secs(40)));
        assert_eq!(limit.take(at(60)), Some((4, 2)));
        assert_eq!(limit.take(at(900)), None);
    }

    #[test]
    fn after_twenty_in_an_hour_the_next_waits_for_its_end() {
        let start = Instant::now();
        let at = |seconds| start + Duration::from_secs(seconds);
        let mut limit = Limit::new();
        for minute in 0..20 {
            limit.put(minute);
            assert!(limit.take(at(minute * 60)).is_some());
        }
        limit.put(20);
        assert_eq!(limit.wait(at(1200)), Some(Duration::from_secs(2400)));
        assert_eq!(limit.take(at(3600)), Some((20, 0)));
    }

    proptest! {
        #[test]
        fn no_limit_is_passed_and_each_is_told_or_counted(
            steps in proptest::collection::vec((0..200u64, any::<bool>()), 1..200),
        ) {
            let mut now = Instant::now();
            let mut limit = Limit::new();
            let (mut put, mut told, mut counted) = (0, 0, 0);
            let mut runs: Vec<Instant> = Vec::new();
            for (seconds, is_new) in steps {
                now += Duration::from_secs(seconds);
                if is_new {
                    limit.put(put);
                    put += 1;
                }
                if let Some((_, replaced)) = limit.take(now) {
                    told += 1;
                    counted += replaced;
                    if let Some(last) = runs.last() {
                        prop_assert!(now - *last >= LEAST_DISTANCE);
                    }
                    let recent = runs.iter().filter(|run| now - **run < PERIOD).count();
                    prop_assert!(recent < MOST_RUNS);
                    runs.push(now);
                }
            }
            let held = u64::from(limit.wait(now).is_some());
            prop_assert_eq!(told + counted + limit.replaced + held, put);
        }
    }
}
