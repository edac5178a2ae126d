//! Reloads: the configuration is read again while heatsink serves.
//!
//! SIGHUP, `POST /-/reload` and changed files ask for them; one thread does them, one after the other.
//! Everything is read and checked first, and then put in force. A mistake changes nothing. While the
//! ConfigMap cannot be read, its rows stay, and files are read.

use std::collections::HashSet;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::sync::{Arc, Mutex, PoisonError, Weak};
use std::thread;
use std::time::{Duration, SystemTime};

use anyhow::{Result, bail};
use model::{FieldId, Kind, Source, Watch, field};
use web_config::WebConfig;

use crate::checks;
use crate::cli::Args;
use crate::file_watch::{FileWatch, Stamps};
use crate::flags::{CONFIGMAP_DATA, WEB_CONFIG_FILE};
use crate::http::App;
use crate::loaded::{self, ConfigMapRows, Loaded};
use crate::reload_request::{ReloadHandle, ReloadRequest};
use crate::watches::LoadedWatches;

/// The trigger that also forgets missing GPUs.
pub(crate) const SIGHUP: &str = "SIGHUP";

/// From one look at the ConfigMap to the next.
const CONFIG_MAP_INTERVAL: Duration = Duration::from_secs(60);

/// From one look at the dates of certificates to the next.
const CERTIFICATE_INTERVAL: Duration = Duration::from_secs(24 * 60 * 60);

/// Where the configuration of a running server is from.
pub(crate) struct Configuration {
    /// As in force.
    pub(crate) args: Args,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
    /// The files that are named, as they were before they were read. A change asks for a reload.
    pub(crate) named: Stamps,
    /// The ConfigMap that was read.
    pub(crate) config_map: Option<ConfigMapRows>,
}

/// Why the configuration in force is not the newest one.
#[derive(Clone, PartialEq, Eq)]
enum Failure {
    /// A mistake; nothing was changed.
    Mistake,
    /// The ConfigMap cannot be used, for this reason; its rows stayed as they were.
    ConfigMap(String),
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
    /// How the last reload, or look at the ConfigMap, failed.
    failure: Arc<Mutex<Option<Failure>>>,
    /// What was said of the web configuration.
    web_warnings: Vec<String>,
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
            failure: Arc::new(Mutex::new(unread.map(Failure::ConfigMap))),
            web_warnings: Vec::new(),
            file_watch: None,
        }
    }

    /// Starts a thread that reloads when it is asked to; files may be slow to read, as on a network
    /// that is gone. With `watch`, changed files ask for it.
    pub(crate) fn start(mut self, requests: Receiver<ReloadRequest>, watch: Option<ReloadHandle>) {
        let named = self.configuration.as_ref().map(|it| it.named.clone()).unwrap_or_default();
        self.file_watch = watch.and_then(|handle| FileWatch::start(named, handle));
        self.log_web_warnings();
        let run = move || self.run(&requests);
        let spawned = thread::Builder::new().name("reload".to_owned()).spawn(run);
        if let Err(error) = spawned {
            tracing::error!("reloads will change nothing: no thread to read files with: {error}");
        }
    }

    fn run(mut self, requests: &Receiver<ReloadRequest>) {
        loop {
            let interval = match self.has_config_map() {
                true => CONFIG_MAP_INTERVAL,
                false => CERTIFICATE_INTERVAL,
            };
            match requests.recv_timeout(interval) {
                // Requests that came meanwhile need only one reload.
                Ok(first) => {
                    self.answer(std::iter::once(first).chain(requests.try_iter()).collect());
                }
                Err(RecvTimeoutError::Timeout) => self.look_at_config_map(),
                Err(RecvTimeoutError::Disconnected) => return,
            }
            self.log_web_warnings();
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
        let before = last(&self.failure);
        match loaded::config_map(args, &name) {
            Ok(read)
                if !matches!(before, Some(Failure::ConfigMap(_)))
                    && config_map.as_ref().is_some_and(|rows| rows.version == read.version) => {}
            Ok(_) => {
                // The error is that of the reload.
                let _ = self.reload(&trigger);
            }
            Err(error) => {
                let error = format!("{error:#}");
                let failure = Failure::ConfigMap(error.clone());
                // Once, not every minute.
                if before.as_ref() != Some(&failure) {
                    tracing::error!("{trigger}: its rows stay as they were: {error}");
                }
                self.set_failure(Some(failure));
            }
        }
    }

    /// Reads everything again and puts it in force. With a mistake, nothing changes.
    fn reload(&mut self, trigger: &str) -> Result<(), String> {
        let Some(before) = &self.configuration else { return Ok(()) };
        let app = self.app.upgrade();
        let Some(in_force) = app.map(|app| app.access.config()) else {
            return Err("stopping".to_owned());
        };
        // Before anything is read, so that no later change is missed.
        let mut named = before.named.renewed();
        let read = read_again(before, &in_force, &mut named);
        let result = match read {
            Ok((args, warnings, loaded)) => {
                for warning in warnings {
                    tracing::warn!("{trigger}: {warning}");
                }
                self.configuration = Some(Configuration {
                    files: loaded.files(&args),
                    args,
                    named: named.clone(),
                    config_map: loaded.config_map.clone(),
                });
                let unread = loaded.unread.clone();
                self.set_failure(unread.clone().map(Failure::ConfigMap));
                self.put_in_force(trigger, loaded);
                if let Some(error) = &unread {
                    tracing::error!("{trigger}: the rows of the ConfigMap stay: {error}");
                }
                unread.map_or(Ok(()), Err)
            }
            Err(error) => {
                let error = format!("{error:#}");
                tracing::error!("{trigger}: the configuration stays as it was: {error}");
                self.set_failure(Some(Failure::Mistake));
                Err(error)
            }
        };
        if let Some(watch) = &self.file_watch {
            watch.set(named);
        }
        result
    }

    /// Remembers how a reload ended. Pages say at once that one failed; a success, when it is in force.
    fn set_failure(&self, failure: Option<Failure>) {
        let has_failed = failure.is_some();
        *self.failure.lock().unwrap_or_else(PoisonError::into_inner) = failure;
        if has_failed && let Some(app) = self.app.upgrade() {
            app.pages.change(|settings| settings.is_reloaded = false);
        }
    }

    /// Logs what the web configuration warns of, unless it was logged already.
    fn log_web_warnings(&mut self) {
        let Some(app) = self.app.upgrade() else { return };
        let warnings: Vec<String> = app.access.config().warnings(SystemTime::now()).collect();
        for warning in warnings.iter().filter(|warning| !self.web_warnings.contains(warning)) {
            tracing::warn!("{}: {warning}", &WEB_CONFIG_FILE);
        }
        self.web_warnings = warnings;
    }

    fn put_in_force(&mut self, trigger: &str, loaded: Loaded) {
        let Some(app) = self.app.upgrade() else { return };
        let is_whole = loaded.unread.is_none();
        let Loaded { watches: LoadedWatches { watches, rows, rows_skipped, .. }, page, .. } =
            loaded;
        tracing::info!("{trigger}: read {rows} rows, {rows_skipped} skipped");
        // Not later: the driver may take long to answer.
        log_protection(trigger, &app.access.config(), &loaded.web_config);
        app.access.change(loaded.web_config);
        let (weak, failure) = (Weak::clone(&self.app), Arc::clone(&self.failure));
        let change_pages = move || {
            let Some(app) = weak.upgrade() else { return };
            tracing::info!("serving {rows} rows");
            app.overview.change(page.hostname.clone(), page.expected_gpus);
            app.pages.change(|settings| {
                page.apply(settings);
                settings.rows_skipped = rows_skipped;
                settings.is_reloaded = last(&failure).is_none();
                if is_whole {
                    settings.reloaded_at = Some(SystemTime::now());
                }
            });
        };
        // Without a change of the watches, the readers go on as they are.
        if watches == self.watches && self.is_in_force.load(Ordering::SeqCst) {
            change_pages();
            return;
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
    }
}

fn last(failure: &Mutex<Option<Failure>>) -> Option<Failure> {
    failure.lock().unwrap_or_else(PoisonError::into_inner).clone()
}

/// Reads everything, with the flags that take effect only after a restart. `named` gets the files that
/// are named now, and keeps those of before if there is a mistake.
fn read_again(
    before: &Configuration,
    in_force: &WebConfig,
    named: &mut Stamps,
) -> Result<(Args, Vec<String>, Loaded)> {
    let (args, warnings) = before.args.reread(checks::check)?;
    // A program that writes a file in place empties it first.
    if let (Some(file), Some(old)) = (args.file(), before.args.file())
        && file.is_empty
        && old.has_settings()
    {
        bail!("{} is empty; write `{{}}` if that is meant", file.path().display());
    }
    // A file that is not there yet, too: it asks for a reload once it is.
    let mut files = loaded::named_files(&args, named);
    let loaded = Loaded::read(&args, &before.files, before.config_map.as_ref())?;
    if loaded.web_config.is_empty()
        && (in_force.has_tls() || in_force.has_users())
        && let Some(path) = loaded.web_config.files().first()
    {
        bail!("{} is empty; write `{{}}` if that is meant", path.display());
    }
    files.extend(loaded.files(&args));
    named.add(&files);
    named.keep(&files);
    Ok((args, warnings, loaded))
}

/// Logs that connections and pages are no longer protected, or are from now on.
fn log_protection(trigger: &str, before: &WebConfig, now: &WebConfig) {
    let kinds = [
        ("TLS", before.has_tls(), now.has_tls()),
        ("passwords", before.has_users(), now.has_users()),
    ];
    let which = |from: bool, to: bool| {
        let changed = kinds.iter().filter(|(_, before, now)| (*before, *now) == (from, to));
        let names: Vec<&str> = changed.map(|(name, ..)| *name).collect();
        let verb = if names == ["TLS"] { "is" } else { "are" };
        (!names.is_empty()).then(|| format!("{} {verb}", names.join(" and ")))
    };
    if let Some(gone) = which(true, false) {
        tracing::warn!("{trigger}: {gone} off");
    }
    if let Some(new) = which(false, true) {
        tracing::info!("{trigger}: {new} on");
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
