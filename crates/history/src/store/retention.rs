//! Which files are removed.
//!
//! Only files that are ours by name and by content are counted and removed: a regular file with one of our
//! names and a valid frame of this version or an earlier one.
//!
//! **By size**: incidents beyond half of it, then segments, then segments that an open incident needs, then
//! the other incidents, the oldest first. The segment that is being written stays. Oldest is by number, which
//! follows the order of recording and not the clock.
//!
//! **When the volume is full**, in the same order, but incidents within half of the size stay (of the volume,
//! if that is smaller), and so does the last hour of recording: other programs may need the room.
//!
//! **By age**: a clock that is wrong must not cost the recording. Therefore:
//!
//! - Now is the earlier of the wall clock and of the time at the start of this run plus what has passed since
//!   on a clock that cannot be set: a step forward ages nothing.
//! - At the start the clock may be wrong as well, until time is synchronised. Nothing is removed in the first
//!   ten minutes, and then one segment in five minutes at most, which still is twelve times what is recorded.
//! - The segment that is being written and the last hour of recording before it always stay.
//! - Segments of the future have no age, and go by size. They do not keep others, and neither does a segment
//!   that an open incident needs.
//!
//! Incidents have no age: they go by size alone.

use std::collections::{BTreeMap, BTreeSet};
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

/// The recording that always stays, in milliseconds: about an hour. A segment ends at the last block that
/// begins within an hour.
const LAST_MS: u64 = 59 * 60_000;

/// How much room is made on a full volume at once.
const ROOM: u64 = 1 << 20;

/// Incidents have at most this share of the directory.
const INCIDENTS_SHARE: u64 = 2;

/// Removes what is too old or too much.
#[derive(Debug)]
pub(crate) struct Retention {
    max_bytes: u64,
    keep: Duration,
    /// The start of this run on both clocks, once something was recorded.
    began: Option<(Moment, Time)>,
    /// When a segment was last removed because of its age.
    aged: Option<Moment>,
    /// Files that were looked at. What they are does not change.
    known: BTreeMap<PathBuf, Known>,
}

/// What is known of a file.
#[derive(Clone, Copy, Debug)]
struct Known {
    is_ours: bool,
    /// The times of a segment that is ended, once they were asked for.
    range: Option<Option<Range>>,
}

/// What is kept.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) struct Kept {
    /// Bytes of our files.
    pub(crate) bytes: u64,
    /// The start of the oldest segment, as its name says.
    pub(crate) oldest: Option<Time>,
}

/// What was removed from a full volume.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Room {
    /// What is kept.
    pub(crate) kept: Kept,
    /// The bytes that were removed.
    pub(crate) bytes: u64,
    /// The segments that were removed for the sake of room alone.
    pub(crate) segments: u64,
    /// The same of incidents.
    pub(crate) incidents: u64,
}

/// What must not be removed.
#[derive(Clone, Debug)]
pub(crate) struct InUse {
    /// The segment that is being written.
    pub(crate) current: Option<Name>,
    /// The numbers of open incidents in the directory.
    pub(crate) open: BTreeSet<u64>,
    /// Their windows.
    pub(crate) windows: Vec<Range>,
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

    /// Removes what is too old and too much. `time` is that of the newest row or event.
    pub(crate) fn run(
        &mut self,
        disk: &Disk,
        directory: &Path,
        now: Moment,
        time: Option<Time>,
        in_use: &InUse,
    ) -> Result<Kept, Failure> {
        let mut listed = self.list(directory)?;
        let old = time.and_then(|time| self.aged_segment(now, time, &listed, in_use));
        if let Some(old) = old.filter(|old| self.remove(disk, old)) {
            listed.retain(|file| *file != old);
            self.aged = Some(now);
        }
        let surplus = surplus_incidents(&listed, self.max_bytes, in_use);
        let worth = self.by_worth(&listed, self.max_bytes, &surplus, in_use);
        self.remove_surplus(disk, &mut listed, worth, self.max_bytes);
        Ok(kept(&listed))
    }

    /// Removes something, so that there is room on a full volume.
    pub(crate) fn make_room(
        &mut self,
        disk: &Disk,
        directory: &Path,
        now: Moment,
        time: Option<Time>,
        in_use: &InUse,
    ) -> Result<Room, Failure> {
        let before = kept(&self.list(directory)?).bytes;
        let after = self.run(disk, directory, now, time, in_use)?;
        if after.bytes < before {
            let bytes = before - after.bytes;
            return Ok(Room { kept: after, bytes, segments: 0, incidents: 0 });
        }
        let mut listed = self.list(directory)?;
        let limit = before.saturating_sub(ROOM);
        // Not of what is left, which shrinks with each attempt.
        let size = disk.volume_bytes(directory).map_or(self.max_bytes, |of| of.min(self.max_bytes));
        let surplus = surplus_incidents(&listed, size, in_use);
        let mut worth = self.by_worth(&listed, limit, &surplus, in_use);
        let last = self.last_hour(&listed, in_use);
        worth.retain(|file| match file.name {
            Name::Segment { .. } => !last.contains(&file.name) && !self.is_needed(file, in_use),
            Name::Incident { .. } => surplus.contains(&file.name),
        });
        let removed = self.remove_surplus(disk, &mut listed, worth, limit);
        let kept = kept(&listed);
        let segments =
            removed.iter().filter(|name| matches!(name, Name::Segment { .. })).count() as u64;
        let incidents = removed.len() as u64 - segments;
        Ok(Room { kept, bytes: before.saturating_sub(kept.bytes), segments, incidents })
    }

    /// Our files.
    fn list(&mut self, directory: &Path) -> Result<Vec<Listed>, Failure> {
        let listed = files::list(directory);
        let mut listed = listed.map_err(|error| Failure::of(&error, "read", directory))?;
        let paths: BTreeSet<&Path> = listed.iter().map(|file| &*file.path).collect();
        self.known.retain(|path, _| paths.contains(&**path));
        listed.retain(|file| self.is_ours(&file.path));
        Ok(listed)
    }

    /// Removes files until there is not too much. Returns which ones.
    fn remove_surplus(
        &mut self,
        disk: &Disk,
        listed: &mut Vec<Listed>,
        worth: Vec<Listed>,
        max_bytes: u64,
    ) -> BTreeSet<Name> {
        let mut bytes = total(listed);
        let mut segments = segments(listed).count();
        let mut removed = BTreeSet::new();
        for file in worth {
            let is_segment = matches!(file.name, Name::Segment { .. });
            let is_surplus = bytes > max_bytes || (is_segment && segments > MOST_SEGMENTS);
            if is_surplus && self.remove(disk, &file) {
                bytes -= file.bytes;
                segments -= usize::from(is_segment);
                removed.insert(file.name);
            }
        }
        listed.retain(|file| !removed.contains(&file.name));
        removed
    }

    /// Removes a file. One that cannot be removed is not counted as ours any more, so that others go instead.
    fn remove(&mut self, disk: &Disk, file: &Listed) -> bool {
        let removed = disk.remove(&file.path);
        if let Err(failure) = &removed {
            tracing::warn!("{}", failure.what);
            self.known.insert(file.path.clone(), Known { is_ours: false, range: None });
        }
        removed.is_ok()
    }

    fn is_ours(&mut self, path: &Path) -> bool {
        if let Some(known) = self.known.get(path) {
            return known.is_ours;
        }
        // One that cannot be read is looked at again.
        let Ok(owner) = files::owner(path) else {
            return false;
        };
        let is_ours = owner == Owner::Ours;
        self.known.insert(path.to_owned(), Known { is_ours, range: None });
        is_ours
    }

    /// What may be removed, the least worth first: these incidents before all others.
    fn by_worth(
        &mut self,
        listed: &[Listed],
        max_bytes: u64,
        surplus: &BTreeSet<Name>,
        in_use: &InUse,
    ) -> Vec<Listed> {
        let may_go = |file: &&Listed| match file.name {
            Name::Segment { .. } => Some(file.name) != in_use.current,
            Name::Incident { number } => !in_use.open.contains(&number),
        };
        // Summaries are read only if something has to go.
        let is_asked = total(listed) > max_bytes;
        let mut files: Vec<_> = listed.iter().filter(may_go).cloned().collect();
        files.sort_by_cached_key(|file| match file.name {
            Name::Incident { .. } if surplus.contains(&file.name) => 0,
            Name::Segment { .. } if is_asked && self.is_needed(file, in_use) => 2,
            Name::Segment { .. } => 1,
            Name::Incident { .. } => 3,
        });
        files
    }

    /// The oldest segment that is too old.
    fn aged_segment(
        &mut self,
        now: Moment,
        time: Time,
        listed: &[Listed],
        in_use: &InUse,
    ) -> Option<Listed> {
        let (began, began_time) = self.began?;
        let pause = self.aged.map_or(now - began >= FIRST_AFTER, |aged| now - aged >= NEXT_AFTER);
        if !pause {
            return None;
        }
        let time = time.min(began_time.after(now - began));
        let last = self.last_hour(listed, in_use);
        let keep = self.keep;
        let mut earlier = segments(listed)
            .filter(|file| Some(file.name) != in_use.current && !last.contains(&file.name));
        let old = earlier.find(|file| {
            let is_old = self.end_of(file).is_some_and(|ended| ended.after(keep) < time);
            is_old && !self.is_needed(file, in_use)
        });
        old.cloned()
    }

    /// The segments with the last hour of recording before the one that is being written, whatever its times
    /// are.
    fn last_hour(&mut self, listed: &[Listed], in_use: &InUse) -> BTreeSet<Name> {
        let mut last = BTreeSet::new();
        let mut length: u64 = 0;
        let earlier: Vec<_> =
            segments(listed).filter(|file| Some(file.name) != in_use.current).collect();
        for file in earlier.into_iter().rev() {
            if length >= LAST_MS {
                break;
            }
            let range = self.range_of(file);
            length =
                length.saturating_add(range.map_or(0, |range| range.to.0.abs_diff(range.from.0)));
            last.insert(file.name);
        }
        last
    }

    /// What a segment has that is not written any more.
    fn range_of(&mut self, file: &Listed) -> Option<Range> {
        let known = self.known.get_mut(&file.path)?;
        if let Some(range) = known.range {
            return range;
        }
        let range = range_of(file)?;
        known.range = Some(range);
        range
    }

    /// The last time in a segment. One without anything in it is as old as its name says.
    fn end_of(&mut self, file: &Listed) -> Option<Time> {
        self.range_of(file).map(|range| range.to).or(match file.name {
            Name::Segment { start, .. } => Some(start),
            Name::Incident { .. } => None,
        })
    }

    /// Whether a segment has something of the window of an open incident.
    fn is_needed(&mut self, file: &Listed, in_use: &InUse) -> bool {
        !in_use.windows.is_empty()
            && self
                .range_of(file)
                .is_some_and(|range| in_use.windows.iter().any(|window| window.overlaps(&range)))
    }
}

/// The oldest incidents, as many as are beyond the share of incidents.
fn surplus_incidents(listed: &[Listed], max_bytes: u64, in_use: &InUse) -> BTreeSet<Name> {
    let is_closed = |file: &Listed| match file.name {
        Name::Incident { number } => !in_use.open.contains(&number),
        Name::Segment { .. } => false,
    };
    let incidents = || listed.iter().filter(|file| matches!(file.name, Name::Incident { .. }));
    let mut bytes: u64 = incidents().map(|file| file.bytes).sum();
    let mut surplus = BTreeSet::new();
    for file in incidents().filter(|file| is_closed(file)) {
        if bytes <= max_bytes / INCIDENTS_SHARE {
            break;
        }
        bytes -= file.bytes;
        surplus.insert(file.name);
    }
    surplus
}

fn total(listed: &[Listed]) -> u64 {
    listed.iter().map(|file| file.bytes).sum()
}

fn kept(listed: &[Listed]) -> Kept {
    let starts = listed.iter().filter_map(|file| match file.name {
        Name::Segment { start, .. } => Some(start),
        Name::Incident { .. } => None,
    });
    Kept { bytes: total(listed), oldest: starts.min() }
}

/// Segments by number.
fn segments(listed: &[Listed]) -> impl Iterator<Item = &Listed> {
    listed.iter().filter(|file| matches!(file.name, Name::Segment { .. }))
}

/// What a segment has; nothing if it cannot be read now.
fn range_of(file: &Listed) -> Option<Option<Range>> {
    let summary = match Summary::of_file(&file.path).ok()? {
        Some(summary) => summary,
        None => Source::load(&file.path).ok()?.summary(),
    };
    Some(summary.content.map(|(range, _)| range))
}
