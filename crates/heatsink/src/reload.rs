//! SIGHUP: counters files are read again while heatsink serves.

use std::collections::HashSet;
use std::sync::{Weak, mpsc};
use std::thread;

use model::{FieldId, Kind, Source, Watch, field};

use crate::http::App;
use crate::watches::{LoadedWatches, WatchConfig};

/// Reads counters files again for a running server.
pub(crate) struct Reloader {
    pub(crate) app: Weak<App>,
    pub(crate) config: WatchConfig,
    pub(crate) unserved: UnservedFields,
}

impl Reloader {
    /// Starts a thread that reloads once for each message; files may be slow to read, as on a network
    /// that is gone.
    pub(crate) fn start(self) -> mpsc::Sender<()> {
        let (requests, received) = mpsc::channel();
        let spawned = thread::Builder::new().name("reload".to_owned()).spawn(move || {
            while received.recv().is_ok() {
                // Requests that came meanwhile need only one reload.
                while received.try_recv().is_ok() {}
                self.reload();
            }
        });
        if let Err(error) = spawned {
            tracing::error!("SIGHUP will change nothing: no thread to read files with: {error}");
        }
        requests
    }

    /// Reads the counters files again. If one cannot be read, nothing changes.
    fn reload(&self) {
        let read = self.config.read();
        let Some(app) = self.app.upgrade() else { return };
        app.sampler.forget_missing();
        match read {
            Ok(LoadedWatches { watches, rows, rows_skipped }) => {
                tracing::info!("SIGHUP: read {rows} rows, {rows_skipped} skipped");
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
            }
            Err(error) => {
                tracing::error!("SIGHUP: the rows stay as they were: {error:#}");
                app.pages.change(|settings| settings.is_reloaded = false);
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
