//! Looks at the control file for changes, within calls and never more often than every 5 ms.

use std::{
    collections::{BTreeMap, BTreeSet},
    fs::{self, File},
    io::{self, Write},
    os::unix::fs::MetadataExt,
    path::{Path, PathBuf},
    sync::{
        Arc, Mutex, PoisonError, RwLock,
        atomic::{AtomicU64, Ordering},
    },
    time::{Duration, Instant},
};

use crate::{
    events::Xid,
    faults::Faults,
    samples::{Begun, now_us},
};

/// How often whatever waits looks again.
pub(crate) const POLL: Duration = Duration::from_millis(5);

/// The control file, or the lack of one.
pub(crate) struct Watch {
    path: Option<PathBuf>,
    began: Instant,
    /// Microseconds after `began` from which the file may be looked at again.
    due: AtomicU64,
    faults: RwLock<Arc<Faults>>,
    seen: Mutex<Seen>,
    xids: Mutex<BTreeMap<usize, XidLog>>,
    notes: Mutex<Option<File>>,
    spikes: Mutex<BTreeMap<usize, SpikeLog>>,
}

#[derive(Default)]
struct Seen {
    stamp: Option<Stamp>,
    complained_of: BTreeSet<String>,
}

/// What changes when a file does.
#[derive(PartialEq, Eq)]
struct Stamp {
    inode: u64,
    size: u64,
    modified: (i64, i64),
}

/// The XIDs that the control file has asked for on one GPU, ever.
#[derive(Default)]
struct XidLog {
    events: Vec<Xid>,
    /// How many lines there were last.
    lines: usize,
    /// How many of `events` some event set has got.
    delivered: usize,
}

/// The spikes of one GPU, ever.
#[derive(Default)]
struct SpikeLog {
    begun: Vec<Begun>,
    /// How many lines there were last.
    lines: usize,
}

impl Watch {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        let watch = Self {
            path,
            began: Instant::now(),
            due: AtomicU64::new(0),
            faults: RwLock::default(),
            seen: Mutex::default(),
            xids: Mutex::default(),
            notes: Mutex::default(),
            spikes: Mutex::default(),
        };
        watch.look();
        watch.recall();
        watch
    }

    /// Where this process notes how many XIDs of each GPU were delivered: a driver does not report
    /// an event again because its library was unloaded and loaded, or replaced.
    fn notes(&self) -> Option<PathBuf> {
        let mut name = self.path.as_ref()?.as_os_str().to_owned();
        name.push(format!(".delivered-{}", std::process::id()));
        Some(name.into())
    }

    fn recall(&self) {
        let notes = self.notes().and_then(|path| fs::read_to_string(path).ok());
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        for line in notes.iter().flat_map(|notes| notes.lines()) {
            let (gpu, count) = line.split_once(' ').unwrap_or_default();
            if let (Ok(gpu), Ok(count)) = (gpu.parse(), count.parse::<usize>())
                && let Some(log) = xids.get_mut(&gpu)
            {
                log.delivered = log.delivered.max(count.min(log.events.len()));
            }
        }
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.path.as_deref()
    }

    /// What goes wrong at present: what the file said 5 ms ago or later.
    pub(crate) fn faults(&self) -> Arc<Faults> {
        if self.path.is_some() && self.is_due() {
            self.look();
        }
        Arc::clone(&self.faults.read().unwrap_or_else(PoisonError::into_inner))
    }

    /// How many XIDs of a GPU some event set has got already: where a new one begins.
    pub(crate) fn delivered(&self, gpu: usize) -> usize {
        let xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        xids.get(&gpu).map_or(0, |log| log.delivered)
    }

    /// The XID of a GPU at a place of its log, if it has been asked for.
    pub(crate) fn deliver(&self, gpu: usize, place: usize) -> Option<Xid> {
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        let log = xids.get_mut(&gpu)?;
        let xid = *log.events.get(place)?;
        if place >= log.delivered {
            log.delivered = place + 1;
            let delivered = log.delivered;
            self.note_delivered(gpu, delivered);
        }
        Some(xid)
    }

    /// A line for each event, in a file that stays open: a burst is not to wait for as many files.
    fn note_delivered(&self, gpu: usize, delivered: usize) {
        let Some(path) = self.notes() else { return };
        let mut notes = self.notes.lock().unwrap_or_else(PoisonError::into_inner);
        if notes.is_none() {
            *notes = File::options().create(true).append(true).open(path).ok();
        }
        if let Some(notes) = notes.as_mut() {
            // Without notes an event may be told twice, which a test then sees.
            let _ = notes.write_all(format!("{gpu} {delivered}\n").as_bytes());
        }
    }

    /// The spikes of a GPU that have begun, those that are over included.
    pub(crate) fn spikes(&self, gpu: usize) -> Vec<Begun> {
        let spikes = self.spikes.lock().unwrap_or_else(PoisonError::into_inner);
        spikes.get(&gpu).map_or_else(Vec::new, |log| log.begun.clone())
    }

    fn is_due(&self) -> bool {
        self.micros() >= self.due.load(Ordering::Acquire)
    }

    fn micros(&self) -> u64 {
        u64::try_from(self.began.elapsed().as_micros()).unwrap_or(u64::MAX)
    }

    /// Whoever comes while another looks waits for what that one sees: no call is to get past a
    /// fault that was asked for long before it.
    fn look(&self) {
        let Some(path) = &self.path else { return };
        let mut seen = self.seen.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.is_due() {
            return;
        }
        let next = self.micros() + POLL.as_micros() as u64;
        self.read(path, &mut seen);
        self.due.store(next, Ordering::Release);
    }

    fn read(&self, path: &Path, seen: &mut Seen) {
        let stamp = fs::metadata(path).ok().map(|file| Stamp {
            inode: file.ino(),
            size: file.size(),
            modified: (file.mtime(), file.mtime_nsec()),
        });
        if stamp == seen.stamp {
            return;
        }
        // A file that went away between the two calls is one without commands.
        let faults = Faults::parse(&fs::read_to_string(path).unwrap_or_default());
        seen.stamp = stamp;
        for line in &faults.not_understood {
            if seen.complained_of.insert(line.clone()) {
                complain(&format!("{}: not understood: {line}", path.display()));
            }
        }
        self.note_xids(&faults);
        self.note_spikes(&faults);
        *self.faults.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(faults);
    }

    fn note_xids(&self, faults: &Faults) {
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        for (gpu, log) in xids.iter_mut() {
            log.lines = log.lines.min(faults.of(*gpu).map_or(0, |faults| faults.xids.len()));
        }
        for (gpu, faults) in faults.gpus().filter(|(_, faults)| !faults.xids.is_empty()) {
            let log = xids.entry(gpu).or_default();
            log.events.extend_from_slice(&faults.xids[log.lines..]);
            log.lines = faults.xids.len();
        }
    }

    /// A line that was not there before begins now.
    fn note_spikes(&self, faults: &Faults) {
        let mut spikes = self.spikes.lock().unwrap_or_else(PoisonError::into_inner);
        for (gpu, log) in spikes.iter_mut() {
            log.lines = log.lines.min(faults.of(*gpu).map_or(0, |faults| faults.spikes.len()));
        }
        let at_us = now_us();
        for (gpu, faults) in faults.gpus().filter(|(_, faults)| !faults.spikes.is_empty()) {
            let log = spikes.entry(gpu).or_default();
            let fresh = faults.spikes[log.lines..].iter();
            log.begun.extend(fresh.map(|spike| Begun { at_us, spike: *spike }));
            log.lines = faults.spikes.len();
        }
    }
}

/// Says something on stderr; where nobody delivers_xids, it is lost.
pub(crate) fn complain(message: &str) {
    let _ = writeln!(io::stderr(), "fake-nvml: {message}");
}

#[cfg(test)]
mod tests {
    use super::*;

    fn all(watch: &Watch, gpu: usize) -> Vec<u32> {
        (0..).map_while(|place| watch.deliver(gpu, place)).map(|xid| xid.code).collect()
    }

    #[test]
    fn lines_that_are_added_are_new_events_and_those_that_stay_are_not() {
        let watch = Watch::new(None);
        for (text, expected) in [
            ("gpu 1 xid 31\n", [31].as_slice()),
            ("gpu 1 xid 31\ngpu 1 xid 79\ngpu 0 xid 48\n", &[31, 79]),
            ("gpu 1 xid 31\n", &[31, 79]),
            ("gpu 1 xid 31\ngpu 1 xid 43\n", &[31, 79, 43]),
            ("", &[31, 79, 43]),
            ("gpu 1 xid 31\n", &[31, 79, 43, 31]),
        ] {
            watch.note_xids(&Faults::parse(text));
            assert_eq!(all(&watch, 1), expected, "after {text:?}");
        }
        assert_eq!(watch.delivered(1), 4);
        assert_eq!((watch.delivered(0), all(&watch, 0)), (0, vec![48]));
    }
}
