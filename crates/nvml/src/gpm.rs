//! Profiling counters of Hopper and newer: averages between two samples of one GPU or instance.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::time::Duration;

use model::{FieldId, Moment, Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::call_times::{CallTimes, Function};
use crate::convert::{self, GpmUnit};
use crate::device::call;
use crate::plan::{SLOW, Sink, Target};
use crate::round::Round;
use crate::{Code, Device, Library, entry};

/// How many metrics go in one call. Drivers refuse more than their own header has room for, and the
/// first that could do this had room for so many.
const MOST_METRICS: usize = 98;

/// NVIDIA calls averages over less than this invalid.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

/// By how much a pass may come early: at an interval of just that window, each does now and then.
const HASTE: Duration = Duration::from_millis(2);

/// An average over more than this many periods is no longer about now: there was a gap, and the
/// earlier sample is thrown away.
const LONGEST_WINDOW: u32 = 3;

/// Of what the samples are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whole {
    /// The device of the handle: a GPU, or a compute instance.
    Device,
    /// A GPU instance, by its number, of the GPU of the handle.
    GpuInstance(u32),
    /// A GPU instance without compute instances, of which there are no samples.
    Nothing,
}

/// The profiling metrics of one GPU or instance that somebody watches.
pub(crate) struct Gpm {
    library: Arc<Library>,
    whole: Whole,
    metrics: Vec<Metric>,
    turns: u64,
    /// Unknown until the first pass asked.
    supported: Option<bool>,
    /// The earlier sample, and when it was taken.
    before: Option<(Sample, Moment)>,
    spare: Option<Sample>,
}

struct Metric {
    field: FieldId,
    metric: u32,
    unit: GpmUnit,
    targets: Vec<Target>,
}

/// What is shared by all that read profiling metrics: the request, which is large, and the names of
/// the calls.
pub(crate) struct Request {
    raw: Box<sys::nvmlGpmMetricsGet_t>,
    sample_get: Function,
    metrics_get: Function,
}

// SAFETY: the request holds pointers only to samples that a `Gpm` of the same reader owns, which are
// set anew before each use, and to names inside the library; it goes wherever they go.
unsafe impl Send for Request {}

impl Request {
    pub(crate) fn new(times: &mut CallTimes) -> Self {
        // SAFETY: all-zero bytes are a valid value of this plain C struct: integers, floats and
        // null pointers.
        let raw = unsafe { MaybeUninit::<sys::nvmlGpmMetricsGet_t>::zeroed().assume_init() };
        Self {
            raw: Box::new(raw),
            sample_get: times.function("nvmlGpmSampleGet"),
            metrics_get: times.function("nvmlGpmMetricsGet"),
        }
    }
}

/// A sample buffer that NVML allocated.
struct Sample {
    library: Arc<Library>,
    raw: sys::nvmlGpmSample_t,
}

// SAFETY: a sample is a buffer without ties to a thread; only its owner uses it.
unsafe impl Send for Sample {}

impl Sample {
    fn new(library: &Arc<Library>) -> Result<Self, Code> {
        let mut raw = ptr::null_mut();
        call!(library, nvmlGpmSampleAlloc(&mut raw))?;
        Ok(Self { library: Arc::clone(library), raw })
    }

    /// Fills it with the counters of now.
    fn take(&self, device: &Device, whole: Whole) -> Result<(), Code> {
        match whole {
            Whole::Device => call!(self.library, nvmlGpmSampleGet(device.handle, self.raw)),
            Whole::GpuInstance(id) => {
                call!(self.library, nvmlGpmMigSampleGet(device.handle, id, self.raw))
            }
            Whole::Nothing => Err(Code::NOT_FOUND),
        }
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // A failure to free leaves nothing to do about it.
        let _ = call!(self.library, nvmlGpmSampleFree(self.raw));
    }
}

impl Gpm {
    pub(crate) fn new(library: Arc<Library>, whole: Whole) -> Self {
        Self {
            library,
            whole,
            metrics: Vec::new(),
            turns: 0,
            supported: None,
            before: None,
            spare: None,
        }
    }

    pub(crate) fn len(&self) -> usize {
        self.metrics.len()
    }

    /// Forgets all metrics but the first ones.
    pub(crate) fn truncate(&mut self, len: usize) {
        self.metrics.truncate(len);
    }

    /// Keeps no more room than is needed: there is one of these for each GPU.
    pub(crate) fn fit(&mut self) {
        self.metrics.shrink_to_fit();
    }

    /// Adds a metric, if it is wanted.
    pub(crate) fn add(
        &mut self,
        field: FieldId,
        metric: u32,
        unit: GpmUnit,
        (targets, turns): (Vec<Target>, u64),
    ) {
        if turns != 0 {
            self.metrics.push(Metric { field, metric, unit, targets });
            self.turns |= turns;
        }
    }

    /// Forgets the earlier sample and whether the GPU can do this.
    pub(crate) fn start_afresh(&mut self) {
        self.supported = None;
        self.before = None;
    }

    /// Asks again whether the GPU can do this, if it could not.
    pub(crate) fn ask_again(&mut self) {
        self.supported = self.supported.filter(|supported| *supported);
    }

    /// Takes a sample if one is due, and reads the averages since the one before.
    pub(crate) fn read(
        &mut self,
        device: &Device,
        request: &mut Request,
        round: &mut Round,
    ) -> Result<(), Code> {
        let is_due = self.turns & round.due != 0;
        if self.metrics.is_empty() || self.supported == Some(false) || !is_due {
            return Ok(());
        }
        if self.whole == Whole::Nothing {
            self.set_all(&mut round.sink, Reason::NoData);
            return Ok(());
        }
        if self.supported.is_none() {
            match device.gpm_supported() {
                Ok(supported) => self.supported = Some(supported),
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) if code.reason() == Reason::NotSupported => self.supported = Some(false),
                // Asked again when it is next due.
                Err(code) => {
                    round.tally.note(code.reason());
                    self.set_all(&mut round.sink, code.reason());
                    return Ok(());
                }
            }
            if self.supported == Some(false) {
                self.give_up(round);
                return Ok(());
            }
        }
        let too_soon =
            self.before.as_ref().is_some_and(|(_, then)| then.elapsed() + HASTE < SHORTEST_WINDOW);
        if too_soon {
            return Ok(());
        }
        match self.sample(device, request, round) {
            Ok(()) => round.tally.answered |= self.turns != SLOW,
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) => {
                round.tally.note(code.reason());
                self.before = None;
                if code.reason() == Reason::NotSupported {
                    self.supported = Some(false);
                    self.give_up(round);
                } else {
                    self.set_all(&mut round.sink, code.reason());
                }
            }
        }
        Ok(())
    }

    fn sample(
        &mut self,
        device: &Device,
        request: &mut Request,
        round: &mut Round,
    ) -> Result<(), Code> {
        let sample = match self.spare.take() {
            Some(sample) => sample,
            None => Sample::new(&self.library)?,
        };
        let whole = self.whole;
        round.times.time(request.sample_get, || sample.take(device, whole)).0?;
        // The moment is taken after the call, which may itself have been long in coming back.
        let now = Moment::now();
        let Some((earlier, then)) = self.before.replace((sample, now)) else {
            self.set_all(&mut round.sink, Reason::NoData);
            return Ok(());
        };
        let period = round.paces.period(self.turns, round.pass.interval).max(round.pass.cadence);
        let longest = (period * LONGEST_WINDOW).max(Duration::from_secs(3));
        let result = if now - then > longest {
            self.set_all(&mut round.sink, Reason::NoData);
            Ok(())
        } else {
            self.compare(&earlier, request, round)
        };
        self.spare = Some(earlier);
        result
    }

    /// Reads every metric, in as few calls as drivers have room for: one, unless the whole catalogue is
    /// asked for. A call that fails costs what it did not answer.
    ///
    /// # Errors
    ///
    /// When no metric was answered, or the GPU is gone.
    fn compare(
        &self,
        earlier: &Sample,
        request: &mut Request,
        round: &mut Round,
    ) -> Result<(), Code> {
        let Some((later, _)) = &self.before else { return Ok(()) };
        let raw = &mut *request.raw;
        let (mut has_answer, mut failed) = (false, None);
        for metrics in self.metrics.chunks(MOST_METRICS.min(raw.metrics.len())) {
            raw.version = sys::NVML_GPM_METRICS_GET_VERSION;
            raw.numMetrics = metrics.len() as u32;
            raw.sample1 = earlier.raw;
            raw.sample2 = later.raw;
            for (asked, metric) in raw.metrics.iter_mut().zip(metrics) {
                asked.metricId = metric.metric;
                asked.nvmlReturn = entry::UNANSWERED;
                asked.value = f64::NAN;
            }
            let get = || call!(self.library, nvmlGpmMetricsGet(raw));
            let called = round.times.time(request.metrics_get, get).0;
            match called {
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) => failed = Some(code),
                Ok(()) => {}
            }
            for (answer, metric) in raw.metrics.iter().zip(metrics) {
                has_answer |= answer.nvmlReturn != entry::UNANSWERED;
                let reading = answered(answer.nvmlReturn, called)
                    .and_then(|()| convert::gpm(answer.value, metric.unit));
                round.sink.set(&metric.targets, &reading);
            }
        }
        match failed {
            Some(code) if !has_answer => Err(code),
            Some(code) => {
                round.tally.note(code.reason());
                Ok(())
            }
            None => Ok(()),
        }
    }

    fn give_up(&self, round: &mut Round) {
        round.tally.unsupported.extend(self.metrics.iter().map(|metric| metric.field));
        self.set_all(&mut round.sink, Reason::NotSupported);
    }

    fn set_all(&self, sink: &mut Sink, reason: Reason) {
        let reading: Reading = Err(reason);
        self.metrics.iter().for_each(|metric| sink.set(&metric.targets, &reading));
    }
}

/// A metric's return code, as a reason; where the driver left it alone, what the call came to. An
/// invalid argument is a metric that this driver does not know.
fn answered(code: sys::nvmlReturn_t, called: Result<(), Code>) -> Result<(), Reason> {
    match Code::check(code) {
        Err(Code(entry::UNANSWERED)) => Err(called.err().map_or(Reason::NoData, Code::reason)),
        Err(Code::INVALID_ARGUMENT) => Err(Reason::NotSupported),
        result => result.map_err(Code::reason),
    }
}

/// Times what [`Gpm::read`] does.
pub(crate) fn time(library: &Arc<Library>, device: &Device) -> Vec<crate::timing::Timing> {
    let (Ok(earlier), Ok(later)) = (Sample::new(library), Sample::new(library)) else {
        return Vec::new();
    };
    let first = earlier.take(device, Whole::Device);
    std::thread::sleep(SHORTEST_WINDOW);
    let mut timings =
        vec![crate::timing::time("nvmlGpmSampleGet", || later.take(device, Whole::Device))];
    if first.is_ok() {
        let mut request = Request::new(&mut CallTimes::default());
        let raw = &mut *request.raw;
        raw.version = sys::NVML_GPM_METRICS_GET_VERSION;
        (raw.sample1, raw.sample2) = (earlier.raw, later.raw);
        raw.numMetrics = 0;
        for (asked, row) in raw.metrics.iter_mut().zip(crate::gpm_table::rows()) {
            asked.metricId = row.metric;
            raw.numMetrics += 1;
        }
        let name = format!("nvmlGpmMetricsGet (all {})", raw.numMetrics);
        timings.push(crate::timing::time(&name, || call!(library, nvmlGpmMetricsGet(raw))));
    }
    timings
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use model::{Pace, PartIndex, Pass, Readings, SlotIndex, Value, WatchIndex};

    use super::*;
    use crate::plan::{Paces, TargetPart};
    use crate::round::Tally;

    /// Answers a full call; of any other only the first metric, and that it failed.
    ///
    /// # Safety
    ///
    /// `request` is one that nothing else uses meanwhile.
    unsafe extern "C" fn answers_full_calls(
        request: *mut sys::nvmlGpmMetricsGet_t,
    ) -> sys::nvmlReturn_t {
        // SAFETY: as the caller says.
        let request = unsafe { &mut *request };
        let is_full = request.numMetrics as usize == MOST_METRICS;
        let answered = if is_full { MOST_METRICS } else { 1 };
        for metric in &mut request.metrics[..answered] {
            (metric.nvmlReturn, metric.value) = (0, f64::from(metric.metricId));
        }
        if is_full { 0 } else { Code::UNKNOWN.0 }
    }

    #[test]
    fn a_call_that_fails_costs_what_it_did_not_answer() {
        const METRICS: usize = MOST_METRICS + 3;
        let folder = tempfile::tempdir().expect("a folder");
        let mut library = Library::open(&fake_nvml::install_in(folder.path())).expect("a library");
        library.symbols.nvmlGpmMetricsGet = Ok(answers_full_calls);
        let library = Arc::new(library);
        let device = Device::by_index(&library, 0).expect("a GPU");
        let mut paces = Paces::new();
        let every = paces.turn(Pace::Every);
        let mut gpm = Gpm::new(library, Whole::Device);
        for slot in 0..METRICS {
            let targets = vec![Target { part: TargetPart::ITSELF, slot: SlotIndex(slot) }];
            gpm.add(FieldId(slot as u16), slot as u32, GpmUnit::Count, (targets, every));
        }
        let watches: Arc<[WatchIndex]> = (0..METRICS).map(WatchIndex).collect();
        let mut out = Readings::new(&watches, Moment::now());
        let mut times = CallTimes::default();
        let mut request = Request::new(&mut times);
        let mut read = |pass: u32| {
            let second = Duration::from_secs(1);
            let (elapsed, previous) = (second * pass, Some(second * (pass - 1)));
            let now = Moment::now();
            let pass = Pass { now, elapsed, previous, interval: second, cadence: second };
            let mut tally = Tally::default();
            let mut round = Round {
                gpu: 0,
                pass,
                due: paces.due(&pass),
                paces: &paces,
                times: &mut times,
                sink: Sink { out: &mut out, parts: &[PartIndex::GPU] },
                tally: &mut tally,
            };
            gpm.read(&device, &mut request, &mut round).expect("a GPU that answers");
            let slots = out.of_gpu().iter().map(|read| read.reading.clone());
            (slots.collect::<Vec<Reading>>(), tally.answered, tally.failed)
        };
        assert_eq!(read(1), (vec![Err(Reason::NoData); METRICS], true, None));
        for pass in [2, 3] {
            sleep(SHORTEST_WINDOW);
            let (slots, answered, failed) = read(pass);
            let good = (0..=MOST_METRICS).map(|metric| Ok(Value::Int(metric as i64)));
            let expected: Vec<Reading> =
                good.chain([Err(Reason::Failed), Err(Reason::Failed)]).collect();
            assert_eq!(slots, expected);
            assert_eq!((answered, failed), (true, Some(Reason::Failed)));
        }
    }

    #[test]
    fn a_call_has_room_for_what_is_asked_at_once() {
        let request = Request::new(&mut CallTimes::default());
        assert!(MOST_METRICS <= request.raw.metrics.len());
    }
}
