//! The number of this run.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// The number of this run, which orders its frames after those of earlier runs. It grows if a directory that
/// is opened late has frames with a larger one, which a wrong clock made.
#[derive(Clone, Debug)]
pub(crate) struct Run(Arc<AtomicU64>);

impl Run {
    /// A run with this number.
    pub(crate) fn new(number: u64) -> Self {
        Self(Arc::new(AtomicU64::new(number)))
    }

    /// The number.
    pub(crate) fn number(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }

    /// Makes it larger than this number.
    pub(crate) fn exceed(&self, number: u64) {
        self.0.fetch_max(number.saturating_add(1), Ordering::Relaxed);
    }
}
