//! Conditions that go on for a while, and counts that rise, over rows with gaps.

use std::time::Duration;

use crate::time::Time;

/// A condition of which nothing was read for longer is over.
const LONGEST_GAP: Duration = Duration::from_secs(120);

/// When a condition becomes a sign, and when it is over.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Timing {
    /// It has to be seen for longer than this; zero for at once.
    pub(crate) begin: Duration,
    /// And in at least as many rows.
    pub(crate) rows: u32,
    /// It is over once it was not there for as long.
    pub(crate) end: Duration,
}

/// What a row changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Change {
    /// It has become a sign.
    Began {
        /// When it began.
        from: Time,
    },
    /// It is over.
    Ended {
        /// When it began.
        from: Time,
        /// When it was last seen.
        to: Time,
    },
}

/// A condition that goes on for a while.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Condition {
    /// When it began; `None` while it is not there.
    from: Option<Time>,
    last_seen: Time,
    /// For how long it was seen, without gaps; of the time between a row that shows it and one that does not, a half.
    seen: Duration,
    /// For how long it was seen the last time that it was there.
    seen_before: Duration,
    rows: u32,
    /// For how long it was seen to be away.
    away: Duration,
    /// The last row that said whether it is there, and what it said.
    previous: Option<(Time, bool)>,
    is_sign: bool,
}

impl Condition {
    /// Takes a row. `gap` is the longest time between two rows that say it which is no gap. `is_on` is `None` if
    /// the row does not say it.
    pub(crate) fn step(
        &mut self,
        timing: &Timing,
        time: Time,
        gap: Duration,
        is_on: Option<bool>,
    ) -> Option<Change> {
        let near = |(at, _): &(Time, bool)| *at <= time && time.since(*at) <= gap;
        let previous = self.previous.filter(near);
        let passed = previous.map_or(Duration::ZERO, |(at, _)| time.since(at));
        if let Some(is_on) = is_on {
            self.previous = Some((time, is_on));
        }
        let is_stale = self.from.is_some() && time.since(self.last_seen) > LONGEST_GAP.max(gap);
        let ended = (is_stale && previous.is_none()).then(|| self.end()).flatten();
        let previous = previous.map(|(_, was_on)| was_on);
        match is_on {
            None => ended,
            Some(true) => {
                if self.from.is_none() {
                    self.from = Some(time);
                } else if previous == Some(true) {
                    self.seen = self.seen.saturating_add(passed);
                } else if previous == Some(false) && passed < timing.end {
                    self.seen = self.seen.saturating_add(passed / 2);
                }
                self.last_seen = time;
                self.rows = self.rows.saturating_add(1);
                self.away = Duration::ZERO;
                // What ended is told first; the next row tells what began.
                ended.or_else(|| self.begin(timing))
            }
            Some(false) => {
                if self.from.is_some() && previous == Some(false) {
                    self.away = self.away.saturating_add(passed);
                } else if self.from.is_some() && previous == Some(true) && passed < timing.end {
                    self.seen = self.seen.saturating_add(passed / 2);
                }
                let is_over = self.from.is_some() && self.away >= timing.end;
                ended.or_else(|| is_over.then(|| self.end()).flatten())
            }
        }
    }

    /// When it began, if it is a sign and goes on.
    pub(crate) fn sign_since(&self) -> Option<Time> {
        self.from.filter(|_| self.is_sign)
    }

    /// For how long it was seen; once it is over, for how long it had been.
    pub(crate) fn seen(&self) -> Duration {
        if self.from.is_some() { self.seen } else { self.seen_before }
    }

    /// When it was last seen.
    pub(crate) fn last_seen(&self) -> Time {
        self.last_seen
    }

    /// Whether it is there, as a sign or not yet.
    pub(crate) fn is_on(&self) -> bool {
        self.from.is_some()
    }

    fn begin(&mut self, timing: &Timing) -> Option<Change> {
        let is_long = timing.begin.is_zero() || self.seen > timing.begin;
        let is_new = !self.is_sign && is_long && self.rows >= timing.rows;
        self.is_sign |= is_new;
        self.from.filter(|_| is_new).map(|from| Change::Began { from })
    }

    fn end(&mut self) -> Option<Change> {
        let new = Self { previous: self.previous, seen_before: self.seen, ..Self::default() };
        let over = std::mem::replace(self, new);
        let from = over.sign_since()?;
        Some(Change::Ended { from, to: over.last_seen })
    }
}

/// A count whose increases are a sign while they go on.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Rising {
    last: Option<f64>,
    from: Option<Time>,
    last_rise: Time,
    /// By how much it rose since it began to.
    pub(crate) total: f64,
    is_sign: bool,
}

impl Rising {
    /// Without an increase for longer, it does not rise any more.
    const QUIET: Duration = Duration::from_secs(60);

    /// Takes a value, if there is one. It is a sign once it rose by `least`.
    pub(crate) fn step(&mut self, time: Time, value: Option<f64>, least: f64) -> Option<Change> {
        let rise = self.rise(value);
        if rise > 0.0 {
            self.from.get_or_insert(time);
            self.last_rise = time;
            self.total += rise;
            let is_new = !self.is_sign && self.total >= least;
            self.is_sign |= is_new;
            return self.from.filter(|_| is_new).map(|from| Change::Began { from });
        }
        let from = self.from.filter(|_| time.since(self.last_rise) > Self::QUIET)?;
        let over = std::mem::replace(self, Self { last: self.last, ..Self::default() });
        over.is_sign.then_some(Change::Ended { from, to: over.last_rise })
    }

    /// When it began to rise, if that is a sign and goes on.
    pub(crate) fn sign_since(&self) -> Option<Time> {
        self.from.filter(|_| self.is_sign)
    }

    /// By how much it rose since the last value. A count that fell was reset.
    fn rise(&mut self, value: Option<f64>) -> f64 {
        let Some(value) = value else { return 0.0 };
        let last = self.last.replace(value).unwrap_or(value);
        (value - last).max(0.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEAT: Timing =
        Timing { begin: Duration::from_secs(30), rows: 1, end: Duration::from_secs(10) };

    /// The changes of rows `step` seconds apart: `#` on, `.` off, `_` a gap.
    fn changes(rows: &str, step: u64) -> Vec<(i64, Change)> {
        let mut condition = Condition::default();
        let mut changes = Vec::new();
        for (letter, row) in rows.chars().zip(0..) {
            let time = Time(row * step as i64 * 1000);
            let is_on = match letter {
                '#' => Some(true),
                '.' => Some(false),
                _ => None,
            };
            let gap = Duration::from_secs(3 * step).max(Duration::from_secs(5));
            changes.extend(condition.step(&HEAT, time, gap, is_on).map(|change| (row, change)));
        }
        changes
    }

    #[test]
    fn a_condition_is_a_sign_from_its_begin_until_it_was_last_seen() {
        let rows = format!("..{}{}", "#".repeat(40), ".".repeat(20));
        let began = Change::Began { from: Time(2000) };
        let ended = Change::Ended { from: Time(2000), to: Time(41_000) };
        assert_eq!(changes(&rows, 1), [(33, began), (52, ended)]);
    }

    #[test]
    fn a_short_pause_does_not_end_it_and_a_short_one_never_begins() {
        let rows = format!("{}{}{}", "#".repeat(20), ".".repeat(9), "#".repeat(20));
        assert_eq!(changes(&rows, 1), [(40, Change::Began { from: Time(0) })]);
        assert_eq!(changes(&format!("{}{}", "#".repeat(30), ".".repeat(90)), 1), []);
    }

    #[test]
    fn a_gap_counts_for_neither_side() {
        let rows = format!("{}{}{}", "#".repeat(20), "_".repeat(20), "#".repeat(8));
        assert_eq!(changes(&rows, 1), []);
        let rows = format!("{}{}", "#".repeat(40), "_".repeat(200));
        let ended = Change::Ended { from: Time(0), to: Time(39_000) };
        assert_eq!(changes(&rows, 1), [(31, Change::Began { from: Time(0) }), (160, ended)]);
    }

    #[test]
    fn a_row_that_does_not_say_it_is_no_gap() {
        let rows = "#_".repeat(20);
        assert_eq!(changes(&rows, 1), [(32, Change::Began { from: Time(0) })]);
        assert_eq!(changes(&"#__".repeat(4), 60), [(3, Change::Began { from: Time(0) })]);
    }

    #[test]
    fn every_other_row_is_half_of_the_time() {
        let began = Change::Began { from: Time(0) };
        assert_eq!(changes(&"#.".repeat(40), 1), [(62, began)]);
        assert_eq!(changes(&"#..".repeat(60), 1), [(93, began)]);
        // A pause that may be as long as its end.
        assert_eq!(changes(&"#.".repeat(40), 10), []);
    }

    #[test]
    fn rows_may_be_a_minute_apart() {
        let ended = Change::Ended { from: Time(0), to: Time(60_000) };
        assert_eq!(changes("##...", 60), [(1, Change::Began { from: Time(0) }), (3, ended)]);
    }

    #[test]
    fn a_count_that_falls_was_reset() {
        let mut rising = Rising::default();
        for value in [100.0, 3.0, 3.0] {
            assert_eq!(rising.step(Time(0), Some(value), 1.0), None);
        }
        let began = Change::Began { from: Time(5) };
        assert_eq!(rising.step(Time(5), Some(4.0), 1.0), Some(began));
        assert_eq!(rising.step(Time(9), None, 1.0), None);
        let ended = Change::Ended { from: Time(5), to: Time(5) };
        assert_eq!(rising.step(Time(70_000), Some(4.0), 1.0), Some(ended));
    }
}
