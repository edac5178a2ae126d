//! What a look skips because it is of no use: counted by reason, and named in the log once.

use std::collections::HashSet;
use std::mem;

use crate::error::RefreshError;
use crate::parts::{PartKind, SkipCounts};

/// The most messages of a look that are logged. The others are only counted.
const MOST_NAMED: usize = 32;

/// What a refresher skips.
#[derive(Debug)]
pub(crate) struct Skipped {
    kind: PartKind,
    counts: SkipCounts,
    /// The messages of this look, and of the look before it.
    messages: HashSet<String>,
    before: HashSet<String>,
}

impl Skipped {
    pub(crate) fn new(kind: PartKind) -> Self {
        let (messages, before) = (HashSet::new(), HashSet::new());
        Self { kind, counts: SkipCounts::new(), messages, before }
    }

    /// Something is skipped. Logs it, unless the look before skipped it too.
    pub(crate) fn add(&mut self, error: RefreshError) {
        if self.count(&error) {
            tracing::warn!("{}: {}", self.kind.name(), error.message);
        }
    }

    /// Counts it. Returns whether it is to be logged.
    fn count(&mut self, error: &RefreshError) -> bool {
        *self.counts.entry(error.reason).or_default() += 1;
        self.messages.len() < MOST_NAMED
            && self.messages.insert(error.message.clone())
            && !self.before.contains(&error.message)
    }

    /// Ends a look. Returns the counts since the start of this process.
    pub(crate) fn end_look(&mut self) -> SkipCounts {
        self.before = mem::take(&mut self.messages);
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
    fn it_is_named_once_and_counted_in_each_look() {
        let mut skipped = Skipped::new(PartKind::Jobs);
        assert!(skipped.count(&error("0 is too large")));
        assert_eq!(skipped.end_look(), [(ErrorReason::TooLarge, 1)].into());
        assert!(!skipped.count(&error("0 is too large")));
        assert!(skipped.count(&error("1 is too large")));
        assert_eq!(skipped.end_look(), [(ErrorReason::TooLarge, 3)].into());
    }

    #[test]
    fn it_is_named_again_after_a_look_without_it() {
        let mut skipped = Skipped::new(PartKind::Jobs);
        assert!(skipped.count(&error("0 is too large")));
        skipped.end_look();
        skipped.end_look();
        assert!(skipped.count(&error("0 is too large")));
    }

    #[test]
    fn a_look_names_only_so_many() {
        let mut skipped = Skipped::new(PartKind::Jobs);
        let messages = (0..100).map(|number| format!("{number} is too large"));
        let named = messages.filter(|message| skipped.count(&error(message))).count();
        assert_eq!(named, MOST_NAMED);
        assert_eq!(skipped.end_look(), [(ErrorReason::TooLarge, 100)].into());
    }
}
