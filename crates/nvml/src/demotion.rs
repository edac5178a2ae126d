//! The rule by which a slow call is read less often.
//!
//! A call that takes longer than its limit three times in a row is read at the slow pace from then on.
//! When it takes less than half the limit three times in a row, it is read at its own pace again. When
//! most calls of a pass are slow, the GPU is slow, and no call is read less often.

use std::time::Duration;

/// How many slow or fast calls in a row change the pace.
const TIMES: u8 = 3;

/// No call that takes less is slow, however often it is made.
const SHORTEST_LIMIT: Duration = Duration::from_millis(20);

/// The share of its period that a call may take.
const SHARE: u32 = 20;

/// A call that takes less needs no attention, whatever its period.
pub(crate) const SURELY_FAST: Duration = Duration::from_millis(10);

/// How long a call that is made once per period may take.
pub(crate) fn limit(period: Duration) -> Duration {
    (period / SHARE).max(SHORTEST_LIMIT)
}

/// Whether one call is read less often, and how near it is to a change.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Demotion {
    /// How often in a row it was slow or, once it is demoted, fast.
    in_a_row: u8,
    demoted: bool,
}

/// A change of pace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// It is read at the slow pace from now on.
    Demoted,
    /// It is read at its own pace again.
    Restored,
}

impl Demotion {
    /// Whether it is read at the slow pace.
    pub(crate) fn is_demoted(&self) -> bool {
        self.demoted
    }

    /// Whether a call that takes no time would be recorded.
    pub(crate) fn is_pending(&self) -> bool {
        self.demoted || self.in_a_row > 0
    }

    /// Records how long the call took.
    pub(crate) fn record(&mut self, took: Duration, limit: Duration) -> Option<Change> {
        let counts = if self.demoted { took < limit / 2 } else { took > limit };
        self.in_a_row = if counts { self.in_a_row + 1 } else { 0 };
        if self.in_a_row < TIMES {
            return None;
        }
        *self = Self { in_a_row: 0, demoted: !self.demoted };
        Some(if self.demoted { Change::Demoted } else { Change::Restored })
    }
}

/// Whether so many slow calls mean that the GPU as a whole is slow.
pub(crate) fn most_were_slow(slow: usize, made: usize) -> bool {
    slow * 2 > made
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMIT: Duration = Duration::from_millis(50);

    fn changes(demotion: &mut Demotion, millis: &[u64]) -> Vec<Option<Change>> {
        millis.iter().map(|took| demotion.record(Duration::from_millis(*took), LIMIT)).collect()
    }

    #[test]
    fn the_limit_is_a_share_of_the_period() {
        let seconds = |seconds| limit(Duration::from_secs(seconds));
        assert_eq!(seconds(1), Duration::from_millis(50));
        assert_eq!(seconds(30), Duration::from_millis(1500));
        assert_eq!(limit(Duration::from_millis(100)), Duration::from_millis(20));
        assert!(SURELY_FAST <= SHORTEST_LIMIT / 2);
    }

    #[test]
    fn three_slow_calls_in_a_row_demote() {
        let mut demotion = Demotion::default();
        let taken = [51, 51, 50, 51, 51, 900];
        let expected = [None, None, None, None, None, Some(Change::Demoted)];
        assert_eq!(changes(&mut demotion, &taken), expected);
        assert!(demotion.is_demoted());
    }

    #[test]
    fn three_calls_of_under_half_the_limit_in_a_row_restore() {
        let mut demotion = Demotion::default();
        changes(&mut demotion, &[60, 60, 60]);
        let taken = [24, 24, 25, 24, 24, 0];
        let expected = [None, None, None, None, None, Some(Change::Restored)];
        assert_eq!(changes(&mut demotion, &taken), expected);
        assert!(!demotion.is_demoted() && !demotion.is_pending());
    }

    #[test]
    fn a_gpu_is_slow_when_most_of_its_calls_are() {
        assert!(most_were_slow(2, 3));
        assert!(most_were_slow(1, 1));
        assert!(!most_were_slow(2, 4));
        assert!(!most_were_slow(0, 0));
    }
}
