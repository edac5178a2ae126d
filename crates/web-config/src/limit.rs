//! The rate limit: a bucket of tokens.

use std::time::{Duration, Instant};

use jiff::SignedDuration;

use crate::file::{self, Mistake, Text};

/// Longer intervals are mistakes.
const MAX_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Larger bursts are mistakes.
const MAX_BURST: u32 = 1_000_000;

/// A token every `interval`, of which the bucket holds `burst`; a request takes one.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RateLimit {
    pub(crate) interval: Duration,
    pub(crate) burst: u32,
}

impl RateLimit {
    /// The rate limit of the file; `None` if its interval is 0.
    pub(crate) fn read(section: &file::RateLimit) -> Result<Option<Self>, Mistake> {
        let interval = section.interval.as_ref().map(interval).transpose()?.unwrap_or_default();
        let burst = section.burst.as_ref().map(burst).transpose()?;
        let Some(at) = section.interval.as_ref().filter(|_| !interval.is_zero()) else {
            return Ok(None);
        };
        match burst {
            Some(burst) if burst > 0 => Ok(Some(Self { interval, burst })),
            _ => {
                let at = section.burst.as_ref().unwrap_or(at);
                let what = "a burst of 0 admits no request; write the number of requests at once, such as 10";
                Err(Mistake::new(at, "burst", what))
            }
        }
    }

    /// Takes a token. `full_at` is when the bucket is full again; `None` before the first request.
    ///
    /// # Errors
    ///
    /// The time until there is one.
    pub(crate) fn admit(self, full_at: &mut Option<Instant>, now: Instant) -> Result<(), Duration> {
        // A bucket that a former limit has left emptier than this one can be is empty.
        let to_fill = full_at.map_or(Duration::ZERO, |at| at.saturating_duration_since(now));
        let to_fill = to_fill.min(self.interval * self.burst);
        let others = self.interval * (self.burst - 1);
        match to_fill.checked_sub(others).filter(|wait| !wait.is_zero()) {
            Some(wait) => Err(wait),
            None => {
                *full_at = now.checked_add(to_fill + self.interval);
                Ok(())
            }
        }
    }
}

fn interval(text: &Text) -> Result<Duration, Mistake> {
    let refuse = |what: &str| {
        let what = format!("`{}` {what}; write a time such as 100ms, 1s or 1m30s", text.value);
        Mistake::new(text, "interval", what)
    };
    if text.value.trim_matches(['0', '.']).is_empty() && text.value.contains('0') {
        return Ok(Duration::ZERO);
    }
    if text.value.parse::<f64>().is_ok() {
        return Err(refuse("has no unit"));
    }
    let duration: SignedDuration = text.value.parse().map_err(|_| refuse("is not a time"))?;
    let duration = Duration::try_from(duration).map_err(|_| refuse("is negative"))?;
    match duration > MAX_INTERVAL {
        true => Err(refuse("is longer than 24h")),
        false => Ok(duration),
    }
}

fn burst(text: &Text) -> Result<u32, Mistake> {
    let burst = text.value.parse().ok().filter(|burst| *burst <= MAX_BURST);
    burst.ok_or_else(|| {
        let what = format!("`{}` is not a number from 1 to {MAX_BURST}; write one", text.value);
        Mistake::new(text, "burst", what)
    })
}
