//! What asks for a reload, and for whom.

use std::sync::mpsc::{self, Receiver, SyncSender, TrySendError};

use tokio::sync::oneshot;

/// The most requests that wait for the reload after this one. It answers all of them.
const MAX_WAITING: usize = 16;

/// Asks for reloads.
#[derive(Clone)]
pub(crate) struct ReloadHandle(SyncSender<ReloadRequest>);

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
        let (requests, received) = mpsc::sync_channel(MAX_WAITING);
        (Self(requests), received)
    }

    /// Asks for a reload and does not wait for it.
    pub(crate) fn request(&self, trigger: &str) {
        // When it is full, a reload comes anyway. Without the thread, which was logged, none does.
        let _ = self.0.try_send(ReloadRequest { trigger: trigger.to_owned(), done: None });
    }

    /// Reloads, and returns what went wrong, if anything did.
    pub(crate) async fn reload(&self, trigger: &str) -> Result<(), String> {
        let (done, result) = oneshot::channel();
        let request = ReloadRequest { trigger: trigger.to_owned(), done: Some(done) };
        if let Err(TrySendError::Full(_)) = self.0.try_send(request) {
            return Err(format!("{MAX_WAITING} requests wait for a reload already"));
        }
        result.await.unwrap_or_else(|_| Err("no thread to reload with".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_that_wait_are_bounded() {
        let (handle, requests) = ReloadHandle::new();
        for _ in 0..1000 {
            handle.request("a file changed");
        }
        let runtime = tokio::runtime::Builder::new_current_thread().build().unwrap();
        let refused = runtime.block_on(handle.reload("POST /-/reload")).unwrap_err();
        assert_eq!(refused, "16 requests wait for a reload already");
        assert_eq!(requests.try_iter().count(), MAX_WAITING);
        handle.request("a file changed");
        assert_eq!(requests.try_iter().count(), 1, "there is room again");
    }
}
