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

    /// The pause after a look with this result. It doubles with each error that asks for it.
    pub(crate) fn pause(&mut self, error: Option<ErrorReason>) -> Duration {
        match error {
            Some(reason) if reason.needs_backoff() => {
                self.failures = (self.failures + 1).min(8);
                let pause = self.interval.saturating_mul(1 << self.failures);
                pause.min(MAX_BACKOFF.max(self.interval))
            }
            Some(_) => self.interval,
            None => {
                self.failures = 0;
                self.interval
            }
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
            let pause = backoff.pause(error);
            // Looks are an interval apart, however long one takes.
            shared.wait(kind, pause.saturating_sub(began.elapsed()));
            let least = least_pause(pause, error);
            while !shared.is_stopping() && began.elapsed() < least {
                shared.wait(kind, least.saturating_sub(began.elapsed()));
            }
        }
    };
    thread::Builder::new().name(kind.name().to_owned()).spawn(run).map(drop)
}

/// The part of a pause that is kept though the refresher is woken: all of it if it was told to wait.
fn least_pause(pause: Duration, error: Option<ErrorReason>) -> Duration {
    if error == Some(ErrorReason::RateLimited) { pause } else { pause.min(MIN_INTERVAL) }
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
        assert_eq!(least_pause(second, None), MIN_INTERVAL);
        assert_eq!(least_pause(second, Some(ErrorReason::Malformed)), MIN_INTERVAL);
        assert_eq!(least_pause(second, Some(ErrorReason::RateLimited)), second);
        assert_eq!(least_pause(second / 1000, None), second / 1000);
    }
}
