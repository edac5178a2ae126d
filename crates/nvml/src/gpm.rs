//! Profiling counters of Hopper and newer: averages between two samples of one GPU.

use std::mem::MaybeUninit;
use std::ptr;
use std::sync::Arc;
use std::time::{Duration, Instant};

use model::{Readings, Reason};
use nvml_wrapper_sys::bindings as sys;

use crate::device::call;
use crate::getters::{GpmGetter, gpm_reading};
use crate::main_reader::Tally;
use crate::{Code, Device, Library};

/// NVIDIA calls averages over less than this invalid.
const SHORTEST_WINDOW: Duration = Duration::from_millis(100);

/// An average over more than this many intervals is no longer about now: there was a gap, and the
/// earlier sample is thrown away.
const LONGEST_WINDOW: u32 = 3;

/// The profiling metrics of one GPU that somebody watches.
pub(crate) struct Gpm {
    library: Arc<Library>,
    metrics: Vec<(&'static GpmGetter, Vec<usize>)>,
    /// Unknown until the first pass asked.
    supported: Option<bool>,
    /// The earlier sample, and when it was taken.
    before: Option<(Sample, Instant)>,
    spare: Option<Sample>,
    /// Kept between passes because it is large; its length never changes.
    request: Box<sys::nvmlGpmMetricsGet_t>,
}

/// A sample buffer that NVML allocated.
struct Sample {
    library: Arc<Library>,
    raw: sys::nvmlGpmSample_t,
}

// SAFETY: a sample is a buffer without ties to a thread; only its owner uses it.
unsafe impl Send for Sample {}

// SAFETY: the request holds pointers only to samples that `before` and `spare` own, and to names
// inside the library; it goes wherever they go.
unsafe impl Send for Gpm {}

impl Sample {
    fn new(library: &Arc<Library>) -> Result<Self, Code> {
        let mut raw = ptr::null_mut();
        call!(library, nvmlGpmSampleAlloc(&mut raw))?;
        Ok(Self { library: Arc::clone(library), raw })
    }
}

impl Drop for Sample {
    fn drop(&mut self) {
        // A failure to free leaves nothing to do about it.
        let _ = call!(self.library, nvmlGpmSampleFree(self.raw));
    }
}

impl Gpm {
    pub(crate) fn new(
        library: Arc<Library>,
        metrics: Vec<(&'static GpmGetter, Vec<usize>)>,
    ) -> Self {
        // SAFETY: all-zero bytes are a valid value of this plain C struct: integers, floats and
        // null pointers.
        let request = unsafe { MaybeUninit::<sys::nvmlGpmMetricsGet_t>::zeroed().assume_init() };
        let request = Box::new(request);
        Self { library, metrics, supported: None, before: None, spare: None, request }
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

    /// Takes a sample, and reads the averages since the one before.
    pub(crate) fn read(
        &mut self,
        device: &Device,
        interval: Duration,
        out: &mut Readings,
        tally: &mut Tally,
    ) -> Result<(), Code> {
        if self.metrics.is_empty() || self.supported == Some(false) {
            return Ok(());
        }
        if self.supported.is_none() {
            match self.ask_support(device) {
                Ok(supported) => self.supported = Some(supported),
                Err(code) if code.is_about_the_gpu() => return Err(code),
                Err(code) if code.reason() == Reason::NotSupported => self.supported = Some(false),
                // Asked again in the next pass.
                Err(code) => {
                    tally.note(code.reason());
                    self.set_all(out, code.reason());
                    return Ok(());
                }
            }
            if self.supported == Some(false) {
                tally.unsupported.extend(self.metrics.iter().flat_map(|(_, slots)| slots));
                self.set_all(out, Reason::NotSupported);
                return Ok(());
            }
        }
        let too_soon =
            self.before.as_ref().is_some_and(|(_, then)| then.elapsed() < SHORTEST_WINDOW);
        if too_soon {
            return Ok(());
        }
        match self.sample(device, interval, out) {
            Ok(()) => tally.answered = true,
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) => {
                tally.note(code.reason());
                if code.reason() == Reason::NotSupported {
                    self.supported = Some(false);
                    tally.unsupported.extend(self.metrics.iter().flat_map(|(_, slots)| slots));
                }
                self.before = None;
                self.set_all(out, code.reason());
            }
        }
        Ok(())
    }

    fn ask_support(&self, device: &Device) -> Result<bool, Code> {
        let mut support =
            sys::nvmlGpmSupport_t { version: sys::NVML_GPM_SUPPORT_VERSION, isSupportedDevice: 0 };
        call!(self.library, nvmlGpmQueryDeviceSupport(device.handle, &mut support))?;
        Ok(support.isSupportedDevice != 0)
    }

    fn sample(
        &mut self,
        device: &Device,
        interval: Duration,
        out: &mut Readings,
    ) -> Result<(), Code> {
        let sample = match self.spare.take() {
            Some(sample) => sample,
            None => Sample::new(&self.library)?,
        };
        call!(self.library, nvmlGpmSampleGet(device.handle, sample.raw))?;
        // The moment is taken after the call, which may itself have been long in coming back.
        let now = Instant::now();
        let Some((earlier, then)) = self.before.replace((sample, now)) else {
            self.set_all(out, Reason::NoData);
            return Ok(());
        };
        let longest = (interval * LONGEST_WINDOW).max(Duration::from_secs(3));
        let result = if now - then > longest {
            self.set_all(out, Reason::NoData);
            Ok(())
        } else {
            self.compare(&earlier, out)
        };
        self.spare = Some(earlier);
        result
    }

    fn compare(&mut self, earlier: &Sample, out: &mut Readings) -> Result<(), Code> {
        let Some((later, _)) = &self.before else { return Ok(()) };
        let request = &mut *self.request;
        request.version = sys::NVML_GPM_METRICS_GET_VERSION;
        request.numMetrics = self.metrics.len() as u32;
        request.sample1 = earlier.raw;
        request.sample2 = later.raw;
        for (asked, (getter, _)) in request.metrics.iter_mut().zip(&self.metrics) {
            asked.metricId = getter.metric;
            asked.nvmlReturn = sys::nvmlReturn_enum_NVML_ERROR_NO_DATA;
            asked.value = f64::NAN;
        }
        call!(self.library, nvmlGpmMetricsGet(request))?;
        for (answer, (getter, slots)) in request.metrics.iter().zip(&self.metrics) {
            let reading = Code::check(answer.nvmlReturn)
                .map_err(Code::reason)
                .and_then(|()| gpm_reading(answer.value, getter.unit));
            slots.iter().for_each(|slot| out.set(*slot, reading.clone()));
        }
        Ok(())
    }

    fn set_all(&self, out: &mut Readings, reason: Reason) {
        for slot in self.metrics.iter().flat_map(|(_, slots)| slots) {
            out.set(*slot, Err(reason));
        }
    }
}

/// Times what [`Gpm::read`] does.
pub(crate) fn time(library: &Arc<Library>, device: &Device) -> Vec<crate::timing::Timing> {
    let (Ok(earlier), Ok(later)) = (Sample::new(library), Sample::new(library)) else {
        return Vec::new();
    };
    let sample = |sample: &Sample| call!(library, nvmlGpmSampleGet(device.handle, sample.raw));
    let first = sample(&earlier);
    std::thread::sleep(SHORTEST_WINDOW);
    let mut timings = vec![crate::timing::time("nvmlGpmSampleGet", || sample(&later))];
    if first.is_ok() {
        let metrics = crate::getters::GPM_GETTERS.iter().map(|getter| (getter, Vec::new()));
        let mut gpm = Gpm::new(Arc::clone(library), metrics.collect());
        gpm.before = Some((later, Instant::now()));
        let mut out = Readings::new(0, Instant::now());
        timings.push(crate::timing::time("nvmlGpmMetricsGet", || gpm.compare(&earlier, &mut out)));
    }
    timings
}
