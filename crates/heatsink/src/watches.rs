//! The watches of a configuration: counters files and a generation of names, with the families of
//! every page, the fields that other families are derived from, and those that are recorded.
//!
//! To the default set, the history adds a field that it reads once per interval (the performance state) and
//! some that it reads every ten seconds: the power limit, the state of the PCIe link, the NVLinks with
//! their errors, the serial number. Through NVML that is one call more in each pass, and four more every
//! ten seconds; fields that are asked for in one call (`nvmlDeviceGetFieldValues`) stay one call.

use std::io::ErrorKind;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use model::catalog::builtin::Set;
use model::catalog::counters::{self, Counters, Skipped};
use model::catalog::{Field, Generation, generation};
use model::{FieldId, Kind, Pace, Watch, Windows};

use crate::pace_groups::PaceGroup;

/// The configuration of watches. Its files are read at the start and at every reload.
#[derive(Clone, Debug)]
pub(crate) struct WatchConfig {
    /// The rows; `None` for the default set.
    pub(crate) counters: Option<CountersFrom>,
    /// Rows that are added to it.
    pub(crate) extra: Option<Extra>,
    /// The generation of names; `None` for those of the files, and of 4.8 in built-in sets.
    pub(crate) generation: Option<Generation>,
    /// The time from one reading to the next.
    pub(crate) interval: Duration,
    /// The lengths of the windows.
    pub(crate) windows: Windows,
    /// Fields with intervals of their own.
    pub(crate) groups: Arc<[PaceGroup]>,
    /// Whether the groups were written for these rows: a group without a field is a mistake then.
    pub(crate) has_own_groups: bool,
    /// Files that were read before: no built-in set stands in for one of them when it is missing.
    pub(crate) known_files: Vec<PathBuf>,
    /// Whether the fields of the history are read too.
    pub(crate) is_recorded: bool,
}

/// The source of rows.
#[derive(Clone, Debug)]
pub(crate) enum CountersFrom {
    /// A counters file, or the name of a built-in set.
    Path(NamedFile),
    /// A text that was read already.
    Text(Arc<CountersText>),
}

/// A file that a setting names.
#[derive(Clone, Debug)]
pub(crate) struct NamedFile {
    pub(crate) path: PathBuf,
    /// The place of the setting, for messages.
    pub(crate) place: String,
}

/// A counters file that is a part of something else.
#[derive(PartialEq, Eq, Debug)]
pub(crate) struct CountersText {
    /// Where it is from, for messages.
    pub(crate) name: String,
    pub(crate) text: String,
    /// The line there of each row; `None` if they are the lines of the text.
    pub(crate) lines: Option<Vec<u64>>,
}

/// The source of rows that are added.
#[derive(Clone, Debug)]
pub(crate) enum Extra {
    /// A counters file, or the name of a built-in set.
    Path(NamedFile),
    /// A built-in set, whatever files are in the working directory.
    Builtin(Set),
}

/// The result of reading the configuration.
pub(crate) struct LoadedWatches {
    /// The watches: those of the files, those of every page, and hidden ones that other families are
    /// derived from.
    pub(crate) watches: Arc<[Watch]>,
    /// The number of rows of the files that are served.
    pub(crate) rows: usize,
    /// The number of rows of the files that were skipped.
    pub(crate) rows_skipped: u64,
    /// The files that were read.
    pub(crate) files: Vec<PathBuf>,
}

impl WatchConfig {
    /// Reads the files.
    ///
    /// # Errors
    ///
    /// When a file cannot be read, or has no row that can be served. A bad row is skipped.
    pub(crate) fn read(&self) -> Result<LoadedWatches> {
        let mut rows_skipped = 0;
        let mut files = Vec::new();
        let (counters, is_builtin) = match &self.counters {
            None => (of_set(Set::Default), true),
            Some(CountersFrom::Path(file)) => self.file_or_builtin(file, &mut files)?,
            Some(CountersFrom::Text(text)) => (rows(text)?, false),
        };
        rows_skipped += counters.skipped.len();
        let mut watches = counters.watches;
        if is_builtin {
            // Their names are those of 4.8, and so are the types unless a generation is set.
            watches = generation::builtin_types(watches, self.generation.unwrap_or_default());
        }
        if let Some(extra) = &self.extra {
            let extra = match extra {
                Extra::Path(file) => self.file_or_builtin(file, &mut files)?.0,
                Extra::Builtin(set) => of_set(*set),
            };
            rows_skipped += extra.skipped.len();
            watches = counters::merge(watches, extra.watches);
        }
        if let Some(counters) = &self.counters
            && watches.iter().all(|watch| watch.kind == Kind::Label)
        {
            let why = "asks for labels only; add a row of type gauge, counter or untyped";
            return match counters {
                CountersFrom::Path(NamedFile { path, place }) => {
                    Err(anyhow!("{place}: {} {why}", path.display()))
                }
                CountersFrom::Text(text) => Err(anyhow!("{} {why}", text.name)),
            };
        }
        for unmatched in PaceGroup::apply(&self.groups, &mut watches)? {
            if self.has_own_groups {
                bail!("{unmatched}; correct the names, or leave the group out");
            }
            tracing::warn!("{unmatched}");
        }
        // A name in a file stays as it is written, unless a generation is set.
        if let Some(generation) = self.generation {
            let before = watches.len();
            watches = generation::rename(watches, generation);
            // A file may have both names of one field.
            let same = before.saturating_sub(watches.len());
            if same > 0 {
                tracing::info!("{same} rows have the same name under --metric-names; served once");
            }
        }
        let rows = watches.len();
        let is_new = |row: &Watch| watches.iter().all(|watch| watch.field != row.field);
        let health: Vec<Watch> = Set::Health.watches().into_iter().filter(is_new).collect();
        watches.extend(health);
        watches.extend(self.hidden(&watches));
        if self.is_recorded {
            add_recorded(&mut watches, self.interval);
        }
        let rows_skipped = rows_skipped as u64;
        Ok(LoadedWatches { watches: watches.into(), rows, rows_skipped, files })
    }

    /// A file, which is added to `files`, or the built-in set for its path or name; and whether it is
    /// a built-in set.
    fn file_or_builtin(
        &self,
        file: &NamedFile,
        files: &mut Vec<PathBuf>,
    ) -> Result<(Counters, bool)> {
        self.read_or_builtin(&file.path, files).with_context(|| file.place.clone())
    }

    fn read_or_builtin(&self, path: &Path, files: &mut Vec<PathBuf>) -> Result<(Counters, bool)> {
        let error = match web_config::read_file(path) {
            Ok(text) => {
                files.push(path.to_owned());
                let text = String::from_utf8_lossy(&text).into_owned();
                let name = path.display().to_string();
                return Ok((rows(&CountersText { name, text, lines: None })?, false));
            }
            Err(error) => error,
        };
        // A folder may have the name of a set.
        let is_absent = matches!(error.kind(), ErrorKind::NotFound | ErrorKind::IsADirectory);
        let may_be_set = is_absent && !self.known_files.iter().any(|known| known == path);
        let set = path.to_str().and_then(Set::for_path).filter(|_| may_be_set);
        let Some(set) = set else {
            let is_word = path.components().count() == 1 && path.is_relative();
            let hint = if is_absent && is_word { SETS } else { "" };
            bail!("cannot read the counters file {}: {error}{hint}", path.display());
        };
        if path.is_absolute() {
            tracing::info!("{} is not there; serving its built-in equivalent", path.display());
        }
        Ok((of_set(set), true))
    }

    /// Watches on the fields that `watches` are derived from.
    fn hidden(&self, watches: &[Watch]) -> Vec<Watch> {
        let inputs = sampler::inputs(watches, self.interval, &self.windows);
        inputs.into_iter().map(|(field, pace)| hidden(field, pace)).collect()
    }
}

/// Adds hidden watches on the fields that are recorded. A field that is read as often already has one
/// watch; one that is read less often is read as often as it is recorded from now on.
fn add_recorded(watches: &mut Vec<Watch>, interval: Duration) {
    for (field, pace) in history::recorder::inputs(watches) {
        let period = pace.period(interval);
        let is_often_enough = |watch: &Watch| watch.pace.period(interval) <= period;
        let mut of_field = watches.iter_mut().filter(|watch| watch.field == field);
        if of_field.any(|watch| is_often_enough(watch)) {
            continue;
        }
        let is_hidden = |watch: &&mut Watch| watch.field == field && watch.kind == Kind::Hidden;
        match watches.iter_mut().find(is_hidden) {
            Some(watch) => watch.pace = pace,
            None => watches.push(hidden(field, pace)),
        }
    }
}

fn hidden(field: FieldId, pace: Pace) -> Watch {
    let row = model::catalog::by_id(field);
    Watch {
        field,
        name: row.map_or("highest_sm_clock_of_the_power_state", |row| row.name).into(),
        kind: Kind::Hidden,
        help: "".into(),
        pace,
        cumulative: row.is_some_and(Field::is_cumulative),
    }
}

fn of_set(set: Set) -> Counters {
    Counters { watches: set.watches(), skipped: Vec::new() }
}

const SETS: &str = "; the built-in sets are default, all, minimal, 1.x, machine and monitoring";

/// The rows of a file. A file without a row that can be served is refused.
pub(crate) fn rows(from: &CountersText) -> Result<Counters> {
    let counters = counters::parse(from.text.as_bytes());
    let name = &from.name;
    let line_of = |line: usize| match &from.lines {
        Some(lines) => lines.get(line - 1).copied().unwrap_or_default(),
        None => line as u64,
    };
    match counters.skipped.first().filter(|_| counters.watches.is_empty()) {
        Some(Skipped { line, row, why }) => {
            let line = line_of(*line);
            bail!("no row of {name} can be served; the first is line {line}, `{row}`: {why}")
        }
        None if counters.watches.is_empty() => bail!(
            "{name} asks for nothing; write `NAME, type, help` lines into it, or leave the flag out"
        ),
        None => {}
    }
    for Skipped { line, row, why } in &counters.skipped {
        tracing::warn!("{name} line {}: skipped `{row}`: {why}", line_of(*line));
    }
    Ok(counters)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn config(counters: Option<&str>, generation: Option<Generation>) -> WatchConfig {
        let minute = Duration::from_secs(60);
        WatchConfig {
            counters: counters.map(|path| CountersFrom::Path(named(path.into()))),
            extra: None,
            generation,
            interval: Duration::from_secs(1),
            windows: Windows { extents: minute, xids: minute, clock_events: minute },
            groups: Arc::new([]),
            has_own_groups: true,
            known_files: Vec::new(),
            is_recorded: false,
        }
    }

    fn named(path: PathBuf) -> NamedFile {
        NamedFile { path, place: "h.yaml:1: the key".to_owned() }
    }

    fn names(config: &WatchConfig) -> Vec<String> {
        let loaded = config.read().unwrap();
        let of_files = loaded
            .watches
            .iter()
            .filter(|watch| watch.kind != Kind::Hidden && watch.name.starts_with("DCGM_"));
        of_files.map(|watch| watch.name.to_string()).collect()
    }

    #[test]
    fn a_well_known_path_that_is_not_there_has_a_built_in_set() {
        let known = "/etc/dcgm-exporter/dcp-metrics-included.csv";
        assert_eq!(config(Some(known), None).read().unwrap().rows_skipped, 0);
        assert!(names(&config(Some("all"), None)).len() > 350);
        assert!(config(Some("/nowhere/counters.csv"), None).read().is_err());
    }

    #[test]
    fn a_group_has_names_of_either_generation_and_may_be_empty_for_other_rows() {
        let group = |glob: &str| PaceGroup {
            place: "h.yaml:4".to_owned(),
            key: "collections",
            line: 4,
            name: "a".to_owned(),
            fields: vec![glob.to_owned()],
            interval: Duration::from_secs(5),
            patterns: vec![crate::pace_groups::pattern(glob).unwrap()],
        };
        let mut config = config(None, Some(Generation::V4_9));
        for name in ["DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK_HERTZ"] {
            config.groups = Arc::new([group(name)]);
            let watches = config.read().unwrap().watches;
            let is_it = |watch: &&Watch| &*watch.name == "DCGM_FI_DEV_SM_CLOCK_HERTZ";
            let pace = watches.iter().find(is_it).unwrap().pace;
            assert_eq!(pace, model::Pace::At(Duration::from_secs(5)), "{name}");
        }
        config.groups = Arc::new([group("DCGM_FI_NO_*")]);
        assert!(config.read().is_err());
        config.has_own_groups = false;
        assert!(config.read().is_ok());
    }

    #[test]
    fn a_files_own_names_stay_unless_a_generation_is_asked_for() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("mine.csv");
        std::fs::write(&path, "DCGM_FI_DEV_SM_CLOCK_HERTZ, gauge, Clock.\n").unwrap();
        let path = path.to_str();
        assert_eq!(names(&config(path, None)), ["DCGM_FI_DEV_SM_CLOCK_HERTZ"]);
        let old = config(path, Some(Generation::V4_8));
        assert_eq!(names(&old), ["DCGM_FI_DEV_SM_CLOCK"]);
        let both = names(&config(path, Some(Generation::Both)));
        assert_eq!(both, ["DCGM_FI_DEV_SM_CLOCK", "DCGM_FI_DEV_SM_CLOCK_HERTZ"]);
    }

    #[test]
    fn a_file_that_asks_for_nothing_is_refused() {
        const FAMILY: &str = "DCGM_FI_DEV_GPU_TEMP, gauge, T.\n";
        const LABEL: &str = "DCGM_FI_DRIVER_VERSION, label, D.\n";
        let folder = tempfile::tempdir().unwrap();
        let rows_skipped = |first: Option<&str>, second: Option<&str>| {
            let write = |name: &str, text: &str| {
                let path = folder.path().join(name);
                std::fs::write(&path, text).unwrap();
                path
            };
            let mut config = config(None, None);
            config.counters = first.map(|text| CountersFrom::Path(named(write("first.csv", text))));
            config.extra = second.map(|text| Extra::Path(named(write("second.csv", text))));
            config.read().map(|loaded| loaded.rows_skipped).map_err(|error| format!("{error:#}"))
        };
        let refused = |first, second, said: &str| {
            let error = rows_skipped(first, second).unwrap_err();
            assert!(error.contains(said), "{error}");
        };
        refused(Some(""), None, "first.csv asks for nothing");
        refused(Some("# a comment\n,,\n"), Some(FAMILY), "first.csv asks for nothing");
        refused(Some("\n?\n"), None, "the first is line 2, `?`: 1 of 3 cells");
        refused(Some(LABEL), None, "asks for labels only");
        refused(Some(LABEL), Some(LABEL), "asks for labels only");
        refused(None, Some("?\n"), "h.yaml:1: the key: no row of");
        assert_eq!(rows_skipped(Some(LABEL), Some(FAMILY)), Ok(0));
        assert_eq!(rows_skipped(None, Some(LABEL)), Ok(0));
        assert_eq!(rows_skipped(Some(&format!("?\n{FAMILY}")), None), Ok(1));
    }

    #[test]
    fn a_second_file_adds_and_replaces() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("extra.csv");
        let rows = "DCGM_FI_DEV_GPU_TEMP, gauge, Mine., 100ms\n\
                    DCGM_FI_DEV_GPU_UTIL_RATIO, gauge, U.\nDCGM_FI_DEV_PSTATE, gauge, P.\n?\n";
        std::fs::write(&path, rows).unwrap();
        let mut config = config(None, None);
        let before = names(&config).len();
        config.extra = Some(Extra::Path(named(path)));
        let loaded = config.read().unwrap();
        assert_eq!(names(&config).len(), before + 2, "a name of 4.9 stays beside its twin");
        assert_eq!(loaded.rows_skipped, 1);
        let temperature = |watch: &&Watch| &*watch.name == "DCGM_FI_DEV_GPU_TEMP";
        let watch = loaded.watches.iter().find(temperature).unwrap();
        assert_eq!(watch.pace, model::Pace::At(Duration::from_millis(100)));
        assert_eq!(&*watch.help, "Mine.");
    }

    #[test]
    fn what_is_recorded_is_read_in_addition_and_never_twice() {
        let with = |counters, is_recorded| {
            let config = WatchConfig { is_recorded, ..config(counters, None) };
            config.read().unwrap().watches
        };
        let count = |watches: &[Watch]| watches.len();
        // The set `all` has all of them but the serial number.
        let added = count(&with(Some("all"), true)) - count(&with(Some("all"), false));
        assert_eq!(added, 1);
        for counters in [None, Some("minimal"), Some("all")] {
            let watches = with(counters, true);
            for (field, pace) in history::recorder::inputs(&watches) {
                let second = Duration::from_secs(1);
                let is_read = |watch: &&Watch| {
                    watch.field == field && watch.pace.period(second) <= pace.period(second)
                };
                assert!(watches.iter().any(|watch| is_read(&watch)), "{field} {counters:?}");
            }
            for (index, watch) in watches.iter().enumerate() {
                let is_twin = |other: &Watch| {
                    other.field == watch.field
                        && watch.kind == Kind::Hidden
                        && other.kind == Kind::Hidden
                };
                assert!(!watches[..index].iter().any(is_twin), "{}", watch.name);
            }
            let hidden = |field| {
                let mut hidden = watches.iter().filter(|watch| watch.kind == Kind::Hidden);
                hidden.any(|watch| watch.field == field)
            };
            // Driver calls of 20 ms are made only where a counters file asks for them.
            assert!(!hidden(model::field::PCIE_TX_THROUGHPUT));
            assert!(!hidden(model::field::PROF_SM_ACTIVE));
        }
    }

    #[test]
    fn a_slow_watch_of_a_file_does_not_slow_the_recording() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("slow.csv");
        std::fs::write(&path, "DCGM_FI_DEV_GPU_TEMP, gauge, T., 60s\n").unwrap();
        let watches = WatchConfig { is_recorded: true, ..config(path.to_str(), None) };
        let watches = watches.read().unwrap().watches;
        let of_field = watches.iter().filter(|watch| watch.field == model::field::GPU_TEMP);
        let paces: Vec<(Kind, Pace)> = of_field.map(|watch| (watch.kind, watch.pace)).collect();
        let minute = Pace::At(Duration::from_secs(60));
        assert_eq!(paces, [(Kind::Gauge, minute), (Kind::Hidden, Pace::Every)]);
    }
}
