//! Counts of events, each with the birth of its series.

use std::time::SystemTime;

/// A count of events.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Tally {
    /// The number of events.
    pub count: u64,
    /// A time at which the count was still 0: not later than the first event, nor than the last snapshot
    /// before it was counted. It never changes. `None` if that is not known, or before the first event.
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

    /// Adds the count of the same events from before.
    pub fn add_earlier(&mut self, earlier: Self) {
        if earlier.count > 0 {
            self.born = earlier.born;
            self.count += earlier.count;
        }
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
    fn an_earlier_count_brings_its_birth() {
        let mut tally = Tally { count: 1, born: at(9) };
        tally.add_earlier(Tally::default());
        assert_eq!(tally.born, at(9));
        tally.add_earlier(Tally { count: 2, born: at(4) });
        assert_eq!(tally, Tally { count: 3, born: at(4) });
        tally.add_earlier(Tally { count: 1, born: None });
        assert_eq!(tally, Tally { count: 4, born: None });
    }
}
