//! Reads the texts of settings.

use std::fmt::{self, Display};
use std::fs::File;
use std::io::Read;
use std::ops::RangeInclusive;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use model::catalog::{Generation, counters};
use sampler::LogLocation;

/// A source that readings come from.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum SourceKind {
    Nvml,
    Dcgm,
    Sim,
}

impl Display for SourceKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Nvml => "nvml",
            Self::Dcgm => "dcgm",
            Self::Sim => "sim",
        })
    }
}

/// What happens to simulated GPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ScenarioName {
    Story,
    Steady,
    Idle,
    /// One fault on eight GPUs.
    Fault(sim::Fault),
}

/// How log lines look.
#[derive(Clone, Copy, Debug)]
pub(crate) enum LogFormat {
    /// A line for people.
    Text,
    /// One JSON object a line.
    Json,
}

/// The name of a ConfigMap.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ConfigMapName {
    pub(crate) namespace: String,
    pub(crate) name: String,
}

impl Display for ConfigMapName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}", self.namespace, self.name)
    }
}

/// `NAMESPACE:NAME`; none for `none` and an empty text.
pub(crate) fn config_map(text: &str) -> Result<Option<ConfigMapName>> {
    let text = text.trim();
    if matches!(text, "" | "none") {
        return Ok(None);
    }
    // The characters of a DNS name, so that the text is a part of a path.
    let is_name = |name: &&str| {
        let is_plain = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || "-.".contains(c);
        (1..=253).contains(&name.len()) && name.chars().all(is_plain) && !name.starts_with('.')
    };
    let parts =
        text.split_once(':').filter(|(namespace, name)| is_name(namespace) && is_name(name));
    let (namespace, name) = parts
        .with_context(|| format!("`{text}` is not NAMESPACE:NAME; write gpu:counters, or none"))?;
    Ok(Some(ConfigMapName { namespace: namespace.to_owned(), name: name.to_owned() }))
}

/// Where the history is kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum HistoryPlace {
    /// Where this process or its user keeps state.
    Auto,
    /// Only in memory.
    None,
    /// In this folder.
    Folder(PathBuf),
}

/// A form in which the history is written for other programs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum ExportFormat {
    /// For `promtool tsdb create-blocks-from openmetrics`.
    OpenMetrics,
    /// A line per row.
    Csv,
    /// An object per row and per event.
    JsonLines,
}

/// Where the history is kept.
pub(crate) fn history_dir(path: Option<&Path>) -> Result<HistoryPlace> {
    Ok(match path {
        None => HistoryPlace::Auto,
        Some(path) if path == Path::new("auto") => HistoryPlace::Auto,
        Some(path) if path == Path::new("none") => HistoryPlace::None,
        Some(path) => HistoryPlace::Folder(path.to_owned()),
    })
}

/// A size: `320MiB`, `1GB`, at least 8 MiB.
pub(crate) fn history_size(text: &str) -> Result<u64> {
    const LEAST: u64 = 8 << 20;
    let text = text.trim();
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (digits, unit) = text.split_at(end);
    let unit: Option<u64> = match unit.trim() {
        "" | "B" => Some(1),
        "KiB" => Some(1 << 10),
        "MiB" => Some(1 << 20),
        "GiB" => Some(1 << 30),
        "kB" => Some(1000),
        "MB" => Some(1_000_000),
        "GB" => Some(1_000_000_000),
        _ => None,
    };
    let size = unit.and_then(|unit| digits.parse::<u64>().ok()?.checked_mul(unit));
    size.filter(|size| *size >= LEAST)
        .with_context(|| format!("`{text}` is not a size of at least 8MiB; write 320MiB or 1GB"))
}

/// How long the history is kept: from an hour to ten years.
pub(crate) fn history_keep(text: &str) -> Result<Duration> {
    const DAY: u64 = 24 * 3600;
    let text = text.trim();
    let days = text.strip_suffix('d').and_then(|days| days.parse::<u64>().ok());
    let keep = match days {
        Some(days) => days.checked_mul(DAY).map(Duration::from_secs),
        None => counters::duration(text),
    };
    keep.filter(|keep| (3600..=3650 * DAY).contains(&keep.as_secs()))
        .with_context(|| format!("`{text}` is not between 1h and 3650d; write 7d"))
}

/// Any text.
pub(crate) fn text(text: &str) -> Result<String> {
    Ok(text.to_owned())
}

/// The value of a flag that may be absent.
pub(crate) fn optional<T>(text: &str, parse: impl FnOnce(&str) -> Result<T>) -> Result<Option<T>> {
    Some(text.trim()).filter(|text| !text.is_empty()).map(parse).transpose()
}

/// Items that are separated by commas, without empty ones.
pub(crate) fn list(text: &str) -> Result<Vec<String>> {
    let items = text.split(',').map(str::trim).filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

/// What is between the items of a flag that is given several times: no argument has it.
pub(crate) const BETWEEN_ITEMS: &str = "\0";

/// The items of a flag that is given several times.
pub(crate) fn items(text: &str) -> Result<Vec<String>> {
    let items = text.split(BETWEEN_ITEMS).filter(|item| !item.is_empty());
    Ok(items.map(str::to_owned).collect())
}

/// One of a few words.
pub(crate) fn one_of<T: Clone>(text: &str, words: &[(&str, T)]) -> Result<T> {
    let found = words.iter().find(|(word, _)| *word == text);
    let names = words.iter().map(|(word, _)| *word).filter(|word| !word.is_empty());
    found.map(|(_, value)| value.clone()).with_context(|| none_of(text, names))
}

fn none_of<'a>(text: &str, words: impl IntoIterator<Item = &'a str>) -> String {
    format!("`{text}` is none of {}", words.into_iter().collect::<Vec<_>>().join(", "))
}

/// A source; none for `auto`.
pub(crate) fn source(text: &str) -> Result<Option<SourceKind>> {
    use SourceKind::{Dcgm, Nvml, Sim};
    one_of(text, &[("auto", None), ("nvml", Some(Nvml)), ("dcgm", Some(Dcgm)), ("sim", Some(Sim))])
}

/// A scenario; an empty text is the story.
pub(crate) fn scenario(text: &str) -> Result<ScenarioName> {
    use ScenarioName::{Fault, Idle, Steady, Story};
    if let Some(fault) = sim::Fault::parse(text.trim()) {
        return Ok(Fault(fault));
    }
    one_of(text, &[("story", Story), ("steady", Steady), ("idle", Idle), ("", Story)])
}

/// A boolean; an empty text is false.
pub(crate) fn boolean(text: &str) -> Result<bool> {
    if text.is_empty() {
        return Ok(false);
    }
    truth(text).with_context(|| none_of(text, ["true", "false"]))
}

/// A boolean as Go programs take it, and as people write it.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// A whole number of any size that its type has.
pub(crate) fn whole_number<T: FromStr>(text: &str) -> Result<T> {
    text.trim().parse().ok().with_context(|| format!("`{text}` is not a whole number"))
}

/// A whole number within bounds.
pub(crate) fn number<T>(text: &str, range: RangeInclusive<T>) -> Result<T>
where
    T: FromStr + PartialOrd + Display,
{
    let number = text.trim().parse().ok().filter(|number| range.contains(number));
    number.with_context(|| format!("`{text}` is not between {} and {}", range.start(), range.end()))
}

/// A number of milliseconds.
pub(crate) fn milliseconds(text: &str, range: RangeInclusive<u64>) -> Result<Duration> {
    match number(text, range) {
        Ok(millis) => Ok(Duration::from_millis(millis)),
        Err(error) => bail!("{error} milliseconds; write 1000 for a second"),
    }
}

/// The length of the window for minimum, mean and maximum: 0, or from a second to an hour.
pub(crate) fn window(text: &str) -> Result<Duration> {
    let text = text.trim();
    if matches!(text, "0" | "0s") {
        return Ok(Duration::ZERO);
    }
    counters::duration(text)
        .filter(|window| (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(window))
        .with_context(|| format!("`{text}` is not between 1s and 1h, and not 0; write 60s or 5m"))
}

/// How long a missing GPU is served as missing; `None`, written 0, is for ever.
pub(crate) fn forget_missing(text: &str) -> Result<Option<Duration>> {
    let text = text.trim();
    let after = if text == "0" { Some(Duration::ZERO) } else { counters::duration(text) };
    let after = after.with_context(|| format!("`{text}` is not a duration; write 24h, or 0"))?;
    Ok(Some(after).filter(|after| !after.is_zero()))
}

/// How a device plugin names GPUs.
pub(crate) fn gpu_id_type(text: &str) -> Result<()> {
    one_of(text, &[("uid", ()), ("device-name", ())])
}

/// From one look at the holders of GPUs to the next: from 100 ms to a minute.
pub(crate) fn attribution_interval(text: &str) -> Result<Duration> {
    counters::duration(text.trim())
        .filter(|time| (Duration::from_millis(100)..=Duration::from_secs(60)).contains(time))
        .with_context(|| format!("`{text}` is not between 100ms and 60s; write 5s"))
}

/// How long old holders are used: from a second to an hour.
pub(crate) fn attribution_max_age(text: &str) -> Result<Duration> {
    counters::duration(text.trim())
        .filter(|time| (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(time))
        .with_context(|| format!("`{text}` is not between 1s and 1h; write 60s"))
}

/// A generation of metric names.
pub(crate) fn generation(text: &str) -> Result<Generation> {
    Generation::parse(text).with_context(|| none_of(text, ["4.8", "4.8.2", "4.9", "both"]))
}

/// The number of a level of DCGM's own log.
pub(crate) fn dcgm_log_level(text: &str) -> Result<i32> {
    const LEVELS: [&str; 7] = ["NONE", "FATAL", "ERROR", "WARN", "INFO", "DEBUG", "VERB"];
    let level = text.trim();
    let known = (0..).zip(LEVELS).find(|(_, known)| known.eq_ignore_ascii_case(level));
    known.map(|(number, _)| number).with_context(|| none_of(level, LEVELS))
}

/// Simulated seconds per second.
pub(crate) fn speed(text: &str) -> Result<f64> {
    let factor = text.trim().parse().ok().filter(|factor| *factor > 0.0 && *factor <= 1000.0);
    factor.with_context(|| format!("`{text}` is not above 0 and at most 1000"))
}

/// The place of the kernel log; `none` for no log. A path may name a file that does not exist yet; a
/// single word that is neither known nor a file is a mistake.
pub(crate) fn log_place(text: &str) -> Result<Option<LogLocation>> {
    match LogLocation::parse(text) {
        _ if text == "none" => Ok(None),
        LogLocation::Path(path) if !text.contains('/') && !path.exists() => bail!(
            "`{text}` is none of auto, kmsg, journal, none, and no file; write a path such \
             as /var/log/kern.log"
        ),
        place => Ok(Some(place)),
    }
}

/// Any path.
pub(crate) fn any_path(path: Option<&Path>) -> Result<Option<PathBuf>> {
    Ok(path.map(Path::to_owned))
}

/// A folder; the system's root if none is given.
pub(crate) fn root(path: Option<&Path>) -> Result<PathBuf> {
    let root = path.unwrap_or(Path::new("/"));
    if !root.is_dir() {
        bail!("{} is not a folder", root.display());
    }
    Ok(root.to_owned())
}

/// The file of a library. It may be absent or empty, since it may be installed later; a file that is
/// there and cannot be a library is a mistake.
pub(crate) fn library(path: Option<&Path>) -> Result<Option<PathBuf>> {
    let path = path.map(std::path::absolute).transpose();
    let Some(path) = path.context("the path cannot be resolved")? else { return Ok(None) };
    let what = match path.metadata() {
        Ok(meta) if meta.is_dir() => "a folder, not a library",
        Ok(meta) if meta.is_file() && meta.len() > 0 && !is_elf(&path) => "not a library",
        _ => return Ok(Some(path)),
    };
    bail!("{} is {what}; name the library's file, or leave the flag out", path.display())
}

/// Whether a file may be a library. One that cannot be read may be.
fn is_elf(path: &Path) -> bool {
    const MAGIC: &[u8] = b"\x7fELF";
    let mut start = Vec::new();
    let read = File::open(path).and_then(|file| file.take(4).read_to_end(&mut start));
    read.is_err() || start == MAGIC
}

/// What is shown of a command, whose arguments may hold secrets.
pub(crate) fn first_word(command: &str) -> String {
    match command.split_once(char::is_whitespace) {
        Some((program, _)) => format!("{program} ..."),
        None => command.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_bounds() {
        assert_eq!(milliseconds("1000", 10..=2000).unwrap(), Duration::from_secs(1));
        for text in ["0", "-1", "", "1s", "99999999999"] {
            assert!(milliseconds(text, 10..=3_600_000).is_err(), "{text} was accepted");
        }
        assert_eq!(number("8", 0..=8).unwrap(), 8);
        let error = number("9", 0..=8).unwrap_err();
        assert_eq!(error.to_string(), "`9` is not between 0 and 8");
    }

    #[test]
    fn booleans_are_read_as_go_and_people_write_them() {
        for (texts, value) in [
            ("1 t T TRUE true True yes Yes YES on ON", Some(true)),
            ("0 f F FALSE false False no No NO off oFF", Some(false)),
            ("maybe 2 -1 truely \u{fffd}", None),
        ] {
            for text in texts.split(' ') {
                assert_eq!(boolean(text).ok(), value, "{text}");
            }
        }
        assert!(!boolean("").unwrap());
    }

    #[test]
    fn speeds_are_above_0_and_at_most_1000() {
        assert_eq!(speed("0.5").unwrap(), 0.5);
        for text in ["0", "-1", "1000.1", "NaN", "x", ""] {
            assert!(speed(text).is_err(), "{text} was accepted");
        }
    }
}
