//! The age of values. The engine timestamps them with its own clock, which may be that of another
//! machine.

use model::Moment;

use std::time::{Duration, SystemTime, UNIX_EPOCH};

/// How far timestamps may be off if the engine uses the clock of this machine.
const TOLERANCE: Duration = Duration::from_millis(200);

/// Compares the engine's clock with that of this machine.
#[derive(Debug)]
pub(crate) struct Moments {
    /// Whether the engine certainly runs on this machine.
    is_local: bool,
    /// Whether its clock agrees with that of this machine.
    is_ours: bool,
    /// How many polls in a row contradicted that.
    doubts: u32,
}

/// How many such polls change it.
const CONVINCED: u32 = 3;

/// The times of one poll.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Poll {
    /// When it was made.
    pub(crate) now: Moment,
    /// The same by the wall clock.
    pub(crate) wall: SystemTime,
    /// When the previous poll was made.
    pub(crate) before: Option<Moment>,
    /// The newest timestamp of its values, in microseconds since 1970.
    pub(crate) newest: i64,
}

impl Moments {
    /// For an engine that runs on this machine, or perhaps on another.
    pub(crate) fn new(is_local: bool) -> Self {
        Self { is_local, is_ours: is_local, doubts: 0 }
    }

    /// Checks whether the age of the newest value is possible: a new value was sampled after the
    /// previous poll, and not in the future.
    pub(crate) fn check(&mut self, poll: &Poll) {
        let Some(before) = poll.before else { return };
        let most = poll.now.saturating_duration_since(before) + TOLERANCE;
        let age = age_by(poll.wall, poll.newest);
        let is_possible =
            age.is_ok_and(|age| age <= most) || age.is_err_and(|ahead| ahead <= TOLERANCE);
        self.doubts = if is_possible == self.is_ours { 0 } else { self.doubts + 1 };
        if self.doubts < CONVINCED || (is_possible && !self.is_local) {
            return;
        }
        (self.is_ours, self.doubts) = (is_possible, 0);
        match is_possible {
            true => tracing::info!("the engine's clock shows the time of this machine's again"),
            false => tracing::info!(
                "the engine's clock differs from this machine's: ages follow its own timestamps"
            ),
        }
    }

    /// When a value was sampled. With another clock, the newest value counts as sampled just now.
    pub(crate) fn of(&self, stamp: i64, poll: &Poll) -> Moment {
        let age = match self.is_ours {
            true => age_by(poll.wall, stamp).unwrap_or_default(),
            false => micros(poll.newest.saturating_sub(stamp)),
        };
        poll.now.checked_sub(age).unwrap_or(poll.now)
    }
}

/// The moment of a timestamp.
pub(crate) fn time_of(stamp: i64) -> SystemTime {
    UNIX_EPOCH + micros(stamp)
}

/// The age of a timestamp, or how far it is in the future.
fn age_by(wall: SystemTime, stamp: i64) -> Result<Duration, Duration> {
    wall.duration_since(time_of(stamp)).map_err(|error| error.duration())
}

/// The time of a timestamp; negative ones count as 0.
pub(crate) fn micros(micros: i64) -> Duration {
    Duration::from_micros(u64::try_from(micros).unwrap_or(0))
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    /// A poll at 1000 s, a second after the previous one, with the newest timestamp at this second.
    fn poll(newest: f64) -> Poll {
        let now = Moment::now() + 100 * SECOND;
        let wall = UNIX_EPOCH + 1000 * SECOND;
        Poll { now, wall, before: now.checked_sub(SECOND), newest: stamp(newest) }
    }

    fn stamp(seconds: f64) -> i64 {
        (seconds * 1e6) as i64
    }

    #[test]
    fn on_this_machine_ages_are_true() {
        let mut moments = Moments::new(true);
        let poll = poll(999.5);
        moments.check(&poll);
        assert_eq!(moments.of(stamp(999.5), &poll), poll.now - SECOND / 2);
        assert_eq!(moments.of(stamp(990.0), &poll), poll.now - 10 * SECOND);
        assert_eq!(moments.of(stamp(1000.1), &poll), poll.now);
    }

    #[test]
    fn another_clock_is_noticed_and_ages_are_told_by_the_newest_stamp() {
        for off in [-3600.0, -2.0, 3600.0] {
            let mut moments = Moments::new(true);
            let poll = poll(1000.0 + off);
            (0..CONVINCED).for_each(|_| moments.check(&poll));
            assert_eq!(moments.of(stamp(1000.0 + off), &poll), poll.now, "{off}");
            assert_eq!(moments.of(stamp(995.0 + off), &poll), poll.now - 5 * SECOND, "{off}");
        }
    }

    #[test]
    fn elsewhere_the_wall_says_nothing() {
        let mut moments = Moments::new(false);
        let poll = poll(999.5);
        moments.check(&poll);
        assert_eq!(moments.of(stamp(999.5), &poll), poll.now);
    }
}
