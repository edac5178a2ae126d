//! Writes segments and incidents to a directory, and removes the oldest ones.
//!
//! | name | content |
//! |---|---|
//! | `heatsink-history` | the version of the directory |
//! | `lock` | locked by the process that writes |
//! | `segment-START-NUMBER.heatsink` | an hour of frames; START is a time in milliseconds |
//! | `incident-NUMBER.heatsink` | an incident, and the frames of its window once it is closed |
//!
//! A file gets its name when its begin is on the medium. A segment is only appended to, and only by the
//! process that began it. What cannot be written stays in memory and is written later, as far as it is still
//! there.

mod directory;
mod disk;
mod previous;
mod retention;
mod segment;
#[cfg(test)]
mod tests;
mod window;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Moment, StoreView};

use self::directory::Directory;
pub(crate) use self::disk::Disk;
use self::disk::Failure;
pub(crate) use self::previous::{Previous, previous};
use self::retention::{InUse, Retention};
use self::segment::Segment;
use crate::files::{self, Name};
use crate::incident::Incident;
use crate::memory::{Block, Memory};
use crate::time::{Range, Time};

/// Where and how much.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct StoreSettings {
    /// The directory. It is made if it is not there.
    pub directory: PathBuf,
    /// The most bytes in it.
    pub max_bytes: u64,
    /// The age at which segments are removed.
    pub keep: Duration,
}

/// What is not urgent is synced this often.
const SYNC: Duration = Duration::from_secs(60);

/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// How often it is looked for what is too old.
const RETAIN: Duration = Duration::from_secs(60);

/// The window of an incident takes at most this share of the directory, and at most as many bytes.
const WINDOW_SHARE: u64 = 4;
const WINDOW_BYTES: u64 = 64 << 20;

/// The directory.
#[derive(Debug)]
pub(crate) struct Store {
    settings: StoreSettings,
    run: u64,
    disk: Disk,
    /// The directory, while it is locked.
    open: Option<Directory>,
    retention: Retention,
    /// The time of the last call.
    now: Moment,
    /// The last frame that was written, and the last one that was synced.
    written: u64,
    synced: u64,
    last_sync: Option<Moment>,
    last_retention: Option<Moment>,
    retry_at: Option<Moment>,
    /// Incidents that have to be written.
    incidents: BTreeMap<u64, Arc<Incident>>,
    /// The numbers of this run's incidents, and the windows of those that are open.
    own_incidents: BTreeSet<u64>,
    windows: BTreeMap<u64, Range>,
    /// The reason of the last failure, until something succeeds.
    failing: Option<&'static str>,
    view: StoreView,
}

impl Store {
    /// A store for this run. Nothing is written before something was recorded.
    pub(crate) fn new(settings: StoreSettings, run: u64, disk: Disk) -> Self {
        let retention = Retention::new(settings.max_bytes, settings.keep);
        let mut store = Self {
            settings,
            run,
            disk,
            open: None,
            retention,
            now: Moment::BOOT,
            written: 0,
            synced: 0,
            last_sync: None,
            last_retention: None,
            retry_at: None,
            incidents: BTreeMap::new(),
            own_incidents: BTreeSet::new(),
            windows: BTreeMap::new(),
            failing: None,
            view: StoreView::default(),
        };
        let opened = store.open_directory();
        store.finish(store.now, opened);
        // What was wrong is tried again with the first rows.
        store.retry_at = None;
        store
    }

    /// What the page shows.
    pub(crate) fn view(&self) -> &StoreView {
        &self.view
    }

    /// Writes what of the memory was not written yet.
    pub(crate) fn write(&mut self, now: Moment, memory: &Memory, is_urgent: bool) {
        self.now = now;
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let result = self.try_write(now, memory, is_urgent);
        self.finish(now, result);
    }

    /// Writes the newest state of an incident.
    pub(crate) fn put_incident(&mut self, incident: &Arc<Incident>, memory: &Memory) {
        let number = incident.number;
        match incident.is_closed {
            true => self.windows.remove(&number),
            false => self.windows.insert(number, incident.window),
        };
        self.incidents.insert(number, Arc::clone(incident));
        self.write(self.now, memory, false);
    }

    /// Counts the rows of a block that memory drops, if they were not written.
    pub(crate) fn forget(&mut self, block: &Block) {
        block.frames.iter().for_each(|frame| self.forget_rows(frame.sequence, frame.rows));
    }

    /// Counts the rows of a frame that memory drops, if it was not written.
    pub(crate) fn forget_rows(&mut self, sequence: u64, rows: u32) {
        if sequence > self.written {
            self.count_lost(u64::from(rows));
        }
    }

    /// Counts rows that memory has dropped before they were written.
    pub(crate) fn count_lost(&mut self, rows: u64) {
        self.view.rows_lost += rows;
    }

    /// Writes and syncs all, ends the segment and gives the directory free.
    pub(crate) fn close(&mut self, memory: &Memory) {
        let result = self.try_write(self.now, memory, true);
        self.finish(self.now, result);
        if let Some(open) = self.open.take() {
            let ended = open.current.map_or(0, |segment| segment.end(&self.disk));
            self.count(ended);
        }
        memory.blocks.iter().for_each(|block| self.forget(block));
    }

    fn try_write(&mut self, now: Moment, memory: &Memory, is_urgent: bool) -> Result<(), Failure> {
        self.check_directory()?;
        self.write_frames(memory)?;
        let is_due = self.last_sync.is_none_or(|last| now - last >= SYNC);
        if is_urgent || is_due {
            self.sync(now)?;
        }
        self.write_incidents(memory)?;
        if let Some(range) = memory.blocks.last().map(|block| block.range) {
            self.retention.observe(now, range.to);
        }
        let is_due = self.last_retention.is_none_or(|last| now - last >= RETAIN);
        if is_due || self.view.bytes > self.settings.max_bytes {
            self.retain(now, memory)?;
        }
        Ok(())
    }

    /// Opens the directory, unless it is open and still the one of its name.
    fn check_directory(&mut self) -> Result<(), Failure> {
        if let Some(open) = &self.open {
            let is_there = open.is_there(&self.disk, &self.settings.directory);
            if !is_there {
                let directory = self.settings.directory.display();
                return Err(Failure::new(
                    "missing",
                    format!("{directory} was removed or replaced while it was written"),
                ));
            }
            return Ok(());
        }
        self.open_directory()
    }

    fn open_directory(&mut self) -> Result<(), Failure> {
        let path = &self.settings.directory;
        let directory = Directory::open(&self.disk, path)?;
        self.view.bytes = directory.bytes;
        self.open = Some(directory);
        // A killed run left them open. Their windows are copied from its segments.
        for incident in directory::open_incidents(path, self.run) {
            self.own_incidents.insert(incident.number);
            let closed = Incident { is_closed: true, ..incident };
            self.incidents.insert(closed.number, Arc::new(closed));
        }
        Ok(())
    }

    fn write_frames(&mut self, memory: &Memory) -> Result<(), Failure> {
        for block in &memory.blocks {
            let (Some(first), Some(last)) = (block.frames.first(), block.frames.last()) else {
                continue;
            };
            if last.sequence > self.written {
                self.write_block(block, first.sequence, last.sequence)?;
            }
        }
        Ok(())
    }

    fn write_block(&mut self, block: &Block, first: u64, last: u64) -> Result<(), Failure> {
        let Some(open) = &mut self.open else {
            return Ok(());
        };
        let mut bytes = 0;
        let full = open.current.as_mut().filter(|segment| {
            first > self.written && segment.is_full(block, self.settings.max_bytes)
        });
        if let Some(full) = full {
            full.sync(&self.disk)?;
            self.synced = self.written;
            bytes += open.current.take().map_or(0, |full| full.end(&self.disk));
        }
        let (segment, from) = match &mut open.current {
            Some(segment) => (segment, self.written),
            current => {
                let name = Name::Segment { number: open.next_segment, start: block.range.from };
                open.next_segment = open.next_segment.saturating_add(1);
                let directory = &self.settings.directory;
                let segment = Segment::create(&self.disk, directory, name, self.run, block)?;
                bytes += segment.length();
                // All of the block, which cannot be read from its middle on.
                (current.insert(segment), 0)
            }
        };
        bytes += segment.append(&self.disk, block, from)?;
        self.written = last;
        self.count(bytes);
        Ok(())
    }

    fn sync(&mut self, now: Moment) -> Result<(), Failure> {
        if let Some(segment) = self.open.as_mut().and_then(|open| open.current.as_mut()) {
            segment.sync(&self.disk)?;
        }
        self.synced = self.written;
        self.last_sync = Some(now);
        self.view.last_sync = Some(SystemTime::now());
        Ok(())
    }

    fn write_incidents(&mut self, memory: &Memory) -> Result<(), Failure> {
        while let Some((number, incident)) = self
            .incidents
            .first_key_value()
            .map(|(number, incident)| (*number, Arc::clone(incident)))
        {
            self.write_incident(&incident, memory)?;
            self.incidents.remove(&number);
        }
        Ok(())
    }

    fn write_incident(&mut self, incident: &Incident, memory: &Memory) -> Result<(), Failure> {
        let directory = &self.settings.directory;
        let name = Name::Incident { number: incident.number };
        let path = directory.join(name.text());
        if !self.own_incidents.contains(&incident.number) {
            // Another process took the number, before this one got the directory. What is no file of ours
            // is not replaced either.
            let is_taken = std::fs::symlink_metadata(&path).is_ok()
                && !matches!(files::incident(&path), Ok(Some((run, _))) if run == self.run);
            if is_taken {
                tracing::warn!(
                    "incident {} is kept in memory alone: {} is of another run",
                    incident.number,
                    path.display()
                );
                *self.view.errors.entry("number_taken").or_default() += 1;
                return Ok(());
            }
        }
        let most = (self.settings.max_bytes / WINDOW_SHARE).min(WINDOW_BYTES);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let memory = incident.is_closed.then_some(memory);
        let Some(bytes) = window::file(incident, self.run, directory, memory, most) else {
            return Ok(());
        };
        self.disk.put(&path, &bytes, true)?;
        self.own_incidents.insert(incident.number);
        self.count(bytes.len() as u64);
        Ok(())
    }

    fn retain(&mut self, now: Moment, memory: &Memory) -> Result<(), Failure> {
        let current = self.open.as_ref().and_then(|open| open.current.as_ref());
        let in_use = InUse { current: current.map(|segment| segment.name), windows: &self.windows };
        let time = memory.blocks.last().map(|block| block.range.to);
        let directory = &self.settings.directory;
        let kept = self.retention.run(&self.disk, directory, now, time, in_use)?;
        self.view.bytes = kept.bytes;
        self.view.oldest = kept.oldest.map(Time::to_system);
        self.last_retention = Some(now);
        Ok(())
    }

    fn count(&mut self, bytes: u64) {
        self.view.bytes += bytes;
        self.view.bytes_written += bytes;
    }

    /// Takes note of how an attempt ended.
    fn finish(&mut self, now: Moment, result: Result<(), Failure>) {
        let directory = self.settings.directory.display();
        let Err(Failure { reason, what }) = result else {
            if self.failing.take().is_some() {
                tracing::info!("the history is written to {directory} again");
            }
            (self.retry_at, self.view.is_writable) = (None, true);
            return;
        };
        self.retry_at = Some(now + RETRY);
        self.view.is_writable = false;
        *self.view.errors.entry(reason).or_default() += 1;
        if self.failing.replace(reason) != Some(reason) {
            tracing::warn!("{what}; the history is kept in memory alone until it can be written");
        }
        let current = self.open.as_mut().map(|open| &mut open.current);
        if reason == "missing" {
            // What was in the directory is gone with it. Memory has the last hour.
            self.open = None;
            (self.written, self.synced) = (0, 0);
        } else if let Some(current) = current {
            // It is written again to a new segment, from what was synced on.
            if current.take_if(|segment| segment.is_broken).is_some() {
                self.written = self.synced;
            }
        }
    }
}
