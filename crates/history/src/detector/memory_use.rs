//! GPU memory that is freed at once.

use std::collections::VecDeque;
use std::time::Duration;

use super::gpu_conditions::ALMOST_FULL;
use super::input::GpuReading;
use crate::time::Time;

/// Memory is freed at once if it is freed within this time.
pub(crate) const AT_ONCE: Duration = Duration::from_secs(5);
/// The share of all memory below which a process is too small to be looked at.
const SMALL: f64 = 0.05;
/// Rows closer together than this are one.
const PIECE_MS: u64 = 250;

/// The memory that was in use in the last seconds.
#[derive(Clone, Default, Debug)]
pub(crate) struct MemoryUse {
    /// Time, MiB in use, share of all.
    recent: VecDeque<(Time, f64, f64)>,
}

/// Memory that was freed at once.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Freed {
    /// MiB that were in use.
    pub(crate) before: f64,
    /// MiB that are.
    pub(crate) now: f64,
    /// The largest share that was in use.
    pub(crate) share: f64,
    /// Whether it was almost full.
    pub(crate) was_full: bool,
}

impl MemoryUse {
    /// Takes a row. Returns what was freed at once, once for each time. `passed` is `None` after a gap.
    pub(crate) fn step(
        &mut self,
        time: Time,
        passed: Option<Duration>,
        reading: &GpuReading,
    ) -> Option<Freed> {
        let (used, share) = reading.memory_used().zip(reading.memory_share())?;
        if passed.is_none() {
            self.recent.clear();
        }
        // The row before is kept, however far apart rows are.
        while self.recent.len() > 1
            && self.recent.front().is_some_and(|(at, ..)| time.since(*at) > AT_ONCE)
        {
            self.recent.pop_front();
        }
        let largest = self.recent.iter().copied().max_by(|one, other| one.1.total_cmp(&other.1));
        let freed = largest.filter(|(_, before, share)| *share >= SMALL && used <= before / 2.0);
        if freed.is_some() {
            self.recent.clear();
        }
        match self.recent.back_mut() {
            Some(last)
                if time.since(last.0) < Duration::from_millis(PIECE_MS) && used >= last.1 =>
            {
                *last = (last.0, used, share);
            }
            _ => self.recent.push_back((time, used, share)),
        }
        // Time that goes back must not let it grow.
        while self.recent.len() > 64 {
            self.recent.pop_front();
        }
        let (_, before, share) = freed?;
        Some(Freed { before, now: used, share, was_full: share > ALMOST_FULL })
    }
}
