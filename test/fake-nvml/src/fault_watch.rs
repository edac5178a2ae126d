//! The faults in force, and the XIDs and spikes that the control file has commanded so far.

use std::{
    collections::BTreeMap,
    fs::{self, File},
    io::Write,
    path::{Path, PathBuf},
    sync::{Arc, Mutex, PoisonError},
};

use crate::{
    control_file::ControlFile,
    faults::{Faults, GpuFaults},
    samples::{Begun, now_us},
    xid::Xid,
};

/// The control file, with what its lines have commanded since the first look at it.
pub(crate) struct FaultWatch {
    file: ControlFile<Faults>,
    xids: Mutex<Xids>,
    spikes: Mutex<LineLog<Begun>>,
}

#[derive(Default)]
struct Xids {
    log: LineLog<Xid>,
    /// By GPU: how many of its XIDs some event set has got.
    delivered: BTreeMap<usize, usize>,
    notes: Option<File>,
}

/// The entries that lines of one kind have made on each GPU. A line that is added makes a new entry; one
/// that is removed takes none back.
struct LineLog<T>(BTreeMap<usize, Entries<T>>);

struct Entries<T> {
    made: Vec<T>,
    /// How many lines there were last.
    lines: usize,
}

impl<T> Default for LineLog<T> {
    fn default() -> Self {
        Self(BTreeMap::new())
    }
}

impl<T> LineLog<T> {
    fn update<L>(
        &mut self,
        faults: &Faults,
        lines_of: impl Fn(&GpuFaults) -> &[L],
        entry: impl Fn(&L) -> T,
    ) {
        for (gpu, entries) in &mut self.0 {
            let lines = faults.of(*gpu).map_or(0, |faults| lines_of(faults).len());
            entries.lines = entries.lines.min(lines);
        }
        for (gpu, faults) in faults.gpus() {
            let lines = lines_of(faults);
            let new = || Entries { made: Vec::new(), lines: 0 };
            let entries = self.0.entry(gpu).or_insert_with(new);
            entries.made.extend(lines[entries.lines..].iter().map(&entry));
            entries.lines = lines.len();
        }
    }

    fn of(&self, gpu: usize) -> &[T] {
        self.0.get(&gpu).map_or(&[], |entries| &entries.made)
    }
}

impl FaultWatch {
    pub(crate) fn new(path: Option<PathBuf>) -> Self {
        let file = ControlFile::new("fake-nvml", path);
        let watch = Self { file, xids: Mutex::default(), spikes: Mutex::default() };
        watch.faults();
        watch.read_notes();
        watch
    }

    pub(crate) fn path(&self) -> Option<&Path> {
        self.file.path()
    }

    /// The faults in force: those that the file had 5 ms ago or later.
    pub(crate) fn faults(&self) -> Arc<Faults> {
        self.file.commands(|faults| self.note(faults))
    }

    fn note(&self, faults: &Faults) {
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        xids.log.update(faults, |faults| &faults.xids, |xid| *xid);
        let mut spikes = self.spikes.lock().unwrap_or_else(PoisonError::into_inner);
        let at_us = now_us();
        spikes.update(faults, |faults| &faults.spikes, |spike| Begun { at_us, spike: *spike });
    }

    /// Where this process notes how many XIDs of each GPU were delivered: a driver does not report
    /// an event again because its library was unloaded and loaded, or replaced.
    fn notes(&self) -> Option<PathBuf> {
        let mut name = self.path()?.as_os_str().to_owned();
        name.push(format!(".delivered-{}", std::process::id()));
        Some(name.into())
    }

    fn read_notes(&self) {
        let notes = self.notes().and_then(|path| fs::read_to_string(path).ok());
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        for line in notes.iter().flat_map(|notes| notes.lines()) {
            let (gpu, count) = line.split_once(' ').unwrap_or_default();
            if let (Ok(gpu), Ok(count)) = (gpu.parse(), count.parse::<usize>()) {
                let commanded = xids.log.of(gpu).len();
                let delivered = xids.delivered.entry(gpu).or_default();
                *delivered = count.min(commanded).max(*delivered);
            }
        }
    }

    /// How many XIDs of a GPU some event set has got already: where a new one begins.
    pub(crate) fn delivered(&self, gpu: usize) -> usize {
        let xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        xids.delivered.get(&gpu).copied().unwrap_or(0)
    }

    /// The XID of a GPU at a position among those that were commanded, if there is one.
    pub(crate) fn deliver(&self, gpu: usize, position: usize) -> Option<Xid> {
        let mut xids = self.xids.lock().unwrap_or_else(PoisonError::into_inner);
        let xid = *xids.log.of(gpu).get(position)?;
        let delivered = xids.delivered.entry(gpu).or_default();
        if position >= *delivered {
            *delivered = position + 1;
            self.note_delivered(&mut xids.notes, gpu, position + 1);
        }
        Some(xid)
    }

    /// A line for each event, in a file that stays open, so that a burst is not slowed down.
    fn note_delivered(&self, notes: &mut Option<File>, gpu: usize, delivered: usize) {
        let Some(path) = self.notes() else { return };
        if notes.is_none() {
            *notes = File::options().create(true).append(true).open(path).ok();
        }
        if let Some(notes) = notes.as_mut() {
            // Without notes an event may be delivered twice, which a test then sees.
            let _ = notes.write_all(format!("{gpu} {delivered}\n").as_bytes());
        }
    }

    /// The spikes of a GPU that have begun, those that are over included.
    pub(crate) fn spikes(&self, gpu: usize) -> Vec<Begun> {
        self.spikes.lock().unwrap_or_else(PoisonError::into_inner).of(gpu).to_vec()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::control_file::parse;

    fn all(watch: &FaultWatch, gpu: usize) -> Vec<u32> {
        (0..).map_while(|position| watch.deliver(gpu, position)).map(|xid| xid.code).collect()
    }

    #[test]
    fn lines_that_are_added_are_new_events_and_those_that_stay_are_not() {
        let watch = FaultWatch::new(None);
        for (text, expected) in [
            ("gpu 1 xid 31\n", [31].as_slice()),
            ("gpu 1 xid 31\ngpu 1 xid 79\ngpu 0 xid 48\n", &[31, 79]),
            ("gpu 1 xid 31\n", &[31, 79]),
            ("gpu 1 xid 31\ngpu 1 xid 43\n", &[31, 79, 43]),
            ("", &[31, 79, 43]),
            ("gpu 1 xid 31\n", &[31, 79, 43, 31]),
        ] {
            watch.note(&parse(text).0);
            assert_eq!(all(&watch, 1), expected, "after {text:?}");
        }
        assert_eq!(watch.delivered(1), 4);
        assert_eq!((watch.delivered(0), all(&watch, 0)), (0, vec![48]));
    }
}
