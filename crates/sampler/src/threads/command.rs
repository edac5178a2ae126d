//! Commands for the session manager.

use std::sync::Arc;

use model::{Moment, Renew, Session, SourceError};

use crate::backoff::Backoff;
use crate::state::plan::Plan;
use crate::state::reader::ReaderId;

/// What to call when a plan comes into force.
pub(crate) type InForce = Box<dyn FnOnce() + Send>;

/// A command for the session manager, or something that has happened.
pub(crate) enum Command {
    Stop,
    /// Read other watches, and call the function just before they are in snapshots. It is dropped if another plan
    /// is in force before.
    ChangePlan(Arc<Plan>, InForce),
    /// The thread of a reader has ended.
    ReaderEnded(ReaderId),
    /// A probe has ended.
    Probed {
        /// Whether a new session would read the GPU.
        helps: bool,
    },
    /// The source was opened, or could not be.
    Opened(Box<Opened>),
}

/// The result of opening the source.
pub(crate) struct Opened {
    pub(crate) request: OpenRequest,
    /// What the session reads.
    pub(crate) plan: Arc<Plan>,
    pub(crate) result: Result<Box<dyn Session>, SourceError>,
}

/// That the source has to be opened.
pub(crate) struct OpenRequest {
    pub(crate) renew: Renew,
    /// The reason, for the log.
    pub(crate) why: String,
    pub(crate) backoff: Backoff,
    /// When to open it.
    pub(crate) due: Moment,
}
