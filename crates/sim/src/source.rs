//! The simulation as a source: the sampler reads it like any driver.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use model::catalog::xid;
use model::{
    Entity, FieldId, Identity, Outdated, Pace, Pass, Reader, ReaderKind, Readings, Reason, Renew,
    Session, SlotIndex, Source, SourceError, Watch, WatchIndex, XidEvent,
};

use crate::readings::{self, DRIVER_VERSION, Getter, LinkGetter, Rates, Totals, View};
use crate::{GpuState, World};

/// At a higher speed, one pass would have to simulate hours.
const MAX_SPEED: f64 = 1_000.0;

/// How simulated time passes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Options {
    /// Simulated seconds per real second, clamped to 0..=1,000.
    pub speed: f64,
    /// The simulated time at which it starts.
    pub start: Duration,
    /// Whether time stops at `start`. Rates are then those of that moment.
    pub frozen: bool,
}

impl Default for Options {
    /// Real time, from the start.
    fn default() -> Self {
        Self { speed: 1.0, start: Duration::ZERO, frozen: false }
    }
}

impl Options {
    /// The simulated time when the sampler has run for `elapsed`.
    fn moment(&self, elapsed: Duration) -> Duration {
        if self.frozen {
            return self.start;
        }
        let passed = elapsed.as_secs_f64() * self.speed.clamp(0.0, MAX_SPEED);
        let passed = Duration::try_from_secs_f64(passed).unwrap_or_default();
        self.start.saturating_add(passed)
    }
}

/// Reads a simulated world.
///
/// A new session continues with the same world: time does not start again.
#[derive(Debug)]
pub struct SimSource {
    shared: Arc<Shared>,
}

#[derive(Debug)]
struct Shared {
    options: Options,
    timeline: Mutex<Timeline>,
}

/// A world, and the latest pass over it.
#[derive(Debug)]
struct Timeline {
    world: World,
    latest: Option<Pass>,
    /// How many XIDs of each GPU have been collected. A new reader does not collect them again.
    collected: Vec<usize>,
}

impl SimSource {
    /// A source that reads `world`.
    pub fn new(world: World, options: Options) -> Self {
        let timeline =
            Mutex::new(Timeline { collected: vec![0; world.gpus().len()], world, latest: None });
        Self { shared: Arc::new(Shared { options, timeline }) }
    }
}

impl Shared {
    /// Ignores poisoning: the next step replaces whatever a reader left when it panicked.
    fn lock(&self) -> MutexGuard<'_, Timeline> {
        self.timeline.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Source for SimSource {
    fn name(&self) -> &'static str {
        "sim"
    }

    fn serves(&self, field: FieldId) -> bool {
        readings::getter(field).is_some()
    }

    fn connect(
        &mut self,
        watches: &Arc<[Watch]>,
        _: Renew,
    ) -> Result<Box<dyn Session>, SourceError> {
        // A reader that is opened before the first pass sees the GPU at the start time.
        self.shared.lock().world.advance_to(self.shared.options.start);
        Ok(Box::new(SimSession { shared: self.shared.clone(), watches: watches.clone() }))
    }
}

struct SimSession {
    shared: Arc<Shared>,
    watches: Arc<[Watch]>,
}

impl Session for SimSession {
    fn driver_version(&self) -> Option<Arc<str>> {
        Some(Arc::from(DRIVER_VERSION))
    }

    fn gpus(&self) -> Vec<u32> {
        (0..).take(self.shared.lock().world.gpus().len()).collect()
    }

    fn readers(&mut self, gpu: u32) -> Vec<Box<dyn Reader>> {
        let identity = {
            let timeline = self.shared.lock();
            let Some(state) = timeline.world.gpus().get(gpu as usize) else {
                return Vec::new();
            };
            Arc::new(identity(gpu, state))
        };
        let mut watches = Vec::new();
        let mut rows = Vec::new();
        let mut link_watches = Vec::new();
        let mut link_rows = Vec::new();
        for (index, watch) in WatchIndex::enumerate(&self.watches) {
            let Some(getter) = readings::getter(watch.field) else { continue };
            watches.push(index);
            rows.push(Row { getter, pace: watch.pace });
            if let Some(getter) = readings::link_getter(watch.field) {
                link_watches.push(index);
                link_rows.push(Row { getter, pace: watch.pace });
            }
        }
        vec![Box::new(GpuReader {
            shared: self.shared.clone(),
            gpu: gpu as usize,
            identity,
            watches: watches.into(),
            rows,
            link_watches: link_watches.into(),
            link_rows,
            totals: None,
            rates: None,
            xids: Vec::new(),
        })]
    }

    fn outdated(&mut self) -> Option<Outdated> {
        None
    }
}

fn identity(index: u32, gpu: &GpuState) -> Identity {
    Identity {
        index: Some(index),
        uuid: Some(gpu.uuid.clone()),
        pci_bus_id: Some(format!("00000000:{:02X}:00.0", gpu.pci_bus)),
        model_name: Some(gpu.model_name.clone()),
        minor: Some(index),
    }
}

struct Row<G> {
    getter: G,
    pace: Pace,
}

/// Reads everything of one GPU.
struct GpuReader {
    shared: Arc<Shared>,
    gpu: usize,
    identity: Arc<Identity>,
    watches: Arc<[WatchIndex]>,
    rows: Vec<Row<Getter>>,
    /// The watches of each NVLink.
    link_watches: Arc<[WatchIndex]>,
    link_rows: Vec<Row<LinkGetter>>,
    /// Totals at the last pass in which `Pace::Every` was due; `None` before the first, and after
    /// the GPU was lost.
    totals: Option<Totals>,
    /// Averages between the last two such passes.
    rates: Option<Rates>,
    /// Collected, and not yet taken by the sampler.
    xids: Vec<XidEvent>,
}

impl GpuReader {
    fn collect_xids(&mut self, timeline: &mut Timeline) {
        let collected = &mut timeline.collected[self.gpu];
        let new = &timeline.world.events(self.gpu)[*collected..];
        self.xids.extend(new.iter().map(|event| XidEvent {
            xid: xid::lookup(event.code),
            instance: None,
            before: None,
        }));
        *collected += new.len();
    }

    fn read_links(&self, gpu: &GpuState, pass: Pass, out: &mut Readings) {
        for link in 0..gpu.nvlinks {
            let part = out.part(&Entity::Link(link), &self.link_watches);
            for (slot, row) in SlotIndex::all(self.link_rows.len()).zip(&self.link_rows) {
                if pass.is_due(row.pace) {
                    out.set_in(part, slot, (row.getter)(gpu, link));
                }
            }
        }
    }
}

impl Reader for GpuReader {
    fn name(&self) -> &'static str {
        "main"
    }

    fn kind(&self) -> ReaderKind {
        ReaderKind::Main
    }

    fn watches(&self) -> Arc<[WatchIndex]> {
        Arc::clone(&self.watches)
    }

    fn open(&mut self) -> Result<Option<Arc<Identity>>, Reason> {
        let shared = self.shared.clone();
        let mut timeline = shared.lock();
        if timeline.world.gpus()[self.gpu].lost
            && let Some(pass) = timeline.latest
        {
            // A lost GPU has no passes. If no other GPU is read, only this moves time forward.
            let elapsed = pass.elapsed + pass.now.elapsed();
            timeline.world.advance_to(shared.options.moment(elapsed));
        }
        self.collect_xids(&mut timeline);
        if timeline.world.gpus()[self.gpu].lost {
            return Err(Reason::Lost);
        }
        Ok(Some(self.identity.clone()))
    }

    fn read(&mut self, pass: Pass, out: &mut Readings) -> Result<(), Reason> {
        let shared = self.shared.clone();
        let mut timeline = shared.lock();
        timeline.world.advance_to(shared.options.moment(pass.elapsed));
        if timeline.latest.is_none_or(|latest| latest.elapsed < pass.elapsed) {
            timeline.latest = Some(pass);
        }
        self.collect_xids(&mut timeline);

        let gpu = &timeline.world.gpus()[self.gpu];
        if gpu.lost {
            (self.totals, self.rates) = (None, None);
            return Err(Reason::Lost);
        }
        if shared.options.frozen {
            self.rates = Some(Rates::of_moment(gpu));
        } else if pass.is_due(Pace::Every) {
            let totals = Totals::of(timeline.world.now(), gpu);
            let earlier = self.totals.as_ref();
            let averages = |then| totals.since(then).unwrap_or_else(|| Rates::of_moment(gpu));
            self.rates = earlier.map(averages);
            self.totals = Some(totals);
        }

        let view = View { gpu, rates: self.rates };
        for (slot, row) in SlotIndex::all(self.rows.len()).zip(&self.rows) {
            let Some(get) = row.getter else { continue };
            if pass.is_due(row.pace) {
                out.set(slot, get(&view));
            }
        }
        if self.link_rows.iter().any(|row| pass.is_due(row.pace)) {
            self.read_links(gpu, pass, out);
        }
        Ok(())
    }

    fn delivers_xids(&self) -> bool {
        true
    }

    fn take_xids(&mut self) -> Vec<XidEvent> {
        std::mem::take(&mut self.xids)
    }
}

#[cfg(test)]
mod tests {
    use model::Moment;

    use super::*;

    const fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn speed_and_start_determine_the_simulated_time() {
        let options = Options { speed: 10.0, start: seconds(60), frozen: false };
        assert_eq!(options.moment(seconds(0)), seconds(60));
        assert_eq!(options.moment(seconds(3)), seconds(90));
        assert_eq!(Options { frozen: true, ..options }.moment(seconds(3)), seconds(60));
    }

    #[test]
    fn an_invalid_speed_is_clamped() {
        let moment = |speed| Options { speed, ..Options::default() }.moment(seconds(2));
        assert_eq!(moment(-1.0), seconds(0));
        assert_eq!(moment(f64::NAN), seconds(0));
        assert_eq!(moment(f64::INFINITY), seconds(2_000));
    }

    /// A lost GPU comes back even if it is the only one: its reader uses the real clock.
    #[test]
    fn time_passes_for_a_lost_gpu_without_others() {
        let world = World::new(crate::Scenario::story(), 1);
        let options = Options { speed: 1_000.0, start: seconds(1_190), ..Options::default() };
        let mut source = SimSource::new(world, options);
        let mut session = source.connect(&Arc::from([]), Renew::Driver).unwrap();
        let mut reader = session.readers(7).remove(0);
        assert_eq!(reader.open().unwrap_err(), Reason::Lost);
        let (interval, cadence) = (seconds(1), seconds(1));
        let (now, elapsed) = (Moment::now(), Duration::ZERO);
        let pass = Pass { now, elapsed, previous: None, interval, cadence };
        let mut out = Readings::new(&reader.watches(), pass.now);
        assert_eq!(reader.read(pass, &mut out), Err(Reason::Lost));
        std::thread::sleep(Duration::from_millis(15));
        assert_eq!(reader.open().unwrap().unwrap().index, Some(7));
    }
}
