//! Counts of events, each with the birth of its series.

use std::time::SystemTime;

/// A count of events.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// The number of events.
    pub count: u64,
    /// A time at which the count was still 0: not later than the first event, nor than the last snapshot
    /// before it was counted. It never changes, but it is forgotten once it could be wrong. `None` if it is
    /// not known, or before the first event.
    pub born: Option<SystemTime>,
}

impl Tally {
    /// Counts an event and returns the new count. `birth` is only used by the first one.
    pub fn add(&mut self, birth: Option<SystemTime>) -> u64 {
        if self.count == 0 {
            self.born = birth;
        }
        self.count += 1;
        self.count
    }

    /// Adds another count of the same events. The birth is the earlier one, if both are known.
    pub fn merge(&mut self, other: Self) {
        let begun = [*self, other].into_iter().filter(|tally| tally.count > 0);
        self.born = begun.map(|tally| tally.born).min().flatten();
        self.count += other.count;
    }
}

#[cfg(test)]
mod tests {
    use std::time::{Duration, UNIX_EPOCH};

    use super::*;

    fn at(seconds: u64) -> Option<SystemTime> {
        Some(UNIX_EPOCH + Duration::from_secs(seconds))
    }

    #[test]
    fn the_birth_is_that_of_the_first_event_and_stays() {
        let mut tally = Tally::default();
        assert_eq!(tally.born, None);
        assert_eq!([tally.add(at(5)), tally.add(at(3)), tally.add(None)], [1, 2, 3]);
        assert_eq!(tally.born, at(5));
    }

    #[test]
    fn merged_counts_have_the_earlier_birth() {
        let mut tally = Tally::default();
        tally.merge(Tally { count: 1, born: at(9) });
        tally.merge(Tally::default());
        assert_eq!(tally, Tally { count: 1, born: at(9) });
        tally.merge(Tally { count: 2, born: at(4) });
        tally.merge(Tally { count: 1, born: at(7) });
        assert_eq!(tally, Tally { count: 4, born: at(4) });
        tally.merge(Tally { count: 1, born: None });
        assert_eq!(tally, Tally { count: 5, born: None });
        tally.merge(Tally { count: 1, born: at(1) });
        assert_eq!(tally.born, None, "it stays unknown");
    }
}
