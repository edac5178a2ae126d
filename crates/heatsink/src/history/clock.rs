//! The clock of a recording: the wall clock, or simulated time.

use std::time::{Duration, SystemTime};

use history::time::Time;
use model::Moment;

/// The clock of a recording.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RecordingClock {
    /// When simulated time began, on both clocks, and how fast it passes; `None` for the wall clock.
    simulated: Option<(SystemTime, Moment, f64)>,
}

impl RecordingClock {
    /// A clock that begins now and passes `speed` times as fast as the wall clock.
    pub(crate) fn new(speed: f64) -> Self {
        let is_real = (speed - 1.0).abs() < f64::EPSILON;
        Self { simulated: (!is_real).then(|| (SystemTime::now(), Moment::now(), speed)) }
    }

    /// How much of it passes in a time.
    pub(crate) fn of_duration(&self, real: Duration) -> Duration {
        let speed = self.simulated.map_or(1.0, |(_, _, speed)| speed);
        Duration::try_from_secs_f64(real.as_secs_f64() * speed).unwrap_or(real)
    }

    /// The time of a wall clock that shows `time` at `moment`.
    pub(crate) fn at(&self, time: SystemTime, moment: Moment) -> Time {
        match self.simulated {
            None => Time::of(time),
            Some((began, at, speed)) => {
                let passed = (moment - at).as_secs_f64() * speed;
                Time::of(began).after(Duration::try_from_secs_f64(passed).unwrap_or_default())
            }
        }
    }
}
