//! The values of flags in a configuration file, with their places.

use std::ffi::OsStr;
use std::fmt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use anyhow::{Context, Result, bail};

use crate::flag::{Command, Row};
use crate::flags::{self, CheckedRow};
use crate::pace_groups::PaceGroup;
use crate::watches::CountersText;

/// A configuration file whose values were checked.
#[derive(Clone)]
pub(crate) struct ConfigFile {
    pub(super) path: PathBuf,
    pub(super) entries: Vec<Entry>,
    /// Counters rows in the file itself, instead of the name of a counters file.
    pub(crate) counters: Option<Arc<CountersText>>,
    /// Fields with intervals of their own.
    pub(crate) groups: Arc<[PaceGroup]>,
    /// What has no effect here, each as `file:line: key`.
    pub(crate) ignored: Vec<String>,
    /// Whether it has no text but comments, as while it is written. `{}` is not empty.
    pub(crate) is_empty: bool,
}

/// The value of a flag.
#[derive(Clone)]
pub(crate) struct Entry {
    pub(crate) row: &'static Row,
    /// As it would be typed.
    pub(crate) text: String,
    /// The line, from 1 on.
    pub(crate) line: u64,
    /// The key as it is written.
    pub(crate) key: String,
}

impl ConfigFile {
    /// Adds the value of a flag.
    ///
    /// # Errors
    ///
    /// The mistake in the value, or that the flag has one already.
    pub(super) fn add(&mut self, entry: Entry, check: CheckedRow) -> Result<()> {
        let Entry { row, line, ref key, ref text } = entry;
        if let Some(first) = self.entries.iter().find(|entry| std::ptr::eq(entry.row, row)) {
            let (before, at) = (&first.key, first.line);
            bail!(
                "{}: is set already, by `{before}` in line {at}; leave one of them out",
                self.at(line, key)
            );
        }
        (check.meaning)(Some(OsStr::new(text))).with_context(|| self.at(line, key))?;
        self.entries.push(entry);
        Ok(())
    }

    /// A place in the file, as messages name it.
    pub(crate) fn at(&self, line: u64, key: &str) -> Place {
        Place { path: self.path.clone(), line, key: key.to_owned() }
    }

    /// The file.
    pub(crate) fn path(&self) -> &Path {
        &self.path
    }

    /// Whether it sets anything.
    pub(crate) fn has_settings(&self) -> bool {
        !self.entries.is_empty() || self.counters.is_some() || !self.groups.is_empty()
    }

    /// The value of a flag.
    pub(crate) fn get(&self, row: &Row) -> Option<&Entry> {
        self.entries.iter().find(|entry| std::ptr::eq(entry.row, row))
    }

    /// Takes the values of flags that need a restart from the file as it was.
    pub(crate) fn keep_from(&mut self, before: &Self) {
        self.entries.retain(|entry| !entry.row.waits_for_restart());
        let kept = before.entries.iter().filter(|entry| entry.row.waits_for_restart());
        self.entries.extend(kept.cloned());
    }
}

/// A place in a configuration file: `heatsink.yaml:3: collect-interval`.
pub(crate) struct Place {
    path: PathBuf,
    line: u64,
    key: String,
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}:{}: {}", self.path.display(), self.line, self.key)
    }
}

/// The flags that can be in a file.
pub(super) fn settable() -> impl Iterator<Item = CheckedRow> {
    flags::checked().filter(|checked| checked.row.is_of(Command::Serve))
}
