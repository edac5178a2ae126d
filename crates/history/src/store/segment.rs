//! The segment that is being written.

use std::fs::File;
use std::io::{Seek as _, SeekFrom};
use std::path::{Path, PathBuf};

use super::disk::{Disk, Failure};
use crate::files::{Name, Summary};
use crate::frame::{self, Key, Kind};
use crate::memory::{Block, Frame, LayoutFrame};
use crate::time::{Range, Time};

/// A segment is ended at the first block that begins this much later than its first one, in milliseconds.
const LENGTH_MS: i64 = 3_600_000;

/// Or at one that begins this much earlier, in milliseconds: the clock was set back. Less is the difference
/// between the time of an event and that of the row in whose interval it is.
const BACK_MS: i64 = 60_000;

/// Or once it has as many bytes.
const BYTES: u64 = 8 << 20;

/// A layout is written again after as many blocks, so that a segment whose begin is damaged can be read
/// from there on.
const BLOCKS_PER_LAYOUT: u32 = 10;

/// The segment that is being written.
#[derive(Debug)]
pub(crate) struct Segment {
    /// Its name.
    pub(crate) name: Name,
    /// Where it is.
    pub(crate) path: PathBuf,
    file: File,
    run: u64,
    /// Bytes that were written whole.
    length: u64,
    /// Whether all of them are on the medium.
    is_synced: bool,
    /// Whether it is not known what is on the medium: nothing is added then.
    pub(crate) is_broken: bool,
    start: Time,
    /// The layout that was written last, and blocks since.
    layout: u64,
    blocks_since: u32,
    summary: Summary,
}

impl Segment {
    /// Begins a segment with the layout of its first block. Its name is on the medium afterwards, so that a
    /// file of this name always begins with a frame.
    pub(crate) fn create(
        disk: &Disk,
        directory: &Path,
        name: Name,
        run: u64,
        block: &Block,
    ) -> Result<Self, Failure> {
        let path = directory.join(name.text());
        let LayoutFrame { frame: Frame { sequence: layout, bytes, .. }, .. } = &*block.layout;
        let file = disk.put(&path, bytes, false)?;
        Ok(Self {
            name,
            path,
            file,
            run,
            length: bytes.len() as u64,
            is_synced: true,
            is_broken: false,
            start: block.range.from,
            layout: *layout,
            blocks_since: 0,
            summary: Summary::default(),
        })
    }

    /// Its size.
    pub(crate) fn length(&self) -> u64 {
        self.length
    }

    /// Whether it is ended before this block.
    pub(crate) fn is_full(&self, block: &Block, max_bytes: u64) -> bool {
        let age = block.range.from.0.saturating_sub(self.start.0);
        // After a step back of the clock, too, so that names of segments are in the order of their times as
        // far as possible.
        !(-BACK_MS..LENGTH_MS).contains(&age) || self.length >= BYTES.min(max_bytes / 8)
    }

    /// Appends frames of a block, those after `written`, and of events only those after `recorded`. Nothing of them is
    /// in it if that fails.
    pub(crate) fn append(
        &mut self,
        disk: &Disk,
        block: &Block,
        written: u64,
        recorded: u64,
    ) -> Result<u64, Failure> {
        let frames = block.frames.iter().filter(|frame| {
            let is_known = frame.kind == Kind::Event && frame.sequence <= recorded;
            frame.sequence > written && !is_known
        });
        let is_begin = block.frames.first().is_some_and(|frame| frame.sequence > written);
        let mut bytes = Vec::new();
        let layout = &block.layout.frame;
        let is_due = is_begin && self.blocks_since >= BLOCKS_PER_LAYOUT;
        let has_layout = layout.sequence == self.layout && !is_due;
        if !has_layout {
            bytes.extend(&layout.bytes);
        }
        let mut summary = self.summary;
        for frame in frames {
            bytes.extend(&frame.bytes);
            let key = Key { run: self.run, sequence: frame.sequence };
            summary.content = Some(match summary.content {
                None => (frame.range, key),
                Some((range, first)) => (Range::joined(range, frame.range), first),
            });
        }
        self.write(disk, &bytes)?;
        self.summary = summary;
        self.blocks_since = match (has_layout, is_begin) {
            (false, _) => 0,
            (true, true) => self.blocks_since + 1,
            (true, false) => self.blocks_since,
        };
        self.layout = layout.sequence;
        Ok(bytes.len() as u64)
    }

    /// Appends bytes. If that fails, what was written of them is cut off again.
    fn write(&mut self, disk: &Disk, bytes: &[u8]) -> Result<(), Failure> {
        if let Err(failure) = disk.append(&mut self.file, &self.path, bytes) {
            self.cut();
            return Err(failure);
        }
        self.length += bytes.len() as u64;
        self.is_synced = false;
        Ok(())
    }

    fn cut(&mut self) {
        let cut = self.file.set_len(self.length);
        let cut = cut.and_then(|()| self.file.seek(SeekFrom::Start(self.length)));
        self.is_broken |= cut.is_err();
    }

    /// Puts it on the medium.
    pub(crate) fn sync(&mut self, disk: &Disk) -> Result<(), Failure> {
        if !self.is_synced {
            // The kernel forgets what it could not write, so that another attempt would prove nothing.
            self.is_broken = true;
            disk.sync(&self.file, &self.path)?;
            (self.is_broken, self.is_synced) = (false, true);
        }
        Ok(())
    }

    /// Ends it: nothing is added any more. Returns how many bytes that took: without them, readers look at
    /// all of it.
    pub(crate) fn end(mut self, disk: &Disk) -> u64 {
        let key = Key { run: self.run, sequence: 0 };
        let payload = self.summary.payload();
        let summary = frame::encode(Kind::Summary, key, &payload).unwrap_or_default();
        let written = self.write(disk, &summary);
        // What was appended before is synced even without it.
        let synced = self.sync(disk);
        match written.and(synced) {
            Ok(()) => summary.len() as u64,
            Err(_) => 0,
        }
    }

    /// Whether the file of its name is still this one.
    pub(crate) fn is_there(&self, disk: &Disk) -> bool {
        disk.is_there(&self.file, &self.path)
    }
}
