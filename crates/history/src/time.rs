//! Points in time on the clock of the recording.

use std::time::{Duration, SystemTime};

use serde::{Deserialize, Serialize};

/// A point in time: milliseconds since 1970, as the wall clock was set then. In a demo it is simulated.
#[derive(
    Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Time(pub i64);

impl Time {
    /// The time of a wall clock.
    pub fn of(time: SystemTime) -> Self {
        let millis = |duration: Duration| i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        match time.duration_since(SystemTime::UNIX_EPOCH) {
            Ok(after) => Self(millis(after)),
            Err(before) => Self(-millis(before.duration())),
        }
    }

    /// The same time for a wall clock.
    pub fn to_system(self) -> SystemTime {
        let distance = Duration::from_millis(self.0.unsigned_abs());
        let time = match self.0 {
            0.. => SystemTime::UNIX_EPOCH.checked_add(distance),
            _ => SystemTime::UNIX_EPOCH.checked_sub(distance),
        };
        time.unwrap_or(SystemTime::UNIX_EPOCH)
    }

    /// The time `duration` later.
    pub fn after(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_add(millis))
    }

    /// The time `duration` earlier.
    pub fn before(self, duration: Duration) -> Self {
        let millis = i64::try_from(duration.as_millis()).unwrap_or(i64::MAX);
        Self(self.0.saturating_sub(millis))
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub fn since(self, earlier: Self) -> Duration {
        let millis = self.0.saturating_sub(earlier.0);
        Duration::from_millis(u64::try_from(millis).unwrap_or_default())
    }
}

/// From one time to another, both included.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Range {
    /// The first time.
    pub from: Time,
    /// The last time.
    pub to: Time,
}

impl Range {
    /// All times.
    pub const ALL: Self = Self { from: Time(i64::MIN), to: Time(i64::MAX) };

    /// Whether the time is in it.
    pub fn contains(&self, time: Time) -> bool {
        self.from <= time && time <= self.to
    }

    /// From the earlier begin to the later end.
    #[must_use]
    pub fn joined(self, other: Self) -> Self {
        Self { from: self.from.min(other.from), to: self.to.max(other.to) }
    }

    /// Whether both have a time in common.
    pub fn overlaps(&self, other: &Self) -> bool {
        self.from <= other.to && other.from <= self.to
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_survives_the_way_to_a_wall_clock_and_back() {
        for millis in [0, 1, -1, 1_700_000_000_123, -5_000_000] {
            assert_eq!(Time::of(Time(millis).to_system()), Time(millis));
        }
        assert_eq!(Time::of(Time(i64::MAX).to_system()).0.signum(), 1);
    }
}
