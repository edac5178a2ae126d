//! An open kernel log: `/dev/kmsg`, the journal's files, or a text file.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use super::batch::{Batch, MAX_BATCH};
use super::error::LogError;
use super::journal::Journal;
use super::kmsg::Kmsg;
use super::location::LogLocation;
use super::text_file::TextLog;

/// An open log.
pub(crate) struct Log {
    kind: Kind,
    /// The first batch, which has shown that this is the kernel log.
    first: Option<Batch>,
}

enum Kind {
    Kmsg(Kmsg),
    Journal(Box<Journal>),
    Text(TextLog),
}

/// The number of the device `/dev/kmsg`. Some containers have another device under its name.
const KMSG: u64 = 1 << 8 | 11;

const JOURNAL: &str = "systemd's journal";

impl Log {
    /// Opens the log at `location`, below `root`, and returns its name, too.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, and what would make it readable.
    pub(crate) fn open(location: &LogLocation, root: &Path) -> Result<(Self, String), LogError> {
        match location {
            LogLocation::Kmsg => Self::open_kmsg(root),
            LogLocation::Journal => Self::open_journal(root),
            LogLocation::Auto => Self::open_kmsg(root).or_else(|kmsg| {
                Self::open_journal(root).map_err(|journal| LogError::Neither {
                    kmsg: Box::new(kmsg),
                    journal: Box::new(journal),
                })
            }),
            LogLocation::Path(path) => {
                let name = path.display().to_string();
                match Self::open_path(path) {
                    Ok(log) => Ok((log, name)),
                    Err(source) => Err(LogError::unreadable(&name, source)),
                }
            }
        }
    }

    fn open_path(path: &Path) -> io::Result<Self> {
        let meta = std::fs::metadata(path)?;
        if meta.is_dir() {
            let journal = Journal::open(vec![path.to_owned()], &boot_id()?)?;
            return Self::with_messages(Kind::Journal(Box::new(journal)));
        }
        if meta.file_type().is_char_device() {
            if meta.rdev() != KMSG {
                let why = "it is another device than the kernel's log";
                return Err(io::Error::new(ErrorKind::InvalidInput, why));
            }
            return Self::with_messages(Kind::Kmsg(Kmsg::open(path)?));
        }
        // A text file may just have been rotated, and so be empty.
        Ok(Self { kind: Kind::Text(TextLog::open(path)?), first: None })
    }

    /// A log that has a message of the kernel. A container's own journal has none, and neither has one
    /// of an earlier boot.
    fn with_messages(kind: Kind) -> io::Result<Self> {
        let mut log = Self { kind, first: None };
        let mut first = log.read()?;
        while first.messages.is_empty() && first.is_behind {
            let more = log.read()?;
            first = Batch { lost: first.lost + more.lost, ..more };
        }
        if first.messages.is_empty() {
            let why = "it has no message of this boot's kernel";
            return Err(io::Error::new(ErrorKind::NotFound, why));
        }
        log.first = Some(first);
        Ok(log)
    }

    fn open_kmsg(root: &Path) -> Result<(Self, String), LogError> {
        let path = root.join("dev/kmsg");
        let name = path.display().to_string();
        match Self::open_path(&path) {
            Ok(log) => Ok((log, name)),
            Err(source) => {
                let hint = " (it takes the capability CAP_SYSLOG)";
                Err(LogError::with_hint(&name, source, hint))
            }
        }
    }

    fn open_journal(root: &Path) -> Result<(Self, String), LogError> {
        let folders: Vec<PathBuf> =
            ["var/log/journal", "run/log/journal"].map(|folder| root.join(folder)).into();
        let opened = boot_id()
            .and_then(|boot| Journal::open(folders, &boot))
            .and_then(|journal| Self::with_messages(Kind::Journal(Box::new(journal))));
        match opened {
            Ok(log) => Ok((log, JOURNAL.to_owned())),
            Err(source) => {
                let hint = " (it takes the group systemd-journal)";
                Err(LogError::with_hint(JOURNAL, source, hint))
            }
        }
    }

    /// Skips what is in the log now.
    pub(crate) fn skip(&mut self) -> io::Result<()> {
        self.first = None;
        match &mut self.kind {
            Kind::Kmsg(kmsg) => kmsg.skip(),
            Kind::Text(log) => log.skip(),
            Kind::Journal(_) => {
                while self.read()?.is_behind {}
                Ok(())
            }
        }
    }

    /// What has come since the last read: about [`MAX_BATCH`] messages at most.
    pub(crate) fn read(&mut self) -> io::Result<Batch> {
        if let Some(first) = self.first.take() {
            return Ok(Batch { is_behind: true, ..first });
        }
        match &mut self.kind {
            Kind::Kmsg(kmsg) => kmsg.read(),
            Kind::Text(log) => log.read(),
            Kind::Journal(journal) => journal.read(MAX_BATCH),
        }
    }
}

/// The id of this boot, as the journal has it.
fn boot_id() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().replace('-', ""))
}
