//! A directory that is locked by this process.

use std::collections::BTreeMap;
use std::fs::File;
use std::path::Path;

use super::disk::{Disk, Failure};
use super::segment::Segment;
use crate::files::{self, Marker, Name, Owner, UNFINISHED};
use crate::frame::Key;
use crate::incident::Incident;
use crate::sign::SignKind;
use crate::time::{Range, Time};

/// A directory that is locked.
#[derive(Debug)]
pub(crate) struct Directory {
    /// Holds the lock.
    lock: File,
    /// The number of the next segment.
    pub(crate) next_segment: u64,
    /// The segment that is being written.
    pub(crate) current: Option<Segment>,
    /// Bytes of files with our names when it was opened.
    pub(crate) bytes: u64,
    /// The largest number of a run then; 0 without one.
    pub(crate) largest_run: u64,
}

const LOCK: &str = "lock";

impl Directory {
    /// Makes a directory if it is not there, locks it, and removes what a killed process left half written.
    pub(crate) fn open(disk: &Disk, path: &Path) -> Result<Self, Failure> {
        if files::marker(path) == Marker::Newer {
            let what = format!("{} is a history of a later version of heatsink", path.display());
            return Err(Failure::new("newer_version", what));
        }
        disk.make_directory(path)?;
        let lock = disk.lock(&path.join(LOCK))?;
        remove_unfinished(disk, path)?;
        let listed = files::list(path).map_err(|error| Failure::of(&error, "read", path))?;
        let marker = path.join(files::MARKER);
        let has_ours = || {
            let mut owners = listed.iter().map(|file| files::owner(&file.path));
            owners.any(|owner| owner.is_ok_and(|owner| owner == Owner::Ours))
        };
        match files::marker(path) {
            Marker::Ours | Marker::Newer => {}
            Marker::None => drop(disk.put(&marker, files::marker_text().as_bytes(), false)?),
            Marker::Unreadable if !has_ours() => {
                let what = format!("{} is not of heatsink", marker.display());
                return Err(Failure::new("io", what));
            }
            Marker::Cut | Marker::Unreadable => {
                tracing::warn!("{} is damaged and is written again", marker.display());
                disk.put(&marker, files::marker_text().as_bytes(), true)?;
            }
        }
        let next_segment = files::next_number(&files::numbers(&listed, Name::segment), 0);
        let bytes = listed.iter().map(|file| file.bytes).sum();
        let largest_run = files::largest_run(&listed);
        Ok(Self { lock, next_segment, current: None, bytes, largest_run })
    }

    /// Whether it still is the directory of its name.
    pub(crate) fn is_there(&self, disk: &Disk, path: &Path) -> bool {
        disk.is_there(&self.lock, &path.join(LOCK))
            && self.current.as_ref().is_none_or(|segment| segment.is_there(disk))
    }
}

fn remove_unfinished(disk: &Disk, path: &Path) -> Result<(), Failure> {
    let listed = files::list_unfinished(path);
    for file in listed.map_err(|error| Failure::of(&error, "read", path))? {
        if files::is_unfinished(&file.path) {
            disk.remove(&file.path)?;
        }
    }
    let marker = path.join(format!("{}{UNFINISHED}", files::MARKER));
    if files::is_unfinished(&marker) {
        disk.remove(&marker)?;
    }
    Ok(())
}

/// The numbers of incidents that another run left open, and their windows.
pub(crate) fn open_incidents(path: &Path, run: u64) -> BTreeMap<u64, Range> {
    let listed = files::list(path).unwrap_or_default();
    let incidents = listed.into_iter().filter_map(|file| {
        let Name::Incident { number } = file.name else {
            return None;
        };
        let (by, incident) = left_open(&file.path, number)?;
        (by.run != run).then_some((number, incident.window))
    });
    incidents.collect()
}

/// The kinds and begins of the incidents that another run wrote.
pub(crate) fn incidents_of_others(path: &Path, run: u64) -> Vec<(SignKind, Time)> {
    let listed = files::list(path).unwrap_or_default();
    let incidents = listed.into_iter().filter(|file| file.name.incident().is_some());
    let incidents = incidents.filter_map(|file| {
        let (by, incident) = files::incident_with_key(&file.path).ok()??;
        (by.run != run).then_some((incident.kind, incident.began))
    });
    incidents.collect()
}

/// The incident of a file, if it is open, and its run and number there.
pub(crate) fn left_open(path: &Path, number: u64) -> Option<(Key, Incident)> {
    let (key, incident) = files::incident_with_key(path).ok()??;
    (!incident.is_closed && incident.number == number).then_some((key, incident))
}
