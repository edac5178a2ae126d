//! Reloads: the configuration is read again while heatsink serves.
//!
//! SIGHUP, `POST /-/reload` and changed files ask for them; one thread does them, one after the other.
//! Everything is read and checked first, and then put in force. A mistake changes nothing.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use model::{FieldId, Kind, Source, Watch, field};

use crate::checks;
use crate::cli::Args;
use crate::file_watch::FileWatch;
use crate::flags::CONFIGMAP_DATA;
use crate::http::App;
use crate::loaded::{self, Loaded};
use crate::reload_request::{ReloadHandle, ReloadRequest};
use crate::watches::LoadedWatches;

/// The trigger that also forgets missing GPUs.
pub(crate) const SIGHUP: &str = "SIGHUP";

/// From one look at the ConfigMap to the next.
const CONFIG_MAP_INTERVAL: Duration = Duration::from_secs(60);

/// Where the configuration of a running server is from.
pub(crate) struct Configuration {
    /// As in force.
    pub(crate) args: Args,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// The version of the ConfigMap that was read.
    pub(crate) config_map: Option<String>,
}

/// Reads the configuration again for a running server.
pub(crate) struct Reloader {
    app: Weak<App>,
    /// `None` for the demo, which has nothing to read.
    configuration: Option<Configuration>,
    unserved: UnservedFields,
    /// The watches that were last asked for.
    watches: Arc<[Watch]>,
    /// Whether they are read already.
    is_in_force: Arc<AtomicBool>,
    /// Whether the last reload failed.
    has_failed: Arc<AtomicBool>,
    /// What the last look at the ConfigMap said, if it failed.
    unread: Option<String>,
    file_watch: Option<FileWatch>,
}

impl Reloader {
    /// A reloader of this server, which serves `watches`. `unread` is why the ConfigMap could not be
    /// read at the start.
    pub(crate) fn new(
        app: Weak<App>,
        configuration: Option<Configuration>,
        unserved: UnservedFields,
        watches: Arc<[Watch]>,
        unread: Option<String>,
    ) -> Self {
        Self {
            app,
            configuration,
            unserved,
            watches,
            is_in_force: Arc::new(AtomicBool::new(true)),
            has_failed: Arc::new(AtomicBool::new(unread.is_some())),
            unread,
            file_watch: None,
        }
    }

    /// Starts a thread that reloads when it is asked to; files may be slow to read, as on a network
    /// that is gone. With `watch`, changed files ask for it.
    pub(crate) fn start(mut self, requests: Receiver<ReloadRequest>, watch: Option<ReloadHandle>) {
        let files = self.configuration.as_ref().map(|it| it.files.clone()).unwrap_or_default();
        self.file_watch = watch.and_then(|handle| FileWatch::start(files, handle));
        let run = move || self.run(&requests);
        let spawned = thread::Builder::new().name("reload".to_owned()).spawn(run);
        if let Err(error) = spawned {
            tracing::error!("reloads will change nothing: no thread to read files with: {error}");
        }
    }

    fn run(mut self, requests: &Receiver<ReloadRequest>) {
        loop {
            let first = if self.has_config_map() {
                requests.recv_timeout(CONFIG_MAP_INTERVAL)
            } else {
                requests.recv().map_err(|_| RecvTimeoutError::Disconnected)
            };
            match first {
                // Requests that came meanwhile need only one reload.
                Ok(first) => {
                    self.answer(std::iter::once(first).chain(requests.try_iter()).collect());
                }
                Err(RecvTimeoutError::Timeout) => self.look_at_config_map(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
        }
    }

    fn answer(&mut self, requests: Vec<ReloadRequest>) {
        let is_signal = requests.iter().any(|request| request.trigger == SIGHUP);
        if is_signal && let Some(app) = self.app.upgrade() {
            app.sampler.forget_missing();
        }
        let result = self.reload(&requests[0].trigger);
        for done in requests.into_iter().filter_map(|request| request.done) {
            let _ = done.send(result.clone());
        }
    }

    fn has_config_map(&self) -> bool {
        let args = self.configuration.as_ref().map(|configuration| &configuration.args);
        args.is_some_and(|args| matches!(args.get(&CONFIGMAP_DATA), Ok(Some(_))))
    }

    /// Reloads if the ConfigMap has changed, or can be read again.
    fn look_at_config_map(&mut self) {
        let Some(Configuration { args, config_map, .. }) = &self.configuration else { return };
        let Ok(Some(name)) = args.get(&CONFIGMAP_DATA) else { return };
        let trigger = format!("ConfigMap {name}");
        match loaded::config_map(args, &name) {
            Ok(read) if self.unread.is_none() && *config_map == Some(read.version.clone()) => {}
            Ok(_) => {
                // The error is that of the reload.
                let _ = self.reload(&trigger);
            }
            Err(error) => {
                let error = format!("{error:#}");
                if self.unread.as_ref() != Some(&error) {
                    self.fail(&trigger, &error);
                }
                self.unread = Some(error);
            }
        }
    }

    /// Reads everything again and puts it in force. With a mistake, nothing changes.
    fn reload(&mut self, trigger: &str) -> Result<(), String> {
        let Some(before) = &self.configuration else { return Ok(()) };
        let mut files = before.files.clone();
        let read = before.args.reread(checks::check).and_then(|(args, warnings)| {
            // A file that is not there yet, too: it asks for a reload once it is.
            files.extend(loaded::named_files(&args));
            Loaded::read(&args, &before.files).map(|loaded| (args, warnings, loaded))
        });
        let result = match read {
            Ok((args, warnings, loaded)) => {
                self.unread = None;
                for warning in warnings {
                    tracing::warn!("{trigger}: {warning}");
                }
                files = loaded.files(&args);
                let config_map = loaded.config_map.clone();
                self.configuration = Some(Configuration { args, files: files.clone(), config_map });
                self.put_in_force(trigger, loaded)
            }
            Err(error) => {
                let error = format!("{error:#}");
                self.fail(trigger, &error);
                Err(error)
            }
        };
        if let Some(watch) = &self.file_watch {
            files.sort_unstable();
            files.dedup();
            watch.set(files);
        }
        result
    }

    fn fail(&self, trigger: &str, error: &str) {
        tracing::error!("{trigger}: the configuration stays as it was: {error}");
        self.has_failed.store(true, Ordering::SeqCst);
        if let Some(app) = self.app.upgrade() {
            app.pages.change(|settings| settings.is_reloaded = false);
        }
    }

    fn put_in_force(&mut self, trigger: &str, loaded: Loaded) -> Result<(), String> {
        let Some(app) = self.app.upgrade() else { return Err("stopping".to_owned()) };
        let Loaded { watches: LoadedWatches { watches, rows, rows_skipped, .. }, page, .. } =
            loaded;
        tracing::info!("{trigger}: read {rows} rows, {rows_skipped} skipped");
        // Not later: the driver may take long to answer.
        app.access.change(loaded.web_config);
        self.has_failed.store(false, Ordering::SeqCst);
        let (weak, has_failed) = (Weak::clone(&self.app), Arc::clone(&self.has_failed));
        let change_pages = move || {
            let Some(app) = weak.upgrade() else { return };
            tracing::info!("serving {rows} rows");
            app.overview.change(page.hostname.clone(), page.expected_gpus);
            app.pages.change(|settings| {
                page.apply(settings);
                settings.rows_skipped = rows_skipped;
                settings.is_reloaded = !has_failed.load(Ordering::SeqCst);
                settings.reloaded_at = Some(SystemTime::now());
            });
        };
        // Without a change of the watches, the readers go on as they are.
        if watches == self.watches && self.is_in_force.load(Ordering::SeqCst) {
            change_pages();
            return Ok(());
        }
        self.unserved.warn_of(&watches);
        self.watches = Arc::clone(&watches);
        self.is_in_force = Arc::new(AtomicBool::new(false));
        let is_in_force = Arc::clone(&self.is_in_force);
        // Logged once it is true.
        app.sampler.replan(watches, move || {
            is_in_force.store(true, Ordering::SeqCst);
            change_pages();
        });
        Ok(())
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
