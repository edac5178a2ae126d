//! What is done to a directory, and how it fails.

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, Write as _};
use std::os::unix::fs::{DirBuilderExt as _, MetadataExt as _, OpenOptionsExt as _};
use std::path::{Path, PathBuf};

use rustix::fs::{CWD, FlockOperation, RenameFlags, flock, renameat_with, statvfs};
use rustix::io::Errno;

use crate::files::{self, UNFINISHED};

/// For its owner and its group.
const DIRECTORY_MODE: u32 = 0o750;
const FILE_MODE: u32 = 0o640;

/// How many names are tried for a file that is being written.
const UNFINISHED_NAMES: u8 = 16;

/// Why something could not be written.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The word that it is counted under.
    pub(crate) reason: &'static str,
    /// What failed, in a sentence without its end.
    pub(crate) what: String,
}

impl Failure {
    /// One that is no error of the system.
    pub(crate) fn new(reason: &'static str, what: impl Into<String>) -> Self {
        Self { reason, what: what.into() }
    }

    /// An error of the system with this file.
    pub(crate) fn of(error: &io::Error, doing: &str, path: &Path) -> Self {
        let reason = match Errno::from_io_error(error) {
            Some(Errno::NOSPC | Errno::DQUOT | Errno::FBIG) => "full",
            Some(Errno::ROFS) => "read_only",
            Some(Errno::ACCESS | Errno::PERM) => "not_permitted",
            Some(Errno::NOENT | Errno::NOTDIR | Errno::STALE) => "missing",
            _ => "io",
        };
        Self { reason, what: format!("cannot {doing} {}: {error}", path.display()) }
    }
}

/// The file system; in tests it fails on demand.
#[derive(Clone, Default, Debug)]
pub(crate) struct Disk {
    #[cfg(test)]
    pub(crate) faults: std::sync::Arc<std::sync::Mutex<Faults>>,
}

/// What fails.
#[cfg(test)]
#[derive(Default, Debug)]
pub(crate) struct Faults {
    /// The bytes that can still be written, and the error after them.
    pub(crate) write: Option<(usize, Errno)>,
    /// The error of the next sync.
    pub(crate) sync: Option<Errno>,
    /// The bytes that are left on a small volume.
    pub(crate) volume: Option<u64>,
    /// The size of a small volume.
    pub(crate) capacity: Option<u64>,
    /// The error of making files whose names begin like this.
    pub(crate) create: Option<(&'static str, Errno)>,
    /// The error of changes to the directory.
    pub(crate) directory: Option<Errno>,
}

#[cfg(test)]
impl Disk {
    fn faults(&self) -> std::sync::MutexGuard<'_, Faults> {
        self.faults.lock().expect("no test panics meanwhile")
    }
}

impl Disk {
    /// Makes a directory and those above it, if they are not there.
    pub(crate) fn make_directory(&self, path: &Path) -> Result<(), Failure> {
        self.check_directory()
            .and_then(|()| DirBuilder::new().recursive(true).mode(DIRECTORY_MODE).create(path))
            .map_err(|error| Failure::of(&error, "make", path))
    }

    /// Locks a file for this process; it is made if it is not there. The lock ends with the file that is
    /// returned.
    pub(crate) fn lock(&self, path: &Path) -> Result<File, Failure> {
        let mut options = OpenOptions::new();
        options.read(true).write(true).create(true).truncate(false).mode(FILE_MODE);
        let file = self.check_directory().and_then(|()| options.open(path));
        let file = file.map_err(|error| Failure::of(&error, "open", path))?;
        match flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => Ok(file),
            Err(Errno::WOULDBLOCK) => {
                let directory = path.parent().unwrap_or(path).display();
                Err(Failure::new("locked", format!("another process writes to {directory}")))
            }
            Err(error) => Err(Failure::of(&error.into(), "lock", path)),
        }
    }

    /// Makes a file that is not there yet.
    fn create(&self, path: &Path) -> io::Result<File> {
        #[cfg(test)]
        if let Some((begin, error)) = self.faults().create
            && path.file_name().is_some_and(|name| name.to_string_lossy().starts_with(begin))
        {
            return Err(error.into());
        }
        self.check_directory().and_then(|()| {
            OpenOptions::new().write(true).create_new(true).mode(FILE_MODE).open(path)
        })
    }

    /// Makes the file under which another one is written. What of ours is in its place is removed; beside
    /// something else it gets a number.
    fn create_unfinished(&self, path: &Path) -> Result<(PathBuf, File), Failure> {
        let mut number = 0;
        loop {
            let mut unfinished = path.as_os_str().to_owned();
            if number > 0 {
                unfinished.push(format!(".{number}"));
            }
            unfinished.push(UNFINISHED);
            let unfinished = PathBuf::from(unfinished);
            let mut created = self.create(&unfinished);
            let is_taken = |created: &io::Result<File>| {
                created.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::AlreadyExists)
            };
            if is_taken(&created)
                && files::is_unfinished(&unfinished)
                && self.remove(&unfinished).is_ok()
            {
                created = self.create(&unfinished);
            }
            number += 1;
            if is_taken(&created) && number < UNFINISHED_NAMES {
                continue;
            }
            return match created {
                Ok(file) => Ok((unfinished, file)),
                Err(error) => Err(Failure::of(&error, "make", &unfinished)),
            };
        }
    }

    /// Appends to a file.
    pub(crate) fn append(&self, file: &mut File, path: &Path, bytes: &[u8]) -> Result<(), Failure> {
        self.write(file, bytes).map_err(|error| Failure::of(&error, "write", path))
    }

    #[cfg(not(test))]
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        file.write_all(bytes)
    }

    #[cfg(test)]
    fn write(&self, file: &mut File, bytes: &[u8]) -> io::Result<()> {
        if let Some(left) = &mut self.faults().volume {
            *left = left.checked_sub(bytes.len() as u64).ok_or(Errno::NOSPC)?;
        }
        if let Some((left, error)) = &mut self.faults().write {
            let count = bytes.len().min(*left);
            file.write_all(&bytes[..count])?;
            *left -= count;
            return if count < bytes.len() { Err((*error).into()) } else { Ok(()) };
        }
        file.write_all(bytes)
    }

    /// Makes a file with this content, or replaces one if it may. It has either all of it or what it had.
    pub(crate) fn put(
        &self,
        path: &Path,
        bytes: &[u8],
        may_replace: bool,
    ) -> Result<File, Failure> {
        let (unfinished, mut file) = self.create_unfinished(path)?;
        let unfinished = unfinished.as_path();
        let directory = path.parent().unwrap_or(path);
        let put = self
            .append(&mut file, unfinished, bytes)
            .and_then(|()| self.sync(&file, unfinished))
            .and_then(|()| match may_replace {
                true => self.rename_over(unfinished, path),
                false => self.rename_new(unfinished, path),
            })
            .and_then(|()| self.sync_directory(directory));
        if let Err(failure) = put {
            // If it has its name already, it is whole.
            let _ = self.remove(unfinished);
            return Err(failure);
        }
        Ok(file)
    }

    /// Puts what was written to a file on the medium.
    pub(crate) fn sync(&self, file: &File, path: &Path) -> Result<(), Failure> {
        #[cfg(test)]
        if let Some(error) = self.faults().sync.take() {
            return Err(Failure::of(&error.into(), "sync", path));
        }
        file.sync_data().map_err(|error| Failure::of(&error, "sync", path))
    }

    /// Puts the names of a directory on the medium.
    fn sync_directory(&self, path: &Path) -> Result<(), Failure> {
        let file = File::open(path).map_err(|error| Failure::of(&error, "open", path))?;
        file.sync_all().map_err(|error| Failure::of(&error, "sync", path))
    }

    /// Gives a file its name, and replaces nothing.
    fn rename_new(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        let renamed = match renameat_with(CWD, from, CWD, to, RenameFlags::NOREPLACE) {
            // Some file systems have no such call.
            Err(Errno::INVAL | Errno::NOSYS) if !to.exists() => fs::rename(from, to),
            result => result.map_err(io::Error::from),
        };
        renamed.map_err(|error| Failure::of(&error, "make", to))
    }

    /// Gives a file its name, in place of the one that had it.
    fn rename_over(&self, from: &Path, to: &Path) -> Result<(), Failure> {
        fs::rename(from, to).map_err(|error| Failure::of(&error, "replace", to))
    }

    /// Removes a file.
    pub(crate) fn remove(&self, path: &Path) -> Result<(), Failure> {
        #[cfg(test)]
        if let Some(left) = &mut self.faults().volume {
            *left += fs::metadata(path).map_or(0, |metadata| metadata.len());
        }
        self.check_directory()
            .and_then(|()| fs::remove_file(path))
            .map_err(|error| Failure::of(&error, "remove", path))
    }

    /// The size of the volume that has a directory; `None` if it is not known.
    pub(crate) fn volume_bytes(&self, directory: &Path) -> Option<u64> {
        #[cfg(test)]
        if let Some(bytes) = self.faults().capacity {
            return Some(bytes);
        }
        let volume = statvfs(directory).ok()?;
        let bytes = volume.f_blocks.saturating_mul(volume.f_frsize);
        // Some file systems do not say.
        (bytes > 0).then_some(bytes)
    }

    /// Whether the file is still the one of this name.
    pub(crate) fn is_there(&self, file: &File, path: &Path) -> bool {
        let of_file = file.metadata().ok();
        let of_path = fs::symlink_metadata(path).ok();
        let id = |metadata: fs::Metadata| (metadata.dev(), metadata.ino());
        of_file.is_some() && of_file.map(id) == of_path.map(id)
    }

    #[cfg(not(test))]
    #[expect(clippy::unused_self, reason = "the same as in tests")]
    fn check_directory(&self) -> io::Result<()> {
        Ok(())
    }

    #[cfg(test)]
    fn check_directory(&self) -> io::Result<()> {
        self.faults().directory.map_or(Ok(()), |error| Err(error.into()))
    }
}
