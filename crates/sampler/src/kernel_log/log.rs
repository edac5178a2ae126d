//! Where the kernel's log is read from: `/dev/kmsg`, the journal's files, or a text file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use super::journal::Journal;
use super::{Place, kmsg, line, text};

/// How many messages are read before they are looked at.
const MOST_AT_ONCE: usize = 1000;

/// The kernel's records are at most 2 KiB long before they are escaped; a longer line of a file is
/// none of them.
const LONGEST_LINE: usize = 16 * 1024;

/// `open`'s flag for reads that do not wait, as Linux has it on x86-64 and aarch64.
const O_NONBLOCK: i32 = 0o4000;

/// One of the kernel's messages.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Message {
    /// Since the machine was started, without suspend; none where the log does not say.
    pub(super) at: Option<Duration>,
    pub(super) text: String,
}

/// What one read brought.
#[derive(Default)]
pub(super) struct Batch {
    pub(super) messages: Vec<Message>,
    /// How many were lost before they could be read.
    pub(super) lost: u64,
    /// Whether more can be read at once.
    pub(super) is_behind: bool,
}

/// An open log.
pub(super) enum Log {
    Kmsg(Kmsg),
    Journal(Journal),
    Text(TextLog),
}

impl Log {
    /// Opens the log at `place`, below `root`. Says what it is called, too.
    ///
    /// # Errors
    ///
    /// One line that says why it cannot be read, and what would make it readable.
    pub(super) fn open(place: &Place, root: &Path) -> Result<(Self, String), String> {
        match place {
            Place::Kmsg => Self::kmsg(root),
            Place::Journal => Self::journal(root),
            Place::Auto => Self::kmsg(root).or_else(|no_kmsg| {
                Self::journal(root).map_err(|no_journal| format!("{no_kmsg}; {no_journal}"))
            }),
            Place::Path(path) => {
                Self::at(path).map_err(|error| format!("cannot read {}: {error}", path.display()))
            }
        }
    }

    fn at(path: &Path) -> io::Result<(Self, String)> {
        let name = path.display().to_string();
        let meta = std::fs::metadata(path)?;
        if meta.is_dir() {
            return Ok((Self::Journal(Journal::open(vec![path.to_owned()], &boot_id()?)?), name));
        }
        if meta.file_type().is_char_device() {
            return Ok((Self::Kmsg(Kmsg::open(path)?), name));
        }
        Ok((Self::Text(TextLog::open(path)?), name))
    }

    fn kmsg(root: &Path) -> Result<(Self, String), String> {
        let path = root.join("dev/kmsg");
        Self::at(&path).map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => " (it takes the capability CAP_SYSLOG)",
                _ => "",
            };
            format!("cannot read {}: {error}{hint}", path.display())
        })
    }

    fn journal(root: &Path) -> Result<(Self, String), String> {
        let folders: Vec<PathBuf> =
            ["var/log/journal", "run/log/journal"].map(|folder| root.join(folder)).into();
        let opened = boot_id().and_then(|boot| Journal::open(folders, &boot));
        let journal = opened.map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => " (it takes the group systemd-journal)",
                _ => "",
            };
            format!("cannot read systemd's journal: {error}{hint}")
        })?;
        Ok((Self::Journal(journal), "systemd's journal".to_owned()))
    }

    /// Passes over what is in it now.
    pub(super) fn skip(&mut self) -> io::Result<()> {
        match self {
            Self::Kmsg(kmsg) => kmsg.skip(),
            Self::Text(log) => log.skip(),
            Self::Journal(_) => {
                while self.read()?.is_behind {}
                Ok(())
            }
        }
    }

    /// What has come since the last time.
    pub(super) fn read(&mut self) -> io::Result<Batch> {
        match self {
            Self::Kmsg(kmsg) => kmsg.read(),
            Self::Text(log) => log.read(),
            Self::Journal(journal) => {
                let read = journal.read(MOST_AT_ONCE)?;
                let messages = read.messages.into_iter();
                let messages =
                    messages.map(|found| Message { at: Some(found.at), text: found.text });
                Ok(Batch {
                    messages: messages.collect(),
                    lost: read.lost,
                    is_behind: read.is_behind,
                })
            }
        }
    }
}

/// This boot's id, as the journal has it.
fn boot_id() -> io::Result<String> {
    let text = std::fs::read_to_string("/proc/sys/kernel/random/boot_id")?;
    Ok(text.trim().replace('-', ""))
}

/// The device `/dev/kmsg`: one record a read, in order, from the oldest that the kernel still has.
pub(super) struct Kmsg {
    file: File,
    /// The number of the last record.
    last: Option<u64>,
}

impl Kmsg {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        Ok(Self { file, last: None })
    }

    fn skip(&mut self) -> io::Result<()> {
        self.last = None;
        self.file.seek(SeekFrom::End(0)).map(drop)
    }

    fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        let mut buffer = [0; 8192];
        for _ in 0..MOST_AT_ONCE {
            let count = match self.file.read(&mut buffer) {
                Ok(0) => return Ok(batch),
                Ok(count) => count,
                Err(error) => match error.kind() {
                    ErrorKind::WouldBlock => return Ok(batch),
                    // The kernel has overwritten what was not read in time; the next read goes on
                    // after it, and the gap in the numbers says how much that was.
                    ErrorKind::BrokenPipe | ErrorKind::Interrupted => continue,
                    // A record that does not fit is passed over, and all before it is read.
                    ErrorKind::InvalidInput => {
                        batch.lost += 1;
                        self.skip()?;
                        continue;
                    }
                    _ => return Err(error),
                },
            };
            let text = String::from_utf8_lossy(&buffer[..count]);
            let Some(record) = kmsg::parse(&text) else { continue };
            let next = self.last.map(|last| last + 1);
            batch.lost += next.map_or(0, |next| record.sequence.saturating_sub(next));
            self.last = Some(record.sequence);
            if record.is_kernel {
                batch.messages.push(Message { at: Some(record.at), text: record.message });
            }
        }
        batch.is_behind = true;
        Ok(batch)
    }
}

/// A text file: lines of dmesg or of syslog, or in the format of `/dev/kmsg`, which the lines tell.
pub(super) struct TextLog {
    path: PathBuf,
    file: File,
    position: u64,
    buffer: Vec<u8>,
    /// Whether the line that has begun is too long to be the kernel's.
    skips_line: bool,
}

impl TextLog {
    /// Begins where the last boot of the machine does, if the file has several.
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        let mut log = Self {
            path: path.to_owned(),
            file,
            position: 0,
            buffer: Vec::new(),
            skips_line: false,
        };
        let mut boot = 0;
        loop {
            let more = log.fill()?;
            for (begins, line) in log.take_lines() {
                if message_in(&line).is_some_and(|found| line::event(&found.text) == Some(BOOT)) {
                    boot = begins;
                }
            }
            if !more {
                break;
            }
        }
        log.rewind(boot)?;
        Ok(log)
    }

    fn rewind(&mut self, position: u64) -> io::Result<()> {
        self.position = self.file.seek(SeekFrom::Start(position))?;
        self.buffer.clear();
        self.skips_line = false;
        Ok(())
    }

    fn skip(&mut self) -> io::Result<()> {
        let end = self.file.metadata()?.len();
        self.rewind(end)
    }

    fn read(&mut self) -> io::Result<Batch> {
        let more = self.fill()?;
        let lines = self.take_lines();
        let messages = lines.iter().filter_map(|(_, line)| message_in(line)).collect();
        let is_behind = more || self.was_rotated()?;
        Ok(Batch { messages, lost: 0, is_behind })
    }

    /// Whether the file was replaced or cut, so that reading goes on at its start.
    fn was_rotated(&mut self) -> io::Result<bool> {
        let Ok(now) = std::fs::metadata(&self.path) else { return Ok(false) };
        let ours = self.file.metadata()?;
        if (now.dev(), now.ino()) != (ours.dev(), ours.ino()) {
            // What was written to the old one after the last read.
            if self.fill()? {
                return Ok(true);
            }
            *self = Self {
                file: OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(&self.path)?,
                path: std::mem::take(&mut self.path),
                position: 0,
                buffer: Vec::new(),
                skips_line: false,
            };
            return Ok(true);
        }
        if ours.len() < self.position {
            self.rewind(0)?;
            return Ok(true);
        }
        Ok(false)
    }

    /// Reads once. Says whether there may be more at once.
    fn fill(&mut self) -> io::Result<bool> {
        let mut chunk = [0; 8192];
        match self.file.read(&mut chunk) {
            Ok(0) => Ok(false),
            Ok(count) => {
                self.position += count as u64;
                self.buffer.extend_from_slice(&chunk[..count]);
                Ok(true)
            }
            Err(error) => match error.kind() {
                ErrorKind::WouldBlock => Ok(false),
                ErrorKind::Interrupted => Ok(true),
                _ => Err(error),
            },
        }
    }

    /// The whole lines, without their ends, each with its place in the file. Those that are too long
    /// are left out.
    fn take_lines(&mut self) -> Vec<(u64, String)> {
        let mut lines = Vec::new();
        let mut begins = 0;
        let start = self.position - self.buffer.len() as u64;
        while let Some(length) = self.buffer[begins..].iter().position(|byte| *byte == b'\n') {
            let line = &self.buffer[begins..begins + length];
            if !std::mem::take(&mut self.skips_line) && length <= LONGEST_LINE {
                lines.push((start + begins as u64, String::from_utf8_lossy(line).into_owned()));
            }
            begins += length + 1;
        }
        self.buffer.drain(..begins);
        if self.buffer.len() > LONGEST_LINE {
            self.buffer.clear();
            self.skips_line = true;
        }
        lines
    }
}

const BOOT: line::Event = line::Event::Boot;

/// The kernel's message in a line of a file.
fn message_in(line: &str) -> Option<Message> {
    if kmsg::is_record(line) {
        let record = kmsg::parse(line)?;
        return record.is_kernel.then_some(Message { at: Some(record.at), text: record.message });
    }
    Some(Message { at: None, text: text::message(line)?.to_owned() })
}
