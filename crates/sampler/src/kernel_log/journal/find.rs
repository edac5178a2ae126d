//! Where journald's files are, and whether one has come, gone or been renamed.

use std::fmt::Write as _;
use std::fs;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Two changes of a folder that are closer together may have the same modification time.
const COARSEST_TIME: Duration = Duration::from_secs(2);

/// The folders that journald's files are in.
pub(super) struct Folders {
    roots: Vec<PathBuf>,
    /// The roots and the folders of machines below them, and when each was changed last.
    listed: Vec<(PathBuf, Option<SystemTime>)>,
    /// Whether a change since the last listing would show.
    is_settled: bool,
}

/// The files that a listing found, and why some cannot be read.
#[derive(Default)]
pub(super) struct Found {
    pub(super) paths: Vec<PathBuf>,
    roots: Vec<PathBuf>,
    denied: Option<PathBuf>,
    unsupported: Option<PathBuf>,
    has_damaged: bool,
    /// Whether a folder could not be listed.
    is_partial: bool,
}

impl Folders {
    pub(super) fn new(roots: Vec<PathBuf>) -> Self {
        Self { roots, listed: Vec::new(), is_settled: false }
    }

    /// Whether a file may have come, gone or been renamed since the last listing.
    pub(super) fn have_changed(&self) -> bool {
        !self.is_settled || self.listed.iter().any(|(folder, time)| changed_at(folder) != *time)
    }

    /// The files with journald's own messages and the kernel's in all folders.
    pub(super) fn list(&mut self) -> Found {
        let mut found = Found { roots: self.roots.clone(), ..Found::default() };
        let now = SystemTime::now();
        self.listed.clear();
        for root in &self.roots {
            let mut folders = vec![root.clone()];
            // Before its files are listed, so that what is changed meanwhile is seen next time.
            self.listed.push((root.clone(), changed_at(root)));
            for entry in entries(root, &mut found) {
                if is_id(&entry) && entry.is_dir() {
                    self.listed.push((entry.clone(), changed_at(&entry)));
                    folders.push(entry);
                }
            }
            for folder in folders {
                let files = entries(&folder, &mut found);
                found.paths.extend(files.into_iter().filter(|file| is_journal(file)));
            }
        }
        self.is_settled = !found.is_partial
            && self.listed.iter().all(|(_, time)| {
                time.is_none_or(|time| {
                    let age = now.duration_since(time).unwrap_or_else(|error| error.duration());
                    age > COARSEST_TIME
                })
            });
        found
    }
}

impl Found {
    /// Notes why the file at `path` cannot be read.
    pub(super) fn note(&mut self, path: PathBuf, error: &io::Error) {
        match error.kind() {
            ErrorKind::NotFound => {}
            ErrorKind::PermissionDenied => self.denied = Some(path),
            ErrorKind::Unsupported => self.unsupported = Some(path),
            _ => self.has_damaged = true,
        }
    }

    /// Whether a file that has not been found is not there.
    pub(super) fn is_whole(&self) -> bool {
        !self.is_partial
    }

    /// Why nothing can be read, if that is so and nothing is to be expected.
    pub(super) fn into_error(self) -> Option<io::Error> {
        if let Some(path) = self.denied {
            let text = format!(
                "{}: permission denied; root and the group systemd-journal may read it",
                path.display()
            );
            return Some(io::Error::new(ErrorKind::PermissionDenied, text));
        }
        if let Some(path) = self.unsupported {
            let text = format!("{}: a format of journal file that is not known", path.display());
            return Some(io::Error::new(ErrorKind::Unsupported, text));
        }
        // A file that is damaged or not complete yet may be followed by one that is.
        if self.has_damaged {
            return None;
        }
        let mut text = "no system.journal".to_owned();
        for (index, root) in self.roots.iter().enumerate() {
            let word = if index == 0 { "in" } else { "or" };
            // Writing to a string does not fail.
            let _ = write!(text, " {word} {}", root.display());
        }
        Some(io::Error::new(ErrorKind::NotFound, text))
    }
}

fn changed_at(folder: &Path) -> Option<SystemTime> {
    fs::metadata(folder).and_then(|metadata| metadata.modified()).ok()
}

fn entries(folder: &Path, found: &mut Found) -> Vec<PathBuf> {
    match fs::read_dir(folder) {
        Ok(entries) => entries.flatten().map(|entry| entry.path()).collect(),
        Err(error) => {
            found.is_partial |= error.kind() != ErrorKind::NotFound;
            found.note(folder.to_owned(), &error);
            Vec::new()
        }
    }
}

/// Whether a folder is a machine's. A journal namespace has a suffix, and no kernel's messages.
fn is_id(folder: &Path) -> bool {
    let name = folder.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    name.len() == 32 && name.bytes().all(|byte| byte.is_ascii_hexdigit())
}

/// Whether a file may have kernel messages: `system.journal`, `system@….journal`, `….journal~`.
/// A link or a pipe is not journald's.
fn is_journal(file: &Path) -> bool {
    let name = file.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let stem = name.strip_suffix('~').unwrap_or(name).strip_suffix(".journal");
    stem.is_some_and(|stem| stem == "system" || stem.starts_with("system@"))
        && fs::symlink_metadata(file).is_ok_and(|metadata| metadata.is_file())
}
