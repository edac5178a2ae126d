//! How far an export is, on a terminal.

use std::io::{self, IsTerminal, Write};
use std::time::{Duration, Instant};

/// An export that takes no longer says nothing.
const QUIET: Duration = Duration::from_secs(2);

/// The least time from one line to the next.
const PAUSE: Duration = Duration::from_millis(200);

/// Writes how far an export is to a terminal, if it takes long.
pub(super) struct Progress<'a> {
    /// Where it is printed, and when next; `None` if it is not printed.
    terminal: Option<(&'a mut dyn Write, Instant)>,
    done: u64,
    total: u64,
    is_shown: bool,
}

impl<'a> Progress<'a> {
    /// On standard error, if that is a terminal.
    pub(super) fn on_terminal(stderr: &'a mut io::Stderr) -> Self {
        match stderr.is_terminal() {
            true => Self::on(stderr, Instant::now()),
            false => Self::silent(),
        }
    }

    /// On a terminal, for an export that begins now.
    fn on(terminal: &'a mut dyn Write, now: Instant) -> Self {
        Self { terminal: Some((terminal, now + QUIET)), ..Self::silent() }
    }

    /// One that is not printed.
    pub(super) fn silent() -> Self {
        Self { terminal: None, done: 0, total: 0, is_shown: false }
    }

    /// Sets how many steps there are.
    pub(super) fn begin(&mut self, total: u64) {
        self.total = total;
    }

    /// Counts a step.
    pub(super) fn step(&mut self) {
        self.done += 1;
        // The clock is not read for each of a million rows.
        if self.terminal.is_some() && self.done.is_multiple_of(1024) {
            self.show(Instant::now());
        }
    }

    /// Prints how far it is, if it is time.
    fn show(&mut self, now: Instant) {
        if let Some((terminal, next)) = &mut self.terminal
            && *next <= now
        {
            *next = now + PAUSE;
            self.is_shown = true;
            let percent = self.done.saturating_mul(100).checked_div(self.total).unwrap_or(0);
            // A failure to print leaves nothing to do about it.
            let _ = write!(terminal, "\rexported {}%", percent.min(100));
        }
    }
}

impl Drop for Progress<'_> {
    /// Clears the line.
    fn drop(&mut self) {
        if let Some((terminal, _)) = self.terminal.as_mut().filter(|_| self.is_shown) {
            let _ = write!(terminal, "\r\x1b[K");
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What is printed by an export of 4,096 rows of which half are read after this time, and all a moment later.
    fn printed(after: Duration) -> String {
        let (mut terminal, began) = (Vec::new(), Instant::now());
        let mut progress = Progress::on(&mut terminal, began);
        progress.begin(4096);
        for _ in 0..2048 {
            progress.step();
        }
        progress.show(began + after);
        progress.show(began + after + PAUSE / 2);
        for _ in 2048..4096 {
            progress.step();
        }
        progress.show(began + after + PAUSE);
        drop(progress);
        String::from_utf8(terminal).unwrap()
    }

    #[test]
    fn a_long_export_says_how_far_it_is_and_a_short_one_nothing() {
        assert_eq!(printed(QUIET), "\rexported 50%\rexported 100%\r\x1b[K");
        assert_eq!(printed(Duration::ZERO), "");
    }
}
