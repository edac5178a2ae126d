//! Waits that grow with each try.

use std::time::Duration;

/// How long to wait before the next try, longer each time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Backoff {
    /// The next wait.
    pub(crate) wait: Duration,
    pub(crate) factor: u32,
    pub(crate) max: Duration,
}

impl Backoff {
    /// The next wait; the one after it is longer.
    pub(crate) fn next(&mut self) -> Duration {
        let wait = self.wait;
        self.wait = (wait * self.factor).min(self.max);
        wait
    }
}
