//! What a look skips because it is of no use: counted by reason, and named in the log once.

use std::collections::HashSet;

use crate::error::RefreshError;
use crate::parts::{PartKind, SkipCounts};

/// The most messages that are logged. The others are only counted.
const MOST_NAMED: usize = 64;

/// What a refresher skips.
#[derive(Debug)]
pub(crate) struct Skipped {
    kind: PartKind,
    counts: SkipCounts,
    /// The messages that were logged.
    named: HashSet<String>,
}

impl Skipped {
    pub(crate) fn new(kind: PartKind) -> Self {
        Self { kind, counts: SkipCounts::new(), named: HashSet::new() }
    }

    /// Something is skipped. Logs it the first time.
    pub(crate) fn add(&mut self, error: RefreshError) {
        if self.count(&error) {
            tracing::warn!("{}: {}", self.kind.name(), error.message);
        }
    }

    /// Counts it. Returns whether it is to be logged.
    fn count(&mut self, error: &RefreshError) -> bool {
        *self.counts.entry(error.reason).or_default() += 1;
        self.named.len() < MOST_NAMED && self.named.insert(error.message.clone())
    }

    /// The counts since the start of this process.
    pub(crate) fn counts(&self) -> SkipCounts {
        self.counts.clone()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::error::ErrorReason;

    fn error(message: &str) -> RefreshError {
        RefreshError::new(ErrorReason::TooLarge, message)
    }

    #[test]
    fn it_is_named_once_and_counted_each_time() {
        let mut skipped = Skipped::new(PartKind::Jobs);
        assert!(skipped.count(&error("0 is too large")));
        assert!(!skipped.count(&error("0 is too large")));
        assert!(skipped.count(&error("1 is too large")));
        assert_eq!(skipped.counts(), [(ErrorReason::TooLarge, 3)].into());
    }

    #[test]
    fn only_so_many_are_named() {
        let mut skipped = Skipped::new(PartKind::Jobs);
        let messages = (0..100).map(|number| format!("{number} is too large"));
        let named = messages.filter(|message| skipped.count(&error(message))).count();
        assert_eq!(named, MOST_NAMED);
        assert_eq!(skipped.counts(), [(ErrorReason::TooLarge, 100)].into());
    }
}
