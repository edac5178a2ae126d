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

/// Memory that grew by less, in MiB, within [`LATELY`] before it was freed had not run out.
const GREW_MIB: f64 = 64.0;
/// An application that runs out of memory ends within this time: it may write what it did before.
const LATELY: Duration = Duration::from_secs(15);
/// The smallest use is kept for pieces of this length.
const LOW_PIECE: Duration = Duration::from_secs(1);

/// The memory that was in use in the last seconds.
#[derive(Clone, Default, Debug)]
pub(crate) struct MemoryUse {
    /// Time, MiB in use, share of all.
    recent: VecDeque<(Time, f64, f64)>,
    /// The begin of each piece of [`LATELY`], and the smallest use in it.
    lows: VecDeque<(Time, f64)>,
    last_row: Option<Time>,
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
    /// Whether it was almost full, and use had grown until then.
    pub(crate) was_full: bool,
}

impl MemoryUse {
    /// Takes a row. Returns what was freed at once, once for each time. `gap` is the longest time
    /// between two rows which is no gap.
    pub(crate) fn step(
        &mut self,
        time: Time,
        gap: Duration,
        reading: &GpuReading,
    ) -> Option<Freed> {
        let (used, share) = reading.memory_used().zip(reading.memory_share())?;
        let last = self.last_row.replace(time);
        if last.is_none_or(|last| last > time || time.since(last) > gap) {
            self.recent.clear();
            self.lows.clear();
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
        // One that fills the memory and keeps it, as a memory test does, ends without having run out of it.
        let low = self.lows.iter().map(|(_, low)| *low).reduce(f64::min);
        self.add_low(time, used, freed.is_some());
        let (_, before, share) = freed?;
        let grew = low.is_some_and(|low| before - low >= GREW_MIB);
        Some(Freed { before, now: used, share, was_full: share > ALMOST_FULL && grew })
    }

    fn add_low(&mut self, time: Time, used: f64, is_freed: bool) {
        if is_freed {
            self.lows.clear();
        }
        match self.lows.back_mut() {
            Some((begin, low)) if time.since(*begin) < LOW_PIECE => *low = low.min(used),
            _ => self.lows.push_back((time, used)),
        }
        // The piece before is kept, however far apart rows are.
        while self.lows.len() > 64
            || self.lows.len() > 2
                && self.lows.front().is_some_and(|(begin, _)| time.since(*begin) > LATELY)
        {
            self.lows.pop_front();
        }
    }
}
