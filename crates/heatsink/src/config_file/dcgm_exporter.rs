//! The configuration file of dcgm-exporter 4.8.3 and 4.9: `version: 1` or `version: 2`.
//!
//! Unknown keys are refused, as there. Each key is that of a flag, except for rows of a counters file and
//! for groups of fields that have an interval of their own.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use model::catalog::counters;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_saphyr::{Error, Spanned};

use super::entries::{ConfigFile, Entry, settable};
use super::yaml_mistake::last_key;
use crate::message::one_line;
use crate::pace_groups::{PaceGroup, pattern};
use crate::watches::CountersText;

type Text = Option<Spanned<String>>;

#[derive(Deserialize)]
struct Head {
    version: Spanned<String>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Version1 {
    #[serde(rename = "version")]
    _version: String,
    metrics: Option<Spanned<Metrics>>,
    collection: Option<Collection>,
    sources: Option<Sources>,
    server: Option<Server>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Version2 {
    #[serde(rename = "version")]
    _version: String,
    metrics: Option<Spanned<Metrics>>,
    collections: Option<Spanned<Vec<Spanned<NamedCollection>>>>,
    sources: Option<Sources>,
    server: Option<Server>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Metrics {
    file: Text,
    fields: Option<Vec<Spanned<Field>>>,
    enable_exporter_metrics: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Field {
    name: Spanned<String>,
    prometheus_type: String,
    help: String,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Collection {
    interval: Text,
    retention: Option<Retention>,
    watch_groups: Option<Vec<Spanned<WatchGroup>>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WatchGroup {
    name: String,
    interval: Spanned<String>,
    fields: Vec<Spanned<String>>,
    retention: Option<Retention>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Retention {
    max_age: Text,
    max_samples: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct NamedCollection {
    name: String,
    every: Spanned<String>,
    metrics: Include,
    sources: Option<WatchSources>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Include {
    include: Vec<Spanned<String>>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WatchSources {
    dcgm: Option<WatchDcgm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct WatchDcgm {
    watch: Option<Keep>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Sources {
    dcgm: Option<Dcgm>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Dcgm {
    /// Of version 2.
    watch: Option<Spanned<Keep>>,
    detect_bind_unbind: Option<DetectBindUnbind>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Keep {
    max_keep_age: Text,
    max_keep_samples: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct DetectBindUnbind {
    enabled: Text,
    poll_interval: Text,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Server {
    max_concurrent_scrapes: Text,
}

/// Reads a file of dcgm-exporter.
///
/// # Errors
///
/// The first mistake.
pub(super) fn read(file: &mut ConfigFile, text: &str) -> Result<()> {
    let version = typed::<Head>(file, text)?.version;
    match version.value.as_str() {
        "1" => version_1(file, typed(file, text)?),
        "2" => version_2(file, typed(file, text)?),
        other => bail!("{}: `{other}` is neither 1 nor 2", file.at(line(&version), "version")),
    }
}

/// Keys with values, for messages about a value that has not the right form.
#[rustfmt::skip]
const KEYS: [&str; 27] = [
    "version", "metrics", "file", "fields", "enableExporterMetrics", "name", "prometheusType", "help",
    "collection", "interval", "retention", "watchGroups", "maxAge", "maxSamples", "collections",
    "every", "include", "sources", "dcgm", "watch", "maxKeepAge", "maxKeepSamples",
    "detectBindUnbind", "enabled", "pollInterval", "server", "maxConcurrentScrapes",
];

/// The whole file.
fn typed<T: DeserializeOwned>(file: &ConfigFile, text: &str) -> Result<T> {
    serde_saphyr::from_str(text).map_err(|error| {
        let line = error.location().map(|location| location.line());
        let is_of_value = matches!(
            error.without_snippet(),
            Error::Unexpected { .. } | Error::NullIntoString { .. }
        );
        let line = line.filter(|_| is_of_value);
        let key = line.and_then(|line| Some((last_key(text, line, &KEYS)?.to_owned(), line)));
        file.syntax(&error, text, key)
    })
}

fn version_1(file: &mut ConfigFile, read: Version1) -> Result<()> {
    let Version1 { metrics: rows, collection, sources, server, .. } = read;
    metrics(file, rows)?;
    self::server(file, server)?;
    if let Some(dcgm) = sources.and_then(|sources| sources.dcgm) {
        if let Some(watch) = dcgm.watch {
            let place = file.at(line(&watch), "sources.dcgm.watch");
            bail!("{place}: no such key in version 1; write `collection.retention`");
        }
        detection(file, dcgm.detect_bind_unbind)?;
    }
    let Some(Collection { interval, retention, watch_groups }) = collection else { return Ok(()) };
    if let Some(interval) = interval {
        default_interval(file, "collection.interval", &interval)?;
    }
    if let Some(Retention { max_age, max_samples }) = retention {
        flag(file, "collection.retention.maxAge", "watch-max-keep-age", max_age)?;
        flag(file, "collection.retention.maxSamples", "watch-max-keep-samples", max_samples)?;
    }
    let mut groups = Vec::new();
    for group in watch_groups.unwrap_or_default() {
        let at = line(&group);
        let WatchGroup { name, interval, fields, retention } = group.value;
        if retention.is_some() {
            ignore(file, at, "collection.watchGroups.retention");
        }
        groups.push(Group { key: "collection.watchGroups", line: at, name, interval, fields });
    }
    add_groups(file, groups)
}

fn version_2(file: &mut ConfigFile, read: Version2) -> Result<()> {
    let Version2 { metrics: rows, collections, sources, server, .. } = read;
    metrics(file, rows)?;
    self::server(file, server)?;
    if let Some(Dcgm { watch, detect_bind_unbind }) = sources.and_then(|sources| sources.dcgm) {
        if let Some(Keep { max_keep_age, max_keep_samples }) = watch.map(|watch| watch.value) {
            let watch = "sources.dcgm.watch";
            flag(file, &format!("{watch}.maxKeepAge"), "watch-max-keep-age", max_keep_age)?;
            let samples = max_keep_samples;
            flag(file, &format!("{watch}.maxKeepSamples"), "watch-max-keep-samples", samples)?;
        }
        detection(file, detect_bind_unbind)?;
    }
    let Some(collections) = collections else { return Ok(()) };
    if collections.value.is_empty() {
        let place = file.at(line(&collections), "collections");
        bail!("{place}: is empty; write one collection, or leave it out");
    }
    let mut groups = Vec::new();
    for collection in collections.value {
        let at = line(&collection);
        let NamedCollection { name, every, metrics: Include { include }, sources } =
            collection.value;
        if sources.and_then(|sources| sources.dcgm).is_some_and(|dcgm| dcgm.watch.is_some()) {
            ignore(file, at, "collections.sources.dcgm.watch");
        }
        let (interval, fields) = (every, include);
        groups.push(Group { key: "collections", line: at, name, interval, fields });
    }
    add_groups(file, groups)
}

/// `metrics`: the name of a counters file, or its rows.
fn metrics(file: &mut ConfigFile, metrics: Option<Spanned<Metrics>>) -> Result<()> {
    let Some(metrics) = metrics else { return Ok(()) };
    let at = line(&metrics);
    let Metrics { file: path, fields, enable_exporter_metrics: own } = metrics.value;
    let path = path.filter(|path| !path.value.trim().is_empty());
    let fields = fields.unwrap_or_default();
    match (&path, fields.is_empty()) {
        (Some(_), false) => {
            bail!("{}: has both `file` and `fields`; leave one of them out", file.at(at, "metrics"))
        }
        (None, true) if own.is_none() => {
            bail!("{}: has neither `file` nor `fields`; write one of them", file.at(at, "metrics"))
        }
        _ => {}
    }
    flag(file, "metrics.enableExporterMetrics", "enable-exporter-metrics", own)?;
    flag(file, "metrics.file", "collectors", path)?;
    if !fields.is_empty() {
        file.counters = Some(Arc::new(counters_text(file, fields)?));
    }
    Ok(())
}

/// The rows of a counters file that fields stand for.
fn counters_text(file: &ConfigFile, fields: Vec<Spanned<Field>>) -> Result<CountersText> {
    let name = file.path().display().to_string();
    let mut text = CountersText { name, text: String::new(), lines: Some(Vec::new()) };
    let mut names: Vec<String> = Vec::new();
    for field in fields {
        let Field { name, prometheus_type, help } = field.value;
        let at = line(&name);
        let name = name.value.trim().to_owned();
        for (key, value) in
            [("name", &*name), ("prometheusType", &prometheus_type), ("help", &help)]
        {
            if value.trim().is_empty() {
                let key = format!("metrics.fields.{key}");
                bail!("{}: is empty; write one", file.at(at, &key));
            }
        }
        for (key, value) in [("name", &*name), ("prometheusType", &prometheus_type)] {
            // They would be more than one cell of the row.
            if value.contains([',', '"']) || value.chars().any(char::is_control) {
                let place = file.at(at, &format!("metrics.fields.{key}"));
                bail!("{place}: `{value}` has a comma, a quote or a line break; write one word");
            }
        }
        if names.contains(&name) {
            let place = file.at(at, "metrics.fields.name");
            bail!("{place}: `{name}` stands twice; leave one of them out");
        }
        let cell = |text: &str| {
            let text: String =
                text.trim().chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
            format!("\"{}\"", text.replace('"', "\"\""))
        };
        text.text += &format!("{name}, {prometheus_type}, {}\n", cell(&help));
        text.lines.get_or_insert_default().push(at);
        names.push(name);
    }
    Ok(text)
}

fn server(file: &mut ConfigFile, server: Option<Server>) -> Result<()> {
    let most = server.and_then(|server| server.max_concurrent_scrapes);
    flag(file, "server.maxConcurrentScrapes", "max-concurrent-scrapes", most)
}

fn detection(file: &mut ConfigFile, detection: Option<DetectBindUnbind>) -> Result<()> {
    let Some(DetectBindUnbind { enabled, poll_interval }) = detection else { return Ok(()) };
    let key = "sources.dcgm.detectBindUnbind";
    flag(file, &format!("{key}.enabled"), "enable-gpu-bind-unbind-watch", enabled)?;
    let interval = poll_interval;
    flag(file, &format!("{key}.pollInterval"), "gpu-bind-unbind-poll-interval", interval)
}

/// Gives a flag the text of a key. Without such a flag, the key has no effect.
fn flag(file: &mut ConfigFile, key: &str, long: &str, text: Text) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let at = line(&text);
    match settable().find(|checked| checked.row.long == long) {
        Some(checked) => {
            let text = text.value.trim().to_owned();
            let entry = Entry { row: checked.row, text, line: at, key: key.to_owned() };
            file.add(entry, checked)
        }
        None => {
            ignore(file, at, key);
            Ok(())
        }
    }
}

fn ignore(file: &mut ConfigFile, line: u64, key: &str) {
    let place = file.at(line, key).to_string();
    file.ignored.push(place);
}

/// The interval of fields that are in no group: milliseconds, as a flag.
fn default_interval(file: &mut ConfigFile, key: &str, text: &Spanned<String>) -> Result<()> {
    let interval = duration(text).with_context(|| file.at(line(text), key))?;
    let millis = Spanned { value: interval.as_millis().to_string(), ..text.clone() };
    flag(file, key, "collect-interval", Some(millis))
}

fn duration(text: &Spanned<String>) -> Result<Duration> {
    let text = &text.value;
    counters::duration(text.trim())
        .filter(|time| (Duration::from_millis(10)..=Duration::from_secs(3600)).contains(time))
        .ok_or_else(|| anyhow!("`{text}` is not between 10ms and 1h; write 30s"))
}

/// A group of fields as it is written.
struct Group {
    key: &'static str,
    line: u64,
    name: String,
    interval: Spanned<String>,
    fields: Vec<Spanned<String>>,
}

fn add_groups(file: &mut ConfigFile, groups: Vec<Group>) -> Result<()> {
    let mut names: Vec<String> = Vec::new();
    let mut read = Vec::new();
    for Group { key, line: at, name, interval, fields } in groups {
        let name = name.trim().to_owned();
        let place = file.at(at, key);
        if name.is_empty() {
            bail!("{place}: has an empty name; write one");
        }
        if names.contains(&name) {
            bail!("{place}: `{name}` stands twice; rename one of them");
        }
        if fields.is_empty() {
            bail!("{place}: `{name}` names no field; write one, such as DCGM_FI_DEV_GPU_TEMP");
        }
        let patterns = fields
            .iter()
            .map(|field| pattern(field.value.trim()).with_context(|| file.at(line(field), key)));
        let patterns = patterns.collect::<Result<_>>()?;
        names.push(name.clone());
        // The collection of everything has the interval of all fields that are in no other.
        if let [all] = fields.as_slice()
            && key == "collections"
            && all.value.trim() == "*"
        {
            default_interval(file, "collections.every", &interval)?;
            continue;
        }
        read.push(PaceGroup {
            place: one_line(&format!("{place} `{name}`")),
            key,
            line: at,
            interval: duration(&interval).with_context(|| file.at(line(&interval), key))?,
            fields: fields.iter().map(|field| field.value.trim().to_owned()).collect(),
            name,
            patterns,
        });
    }
    file.groups = read.into();
    Ok(())
}

fn line<T>(text: &Spanned<T>) -> u64 {
    text.referenced.line()
}
