//! A text log that is followed while it is written, rotated or cut.

use std::fs::{File, OpenOptions};
use std::io::{self, ErrorKind, Read, Seek, SeekFrom};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::time::Duration;

use model::Moment;

use super::batch::{Batch, Message};
use super::kmsg::{self, O_NONBLOCK};
use super::line::{self, Event};
use super::text;

/// The kernel's records are at most 2 KiB long before they are escaped; a longer line of a file is
/// none of them.
const LONGEST_LINE: usize = 16 * 1024;

/// A text log: lines of dmesg or of syslog, or records of `/dev/kmsg`, distinguished line by line.
pub(crate) struct TextLog {
    path: PathBuf,
    file: TextFile,
    /// The file before the last rotation, and when that was. Its writer may go on with it for a while.
    rotated: Option<(TextFile, Moment)>,
}

/// How long a rotated file is read on.
const ROTATION: Duration = Duration::from_secs(60);

impl TextLog {
    /// Begins with the last boot of the machine, if the file has several.
    pub(crate) fn open(path: &Path) -> io::Result<Self> {
        let mut file = TextFile::open(path)?;
        let mut boot = 0;
        loop {
            let more = file.fill()?;
            for (begins, line) in file.take_lines() {
                if message_in(&line)
                    .is_some_and(|found| line::event(&found.text) == Some(Event::Boot))
                {
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

    pub(crate) fn skip(&mut self) -> io::Result<()> {
        self.rotated = None;
        let end = self.file.file.metadata()?.len();
        self.file.rewind(end)
    }

    pub(crate) fn read(&mut self) -> io::Result<Batch> {
        let mut batch = Batch::default();
        if let Some((file, _)) = &mut self.rotated {
            // A rotated file that cannot be read any more is done.
            batch.is_behind = file.read(&mut batch.messages).unwrap_or(false);
        }
        self.rotated.take_if(|(_, since)| since.elapsed() > ROTATION);
        batch.is_behind |= self.file.read(&mut batch.messages)?;
        if !batch.is_behind {
            batch.is_behind = self.is_rotated()?;
        }
        Ok(batch)
    }

    /// Whether the file was replaced or cut. Then reading goes on at the start of what is there now.
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

    /// Reads once. Returns whether there may be more at once.
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
    use super::*;

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
        // The writer has not opened the new file yet.
        write(&mut old, "line\n");
        assert_eq!(read(&mut log), ["one", "new", "half a line"]);
    }
}
