//! Which files are removed.
//!
//! Only files that are ours by name and by content are counted and removed: a regular file with one of our
//! names and a valid frame of this version or an earlier one.
//!
//! **By size**: the oldest segments first, then those that an open incident needs, then incidents, the oldest
//! first. The segment that is being written stays. Oldest is by number, which follows the order of recording
//! and not the clock.
//!
//! **By age**: a clock that is wrong must not cost the recording. Therefore:
//!
//! - Now is the earlier of the wall clock and of the time at the start of this run plus what has passed since
//!   on a clock that cannot be set: a step forward ages nothing.
//! - At the start the clock may be wrong as well, until time is synchronised. Nothing is removed in the first
//!   ten minutes, and then one segment in five minutes at most, which still is twelve times what is recorded.
//! - The segment that is being written and the newest one before it, an hour of recording, always stay.
//! - Segments of the future have no age, and go by size.
//!
//! Incidents have no age: they go by size alone.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Moment;

use super::disk::{Disk, Failure};
use crate::archive::Source;
use crate::files::{self, Listed, Name, Owner, Summary};
use crate::time::{Range, Time};

const FIRST_AFTER: Duration = Duration::from_secs(600);
const NEXT_AFTER: Duration = Duration::from_secs(300);

/// More segments than this are not kept: a process that is killed again and again leaves many small ones.
const MOST_SEGMENTS: usize = 2_000;

/// Removes what is too old or too much.
#[derive(Debug)]
pub(crate) struct Retention {
    max_bytes: u64,
    keep: Duration,
    /// The start of this run on both clocks, once something was recorded.
    began: Option<(Moment, Time)>,
    /// When a segment was last removed because of its age.
    aged: Option<Moment>,
    /// Files that were looked at, and whether they are ours. What they are does not change.
    known: BTreeMap<PathBuf, bool>,
}

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Kept {
    /// Bytes of our files.
    pub(crate) bytes: u64,
    /// The start of the oldest segment, as its name says.
    pub(crate) oldest: Option<Time>,
}

/// What must not be removed.
#[derive(Clone, Copy, Debug)]
pub(crate) struct InUse<'a> {
    /// The segment that is being written.
    pub(crate) current: Option<Name>,
    /// The windows of open incidents, by number.
    pub(crate) windows: &'a BTreeMap<u64, Range>,
}

impl Retention {
    /// Keeps this much, for this long.
    pub(crate) fn new(max_bytes: u64, keep: Duration) -> Self {
        Self { max_bytes, keep, began: None, aged: None, known: BTreeMap::new() }
    }

    /// Takes note of the time of what is recorded.
    pub(crate) fn observe(&mut self, now: Moment, time: Time) {
        self.began.get_or_insert((now, time));
    }

    /// Removes what is too much. `time` is that of the newest row or event.
    pub(crate) fn run(
        &mut self,
        disk: &Disk,
        directory: &Path,
        now: Moment,
        time: Option<Time>,
        in_use: InUse<'_>,
    ) -> Result<Kept, Failure> {
        let listed = files::list(directory);
        let mut listed = listed.map_err(|error| Failure::of(&error, "read", directory))?;
        self.known.retain(|path, _| listed.iter().any(|file| file.path == *path));
        listed.retain(|file| self.is_ours(&file.path));
        if let Some(old) = time.and_then(|time| self.aged_segment(now, time, &listed, in_use)) {
            self.remove(disk, &old);
            listed.retain(|file| *file != old);
            self.aged = Some(now);
        }
        let mut bytes: u64 = listed.iter().map(|file| file.bytes).sum();
        let mut segments = segments(&listed).count();
        let mut removed = Vec::new();
        for file in self.by_worth(&listed, in_use) {
            let is_segment = matches!(file.name, Name::Segment { .. });
            if bytes <= self.max_bytes && !(is_segment && segments > MOST_SEGMENTS) {
                continue;
            }
            if !self.remove(disk, file) {
                continue;
            }
            bytes -= file.bytes;
            segments -= usize::from(is_segment);
            removed.push(file.name);
        }
        let kept = listed.iter().filter(|file| !removed.contains(&file.name));
        let starts = kept.filter_map(|file| match file.name {
            Name::Segment { start, .. } => Some(start),
            Name::Incident { .. } => None,
        });
        Ok(Kept { bytes, oldest: starts.min() })
    }

    /// Removes a file. One that cannot be removed is not counted as ours any more, so that others go instead.
    fn remove(&mut self, disk: &Disk, file: &Listed) -> bool {
        let removed = disk.remove(&file.path);
        if let Err(failure) = &removed {
            tracing::warn!("{}", failure.what);
            self.known.insert(file.path.clone(), false);
        }
        removed.is_ok()
    }

    fn is_ours(&mut self, path: &Path) -> bool {
        if let Some(is_ours) = self.known.get(path) {
            return *is_ours;
        }
        // One that cannot be read is looked at again.
        let Ok(owner) = files::owner(path) else {
            return false;
        };
        let is_ours = owner == Owner::Ours;
        self.known.insert(path.to_owned(), is_ours);
        is_ours
    }

    /// What may be removed, the least worth first.
    fn by_worth<'a>(&self, listed: &'a [Listed], in_use: InUse<'_>) -> Vec<&'a Listed> {
        let is_current = |file: &&Listed| Some(file.name) == in_use.current;
        let is_open = |file: &&Listed| match file.name {
            Name::Incident { number } => in_use.windows.contains_key(&number),
            Name::Segment { .. } => false,
        };
        let mut files: Vec<_> =
            listed.iter().filter(|file| !is_current(file) && !is_open(file)).collect();
        // Summaries are read only if something has to go.
        let total: u64 = listed.iter().map(|file| file.bytes).sum();
        if total > self.max_bytes && !in_use.windows.is_empty() {
            let is_needed = |file: &Listed| {
                matches!(file.name, Name::Segment { .. }) && is_needed(file, in_use.windows)
            };
            let (needed, mut rest): (Vec<_>, Vec<_>) =
                files.into_iter().partition(|file| is_needed(file));
            let incidents = rest.iter().position(|file| matches!(file.name, Name::Incident { .. }));
            let at = incidents.unwrap_or(rest.len());
            rest.splice(at..at, needed);
            files = rest;
        }
        files
    }

    /// The oldest segment, if it is too old.
    fn aged_segment(
        &self,
        now: Moment,
        time: Time,
        listed: &[Listed],
        in_use: InUse<'_>,
    ) -> Option<Listed> {
        let (began, began_time) = self.began?;
        let pause = self.aged.map_or(now - began >= FIRST_AFTER, |aged| now - aged >= NEXT_AFTER);
        if !pause {
            return None;
        }
        let time = time.min(began_time.after(now - began));
        let earlier: Vec<_> =
            segments(listed).filter(|file| Some(file.name) != in_use.current).collect();
        let (_newest, old) = earlier.split_last()?;
        let oldest = old.first()?;
        let ended = end_of(oldest)?;
        let is_old = ended.after(self.keep) < time && !is_needed(oldest, in_use.windows);
        is_old.then(|| Listed::clone(oldest))
    }
}

/// Segments by number.
fn segments(listed: &[Listed]) -> impl Iterator<Item = &Listed> {
    listed.iter().filter(|file| matches!(file.name, Name::Segment { .. }))
}

/// What a segment has.
fn range_of(file: &Listed) -> Option<Range> {
    let summary = match Summary::of_file(&file.path).ok()? {
        Some(summary) => summary,
        None => Source::load(&file.path).ok()?.summary(),
    };
    summary.content.map(|(range, _)| range)
}

/// The last time in a segment. One without anything in it is as old as its name says.
fn end_of(file: &Listed) -> Option<Time> {
    range_of(file).map(|range| range.to).or(match file.name {
        Name::Segment { start, .. } => Some(start),
        Name::Incident { .. } => None,
    })
}

/// Whether a segment has something of a window.
fn is_needed(file: &Listed, windows: &BTreeMap<u64, Range>) -> bool {
    !windows.is_empty()
        && range_of(file)
            .is_some_and(|range| windows.values().any(|window| window.overlaps(&range)))
}
