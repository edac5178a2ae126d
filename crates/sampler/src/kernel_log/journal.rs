//! The kernel's messages as systemd-journald has stored them, read from its files.
//!
//! journald reads `/dev/kmsg` and appends to `system.journal` in a folder named after the machine's
//! id, below `/run/log/journal` early in a boot, and below `/var/log/journal` later if that exists.
//! It renames a full file to `system@….journal`, a damaged one to `….journal~`, and copies what is
//! below `/run` to `/var` once. The files `user-….journal` hold what processes of that user wrote;
//! the kernel's messages and journald's own never go there.
//!
//! The messages of one boot have a non-decreasing monotonic time across all files, even if the
//! wall clock is set. So the files are merged by it, and a copy is known by its time and its hash.
//!
//! No process can write `_TRANSPORT=kernel`: journald drops a client's fields that start with an
//! underscore. What a process writes to `/dev/kmsg` does get it, with another facility than 0, and
//! is left out here.

mod file;
mod find;
mod list;
mod object;
mod payload;
#[cfg(test)]
mod tests;

use std::cmp::Ordering;
use std::collections::BTreeSet;
use std::io::{self, ErrorKind};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::batch::{Batch, Message};
use file::{Fields, JournalFile, Transport};
use find::Folders;
use object::{Entry, Id, Pages};

/// How many entries one call may pass over beside those that it returns. They are entries of
/// earlier boots, copies, and forged ones.
const MOST_PASSED_OVER: usize = 4096;

/// How many entries of one microsecond are remembered to know their copies by.
const MOST_REMEMBERED: usize = 4096;

/// How many files that cannot be read yet are tried again at each call.
const MOST_UNREAD: usize = 16;

/// The kernel's messages of one boot in journald's files, each of them once.
pub(crate) struct Journal {
    boot: Id,
    folders: Folders,
    /// Those that may have more to read.
    files: Vec<JournalFile>,
    /// Those that are read to their end, and have got their last entry.
    done: BTreeSet<Id>,
    /// Those that could not be read; a new one is empty for a moment.
    unread: Vec<PathBuf>,
    pages: Pages,
    /// How many files have been opened.
    count: u64,
    /// By transport.
    marks: [Mark; 2],
    has_warned: bool,
}

/// How far the entries of one transport have been read.
#[derive(Default)]
struct Mark {
    /// Of the newest entry that has been read.
    monotonic: u64,
    /// The entries of that time that have been read: the hash and the number of the file.
    entries: Vec<(u64, u64)>,
}

impl Journal {
    /// The journal in `folders`: folders like `/var/log/journal`, which hold a folder for each
    /// machine, or folders of one machine. A folder need not exist yet.
    ///
    /// Containers share the machine's boot and may have folders of their own below
    /// `/var/log/journal`. Given the machine's own folder, theirs are not read.
    ///
    /// `boot` is the id of the boot in 32 hexadecimal digits, with dashes or without.
    ///
    /// # Errors
    ///
    /// - `NotFound`: there is no folder, or no journal file in it.
    /// - `PermissionDenied`: there are files, and none may be read.
    /// - `Unsupported`: the files have a format that is not known.
    /// - `InvalidInput`: `boot` is not an id.
    pub(crate) fn open(folders: Vec<PathBuf>, boot: &str) -> io::Result<Self> {
        let boot = parse_id(boot).ok_or_else(|| {
            io::Error::new(ErrorKind::InvalidInput, format!("{boot:?} is not the id of a boot"))
        })?;
        let mut journal = Self {
            boot,
            folders: Folders::new(folders),
            files: Vec::new(),
            done: BTreeSet::new(),
            unread: Vec::new(),
            pages: Pages::new(),
            count: 0,
            marks: Default::default(),
            has_warned: false,
        };
        journal.find_files()?;
        Ok(journal)
    }

    /// What has come since the last call, at most `most` messages. The first call begins with the
    /// oldest message of the boot that is still stored.
    ///
    /// Costs a handful of system calls where there is nothing new.
    ///
    /// # Errors
    ///
    /// As [`Journal::open`], where the folders or all their files are gone or no longer readable.
    /// A later call may succeed. What is wrong with one file is no error: its messages are missing.
    pub(crate) fn read(&mut self, most: usize) -> io::Result<Batch> {
        let has_none = self.files.is_empty() && self.unread.is_empty() && self.done.is_empty();
        if has_none || self.folders.have_changed() {
            self.find_files()?;
        }
        self.try_unread();
        self.look();

        let mut batch = Batch::default();
        let mut budget = most.saturating_add(MOST_PASSED_OVER);
        self.merge(Transport::Driver, &mut budget, &mut batch, usize::MAX);
        self.merge(Transport::Kernel, &mut budget, &mut batch, most);

        batch.is_behind = self.files.iter().any(JournalFile::has_more);
        let done = &mut self.done;
        self.files.retain(|file| {
            let is_done = file.is_final && !file.has_more();
            if is_done {
                done.insert(file.id);
            }
            !is_done
        });
        Ok(batch)
    }

    /// Opens the files that are new in the folders, and sees which have been renamed or removed.
    fn find_files(&mut self) -> io::Result<()> {
        let mut found = self.folders.list();
        self.unread.clear();
        let mut present = BTreeSet::new();
        for path in std::mem::take(&mut found.paths) {
            match self.add(&path) {
                Ok(id) => {
                    present.insert(id);
                }
                Err(error) => found.note(path, &error),
            }
        }
        if found.is_whole() {
            self.done.retain(|id| present.contains(id));
            for file in &mut self.files {
                // A file that has been removed gets no more entries.
                file.is_final |= !present.contains(&file.id);
            }
        }
        match found.into_error() {
            Some(error) if present.is_empty() && self.files.is_empty() => Err(error),
            _ => Ok(()),
        }
    }

    fn try_unread(&mut self) {
        for path in std::mem::take(&mut self.unread) {
            // `add` keeps what it cannot read.
            let _ = self.add(&path);
        }
    }

    /// Opens the file at `path` unless it is known by its id, which it returns.
    fn add(&mut self, path: &Path) -> io::Result<Id> {
        self.count += 1;
        let file = match JournalFile::open(path, self.count, self.boot) {
            Ok(file) => file,
            Err(error) => {
                match error.kind() {
                    ErrorKind::NotFound => {}
                    ErrorKind::Unsupported => self.warn(path),
                    _ => self.keep_unread(path),
                }
                return Err(error);
            }
        };
        let id = file.id;
        if let Some(known) = self.files.iter_mut().find(|known| known.id == id) {
            known.is_final |= file.is_final;
            known.path = file.path;
        } else if file.is_of_another_boot() {
            self.done.insert(id);
        } else if !self.done.contains(&id) {
            self.files.push(file);
        }
        Ok(id)
    }

    fn keep_unread(&mut self, path: &Path) {
        if self.unread.len() < MOST_UNREAD {
            self.unread.push(path.to_owned());
        }
    }

    /// Warns, once, of a file with a format that is not known.
    fn warn(&mut self, path: &Path) {
        if !self.has_warned {
            self.has_warned = true;
            let path = path.display();
            tracing::warn!("the kernel's messages in {path} are not read: unknown format");
        }
    }

    /// Sees what has been appended. A file that has become unreadable is opened again later.
    fn look(&mut self) {
        self.pages.clear();
        let mut unreadable = Vec::new();
        self.files.retain_mut(|file| {
            let result = file.look(&mut self.pages);
            if result.is_err() && !file.is_final {
                unreadable.push(file.path.clone());
            }
            result.is_ok()
        });
        for path in unreadable {
            self.keep_unread(&path);
        }
        // What has been read so far may be older than what has been appended.
        self.pages.clear();
    }

    /// Reads the entries of one transport in their order, until there are `most` messages.
    fn merge(&mut self, transport: Transport, budget: &mut usize, batch: &mut Batch, most: usize) {
        while batch.messages.len() < most {
            let Some((index, entry)) = self.take_earliest(transport, budget) else {
                return;
            };
            let Some(file) = self.files.get_mut(index) else {
                return;
            };
            let mark = &mut self.marks[transport as usize];
            if mark.is_copy(&entry, file.number()) {
                continue;
            }
            mark.pass(&entry, file.number());
            let Ok(fields) = file.fields(&mut self.pages, &entry, transport) else {
                continue;
            };
            match transport {
                Transport::Kernel => push_kernel(batch, fields, &entry),
                Transport::Driver => push_driver(batch, &fields),
            }
        }
    }

    /// The next entry in the order of all files; `None` at the end, or if `budget` is used up.
    fn take_earliest(
        &mut self,
        transport: Transport,
        budget: &mut usize,
    ) -> Option<(usize, Entry)> {
        let after = self.marks[transport as usize].monotonic;
        let mut earliest: Option<(usize, Id, Entry)> = None;
        for (index, file) in self.files.iter_mut().enumerate() {
            let entry = file.next_entry(&mut self.pages, transport, after, budget);
            if entry.is_none() && *budget == 0 {
                return None;
            }
            let Some(entry) = entry else {
                continue;
            };
            let is_earlier = earliest.is_none_or(|(_, sequence, than)| {
                match entry.monotonic.cmp(&than.monotonic) {
                    // Numbers of different sequences cannot be compared.
                    Ordering::Equal if file.sequence == sequence => entry.seqnum < than.seqnum,
                    order => order.is_lt(),
                }
            });
            if is_earlier {
                earliest = Some((index, file.sequence, entry));
            }
        }
        let (index, _, entry) = earliest?;
        self.files.get_mut(index)?.take(transport);
        Some((index, entry))
    }
}

impl Mark {
    /// Whether an entry with this time and hash has been read from another file. It is not from
    /// before the mark: such entries are passed.
    fn is_copy(&self, entry: &Entry, file: u64) -> bool {
        let is_copied = |&(hash, other): &(u64, u64)| hash == entry.hash && other != file;
        entry.monotonic == self.monotonic && self.entries.iter().any(is_copied)
    }

    fn pass(&mut self, entry: &Entry, file: u64) {
        if entry.monotonic > self.monotonic {
            self.monotonic = entry.monotonic;
            self.entries.clear();
        }
        if self.entries.len() < MOST_REMEMBERED {
            self.entries.push((entry.hash, file));
        }
    }
}

/// Adds an entry of the kernel.
fn push_kernel(batch: &mut Batch, fields: Fields, entry: &Entry) {
    if !fields.are_the_kernels() {
        return;
    }
    let Some(text) = fields.message else {
        batch.lost = batch.lost.saturating_add(u64::from(fields.is_incomplete));
        return;
    };
    let micros = fields.source_monotonic.unwrap_or(entry.monotonic);
    batch.messages.push(Message { at: Some(Duration::from_micros(micros)), text });
}

/// Adds an entry of journald itself.
fn push_driver(batch: &mut Batch, fields: &Fields) {
    let message = fields.message.as_deref().filter(|_| fields.has_transport);
    let count = message.and_then(missed).unwrap_or(0);
    batch.lost = batch.lost.saturating_add(count);
}

/// How many messages journald reports as missed in `/dev/kmsg`.
fn missed(message: &str) -> Option<u64> {
    message.strip_prefix("Missed ")?.strip_suffix(" kernel messages")?.parse().ok()
}

fn parse_id(text: &str) -> Option<Id> {
    let digits = text.replace('-', "");
    let is_id = digits.len() == 32 && digits.bytes().all(|byte| byte.is_ascii_hexdigit());
    u128::from_str_radix(&digits, 16).ok().filter(|_| is_id).map(u128::to_be_bytes)
}
