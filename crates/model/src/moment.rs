//! Instants on a clock that includes suspend.

use std::ops::{Add, Sub};
use std::time::Duration;

use rustix::time::{ClockId, clock_gettime};

/// An instant on Linux' `CLOCK_BOOTTIME`: time since the machine was started, suspend included.
///
/// [`std::time::Instant`] stops while the machine is suspended, so old readings would look fresh after a
/// resume. The wall clock can be set. This clock does not stop and cannot be set.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct Moment(Duration);

impl Moment {
    /// When the machine was started.
    pub const BOOT: Self = Self(Duration::ZERO);

    /// Now.
    pub fn now() -> Self {
        Self(read(ClockId::Boottime))
    }

    /// Now, on the clock of the kernel log: time since the start of the machine without suspend.
    pub fn now_without_suspend() -> Duration {
        read(ClockId::Monotonic)
    }

    /// The time since then.
    pub fn elapsed(self) -> Duration {
        Self::now() - self
    }

    /// The time since `earlier`; zero if `earlier` is later.
    pub fn saturating_duration_since(self, earlier: Self) -> Duration {
        self.0.saturating_sub(earlier.0)
    }

    /// The time since `earlier`; `None` if `earlier` is later.
    pub fn checked_duration_since(self, earlier: Self) -> Option<Duration> {
        self.0.checked_sub(earlier.0)
    }

    /// The instant `duration` earlier; `None` before the start of the machine.
    pub fn checked_sub(self, duration: Duration) -> Option<Self> {
        self.0.checked_sub(duration).map(Self)
    }
}

fn read(clock: ClockId) -> Duration {
    let time = clock_gettime(clock);
    // Neither clock is ever negative.
    let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
    Duration::new(seconds, u32::try_from(time.tv_nsec).unwrap_or_default())
}

impl Add<Duration> for Moment {
    type Output = Self;

    fn add(self, duration: Duration) -> Self {
        Self(self.0.saturating_add(duration))
    }
}

impl Sub<Moment> for Moment {
    type Output = Duration;

    fn sub(self, earlier: Self) -> Duration {
        self.saturating_duration_since(earlier)
    }
}

impl Sub<Duration> for Moment {
    type Output = Self;

    fn sub(self, duration: Duration) -> Self {
        Self(self.0.saturating_sub(duration))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn differences_are_never_negative() {
        let before = Moment::now();
        std::thread::sleep(Duration::from_millis(2));
        let after = Moment::now();
        assert!(after - before >= Duration::from_millis(2));
        assert_eq!(before - after, Duration::ZERO);
        assert_eq!(before.checked_duration_since(after), None);
        assert!(before + Duration::from_secs(1) > after);
        assert!(before > Moment::BOOT);
    }

    #[test]
    fn a_moment_is_the_uptime_of_the_kernel() {
        let text = std::fs::read_to_string("/proc/uptime").expect("Linux has it");
        let seconds: f64 = text.split(' ').next().and_then(|up| up.parse().ok()).expect("a number");
        let ours = (Moment::now() - Moment::BOOT).as_secs_f64();
        assert!((ours - seconds).abs() < 1.0, "{ours} s and {seconds} s");
    }
}
