//! Reads a directory, while heatsink writes it or when it does not.
//!
//! Files may overlap: an incident has copies of frames that are in segments, too, and what could not be
//! synced was written again. All files together are one sequence of frames, in the order of their names, and
//! each frame is read once, from whichever file has it whole.

mod merge;
mod source;

use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::event::Event;
use crate::files::{self, Listed, Marker, Name, Owner, Summary};
use crate::frame::{Key, Kind};
use crate::incident::Incident;
use crate::memory::Memory;
use crate::recording::{Damage, Item, ReadError, Recording, UnreadIncident};
use crate::replay::Replay;
use crate::time::Range;

pub(crate) use self::merge::{Merge, Merged};
pub(crate) use self::source::Source;

/// A directory with segments and incidents. Reading changes nothing in it.
#[derive(Clone, Debug)]
pub struct Archive {
    directory: PathBuf,
}

impl Archive {
    /// Opens a directory for reading.
    ///
    /// # Errors
    ///
    /// If it cannot be read, or holds no history. What may be a history and cannot be read is an error of reading.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let archive = Self { directory: directory.to_owned() };
        let files = archive.list()?;
        let owners = files.iter().map(|file| (file.path.as_path(), files::owner(&file.path)));
        let marker = (&*directory.join(files::MARKER), files::read_marker(directory));
        match is_history(marker, owners) {
            Ok(true) => Ok(archive),
            Ok(false) => Err(ReadError::NotAHistory { path: directory.display().to_string() }),
            Err((path, source)) => Err(ReadError::Io { path: path.display().to_string(), source }),
        }
    }

    fn list(&self) -> Result<Vec<Listed>, ReadError> {
        files::list(&self.directory)
            .map_err(|source| ReadError::Io { path: self.directory.display().to_string(), source })
    }

    /// What is in a file: as its summary says, or, if it has none, by reading all of it.
    fn summary(file: &Listed) -> io::Result<Summary> {
        match Summary::of_file(&file.path)? {
            Some(summary) => Ok(summary),
            None => Source::load(&file.path).map(|source| source.summary()),
        }
    }

    /// The frames of a range, those before `before`, in order, and what could not be read of them.
    pub(crate) fn frames(
        &self,
        range: Range,
        before: Option<Key>,
        visit: &mut dyn FnMut(Merged<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let mut damage = Damage::default();
        let mut waiting = Vec::new();
        for file in self.list()? {
            let summary = match Self::summary(&file) {
                Ok(summary) => summary,
                Err(error) => {
                    damage.bytes += files::unreadable(&file.path, &error);
                    continue;
                }
            };
            match summary.content {
                Some((of_file, first)) => {
                    let is_wanted = before.is_none_or(|before| first < before);
                    if is_wanted && of_file.overlaps(&range) {
                        waiting.push((first, file.path));
                    }
                }
                // Of a later version, damaged, or without anything in it.
                None => match files::owner(&file.path) {
                    Ok(Owner::Newer) => damage.newer_files.push(file.name.text()),
                    Ok(Owner::Ours) if matches!(file.name, Name::Segment { .. }) => {
                        damage.bytes += match Source::load(&file.path) {
                            Ok(file) => file.damaged,
                            Err(error) => files::unreadable(&file.path, &error),
                        };
                    }
                    _ => {}
                },
            }
        }
        let mut merge = Merge::new(range, before, waiting);
        // Ended early or not: what was read until then was read.
        let _ = merge.run(visit);
        damage.bytes += merge.damaged();
        Ok(damage)
    }

    /// Hands out what was recorded before `before`.
    pub(crate) fn replay(
        &self,
        before: Option<Key>,
        replay: &mut Replay<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let mut flow = ControlFlow::Continue(());
        let damage = self.frames(replay.range(), before, &mut |merged| {
            let payload = merged.source.payload(merged.entry);
            flow = match merged.entry.kind {
                Kind::Rows => replay.rows(merged.entry.key.run, payload, merged.layout),
                _ => replay.event(payload),
            };
            flow
        })?;
        replay.damage.bytes += damage.bytes;
        replay.damage.newer_files.extend(damage.newer_files);
        Ok(flow)
    }

    /// Calls `take` with each incident, or why it cannot be read, the one with the largest number first, until it
    /// breaks. Only one of them is in memory at a time. Returns how many there are.
    ///
    /// # Errors
    ///
    /// If the directory cannot be read.
    pub(crate) fn visit_incidents(
        &self,
        take: &mut dyn FnMut(Result<Incident, UnreadIncident>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        self.visit_incidents_with(&Memory::default(), u64::MAX, take)
    }

    /// The same, from the number `largest` down, with the incidents of memory, which has the newest state of its
    /// own. One that is in the directory has its number from there; another gets the next one if its own is
    /// taken.
    pub(crate) fn visit_incidents_with(
        &self,
        memory: &Memory,
        largest: u64,
        take: &mut dyn FnMut(Result<Incident, UnreadIncident>) -> ControlFlow<()>,
    ) -> Result<usize, ReadError> {
        let mut files = BTreeMap::new();
        for file in self.list()? {
            if let Name::Incident { number } = file.name {
                files.insert(number, file.path);
            }
        }
        let of_memory = numbered(memory, &files);
        let numbers: BTreeSet<u64> = files.keys().chain(of_memory.keys()).copied().collect();
        for number in numbers.range(..=largest).rev() {
            let incident = match (of_memory.get(number), files.get(number)) {
                (Some(incident), _) => Ok(Incident::clone(incident)),
                (None, Some(path)) => match incident(*number, path) {
                    Some(incident) => incident,
                    None => continue,
                },
                (None, None) => continue,
            };
            if take(incident.map(|incident| Incident { number: *number, ..incident })).is_break() {
                break;
            }
        }
        Ok(numbers.len())
    }

    /// The incidents of the directory and of memory, the oldest first.
    pub(crate) fn incidents_with(&self, memory: &Memory) -> Result<Vec<Incident>, ReadError> {
        let mut all = Vec::new();
        self.visit_incidents_with(memory, u64::MAX, &mut |incident| {
            all.extend(incident);
            ControlFlow::Continue(())
        })?;
        all.reverse();
        Ok(all)
    }
}

/// Whether a directory with this marker and files of these owners is a history that can be read: it has a file of
/// ours, or the marker says so. Otherwise the first file that cannot be read, and why: it may be ours.
fn is_history<'a>(
    marker: (&'a Path, io::Result<Marker>),
    owners: impl IntoIterator<Item = (&'a Path, io::Result<Owner>)>,
) -> Result<bool, (&'a Path, io::Error)> {
    let mut failed = None;
    for (path, owner) in owners {
        match owner {
            Ok(Owner::Ours | Owner::Newer) => return Ok(true),
            Ok(Owner::Unknown) => {}
            // It was removed since.
            Err(error) if error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => drop(failed.get_or_insert((path, error))),
        }
    }
    match (marker, failed) {
        (_, Some(failed)) => Err(failed),
        ((_, Ok(marker)), None) => Ok(marker.is_of_history()),
        ((path, Err(error)), None) => Err((path, error)),
    }
}

/// The incident of a file, or why it cannot be read; `None` if it was removed since.
fn incident(number: u64, path: &Path) -> Option<Result<Incident, UnreadIncident>> {
    match files::incident(path) {
        Ok(Some(incident)) => Some(Ok(incident)),
        Ok(None) if matches!(files::owner(path), Ok(Owner::Newer)) => {
            Some(Err(UnreadIncident::Newer(number)))
        }
        Ok(None) => Some(Err(UnreadIncident::Damaged(number))),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(source) => Some(Err(UnreadIncident::Io { number, source })),
    }
}

/// The incidents of memory by the numbers that they have beside these files.
fn numbered<'a>(
    memory: &'a Memory,
    files: &BTreeMap<u64, PathBuf>,
) -> BTreeMap<u64, &'a Arc<Incident>> {
    let mut numbered = BTreeMap::new();
    let Some(first) = memory.incidents.first().map(|incident| incident.number) else {
        return numbered;
    };
    // One that is stored under another number has a larger one there.
    let stored = files.range(first..).filter_map(|(number, path)| {
        let (kind, key) = files::first_key(path).ok()??;
        (kind == Some(Kind::Incident) && key.run == memory.run).then_some((key.sequence, *number))
    });
    let stored: BTreeMap<u64, u64> = stored.collect();
    let mut last = files.last_key_value().map_or(0, |(last, _)| *last);
    for incident in &memory.incidents {
        let own = incident.number;
        let number = match stored.get(&own) {
            Some(number) => *number,
            None if files.contains_key(&own) || numbered.contains_key(&own) => {
                last.saturating_add(1)
            }
            None => own,
        };
        last = last.max(number);
        numbered.insert(number, incident);
    }
    numbered
}

impl Recording for Archive {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let mut replay = Replay::new(range, take);
        // Ended early or not: what was read until then was read.
        let _ = self.replay(None, &mut replay)?;
        Ok(replay.damage)
    }

    /// Without the rows between them, which would have to be decoded.
    fn events(
        &self,
        range: Range,
        take: &mut dyn FnMut(&Event) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        let mut take_event = |item: Item<'_>| match item {
            Item::Event(event) => take(event),
            Item::Layout(_) | Item::Row(_) => ControlFlow::Continue(()),
        };
        let mut replay = Replay::new(range, &mut take_event);
        let read = self.frames(range, None, &mut |merged| match merged.entry.kind {
            Kind::Event => replay.event(merged.source.payload(merged.entry)),
            _ => ControlFlow::Continue(()),
        });
        read.map(drop)
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        self.incidents_with(&Memory::default())
    }

    fn unread_incidents(&self) -> Result<Vec<UnreadIncident>, ReadError> {
        let mut unread = Vec::new();
        self.visit_incidents(&mut |incident| {
            unread.extend(incident.err());
            ControlFlow::Continue(())
        })?;
        unread.reverse();
        Ok(unread)
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        let files = self.list()?;
        let summaries = files.iter().filter_map(|file| Self::summary(file).ok());
        let ranges = summaries.filter_map(|summary| Some(summary.content?.0));
        Ok(ranges.reduce(Range::joined))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_cannot_be_read_is_not_taken_for_something_else() {
        let (marker, one, other) = (Path::new("marker"), Path::new("one"), Path::new("other"));
        let denied = || io::Error::from(io::ErrorKind::PermissionDenied);
        let gone = || io::Error::from(io::ErrorKind::NotFound);
        let told = |says: io::Result<Marker>, owners: Vec<io::Result<Owner>>| {
            let told = is_history((marker, says), [one, other].into_iter().zip(owners));
            told.map_err(|(path, error)| (path, error.kind()))
        };
        let hidden = |path| Err((path, io::ErrorKind::PermissionDenied));
        // All files are of a group of which the reader is not.
        assert_eq!(told(Err(denied()), vec![Err(denied()), Err(denied())]), hidden(one));
        assert_eq!(told(Err(denied()), Vec::new()), hidden(marker));
        assert_eq!(told(Ok(Marker::Ours), vec![Err(denied())]), hidden(one));
        assert_eq!(told(Ok(Marker::None), vec![Ok(Owner::Unknown), Err(denied())]), hidden(other));
        // What can be read is read, and the rest of it is damage.
        assert_eq!(told(Err(denied()), vec![Err(denied()), Ok(Owner::Ours)]), Ok(true));
        assert_eq!(told(Ok(Marker::Ours), vec![Ok(Owner::Unknown), Err(gone())]), Ok(true));
        assert_eq!(told(Ok(Marker::Newer), Vec::new()), Ok(true));
        assert_eq!(told(Ok(Marker::None), vec![Ok(Owner::Unknown), Err(gone())]), Ok(false));
    }
}
