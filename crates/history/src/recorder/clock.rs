//! Steps of the wall clock.

use std::time::SystemTime;

use model::Moment;

use crate::time::Time;

/// The shortest step that is recorded, in milliseconds. Time servers correct less than that without a step.
const SHORTEST_MS: i64 = 2000;

/// Compares the wall clock with the one that cannot be set and does not stop in a suspend.
#[derive(Default, Debug)]
pub(super) struct ClockSteps {
    last: Option<(SystemTime, Moment)>,
}

impl ClockSteps {
    /// By how many milliseconds the wall clock was set since the last call, if it was.
    pub(super) fn step(&mut self, wall: SystemTime, moment: Moment) -> Option<i64> {
        let (wall_before, before) = self.last.replace((wall, moment))?;
        let on_wall = Time::of(wall).0.saturating_sub(Time::of(wall_before).0);
        let passed = i64::try_from((moment - before).as_millis()).unwrap_or(i64::MAX);
        let by_ms = on_wall.saturating_sub(passed);
        (by_ms.saturating_abs() > SHORTEST_MS).then_some(by_ms)
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[test]
    fn a_clock_that_is_set_is_told_from_time_that_passes() {
        let mut clock = ClockSteps::default();
        let mut step = |wall: u64, moment: u64| {
            let wall = SystemTime::UNIX_EPOCH + Duration::from_millis(wall);
            clock.step(wall, Moment::BOOT + Duration::from_millis(moment))
        };
        assert_eq!(step(1_000_000, 50_000), None);
        assert_eq!(step(1_001_000, 51_000), None);
        assert_eq!(step(1_003_900, 52_000), None, "less than two seconds");
        assert_eq!(step(8_203_900, 7_252_000), None, "two hours of suspend");
        assert_eq!(step(8_207_900, 7_253_000), Some(3_000));
        assert_eq!(step(8_208_900, 7_254_000), None, "only once");
        assert_eq!(step(4_608_900, 7_254_000), Some(-3_600_000));
    }
}
