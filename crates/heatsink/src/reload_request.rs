//! What asks for a reload, and for whom.

use std::sync::mpsc::{self, Receiver};

use tokio::sync::oneshot;

/// Asks for reloads.
#[derive(Clone)]
pub(crate) struct ReloadHandle(mpsc::Sender<ReloadRequest>);

/// A reload that was asked for.
pub(crate) struct ReloadRequest {
    /// What asked, for the log: `SIGHUP`, `POST /-/reload`, or the file that changed.
    pub(crate) trigger: String,
    /// Gets the result: an error is one line for the log, which may name files.
    pub(crate) done: Option<oneshot::Sender<Result<(), String>>>,
}

impl ReloadHandle {
    /// A handle, and where its requests arrive.
    pub(crate) fn new() -> (Self, Receiver<ReloadRequest>) {
        let (requests, received) = mpsc::channel();
        (Self(requests), received)
    }

    /// Asks for a reload and does not wait for it.
    pub(crate) fn request(&self, trigger: &str) {
        // Without the thread, which was logged, this does nothing.
        let _ = self.0.send(ReloadRequest { trigger: trigger.to_owned(), done: None });
    }

    /// Reloads, and returns what went wrong, if anything did.
    pub(crate) async fn reload(&self, trigger: &str) -> Result<(), String> {
        let (done, result) = oneshot::channel();
        let _ = self.0.send(ReloadRequest { trigger: trigger.to_owned(), done: Some(done) });
        result.await.unwrap_or_else(|_| Err("no thread to reload with".to_owned()))
    }
}
