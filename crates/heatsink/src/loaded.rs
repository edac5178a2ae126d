//! The settings that a reload changes, read and checked before any of them is put in force.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result};
use attribution::{ConfigMapText, config_map_text};
use exposition::{HolderSettings, Settings};
use model::Windows;
use model::catalog::builtin::Set;
use web_config::WebConfig;

use crate::cli::{Args, Origin};
use crate::file_watch::Stamps;
use crate::flag::Flag;
use crate::parse::ConfigMapName;
use crate::watches::{
    self, CountersFrom, CountersText, Extra, LoadedWatches, NamedFile, WatchConfig,
};
use crate::{flags, holders, source};

/// The key of a ConfigMap with the counters file, as in dcgm-exporter.
const CONFIG_MAP_KEY: &str = "metrics";

/// Everything that was read.
pub(crate) struct Loaded {
    pub(crate) watches: LoadedWatches,
    pub(crate) page: PageSettings,
    pub(crate) web_config: WebConfig,
    /// The ConfigMap that the counters are from.
    pub(crate) config_map: Option<ConfigMapRows>,
    /// Why the ConfigMap could not be used now.
    pub(crate) unread: Option<String>,
}

/// The rows of a ConfigMap.
#[derive(Clone)]
pub(crate) struct ConfigMapRows {
    /// The version of the object.
    pub(crate) version: String,
    counters: Arc<CountersText>,
}

/// Settings of pages that a reload changes.
#[derive(Clone)]
pub(crate) struct PageSettings {
    pub(crate) hostname: Option<Arc<str>>,
    pub(crate) host_label: &'static str,
    pub(crate) old_namespace: bool,
    pub(crate) replace_blanks_in_model_name: bool,
    pub(crate) expected_gpus: Option<u32>,
    pub(crate) holders: HolderSettings,
}

impl PageSettings {
    fn read(args: &Args) -> Result<Self> {
        let is_without_hostname = args.get(&flags::NO_HOSTNAME)?;
        Ok(Self {
            hostname: if is_without_hostname { None } else { source::hostname(Some(args)) },
            host_label: args.get(&flags::METRIC_NAMES)?.unwrap_or_default().host_label(),
            old_namespace: args.get(&flags::USE_OLD_NAMESPACE)?,
            replace_blanks_in_model_name: args.get(&flags::REPLACE_BLANKS_IN_MODEL_NAME)?,
            expected_gpus: args.get(&flags::EXPECTED_GPUS)?,
            holders: holders::shown(args)?,
        })
    }

    /// Puts these settings in force.
    pub(crate) fn apply(self, settings: &mut Settings) {
        settings.hostname = self.hostname;
        settings.host_label = self.host_label;
        settings.old_namespace = self.old_namespace;
        settings.replace_blanks_in_model_name = self.replace_blanks_in_model_name;
        settings.expected_gpus = self.expected_gpus;
        settings.holders = self.holders;
    }
}

impl Loaded {
    /// Reads everything. A ConfigMap that cannot be used is replaced by the one that was read `last`, and
    /// without that by the counters file. `known_files` were read before.
    ///
    /// # Errors
    ///
    /// The first mistake in a file or a flag.
    pub(crate) fn read(
        args: &Args,
        known_files: &[PathBuf],
        last: Option<&ConfigMapRows>,
    ) -> Result<Self> {
        let Some(name) = args.get(&flags::CONFIGMAP_DATA)? else {
            return Self::with_rows(args, None, known_files);
        };
        let rows = ConfigMapRows::read(args, &name);
        match rows.and_then(|rows| Self::with_rows(args, Some(rows), known_files)) {
            Ok(loaded) => Ok(loaded),
            Err(error) => {
                let loaded = Self::with_rows(args, last.cloned(), known_files)?;
                Ok(Self { unread: Some(format!("{error:#}")), ..loaded })
            }
        }
    }

    fn with_rows(
        args: &Args,
        rows: Option<ConfigMapRows>,
        known_files: &[PathBuf],
    ) -> Result<Self> {
        let counters = rows.as_ref().map(|rows| CountersFrom::Text(Arc::clone(&rows.counters)));
        Ok(Self { config_map: rows, ..Self::with_counters(args, counters, known_files)? })
    }

    /// Reads everything but the ConfigMap, whose rows are `counters`.
    fn with_counters(
        args: &Args,
        counters: Option<CountersFrom>,
        known_files: &[PathBuf],
    ) -> Result<Self> {
        let mut config = watch_config(args)?;
        // The groups of the configuration file were not written for a ConfigMap.
        config.has_own_groups &= counters.is_none();
        config.counters = counters.or(config.counters);
        config.known_files = known_files.to_vec();
        let web_config = match args.get(&flags::WEB_CONFIG_FILE)? {
            Some(path) => {
                WebConfig::load(&path).with_context(|| args.place(&flags::WEB_CONFIG_FILE.row))?
            }
            None => WebConfig::default(),
        };
        let (watches, page) = (config.read()?, PageSettings::read(args)?);
        Ok(Self { watches, page, web_config, config_map: None, unread: None })
    }

    /// Reads the files, and leaves out the ConfigMap: to check settings where there is no API server.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn of_files(args: &Args) -> Result<Self> {
        args.get(&flags::CONFIGMAP_DATA)?;
        Self::with_counters(args, None, &[])
    }

    /// The files that were read. A change of one asks for a reload.
    pub(crate) fn files(&self, args: &Args) -> Vec<PathBuf> {
        let config = args.file().map(|file| file.path().to_owned());
        let mut files: Vec<PathBuf> = config.into_iter().collect();
        files.extend(self.watches.files.iter().cloned());
        files.extend(self.web_config.files().iter().cloned());
        files
    }
}

impl ConfigMapRows {
    fn read(args: &Args, name: &ConfigMapName) -> Result<Self> {
        let ConfigMapText { version, text } = config_map(args, name)?;
        let counters = CountersText { name: format!("the ConfigMap {name}"), text, lines: None };
        watches::rows(&counters).with_context(|| args.place(&flags::CONFIGMAP_DATA.row))?;
        Ok(Self { version, counters: Arc::new(counters) })
    }
}

/// The files that settings and the web configuration name, whether they are there or not. Names of
/// built-in sets are none. `stamps` gets how each of them is now, to be called before they are read.
pub(crate) fn named_files(args: &Args, stamps: &mut Stamps) -> Vec<PathBuf> {
    let path = |flag| args.get(flag).ok().flatten();
    let counters = [&flags::COLLECTORS, &flags::EXTRA_COLLECTORS].into_iter().filter_map(path);
    let web_config = path(&flags::WEB_CONFIG_FILE);
    let config = args.file().map(|file| file.path().to_owned());
    let mut files: Vec<PathBuf> = counters.filter(|path| !is_set(path)).collect();
    files.extend(config.into_iter().chain(web_config.clone()));
    stamps.add(&files);
    if let Some(path) = web_config {
        match WebConfig::load(&path) {
            Ok(config) => files.extend_from_slice(config.files()),
            Err(error) => files.extend_from_slice(error.files()),
        }
        stamps.add(&files);
    }
    files
}

/// Whether this is the name of a built-in set, and no path.
fn is_set(path: &Path) -> bool {
    path.to_str().is_some_and(|name| Set::by_name(name).is_some())
}

/// What to read, with the counters file.
pub(crate) fn watch_config(args: &Args) -> Result<WatchConfig> {
    let named = |flag: &'static Flag<Option<PathBuf>>| -> Result<Option<NamedFile>> {
        let path = args.get(flag)?;
        Ok(path.map(|path| NamedFile { path, place: args.place(&flag.row) }))
    };
    let path = named(&flags::COLLECTORS)?.map(CountersFrom::Path);
    let of_file = args.file().and_then(|file| file.counters.clone()).map(CountersFrom::Text);
    let origin = args.origin(&flags::COLLECTORS.row);
    let is_default = matches!(origin, Origin::Default);
    Ok(WatchConfig {
        counters: if is_default { of_file.or(path) } else { path },
        extra: named(&flags::EXTRA_COLLECTORS)?.map(Extra::Path),
        generation: args.get(&flags::METRIC_NAMES)?,
        interval: args.get(&flags::COLLECT_INTERVAL)?,
        windows: Windows {
            extents: args.get(&flags::WINDOW)?,
            xids: args.get(&flags::XID_COUNT_WINDOW_SIZE)?,
            clock_events: args.get(&flags::CLOCK_EVENTS_COUNT_WINDOW_SIZE)?,
        },
        groups: args.file().map(|file| Arc::clone(&file.groups)).unwrap_or_default(),
        has_own_groups: matches!(origin, Origin::Default | Origin::File(..)),
        known_files: Vec::new(),
        is_recorded: args.get(&flags::HISTORY)?,
    })
}

/// The counters file in a ConfigMap.
///
/// # Errors
///
/// When it cannot be read, or has no such key.
pub(crate) fn config_map(args: &Args, name: &ConfigMapName) -> Result<ConfigMapText> {
    let server = holders::api_server(args)?;
    let ConfigMapName { namespace, name } = name;
    let text = config_map_text(&server, namespace, name, CONFIG_MAP_KEY);
    text.with_context(|| args.place(&flags::CONFIGMAP_DATA.row))
}
