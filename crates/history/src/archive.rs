//! Reads a directory, while heatsink writes it or when it does not.
//!
//! Files may overlap: an incident has copies of frames that are in segments, too, and what could not be
//! synced was written again. All files together are one sequence of frames, in the order of their names, and
//! each frame is read once, from whichever file has it whole.

mod merge;
mod source;

use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::path::{Path, PathBuf};

use crate::files::{self, Listed, Name, Owner, Summary};
use crate::frame::{Key, Kind};
use crate::incident::Incident;
use crate::memory::Memory;
use crate::recording::{Damage, Item, ReadError, Recording};
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
    /// If it cannot be read, or holds no history.
    pub fn open(directory: &Path) -> Result<Self, ReadError> {
        let archive = Self { directory: directory.to_owned() };
        let is_ours =
            |file: &Listed| files::owner(&file.path).is_ok_and(|owner| owner != Owner::Nobody);
        let files = archive.list()?;
        if !files::marker(directory).is_of_history() && !files.iter().any(is_ours) {
            return Err(ReadError::NotAHistory { path: directory.display().to_string() });
        }
        Ok(archive)
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
            // A file that is gone was removed after its turn, or replaced.
            let Ok(summary) = Self::summary(&file) else {
                continue;
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
                        damage.bytes += Source::load(&file.path).map_or(0, |file| file.damaged);
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

    /// The newest state of each incident by number, and the run that had it, with its number there.
    pub(crate) fn incidents_by_number(&self) -> Result<BTreeMap<u64, (Key, Incident)>, ReadError> {
        let mut incidents = BTreeMap::new();
        for file in self.list()? {
            let Name::Incident { number } = file.name else {
                continue;
            };
            if let Ok(Some((key, incident))) = files::incident(&file.path) {
                incidents.insert(number, (key, Incident { number, ..incident }));
            }
        }
        Ok(incidents)
    }

    /// The incidents of the directory and of memory, which has the newest state of its own. One that is in
    /// the directory has its number from there; another gets the next one if its own is taken.
    pub(crate) fn incidents_with(&self, memory: &Memory) -> Result<Vec<Incident>, ReadError> {
        let mut all = self.incidents_by_number()?;
        let stored: BTreeMap<_, _> = all.iter().map(|(number, (key, _))| (*key, *number)).collect();
        for incident in &memory.incidents {
            let key = Key { run: memory.run, sequence: incident.number };
            let next = || all.last_key_value().map_or(1, |(last, _)| last.saturating_add(1));
            let number = match stored.get(&key) {
                Some(number) => *number,
                None if all.contains_key(&key.sequence) => next(),
                None => key.sequence,
            };
            all.insert(number, (key, Incident { number, ..Incident::clone(incident) }));
        }
        Ok(all.into_values().map(|(_, incident)| incident).collect())
    }
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

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(self.incidents_by_number()?.into_values().map(|(_, incident)| incident).collect())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        let files = self.list()?;
        let summaries = files.iter().filter_map(|file| Self::summary(file).ok());
        let ranges = summaries.filter_map(|summary| Some(summary.content?.0));
        Ok(ranges.reduce(Range::joined))
    }
}
