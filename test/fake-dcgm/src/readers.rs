//! The readers of one GPU, called in turn.

use std::{sync::Arc, time::Duration};

use model::{
    Entity, Moment, Part, Pass, Reader, ReaderKind, Reading, Readings, Reason, WatchIndex,
};

/// How far the readers' clock goes from one pass to the next. It is no real time: to them every
/// pass is one in which all is due, and none comes too soon for a call that takes long.
const STEP: Duration = Duration::from_secs(10);

/// The readers of one GPU.
pub(crate) struct Readers {
    polled: Vec<Polled>,
    /// The one that waits for events, until its listener takes it.
    pub waiting: Option<Box<dyn Reader>>,
    passes: u32,
}

struct Polled {
    reader: Box<dyn Reader>,
    watches: Arc<[WatchIndex]>,
    out: Readings,
    is_open: bool,
    failed: Option<Reason>,
}

/// The last reading of a field of an entity.
pub(crate) enum Found<'a> {
    Reading(&'a Reading),
    /// No reader reads it.
    Nothing,
    /// Its reader failed.
    Failed,
}

impl Readers {
    pub(crate) fn new(readers: Vec<Box<dyn Reader>>) -> Self {
        let (waiting, polled): (Vec<_>, Vec<_>) =
            readers.into_iter().partition(|reader| reader.kind() == ReaderKind::Events);
        let polled = polled.into_iter().map(|reader| {
            let watches = reader.watches();
            let out = Readings::new(&watches, Moment::now());
            Polled { reader, watches, out, is_open: false, failed: None }
        });
        Self { polled: polled.collect(), waiting: waiting.into_iter().next(), passes: 0 }
    }

    /// Reads everything. Returns why the GPU is down, if it is. Blocks as long as the driver does.
    pub(crate) fn pass(&mut self) -> Option<Reason> {
        self.passes += 1;
        let elapsed = STEP * self.passes;
        let mut down = None;
        for polled in &mut self.polled {
            polled.failed = polled.pass(elapsed).err();
            if polled.reader.kind() == ReaderKind::Main {
                down = polled.failed;
            }
        }
        down
    }

    /// All that was found on the GPU.
    pub(crate) fn parts(&self) -> impl Iterator<Item = &Part> + Clone {
        self.polled.iter().flat_map(|polled| polled.out.parts())
    }

    /// The last reading of a watch, of the entity that `is_it` accepts.
    pub(crate) fn find(&self, watch: WatchIndex, is_it: impl Fn(&Entity) -> bool) -> Found<'_> {
        for polled in &self.polled {
            if polled.watches.binary_search(&watch).is_err() {
                continue;
            }
            if polled.failed.is_some() {
                return Found::Failed;
            }
            let Some(part) = polled.out.parts().iter().find(|part| is_it(&part.entity)) else {
                continue;
            };
            if let Ok(slot) = part.watches.binary_search(&watch) {
                return Found::Reading(&part.readings[slot].reading);
            }
        }
        Found::Nothing
    }

    /// The readings of one field by peer.
    pub(crate) fn of_peers(&self, watch: WatchIndex) -> impl Iterator<Item = (u32, &Reading)> {
        self.parts().filter_map(move |part| {
            let Entity::Peer(peer) = part.entity else { return None };
            let slot = part.watches.binary_search(&watch).ok()?;
            Some((peer, &part.readings[slot].reading))
        })
    }
}

impl Polled {
    fn pass(&mut self, elapsed: Duration) -> Result<(), Reason> {
        let was_open = std::mem::replace(&mut self.is_open, false);
        if !was_open {
            self.out.clear();
            self.reader.open()?;
        }
        let previous = was_open.then(|| elapsed - STEP);
        let now = Moment::now();
        let pass = Pass { now, elapsed, previous, interval: STEP, cadence: STEP };
        self.out.begin(now);
        self.reader.read(pass, &mut self.out)?;
        self.is_open = true;
        // These are not used, and must not accumulate.
        self.reader.take_samples();
        self.reader.take_call_times();
        Ok(())
    }
}
