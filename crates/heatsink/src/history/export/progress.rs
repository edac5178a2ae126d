//! How far an export is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// An export that takes no longer says nothing.
const QUIET: Duration = Duration::from_secs(2);

/// The least time from one line to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes how far an export is to standard error, if that is a terminal and it takes long.
pub(super) struct Progress {
    /// `None` if it is not printed.
    next: Option<Instant>,
    done: u64,
    total: u64,
    is_shown: bool,
}

impl Progress {
    /// For people, if they would see it.
    pub(super) fn on_terminal() -> Self {
        let next = io::stderr().is_terminal().then(|| Instant::now() + QUIET);
        Self { next, ..Self::silent() }
    }

    /// One that is not printed.
    pub(super) fn silent() -> Self {
        Self { next: None, done: 0, total: 0, is_shown: false }
    }

    /// Sets how many steps there are.
    pub(super) fn begin(&mut self, total: u64) {
        self.total = total;
    }

    /// Counts a step.
    pub(super) fn step(&mut self) {
        self.done += 1;
        // The clock is not read for each of a million rows.
        if self.next.is_none() || !self.done.is_multiple_of(1024) {
            return;
        }
        let now = Instant::now();
        if self.next.is_some_and(|next| next <= now) {
            self.next = Some(now + PAUSE);
            self.is_shown = true;
            let percent = self.done.saturating_mul(100).checked_div(self.total).unwrap_or(0);
            // A failure to print leaves nothing to do about it.
            let _ = write!(io::stderr(), "\rexported {}%", percent.min(100));
        }
    }
}

impl Drop for Progress {
    /// Clears the line.
    fn drop(&mut self) {
        if self.is_shown {
            let _ = write!(io::stderr(), "\r\x1b[K");
        }
    }
}
