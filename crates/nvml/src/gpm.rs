//! Profiling metrics of Hopper and newer: averages between two samples of one GPU or instance.

use std::sync::Arc;
use std::time::Duration;

use model::{Moment, Reading, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::call_group::CallGroup;
use crate::call_times::{CallTimes, Function};
use crate::code::Code;
use crate::device::Device;
use crate::entry;
use crate::fields::profiling;
use crate::gpm_calls::{MOST_METRICS, MetricsRequest, Sample, SampledEntity};
use crate::library::Library;
use crate::pass::{PassContext, TargetFinder};
use crate::plan::{DueMask, Target, TargetPart};
use crate::row::{Call, GpmUnit, METRICS_CALL, Row};

/// NVIDIA calls averages over less than this invalid.
pub(crate) const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

/// How early a pass may come: at an interval of just that window, some come a little early.
const EARLY: Duration = Duration::from_millis(2);

/// An average over more than this many periods is no longer about now: there was a gap, and the
/// earlier sample is thrown away.
const LONGEST_WINDOW: u32 = 3;

/// The profiling metrics of one GPU or instance.
pub(crate) struct Gpm {
    library: Arc<Library>,
    sample_get: Function,
    metrics_get: Function,
    entity: SampledEntity,
    metrics: Vec<Metric>,
    /// The paces of all metrics: they are read together.
    paces: DueMask,
    /// Unknown until the driver was asked.
    supported: Option<bool>,
    /// The earlier sample, and when it was taken.
    before: Option<(Sample, Moment)>,
    spare: Option<Sample>,
}

struct Metric {
    number: u32,
    unit: GpmUnit,
    target: Target,
}

impl Gpm {
    pub(crate) fn new(library: Arc<Library>, entity: SampledEntity, times: &mut CallTimes) -> Self {
        Self {
            library,
            sample_get: times.function("nvmlGpmSampleGet"),
            metrics_get: times.function(METRICS_CALL),
            entity,
            metrics: Vec::new(),
            paces: DueMask::NEVER,
            supported: None,
            before: None,
            spare: None,
        }
    }

    fn push(&mut self, number: u32, unit: GpmUnit, target: Target) {
        self.paces |= target.due;
        self.metrics.push(Metric { number, unit, target });
    }

    /// Whether the GPU has profiling metrics. If not, or if that is not known, writes the reason.
    fn is_supported(&mut self, device: &Device, pass: &mut PassContext) -> Result<bool, Code> {
        if let Some(supported) = self.supported {
            return Ok(supported);
        }
        let supported = match profiling::is_supported(device) {
            Ok(supported) => supported,
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) if code.reason() == Reason::NotSupported => false,
            // Asked again when it is next due.
            Err(code) => {
                pass.outcome.note_failure(code.reason());
                self.write_all(code.reason(), pass);
                return Ok(false);
            }
        };
        self.supported = Some(supported);
        if !supported {
            self.write_all(Reason::NotSupported, pass);
        }
        Ok(supported)
    }

    /// Takes a sample, and reads the averages since the one before.
    fn sample(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        let sample = match self.spare.take() {
            Some(sample) => sample,
            None => Sample::new(&self.library)?,
        };
        let entity = self.entity;
        pass.shared.times.time(self.sample_get, || sample.take(device, entity)).0?;
        // The moment is taken after the call, which may itself have been long in coming back.
        let now = Moment::now();
        let Some((earlier, then)) = self.before.replace((sample, now)) else {
            self.write_all(Reason::NoData, pass);
            return Ok(());
        };
        let period = pass.period(self.paces).max(pass.pass.cadence);
        let longest = (period * LONGEST_WINDOW).max(Duration::from_secs(3));
        let result = if now - then > longest {
            self.write_all(Reason::NoData, pass);
            Ok(())
        } else {
            self.compare(&earlier, pass)
        };
        self.spare = Some(earlier);
        result
    }

    /// Reads every metric, in as few calls as drivers have room for: one, unless the whole catalogue is
    /// watched. A call that fails may have answered some of its metrics.
    ///
    /// # Errors
    ///
    /// When no metric was answered, or the GPU is gone.
    fn compare(&self, earlier: &Sample, pass: &mut PassContext) -> Result<(), Code> {
        let Some((later, _)) = &self.before else { return Ok(()) };
        let mut request = pass.shared.request.take().unwrap_or_else(MetricsRequest::new);
        let (mut has_answer, mut failed) = (false, None);
        for metrics in self.metrics.chunks(MOST_METRICS) {
            request.fill(metrics.iter().map(|metric| metric.number));
            let send = || request.send(&self.library, earlier, later);
            let called = pass.shared.times.time(self.metrics_get, send).0;
            match called {
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) => failed = Some(code),
                Ok(()) => {}
            }
            for (answer, metric) in request.metrics().iter().zip(metrics) {
                has_answer |= answer.nvmlReturn != entry::UNANSWERED;
                let reading = answered(answer.nvmlReturn, called)
                    .and_then(|()| profiling::convert(answer.value, metric.unit));
                pass.write(&metric.target, &reading);
            }
        }
        pass.shared.request = Some(request);
        match failed {
            Some(code) if !has_answer => Err(code),
            Some(code) => {
                pass.outcome.note_failure(code.reason());
                Ok(())
            }
            None => Ok(()),
        }
    }

    /// Writes that no metric has a value.
    fn write_all(&self, reason: Reason, pass: &mut PassContext) {
        let reading: Reading = Err(reason);
        for metric in &self.metrics {
            if reason == Reason::NotSupported {
                pass.outcome.unsupported.push(metric.target.field);
            }
            pass.write(&metric.target, &reading);
        }
    }
}

impl CallGroup for Gpm {
    fn add(&mut self, row: &'static Row, link: u32, targets: &mut TargetFinder) {
        for (offset, field) in row.fields.iter() {
            let (number, unit) = match row.call {
                Call::Metric(first, unit) => (offset.after(first), unit),
                Call::LinkMetric(number, unit) => (number(link), unit),
                _ => return,
            };
            if let Some(target) = targets.target(field) {
                self.push(number, unit, target);
            }
        }
    }

    fn remove_links(&mut self) {
        self.metrics.retain(|metric| metric.target.part == TargetPart::ITSELF);
        let paces = self.metrics.iter().map(|metric| metric.target.due);
        self.paces = paces.fold(DueMask::NEVER, |all, paces| all | paces);
    }

    fn read(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        if self.supported == Some(false) || !pass.is_due(self.paces) {
            return Ok(());
        }
        if self.entity == SampledEntity::EmptyInstance {
            self.write_all(Reason::NoData, pass);
            return Ok(());
        }
        if !self.is_supported(device, pass)? {
            return Ok(());
        }
        let too_soon =
            self.before.as_ref().is_some_and(|(_, then)| then.elapsed() + EARLY < SHORTEST_WINDOW);
        if too_soon {
            return Ok(());
        }
        match self.sample(device, pass) {
            Ok(()) => pass.outcome.answered |= self.paces != DueMask::SLOW,
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) => {
                let reason = code.reason();
                pass.outcome.note_failure(reason);
                self.before = None;
                if reason == Reason::NotSupported {
                    self.supported = Some(false);
                }
                self.write_all(reason, pass);
            }
        }
        Ok(())
    }

    fn shrink_to_fit(&mut self) {
        self.metrics.shrink_to_fit();
    }

    fn retry_unsupported(&mut self) {
        self.supported = self.supported.filter(|supported| *supported);
    }

    fn reset(&mut self) {
        self.supported = None;
        self.before = None;
    }
}

/// A metric's return code, as a reason; where the driver left it alone, the code of the call. An
/// invalid argument is a metric that this driver does not know.
fn answered(code: sys::nvmlReturn_t, called: Result<(), Code>) -> Result<(), Reason> {
    match Code::check(code) {
        Err(Code(entry::UNANSWERED)) => Err(called.err().map_or(Reason::NoData, Code::reason)),
        Err(Code::INVALID_ARGUMENT) => Err(Reason::NotSupported),
        result => result.map_err(Code::reason),
    }
}

#[cfg(test)]
mod tests {
    use std::thread::sleep;

    use model::{FieldId, Pace, PartIndex, Pass, Readings, SlotIndex, Value, WatchIndex};

    use super::*;
    use crate::pass::{PassOutcome, Shared};

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
        let mut shared = Shared::new();
        let every = shared.paces.mask(Pace::Every);
        let mut gpm = Gpm::new(library, SampledEntity::Device, &mut shared.times);
        for slot in 0..METRICS {
            let (field, part) = (FieldId(slot as u16), TargetPart::ITSELF);
            let target = Target { field, part, slots: [SlotIndex(slot)].into(), due: every };
            gpm.push(slot as u32, GpmUnit::Count, target);
        }
        let watches: Arc<[WatchIndex]> = (0..METRICS).map(WatchIndex).collect();
        let mut out = Readings::new(&watches, Moment::now());
        let mut read = |pass: u32| {
            let second = Duration::from_secs(1);
            let (elapsed, previous) = (second * pass, Some(second * (pass - 1)));
            let now = Moment::now();
            let pass = Pass { now, elapsed, previous, interval: second, cadence: second };
            let mut outcome = PassOutcome::default();
            let mut pass = PassContext {
                gpu: 0,
                pass,
                due: shared.paces.due(&pass),
                shared: &mut shared,
                out: &mut out,
                parts: &[PartIndex::GPU],
                outcome: &mut outcome,
            };
            gpm.read(&device, &mut pass).expect("a GPU that answers");
            let slots = out.of_gpu().iter().map(|read| read.reading.clone());
            (slots.collect::<Vec<Reading>>(), outcome.answered, outcome.failed)
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
}
