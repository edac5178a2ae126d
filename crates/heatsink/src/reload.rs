//! SIGHUP: counters files are read again while heatsink serves.

use std::collections::HashSet;
use std::sync::{Weak, mpsc};
use std::thread;

use model::{FieldId, Kind, Source, Watch, field};
use tokio::sync::oneshot;

use crate::http::App;
use crate::watches::{LoadedWatches, WatchConfig};

/// Asks for reloads.
#[derive(Clone)]
pub(crate) struct ReloadHandle(mpsc::Sender<ReloadRequest>);

/// A reload that was asked for.
pub(crate) struct ReloadRequest {
    /// What asked, for the log: `SIGHUP`, `POST /-/reload`, or the file that changed.
    trigger: String,
    /// Gets the result: an error is one line for the log, which may name files.
    done: Option<oneshot::Sender<Result<(), String>>>,
}

impl ReloadHandle {
    /// A handle, and where its requests arrive.
    pub(crate) fn new() -> (Self, mpsc::Receiver<ReloadRequest>) {
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

/// Reads counters files again for a running server.
pub(crate) struct Reloader {
    pub(crate) app: Weak<App>,
    pub(crate) config: WatchConfig,
    pub(crate) unserved: UnservedFields,
}

impl Reloader {
    /// Starts a thread that reloads once for each message; files may be slow to read, as on a network
    /// that is gone.
    pub(crate) fn start(self, requests: mpsc::Receiver<ReloadRequest>) {
        let spawned = thread::Builder::new().name("reload".to_owned()).spawn(move || {
            while let Ok(first) = requests.recv() {
                // Requests that came meanwhile need only one reload.
                let requests: Vec<_> = std::iter::once(first).chain(requests.try_iter()).collect();
                let result = self.reload(&requests[0].trigger);
                for done in requests.into_iter().filter_map(|request| request.done) {
                    let _ = done.send(result.clone());
                }
            }
        });
        if let Err(error) = spawned {
            tracing::error!("SIGHUP will change nothing: no thread to read files with: {error}");
        }
    }

    /// Reads the counters files again. If one cannot be read, nothing changes.
    fn reload(&self, trigger: &str) -> Result<(), String> {
        let read = self.config.read();
        let Some(app) = self.app.upgrade() else { return Err("stopping".to_owned()) };
        app.sampler.forget_missing();
        match read {
            Ok(LoadedWatches { watches, rows, rows_skipped }) => {
                tracing::info!("{trigger}: read {rows} rows, {rows_skipped} skipped");
                self.unserved.warn_of(&watches);
                let app_of_pages = Weak::clone(&self.app);
                // Logged once it is true: the driver may take long to answer.
                app.sampler.replan(watches, move || {
                    let Some(app) = app_of_pages.upgrade() else { return };
                    tracing::info!("serving {rows} rows");
                    app.pages.change(|settings| {
                        (settings.rows_skipped, settings.is_reloaded) = (rows_skipped, true);
                    });
                });
                Ok(())
            }
            Err(error) => {
                tracing::error!("{trigger}: the rows stay as they were: {error:#}");
                app.pages.change(|settings| settings.is_reloaded = false);
                Err(format!("{error:#}"))
            }
        }
    }
}

/// The fields that a source cannot read.
pub(crate) struct UnservedFields {
    source: &'static str,
    fields: HashSet<FieldId>,
}

impl UnservedFields {
    pub(crate) fn of(source: &dyn Source) -> Self {
        let fields = model::catalog::FIELDS.iter().map(|row| row.id);
        let is_unserved = |field: &FieldId| !source.serves(*field) && !field::is_derived(*field);
        Self { source: source.name(), fields: fields.filter(is_unserved).collect() }
    }

    /// Logs the names of the watches that this source will never serve.
    pub(crate) fn warn_of(&self, watches: &[Watch]) {
        let visible = watches.iter().filter(|watch| watch.kind != Kind::Hidden);
        let unserved = visible.filter(|watch| self.fields.contains(&watch.field));
        let names: Vec<&str> = unserved.map(|watch| watch.name.as_ref()).collect();
        if !names.is_empty() {
            let names = names.join(", ");
            tracing::warn!(
                "absent, because the source {} does not serve them: {names}",
                self.source
            );
        }
    }
}
