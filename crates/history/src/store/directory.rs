//! A directory that is locked by this process.

use std::fs::File;
use std::path::Path;

use super::disk::{Disk, Failure};
use super::segment::Segment;
use crate::files::{self, Marker, Name, UNFINISHED};
use crate::incident::Incident;

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
        if files::marker(path) == Marker::None {
            disk.put(&path.join(files::MARKER), files::marker_text().as_bytes(), false)?;
        }
        let listed = files::list(path).map_err(|error| Failure::of(&error, "read", path))?;
        let numbers = listed.iter().filter_map(|file| match file.name {
            Name::Segment { number, .. } => Some(number),
            Name::Incident { .. } => None,
        });
        let next_segment = numbers.max().unwrap_or_default().saturating_add(1);
        let bytes = listed.iter().map(|file| file.bytes).sum();
        Ok(Self { lock, next_segment, current: None, bytes })
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
        if file.bytes == 0 || files::is_begun(&file.path) {
            disk.remove(&file.path)?;
        }
    }
    let marker = path.join(format!("{}{UNFINISHED}", files::MARKER));
    if files::is_unfinished_marker(&marker) {
        disk.remove(&marker)?;
    }
    Ok(())
}

/// Incidents that another run left open.
pub(crate) fn open_incidents(path: &Path, run: u64) -> Vec<Incident> {
    let listed = files::list(path).unwrap_or_default();
    let incidents = listed.into_iter().filter_map(|file| {
        let Name::Incident { number } = file.name else {
            return None;
        };
        let (by, incident) = files::incident(&file.path).ok()??;
        let is_left = by != run && !incident.is_closed && incident.number == number;
        is_left.then_some(incident)
    });
    incidents.collect()
}
