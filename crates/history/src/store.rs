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
mod incidents;
mod previous;
mod retention;
mod segment;
#[cfg(test)]
mod tests;
mod window;

use std::borrow::Cow;
use std::collections::VecDeque;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use model::{Moment, StoreView};

use self::directory::Directory;
pub(crate) use self::disk::Disk;
use self::disk::Failure;
use self::incidents::{Queue, Waiting};
pub(crate) use self::previous::{Previous, previous};
use self::retention::{InUse, Kept, Retention, Room};
use self::segment::Segment;
use crate::files::Name;
use crate::frame::Key;
use crate::incident::Incident;
use crate::memory::{Block, Memory, Run};
use crate::time::Time;

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

/// What is not urgent is synced once this time has passed. That is found with the next frames, a few seconds later,
/// so that at most a minute is lost.
const SYNC: Duration = Duration::from_secs(50);

/// The pause after a failure.
const RETRY: Duration = Duration::from_secs(10);

/// How often it is looked for what is too old.
const RETAIN: Duration = Duration::from_secs(60);

/// How many incidents are tried at once if there is no room for them: larger ones come later.
const MOST_FULL: usize = 8;

/// Another process that is further ahead than this has another clock.
const SAME_CLOCK: Duration = Duration::from_secs(60);

/// The word for a directory to which another process writes.
const LOCKED: &str = "locked";

/// The window of an incident takes at most this share of the directory, and at most as many bytes.
const WINDOW_SHARE: u64 = 4;
const WINDOW_BYTES: u64 = 8 << 20;

/// The directory.
#[derive(Debug)]
pub(crate) struct Store {
    settings: StoreSettings,
    run: Run,
    disk: Disk,
    /// The directory, while it is locked.
    open: Option<Directory>,
    /// Whether it was locked before.
    was_open: bool,
    retention: Retention,
    /// The time of the last call.
    now: Moment,
    /// The last frame that was written, and the last one that was synced.
    written: u64,
    synced: u64,
    /// The last frame that another process had as well when it gave the directory free.
    recorded: u64,
    /// Whether another process had the directory at the last attempt to open it.
    was_locked: bool,
    /// Whether something urgent waits for a sync, be it written or not.
    sync_pending: bool,
    last_sync: Option<Moment>,
    last_retention: Option<Moment>,
    retry_at: Option<Moment>,
    incidents: Queue,
    /// The reason of the last failure, until something succeeds.
    failing: Option<&'static str>,
    view: StoreView,
}

impl Store {
    /// A store for this run. Nothing is written before something was recorded.
    pub(crate) fn new(settings: StoreSettings, run: Run, disk: Disk) -> Self {
        let retention = Retention::new(settings.max_bytes, settings.keep);
        let mut store = Self {
            settings,
            run,
            disk,
            open: None,
            was_open: false,
            retention,
            now: Moment::BOOT,
            written: 0,
            synced: 0,
            recorded: 0,
            was_locked: false,
            sync_pending: false,
            last_sync: None,
            last_retention: None,
            retry_at: None,
            incidents: Queue::default(),
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

    /// Whether another process writes to the directory.
    pub(crate) fn is_locked_by_another(&self) -> bool {
        self.failing == Some(LOCKED)
    }

    /// Writes what of the memory was not written yet.
    pub(crate) fn write(&mut self, now: Moment, memory: &Memory, is_urgent: bool) {
        self.now = now;
        self.sync_pending |= is_urgent;
        if self.retry_at.is_some_and(|at| now < at) {
            return;
        }
        let result = self.write_or_make_room(now, memory);
        self.finish(now, result);
    }

    /// Takes the newest state of an incident, which is written with the next frames.
    pub(crate) fn queue_incident(&mut self, incident: &Arc<Incident>) {
        let dropped = self.incidents.put(incident);
        if dropped > 0 {
            *self.view.errors.entry("incidents_dropped").or_default() += dropped;
        }
    }

    /// Writes the newest state of an incident.
    #[cfg(test)]
    pub(crate) fn put_incident(&mut self, incident: &Arc<Incident>, memory: &Memory) {
        self.queue_incident(incident);
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
        self.sync_pending = true;
        self.incidents.end();
        let result = self.write_or_make_room(self.now, memory);
        self.finish(self.now, result);
        if let Some(open) = self.open.take() {
            let ended = open.current.map_or(0, |segment| segment.end(&self.disk));
            self.count(ended);
        }
        memory.blocks.iter().for_each(|block| self.forget(block));
    }

    fn write_or_make_room(&mut self, now: Moment, memory: &Memory) -> Result<(), Failure> {
        let result = self.try_write(now, memory);
        let is_full = result.as_ref().is_err_and(|failure| failure.reason == "full");
        if !is_full || !self.make_room(now, memory) {
            return result;
        }
        self.drop_broken();
        self.try_write(now, memory)
    }

    fn try_write(&mut self, now: Moment, memory: &Memory) -> Result<(), Failure> {
        self.check_directory()?;
        if std::mem::take(&mut self.was_locked) {
            self.take_over(memory);
        }
        let run = self.run.number();
        let memory = match memory.run == run {
            true => Cow::Borrowed(memory),
            false => Cow::Owned(memory.of_run(run)),
        };
        let memory = &*memory;
        let written = self.write_frames(memory);
        let is_due = self.last_sync.is_none_or(|last| now - last >= SYNC);
        let is_due = self.sync_pending || is_due;
        if written.is_err() && is_due {
            self.sync_written();
        }
        written?;
        if is_due {
            self.sync(now)?;
        }
        self.write_incidents(now, memory)?;
        if let Some(time) = memory.newest() {
            self.retention.observe(now, time);
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
        let directory = Directory::open(&self.disk, path)
            .inspect_err(|failure| self.was_locked |= failure.reason == LOCKED)?;
        self.view.bytes = directory.bytes;
        let largest_run = directory.largest_run;
        self.open = Some(directory);
        // Frames of this run come after all others. Those that memory has get the new number, too.
        let run = self.run.number();
        if largest_run > run || (largest_run == run && !self.was_open) {
            self.run.exceed(largest_run);
        }
        self.was_open = true;
        // A killed run left them open. Their windows are copied from its segments and from what comes.
        self.incidents.open(directory::open_incidents(path, self.run.number()));
        Ok(())
    }

    /// Begins after another process on this machine, which had the directory until now: what it recorded is not written
    /// again. Of rows, up to a minute is, because a block cannot be read from its middle on.
    fn take_over(&mut self, memory: &Memory) {
        let directory = &self.settings.directory;
        let Previous { run, hostname, .. } = previous(directory, None);
        let (Some(until), Some(newest)) = (run.map(|run| run.last), memory.newest()) else {
            return;
        };
        if until.since(newest) > SAME_CLOCK {
            return;
        }
        let own = memory.blocks.last().and_then(|block| block.layout.layout.host.hostname.as_ref());
        // A directory can be on a disk that machines share.
        if own.zip(hostname.as_ref()).is_some_and(|(own, of_other)| own != of_other) {
            return;
        }
        let mut frames = memory.blocks.iter().flat_map(|block| &block.frames);
        let last = frames.rfind(|frame| frame.range.to <= until);
        self.recorded = last.map_or(0, |frame| frame.sequence);
        (self.written, self.synced) = (self.recorded, self.recorded);
        let others = directory::incidents_of_others(directory, self.run.number());
        self.incidents.leave_out(until, &others);
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
                // A number in a name has no sign.
                let start = block.range.from.max(Time(0));
                let name = Name::Segment { number: open.next_segment, start };
                open.next_segment = open.next_segment.saturating_add(1);
                let directory = &self.settings.directory;
                let segment =
                    Segment::create(&self.disk, directory, name, self.run.number(), block)?;
                bytes += segment.length();
                // All of the block, which cannot be read from its middle on.
                (current.insert(segment), 0)
            }
        };
        bytes += segment.append(&self.disk, block, from, self.recorded)?;
        self.written = last;
        self.count(bytes);
        Ok(())
    }

    fn sync(&mut self, now: Moment) -> Result<(), Failure> {
        if let Some(segment) = self.open.as_mut().and_then(|open| open.current.as_mut()) {
            segment.sync(&self.disk)?;
        }
        self.synced = self.written;
        self.sync_pending = false;
        self.last_sync = Some(now);
        self.view.last_sync = Some(SystemTime::now());
        Ok(())
    }

    /// Syncs what is written, although more could not be. A segment that may be damaged is written again instead.
    fn sync_written(&mut self) {
        let current = self.open.as_mut().and_then(|open| open.current.as_mut());
        if let Some(segment) = current.filter(|segment| !segment.is_broken)
            && segment.sync(&self.disk).is_ok()
        {
            self.synced = self.written;
        }
    }

    /// Writes incidents. One that fails for itself is tried again later, and does not hold up the others; nor does one
    /// for which there is no room.
    fn write_incidents(&mut self, now: Moment, memory: &Memory) -> Result<(), Failure> {
        let mut full = Vec::new();
        let mut due = VecDeque::from(self.incidents.due(now, memory.newest()));
        while let Some(waiting) = due.pop_front() {
            match self.write_incident(waiting, memory) {
                Ok(()) => self.incidents.written(waiting),
                Err(failure) if failure.reason == "full" => {
                    full.push(failure);
                    if full.len() >= MOST_FULL {
                        break;
                    }
                    self.incidents.sort_by_size(due.make_contiguous());
                }
                Err(failure) if matches!(failure.reason, "read_only" | "missing") => {
                    return Err(failure);
                }
                Err(Failure { reason, what }) => {
                    *self.view.errors.entry(reason).or_default() += 1;
                    tracing::warn!(
                        "{what}; the incident is kept in memory until it can be written"
                    );
                    self.incidents.failed(waiting, now + RETRY);
                }
            }
        }
        full.pop().map_or(Ok(()), Err)
    }

    fn write_incident(&mut self, waiting: Waiting, memory: &Memory) -> Result<(), Failure> {
        let directory = &self.settings.directory;
        let path = |number| directory.join(Name::Incident { number }.text());
        let found = match waiting {
            Waiting::Left(number) => directory::left_open(&path(number), number)
                .map(|(key, left)| (key, Incident { is_closed: true, ..left })),
            Waiting::Own(number) => match self.incidents.own(number) {
                Some(own) => {
                    let key = Key { run: self.run.number(), sequence: number };
                    let number = self.incidents.number(directory, key)?;
                    Some((key, Incident { number, ..Incident::clone(&own) }))
                }
                None => None,
            },
        };
        let Some((key, incident)) = found else {
            return Ok(());
        };
        let most = (self.settings.max_bytes / WINDOW_SHARE).min(WINDOW_BYTES);
        let most = usize::try_from(most).unwrap_or(usize::MAX);
        let memory = incident.is_closed.then_some(memory);
        let Some(bytes) = window::file(&incident, key, directory, memory, most) else {
            return Ok(());
        };
        self.disk.put(&path(incident.number), &bytes, true)?;
        self.count(bytes.len() as u64);
        Ok(())
    }

    fn retain(&mut self, now: Moment, memory: &Memory) -> Result<(), Failure> {
        let in_use = self.in_use();
        let time = memory.newest();
        let directory = &self.settings.directory;
        let kept = self.retention.run(&self.disk, directory, now, time, &in_use)?;
        self.note(kept);
        self.last_retention = Some(now);
        Ok(())
    }

    /// Removes something from a full volume. Returns whether there was something.
    fn make_room(&mut self, now: Moment, memory: &Memory) -> bool {
        if self.open.is_none() {
            return false;
        }
        let in_use = self.in_use();
        let time = memory.newest();
        let directory = &self.settings.directory;
        match self.retention.make_room(&self.disk, directory, now, time, &in_use) {
            Ok(room) => {
                self.note(room.kept);
                self.note_removed(room);
                room.bytes > 0
            }
            Err(_) => false,
        }
    }

    fn note_removed(&mut self, Room { segments, incidents, .. }: Room) {
        if segments + incidents > 0 {
            *self.view.errors.entry("removed_for_room").or_default() += segments + incidents;
            let directory = self.settings.directory.display();
            tracing::warn!(
                "there is no room for the history in {directory}: removed segments: {segments}, \
                 removed incidents: {incidents}"
            );
        }
    }

    fn in_use(&self) -> InUse {
        let current = self.open.as_ref().and_then(|open| open.current.as_ref());
        self.incidents.in_use(current.map(|segment| segment.name))
    }

    fn note(&mut self, kept: Kept) {
        self.view.bytes = kept.bytes;
        self.view.oldest = kept.oldest.map(Time::to_system);
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
        if reason == "missing" {
            // What was in the directory is gone with it. Memory has the last hour.
            self.open = None;
            (self.written, self.synced, self.recorded) = (0, 0, 0);
        } else {
            self.drop_broken();
        }
    }

    /// Gives up a segment of which it is not known what is on the medium. It is written again to a new one, from
    /// what was synced on.
    fn drop_broken(&mut self) {
        let current = self.open.as_mut().map(|open| &mut open.current);
        let broken = current.and_then(|current| current.take_if(|segment| segment.is_broken));
        if broken.is_some() {
            self.written = self.synced;
        }
    }
}
