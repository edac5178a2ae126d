//! The settings that a reload changes, read and checked before any of them is put in force.

use std::path::PathBuf;
use std::sync::Arc;

use anyhow::{Context, Result};
use attribution::{ConfigMapText, config_map_text};
use exposition::{HolderSettings, Settings};
use model::Windows;
use web_config::WebConfig;

use crate::cli::{Args, Origin};
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
    /// The version of the ConfigMap that the counters are from.
    pub(crate) config_map: Option<String>,
    /// Why the ConfigMap is not used.
    pub(crate) unread: Option<String>,
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
    /// Reads everything at the start. A ConfigMap that cannot be used is replaced by the counters file.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn at_start(args: &Args) -> Result<Self> {
        let Some(name) = args.get(&flags::CONFIGMAP_DATA)? else { return Self::read(args, &[]) };
        match Self::with_config_map(args, &name, &[]) {
            Ok(loaded) => Ok(loaded),
            Err(error) => {
                let mut loaded = Self::with_counters(args, None, &[])?;
                let error = format!("{error:#}");
                tracing::error!("{error}; serving the rows of {} instead", &flags::COLLECTORS);
                loaded.unread = Some(error);
                Ok(loaded)
            }
        }
    }

    /// Reads everything again. `known_files` were read before.
    ///
    /// # Errors
    ///
    /// The first mistake.
    pub(crate) fn read(args: &Args, known_files: &[PathBuf]) -> Result<Self> {
        match args.get(&flags::CONFIGMAP_DATA)? {
            Some(name) => Self::with_config_map(args, &name, known_files),
            None => Self::with_counters(args, None, known_files),
        }
    }

    fn with_config_map(args: &Args, name: &ConfigMapName, known_files: &[PathBuf]) -> Result<Self> {
        let ConfigMapText { version, text } = config_map(args, name)?;
        let counters = CountersText { name: format!("the ConfigMap {name}"), text, lines: None };
        watches::rows(&counters).with_context(|| args.place(&flags::CONFIGMAP_DATA.row))?;
        let counters = Some(CountersFrom::Text(Arc::new(counters)));
        Ok(Self { config_map: Some(version), ..Self::with_counters(args, counters, known_files)? })
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

/// The files that settings name, without those that built-in sets stand in for.
pub(crate) fn named_files(args: &Args) -> Vec<PathBuf> {
    let config = args.file().map(|file| file.path().to_owned());
    let others = [&flags::COLLECTORS, &flags::EXTRA_COLLECTORS, &flags::WEB_CONFIG_FILE];
    let others = others.into_iter().filter_map(|flag| args.get(flag).ok().flatten());
    let is_file = |path: &PathBuf| path.components().count() > 1 || path.exists();
    config.into_iter().chain(others.filter(is_file)).collect()
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
