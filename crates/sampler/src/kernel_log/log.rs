//! Where the kernel's log is read from: `/dev/kmsg`, the journal's files, or a text file.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{FileTypeExt, MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Moment;

use super::journal::Journal;
use super::{Place, kmsg, line, text};

/// How many messages are read before they are looked at.
pub(super) const MOST_AT_ONCE: usize = 200;

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
pub(super) struct Log {
    kind: Kind,
    /// What the first read brought, which has shown that it is the kernel's log.
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
            let kind = Kind::Journal(Box::new(Journal::open(vec![path.to_owned()], &boot_id()?)?));
            return Ok((Self::that_speaks(kind)?, name));
        }
        if meta.file_type().is_char_device() {
            if meta.rdev() != KMSG {
                let why = "it is another device than the kernel's log";
                return Err(io::Error::new(ErrorKind::InvalidInput, why));
            }
            return Ok((Self::that_speaks(Kind::Kmsg(Kmsg::open(path)?))?, name));
        }
        // A text file may just have been rotated, and so be empty.
        Ok((Self { kind: Kind::Text(TextLog::open(path)?), first: None }, name))
    }

    /// A log that has a message of the kernel's: a container's own journal has none, and neither has
    /// one that is left from before this boot.
    fn that_speaks(kind: Kind) -> io::Result<Self> {
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
        let opened = boot_id()
            .and_then(|boot| Journal::open(folders, &boot))
            .and_then(|journal| Self::that_speaks(Kind::Journal(Box::new(journal))));
        let log = opened.map_err(|error| {
            let hint = match error.kind() {
                ErrorKind::PermissionDenied => " (it takes the group systemd-journal)",
                _ => "",
            };
            format!("cannot read systemd's journal: {error}{hint}")
        })?;
        Ok((log, "systemd's journal".to_owned()))
    }

    /// Passes over what is in it now.
    pub(super) fn skip(&mut self) -> io::Result<()> {
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

    /// What has come since the last time, about [`MOST_AT_ONCE`] messages at most.
    pub(super) fn read(&mut self) -> io::Result<Batch> {
        if let Some(first) = self.first.take() {
            return Ok(Batch { is_behind: true, ..first });
        }
        match &mut self.kind {
            Kind::Kmsg(kmsg) => kmsg.read(),
            Kind::Text(log) => log.read(),
            Kind::Journal(journal) => {
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
pub(super) struct Kmsg<F = File> {
    file: F,
    /// The number of the last record.
    last: Option<u64>,
}

impl Kmsg {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        Ok(Self { file, last: None })
    }
}

impl<F: Read + Seek> Kmsg<F> {
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

/// A text log: lines of dmesg or of syslog, or in the format of `/dev/kmsg`, which the lines tell.
pub(super) struct TextLog {
    path: PathBuf,
    file: TextFile,
    /// The file that was there before this one, and since when it is not. What writes it may go on
    /// with it until it is told of the rotation.
    rotated: Option<(TextFile, Moment)>,
}

/// How long a file that was rotated is read on.
const ROTATION: Duration = Duration::from_secs(60);

impl TextLog {
    /// Begins where the last boot of the machine does, if the file has several.
    fn open(path: &Path) -> io::Result<Self> {
        let mut file = TextFile::open(path)?;
        let mut boot = 0;
        loop {
            let more = file.fill()?;
            for (begins, line) in file.take_lines() {
                if message_in(&line).is_some_and(|found| line::event(&found.text) == Some(BOOT)) {
                    boot = begins;
                }
            }
            if !more {
                break;
            }
        }
        file.rewind(boot)?;
        Ok(Self { path: path.to_owned(), file, rotated: None })
    }

    fn skip(&mut self) -> io::Result<()> {
        self.rotated = None;
        let end = self.file.file.metadata()?.len();
        self.file.rewind(end)
    }

    fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        if let Some((file, _)) = &mut self.rotated {
            // One that cannot be read any more has nothing more to say.
            batch.is_behind = file.read(&mut batch.messages).unwrap_or(false);
        }
        self.rotated.take_if(|(_, since)| since.elapsed() > ROTATION);
        batch.is_behind |= self.file.read(&mut batch.messages)?;
        if !batch.is_behind {
            batch.is_behind = self.is_rotated()?;
        }
        Ok(batch)
    }

    /// Whether the file was replaced or cut, so that reading goes on at the start of what is there.
    fn is_rotated(&mut self) -> io::Result<bool> {
        if self.file.is_cut()? {
            self.file.rewind(0)?;
            return Ok(true);
        }
        let ours = self.file.file.metadata()?;
        let is_ours = |now: &std::fs::Metadata| (now.dev(), now.ino()) == (ours.dev(), ours.ino());
        if std::fs::metadata(&self.path).map_or(true, |now| is_ours(&now)) {
            return Ok(false);
        }
        // A new file may not be readable yet.
        let Ok(new) = TextFile::open(&self.path) else { return Ok(false) };
        let old = std::mem::replace(&mut self.file, new);
        self.rotated = Some((old, Moment::now()));
        Ok(true)
    }
}

/// One file of a text log, read on from where it was.
struct TextFile {
    file: File,
    position: u64,
    buffer: Vec<u8>,
    /// Whether the line that has begun is too long to be the kernel's.
    skips_line: bool,
}

impl TextFile {
    fn open(path: &Path) -> io::Result<Self> {
        let file = OpenOptions::new().read(true).custom_flags(O_NONBLOCK).open(path)?;
        Ok(Self { file, position: 0, buffer: Vec::new(), skips_line: false })
    }

    fn rewind(&mut self, position: u64) -> io::Result<()> {
        self.position = self.file.seek(SeekFrom::Start(position))?;
        self.buffer.clear();
        self.skips_line = false;
        Ok(())
    }

    fn is_cut(&self) -> io::Result<bool> {
        Ok(self.file.metadata()?.len() < self.position)
    }

    /// Reads once. Says whether there may be more at once.
    fn read(&mut self, messages: &mut Vec<Message>) -> io::Result<bool> {
        let more = self.fill()?;
        let lines = self.take_lines();
        messages.extend(lines.iter().filter_map(|(_, line)| message_in(line)));
        Ok(more)
    }

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

#[cfg(test)]
mod tests {
    use std::collections::VecDeque;

    use super::*;

    /// What the device answers, read by read; then that there is no more.
    struct Device(VecDeque<Result<String, i32>>);

    impl Read for Device {
        fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
            match self.0.pop_front() {
                Some(Ok(record)) => {
                    buffer[..record.len()].copy_from_slice(record.as_bytes());
                    Ok(record.len())
                }
                Some(Err(number)) => Err(io::Error::from_raw_os_error(number)),
                None => Err(io::Error::from_raw_os_error(EAGAIN)),
            }
        }
    }

    impl Seek for Device {
        fn seek(&mut self, _: SeekFrom) -> io::Result<u64> {
            Ok(0)
        }
    }

    const EAGAIN: i32 = 11;
    const EINVAL: i32 = 22;
    const EPIPE: i32 = 32;

    fn read(answers: Vec<Result<String, i32>>) -> (Vec<String>, u64) {
        let mut kmsg = Kmsg { file: Device(answers.into()), last: None };
        let batch = kmsg.read().unwrap();
        assert!(!batch.is_behind);
        (batch.messages.into_iter().map(|message| message.text).collect(), batch.lost)
    }

    fn record(sequence: u64) -> Result<String, i32> {
        Ok(format!("4,{sequence},99,c;message {sequence}\n SUBSYSTEM=pci\n"))
    }

    #[test]
    fn what_a_ring_overran_is_counted_as_lost() {
        let (messages, lost) = read(vec![record(7), record(8), Err(EPIPE), record(12), record(13)]);
        assert_eq!(messages, ["message 7", "message 8", "message 12", "message 13"]);
        assert_eq!(lost, 3);
        // What was overwritten before this process looked is none that it lost.
        assert_eq!(read(vec![Err(EPIPE), record(900)]), (vec!["message 900".to_owned()], 0));
    }

    #[test]
    fn a_record_of_a_process_is_no_message_and_leaves_no_gap() {
        let forged = Ok("12,8,99,-;NVRM: Xid (PCI:0000:1a:00): 79".to_owned());
        let (messages, lost) = read(vec![record(7), forged, record(9)]);
        assert_eq!((messages.len(), lost), (2, 0));
    }

    #[test]
    fn a_record_that_does_not_fit_and_nonsense_cost_themselves() {
        let nonsense = Ok("\u{0}".repeat(100));
        let (messages, lost) = read(vec![record(7), Err(EINVAL), nonsense, record(20)]);
        assert_eq!((messages.len(), lost), (2, 1));
    }

    #[test]
    fn a_reader_that_is_behind_says_so() {
        let all = (0..2 * MOST_AT_ONCE as u64 + 5).map(record).collect();
        let mut kmsg = Kmsg { file: Device(all), last: None };
        let read = |kmsg: &mut Kmsg<Device>| {
            let batch = kmsg.read().unwrap();
            (batch.messages.len(), batch.is_behind, batch.lost)
        };
        assert_eq!(read(&mut kmsg), (MOST_AT_ONCE, true, 0));
        assert_eq!(read(&mut kmsg), (MOST_AT_ONCE, true, 0));
        assert_eq!(read(&mut kmsg), (5, false, 0));
    }

    #[test]
    fn a_rotated_file_is_read_on_while_it_is_written_to() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("kern.log");
        let line = |text: &str| format!("4,1,1,-;{text}\n");
        std::fs::write(&path, line("one")).unwrap();
        let mut log = TextLog::open(&path).unwrap();
        let mut all = Vec::new();
        let mut read = |log: &mut TextLog| {
            while {
                let batch = log.read().unwrap();
                all.extend(batch.messages.into_iter().map(|message| message.text));
                batch.is_behind
            } {}
            all.clone()
        };
        assert_eq!(read(&mut log), ["one"]);
        let mut old = OpenOptions::new().append(true).open(&path).unwrap();
        let write = |file: &mut File, text: &str| {
            std::io::Write::write_all(file, text.as_bytes()).unwrap();
        };
        write(&mut old, "4,2,1,-;half a ");
        read(&mut log);
        std::fs::rename(&path, folder.path().join("kern.log.1")).unwrap();
        read(&mut log);
        std::fs::write(&path, line("new")).unwrap();
        assert_eq!(read(&mut log), ["one", "new"]);
        // What writes the log has not been told of the rotation yet.
        write(&mut old, "line\n");
        assert_eq!(read(&mut log), ["one", "new", "half a line"]);
    }
}
