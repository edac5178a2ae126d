//! Finds the times without rows.

use crate::time::{Range, Time};

/// How many distances between rows the usual one is taken from.
const SAMPLE: usize = 512;

/// How many of the longest gaps are kept.
const MOST: usize = 5;

/// A gap is at least this long, and five rows long.
const SHORTEST_MS: i64 = 5000;

/// Follows the times of rows.
#[derive(Default)]
pub(super) struct Coverage {
    first: Option<Time>,
    last: Option<Time>,
    distances: Vec<i64>,
    /// The longest distances.
    longest: Vec<Range>,
    /// How many rows there were.
    pub(super) rows: u64,
}

impl Coverage {
    /// Takes the time of a row.
    pub(super) fn take(&mut self, time: Time) {
        self.rows += 1;
        self.first.get_or_insert(time);
        let Some(last) = self.last.replace(time) else { return };
        // The clock may have been set back.
        let distance = time.0.saturating_sub(last.0);
        if distance <= 0 {
            return;
        }
        if self.distances.len() < SAMPLE {
            self.distances.push(distance);
        }
        if distance >= SHORTEST_MS {
            self.longest.push(Range { from: last, to: time });
            self.longest.sort_by_key(|gap| std::cmp::Reverse(length(gap)));
            self.longest.truncate(MOST);
        }
    }

    /// The usual time from one row to the next, in milliseconds.
    pub(super) fn row_ms(&self) -> i64 {
        let mut distances = self.distances.clone();
        distances.sort_unstable();
        distances.get(distances.len() / 2).copied().unwrap_or(1000)
    }

    /// The longest gaps within `range`, those at its ends included, in order of time.
    pub(super) fn gaps(&self, range: Range) -> Vec<Range> {
        let least = SHORTEST_MS.max(self.row_ms().saturating_mul(5));
        let mut gaps = self.longest.clone();
        match (self.first, self.last) {
            (Some(first), Some(last)) => {
                gaps.push(Range { from: range.from, to: first });
                gaps.push(Range { from: last, to: range.to });
            }
            _ => gaps.push(range),
        }
        gaps.retain(|gap| length(gap) >= least);
        gaps.sort_by_key(|gap| gap.from);
        gaps
    }
}

fn length(range: &Range) -> i64 {
    range.to.0.saturating_sub(range.from.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn gaps_are_found_within_and_at_the_ends() {
        let mut coverage = Coverage::default();
        let range = |from, to| Range { from: Time(from), to: Time(to) };
        assert_eq!(coverage.gaps(range(0, 9000)), [range(0, 9000)]);
        for second in (20..60).chain(90..100) {
            coverage.take(Time(second * 1000));
        }
        assert_eq!((coverage.row_ms(), coverage.rows), (1000, 50));
        let expected = [range(0, 20_000), range(59_000, 90_000), range(99_000, 200_000)];
        assert_eq!(coverage.gaps(range(0, 200_000)), expected);
        assert_eq!(coverage.gaps(range(18_000, 101_000)), [range(59_000, 90_000)]);
    }
}
