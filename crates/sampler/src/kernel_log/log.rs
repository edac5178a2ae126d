//! An open kernel log: `/dev/kmsg`, the journal's files, or a text file.

use std::io::{self, ErrorKind};
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::Path;

use super::batch::{Batch, MAX_BATCH};
use super::journal::Journal;
use super::kmsg::Kmsg;
use super::location::{LogError, LogLocation};
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

impl Log {
    /// Opens the log at `location`, below `root`, and returns its name, too.
    ///
    /// # Errors
    ///
    /// Why it cannot be read, and what would make it readable.
    pub(crate) fn open(location: &LogLocation, root: &Path) -> Result<(Self, String), LogError> {
        let named = |name: String, opened: io::Result<Self>, hint| match opened {
            Ok(log) => Ok((log, name)),
            Err(source) => {
                let hint = if source.kind() == ErrorKind::PermissionDenied { hint } else { "" };
                Err(LogError::Unreadable { name, source, hint })
            }
        };
        match location {
            LogLocation::Auto => Self::open(&LogLocation::Kmsg, root).or_else(|kmsg| {
                let (kmsg, journal) = (Box::new(kmsg), Self::open(&LogLocation::Journal, root));
                journal.map_err(|journal| LogError::Neither { kmsg, journal: Box::new(journal) })
            }),
            LogLocation::Kmsg => {
                let path = root.join("dev/kmsg");
                let hint = " (it takes the capability CAP_SYSLOG)";
                named(path.display().to_string(), Self::open_path(&path), hint)
            }
            LogLocation::Journal => {
                let hint = " (it takes the group systemd-journal)";
                named("systemd's journal".to_owned(), Self::open_journal(root), hint)
            }
            LogLocation::Path(path) => named(path.display().to_string(), Self::open_path(path), ""),
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

    fn open_journal(root: &Path) -> io::Result<Self> {
        let folders = ["var/log/journal", "run/log/journal"].map(|folder| root.join(folder));
        let journal = Journal::open(folders.into(), &boot_id()?)?;
        Self::with_messages(Kind::Journal(Box::new(journal)))
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
