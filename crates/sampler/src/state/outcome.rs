//! What a pass of a reader brings to the state, and what follows for the thread.

use std::sync::Arc;
use std::time::Duration;

use model::{Health, Identity, Pass, Readings, Reason, Samples, XidEvent};

use crate::state::log_line::LogLine;

/// What one pass brought.
pub(crate) struct Outcome<'a> {
    /// The pass. If it has no pass before it, it began by opening the GPU.
    pub(crate) pass: Pass,
    /// How long it took in the driver, without opening.
    pub(crate) took: Duration,
    /// From one pass to the next, from now on.
    pub(crate) cadence: Duration,
    pub(crate) result: Result<(), Reason>,
    /// The identity of the GPU, if this pass opened it.
    pub(crate) identity: Option<Arc<Identity>>,
    pub(crate) readings: &'a Readings,
    pub(crate) extras: Extras,
}

/// What a reader brings beside readings.
#[derive(Default)]
pub(crate) struct Extras {
    /// Whether the driver delivers XIDs to it.
    pub(crate) delivers_xids: bool,
    pub(crate) xids: Vec<XidEvent>,
    /// The driver's own health assessment.
    pub(crate) health: Option<Vec<Health>>,
    /// What the driver sampled by itself.
    pub(crate) samples: Vec<Samples>,
    /// How long each kind of driver call took.
    pub(crate) call_times: Vec<(&'static str, Duration)>,
}

/// What the reader thread has to do once the state is unlocked.
#[derive(Default)]
pub(crate) struct Applied {
    pub(crate) lines: Vec<LogLine>,
    /// Whether to wake the thread that reads the kernel log, which has the XID of an event.
    pub(crate) wake_kernel_log: bool,
    /// Whether to wake the publisher before the next tick.
    pub(crate) wake_publisher: bool,
}
