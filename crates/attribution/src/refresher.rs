//! A refresher: something that is looked at again and again.

use std::sync::Arc;
use std::thread;
use std::time::Duration;

use model::Moment;

use crate::error::{ErrorReason, RefreshError};
use crate::parts::{Part, PartKind};
use crate::shared::Shared;

/// The longest pause after an error.
const MAX_BACKOFF: Duration = Duration::from_secs(30);

/// Looks are so far apart, however often the refresher is woken.
pub(crate) const MIN_INTERVAL: Duration = Duration::from_millis(100);

/// The pause before the next look.
pub(crate) struct Backoff {
    interval: Duration,
    failures: u32,
}

impl Backoff {
    pub(crate) fn new(interval: Duration) -> Self {
        Self { interval, failures: 0 }
    }

    /// The pause after a success.
    pub(crate) fn reset(&mut self) -> Duration {
        self.failures = 0;
        self.interval
    }

    /// The pause after a failure. It doubles with each one.
    pub(crate) fn next(&mut self) -> Duration {
        self.failures = (self.failures + 1).min(8);
        let pause = self.interval.saturating_mul(1 << self.failures);
        pause.min(MAX_BACKOFF.max(self.interval))
    }

    /// The pause after a look at something on this node, where only some errors need a longer one.
    fn pause(&mut self, error: Option<ErrorReason>) -> Duration {
        match error {
            Some(reason) if reason.needs_backoff() => self.next(),
            Some(_) => self.interval,
            None => self.reset(),
        }
    }
}

/// Starts the thread of a refresher that looks once per interval, and earlier when it is woken
/// ([`Shared::wake`]).
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(
    shared: Arc<Shared>,
    kind: PartKind,
    mut look: impl FnMut() -> Result<Part, RefreshError> + Send + 'static,
) -> std::io::Result<()> {
    let run = move || {
        let mut backoff = Backoff::new(shared.settings.interval);
        while !shared.is_stopping() {
            let began = Moment::now();
            shared.begin(kind, began);
            let result = look();
            let error = result.as_ref().err().map(|error| error.reason);
            shared.end(kind, result);
            let (took, ended) = (began.elapsed(), Moment::now());
            let pause = backoff.pause(error);
            // Looks are an interval apart, however long one takes; but a failed one may have left work
            // behind.
            let rest = if error.is_none() { pause.saturating_sub(took) } else { pause };
            shared.wait(kind, rest);
            let least = least_pause(pause, took, error);
            while !shared.is_stopping() && ended.elapsed() < least {
                shared.wait(kind, least.saturating_sub(ended.elapsed()));
            }
        }
    };
    thread::Builder::new().name(kind.name().to_owned()).spawn(run).map(drop)
}

/// The part of a pause that is kept though the refresher is woken: all of it if it was told to wait, else
/// so much that looks take a tenth of the time.
fn least_pause(pause: Duration, took: Duration, error: Option<ErrorReason>) -> Duration {
    match error {
        Some(ErrorReason::RateLimited) => pause,
        _ => pause.min(MIN_INTERVAL.max(10 * took)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_doubles_while_errors_ask_for_it() {
        let second = Duration::from_secs(1);
        let mut backoff = Backoff::new(5 * second);
        let mut pause = |error| backoff.pause(error).as_secs();
        let limited = Some(ErrorReason::RateLimited);
        let pauses: Vec<u64> = (0..4).map(|_| pause(limited)).collect();
        assert_eq!(pauses, [10, 20, 30, 30]);
        assert_eq!(pause(Some(ErrorReason::Absent)), 5, "a socket that comes back is seen at once");
        assert_eq!(pause(None), 5);
        assert_eq!(pause(limited), 10);
    }

    #[test]
    fn a_refresher_that_is_woken_often_still_pauses() {
        let second = Duration::from_secs(1);
        let short = second / 1000;
        assert_eq!(least_pause(second, short, None), MIN_INTERVAL);
        assert_eq!(least_pause(second, short, Some(ErrorReason::Malformed)), MIN_INTERVAL);
        assert_eq!(least_pause(second, short, Some(ErrorReason::RateLimited)), second);
        assert_eq!(least_pause(second, second / 20, None), second / 2);
        assert_eq!(least_pause(short, second, None), short);
    }
}
