//! How busy a GPU was, and since when it does nothing.

use std::collections::VecDeque;
use std::time::Duration;

use super::input::{GpuReading, Input};
use crate::time::Time;

/// The time over which utilization is averaged.
const MINUTE: Duration = Duration::from_secs(60);
/// Utilization is summed up in pieces of this length.
const PIECE: Duration = Duration::from_secs(5);
/// The mean utilization, in percent, from which a GPU is busy.
const BUSY: f64 = 30.0;
/// Silence after which a busy GPU is said to be idle.
const IDLE: Duration = Duration::from_secs(10);
/// A gap after which it is not known what a GPU did before.
const LONGEST_GAP: Duration = Duration::from_secs(600);

/// How busy a GPU was.
#[derive(Clone, Default, Debug)]
pub(crate) struct Activity {
    /// The begin of each piece, the sum of its values and their number.
    pieces: VecDeque<(Time, f64, u32)>,
    last_row: Option<Time>,
    /// Since when it does nothing.
    pub(crate) silence: Option<Silence>,
    /// Whether the last row was the one in which it is idle for [`IDLE`].
    pub(crate) became_idle: bool,
}

/// A time in which a GPU does nothing.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Silence {
    /// The first row with it.
    pub(crate) since: Time,
    /// For how long it was seen, without gaps.
    pub(crate) seen: Duration,
    /// The mean utilization in the minute before, in percent.
    pub(crate) before: f64,
    /// Whether it was part of a sign already.
    pub(crate) is_told: bool,
}

impl Silence {
    /// Whether the GPU was busy before.
    pub(crate) fn was_busy(&self) -> bool {
        self.before >= BUSY
    }
}

impl Activity {
    /// Takes a row. `gap` is the longest time between two rows which is no gap.
    pub(crate) fn step(&mut self, time: Time, gap: Duration, reading: &GpuReading) {
        self.became_idle = false;
        let Some(is_silent) = reading.is_silent() else { return };
        if self.last_row.is_some_and(|last| time.since(last) > LONGEST_GAP.max(gap)) {
            *self = Self::default();
        }
        let last = self.last_row.replace(time).filter(|last| *last <= time);
        let passed = last.map(|last| time.since(last)).filter(|passed| *passed <= gap);
        match (&mut self.silence, is_silent) {
            (silence, false) => *silence = None,
            (Some(silence), true) => {
                let before = silence.seen;
                silence.seen = before.saturating_add(passed.unwrap_or_default());
                self.became_idle = silence.was_busy() && silence.seen >= IDLE && before < IDLE;
            }
            (None, true) => {
                self.silence = Some(Silence {
                    since: time,
                    seen: Duration::ZERO,
                    before: self.mean(),
                    is_told: false,
                });
            }
        }
        let busy =
            reading.get(Input::Utilization).or(reading.get(Input::SmActive).map(|sm| sm * 100.0));
        self.add(time, busy.filter(|_| !is_silent).unwrap_or_default());
    }

    /// Whether the row of this time shows work.
    pub(crate) fn works_at(&self, time: Time) -> bool {
        self.silence.is_none() && self.last_row == Some(time)
    }

    fn add(&mut self, time: Time, value: f64) {
        match self.pieces.back_mut() {
            Some((begin, sum, count)) if time.since(*begin) < PIECE => {
                *sum += value;
                *count = count.saturating_add(1);
            }
            _ => self.pieces.push_back((time, value, 1)),
        }
        while self.pieces.front().is_some_and(|(begin, ..)| time.since(*begin) > MINUTE) {
            self.pieces.pop_front();
        }
    }

    /// The mean utilization of the minute before the last row, in percent.
    fn mean(&self) -> f64 {
        let (sum, count) = self.pieces.iter().fold((0.0, 0), |(sum, count), piece| {
            (sum + piece.1, u32::saturating_add(count, piece.2))
        });
        if count == 0 { 0.0 } else { sum / f64::from(count) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn memory_is_bounded_whatever_the_interval_and_the_order_of_time() {
        let mut activity = Activity::default();
        for row in 0..100_000_i64 {
            activity.add(Time(row * 100), 50.0);
        }
        assert!(activity.pieces.len() <= 14);
        assert!((activity.mean() - 50.0).abs() < 1e-9);
        for row in (0..100_000_i64).rev() {
            activity.add(Time(row * 100), 50.0);
        }
        assert!(activity.pieces.len() <= 14);
    }
}
