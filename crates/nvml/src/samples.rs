//! What the driver samples by itself, many times a second: power, utilisation, the SM clock.

use std::ptr;
use std::time::{Duration, SystemTime};

use model::{Kind, Moment, Pace, Quantity, Reason, Samples, Value, Watch};
use nvml_wrapper_sys::bindings as sys;

use crate::call::function;
use crate::call_group::CallGroup;
use crate::call_times::{CallTimes, Function};
use crate::code::Code;
use crate::device::Device;
use crate::entry;
use crate::fields;
use crate::pass::PassContext;
use crate::row::{Call, SAMPLES_CALL, SampledQuantity};

/// How often they are fetched; the driver keeps those of some seconds.
const EVERY: Pace = Pace::At(Duration::from_secs(1));

/// No driver keeps more.
const MOST_SAMPLES: usize = 100_000;

/// When so many are not taken, they are thrown away.
const MOST_KEPT: usize = 64;

/// A time stamp that is older is of another clock.
const OLDEST: Duration = Duration::from_secs(3600);

/// The driver's samples of quantities whose windows are watched.
pub(crate) struct DriverSamples {
    function: Function,
    streams: Vec<Stream>,
    buffer: Vec<sys::nvmlSample_t>,
}

struct Stream {
    sampled: SampledQuantity,
    /// The time stamp of the newest sample so far.
    newest: u64,
    /// When samples were last fetched, and the wall clock's time then, in µs.
    fetched: Option<(Moment, u64)>,
    supported: bool,
    /// How many samples there can be at once.
    room: usize,
}

impl DriverSamples {
    /// Of the quantities that are polled for a window.
    pub(crate) fn new(watches: &[Watch], times: &mut CallTimes) -> Self {
        let is_polled = |quantity: Quantity| {
            watches.iter().any(|watch| {
                watch.field == quantity.field()
                    && watch.kind == Kind::Hidden
                    && matches!(watch.pace, Pace::At(_))
            })
        };
        let streams = fields::rows().filter_map(|row| match row.call {
            Call::Samples(sampled) if is_polled(sampled.quantity) => Some(Stream::of(sampled)),
            _ => None,
        });
        let streams = streams.collect();
        Self { function: times.function(SAMPLES_CALL), streams, buffer: Vec::new() }
    }
}

impl CallGroup for DriverSamples {
    fn read(&mut self, device: &Device, pass: &mut PassContext) -> Result<(), Code> {
        if self.streams.is_empty() || !pass.pass.is_due(EVERY) {
            return Ok(());
        }
        let Self { function, streams, buffer } = self;
        if pass.shared.samples.len() >= MOST_KEPT {
            pass.shared.samples.clear();
        }
        for stream in streams.iter_mut().filter(|stream| stream.supported) {
            let fetch = || stream.fetch(device, buffer);
            match pass.shared.times.time(*function, fetch).0 {
                Ok(kind) => {
                    let (wall, now) = (SystemTime::now(), Moment::now());
                    let wall = wall.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
                    let wall = wall.as_micros() as u64;
                    pass.shared.samples.extend(stream.samples(kind, buffer, wall, now));
                }
                Err(code) if code.is_about_the_gpu() => return Err(code),
                // There is nothing new.
                Err(Code::NOT_FOUND) => {}
                Err(code) => stream.supported = code.reason() != Reason::NotSupported,
            }
        }
        Ok(())
    }

    fn retry_unsupported(&mut self) {
        self.streams.iter_mut().for_each(|stream| stream.supported = true);
    }

    fn reset(&mut self) {
        self.retry_unsupported();
    }
}

impl Stream {
    fn of(sampled: SampledQuantity) -> Self {
        Self { sampled, newest: 0, fetched: None, supported: true, room: 0 }
    }

    /// Fills `buffer` with new samples, and returns the type of their values.
    fn fetch(
        &mut self,
        device: &Device,
        buffer: &mut Vec<sys::nvmlSample_t>,
    ) -> Result<sys::nvmlValueType_t, Code> {
        buffer.clear();
        if self.room == 0 {
            self.room = samples(device, self.sampled.number, 0, &mut [])?.1.min(MOST_SAMPLES);
        }
        let none = sys::nvmlSample_t { timeStamp: 0, sampleValue: sys::nvmlValue_t { ullVal: 0 } };
        buffer.resize(self.room, none);
        let answer = samples(device, self.sampled.number, self.newest, buffer);
        if answer == Err(Code::INSUFFICIENT_SIZE) {
            // The size is read again next time.
            self.room = 0;
        }
        let (kind, count) = answer?;
        buffer.truncate(count);
        Ok(kind)
    }

    /// The samples of a filled buffer, at the wall clock's `wall` µs, which is `now`.
    fn samples(
        &mut self,
        kind: sys::nvmlValueType_t,
        buffer: &[sys::nvmlSample_t],
        wall: u64,
        now: Moment,
    ) -> Option<Samples> {
        let mut values: Vec<(u64, f64)> = buffer
            .iter()
            // An entry that the driver left alone has no time.
            .filter(|sample| sample.timeStamp > self.newest)
            .filter_map(|sample| Some((sample.timeStamp, self.value(kind, sample.sampleValue)?)))
            .collect();
        values.sort_by_key(|(at, _)| *at);
        // Implausible samples are not fetched again either. A stamp from far ahead would keep all others
        // out until its time has come.
        let before = self.newest;
        let (then, wall_then) = self.fetched.replace((now, wall)).unwrap_or((now, wall));
        let passed = now.saturating_duration_since(then).as_micros() as u64;
        let latest = before.saturating_add(passed).saturating_add(AHEAD_MICROS);
        let stamps = buffer.iter().map(|sample| sample.timeStamp);
        let believable = stamps.filter(|at| before == 0 || *at <= latest);
        self.newest = believable.fold(before, u64::max);
        let was_set = wall.abs_diff(wall_then.saturating_add(passed)) > CLOCK_SET_MICROS;
        if was_set {
            // The clock was set: old stamps are of unknown moments, and keep newer ones out.
            self.newest = 0;
            return None;
        }
        let newest = values.last()?.0;
        let samples = values
            .into_iter()
            .filter_map(|(at, value)| Some((moment(at, newest, wall, now)?, value)))
            .collect();
        Some(Samples { quantity: self.sampled.quantity, samples })
    }

    fn value(&self, kind: sys::nvmlValueType_t, value: sys::nvmlValue_t) -> Option<f64> {
        let raw = u32::try_from(entry::number(kind, value).ok()?).ok()?;
        match (self.sampled.convert)(raw).ok()? {
            Value::Int(number) => Some(number as f64),
            Value::Float(number) => Some(number),
            Value::Text(_) => None,
        }
    }
}

/// How far ahead of the newest a time stamp may be, beyond the time that has passed since.
const AHEAD_MICROS: u64 = 3_600_000_000;

/// A clock that differs by more from the time that passed was set.
const CLOCK_SET_MICROS: u64 = 2_000_000;

/// The moment of a sample with the time stamp `at`, in a buffer with the newest stamp `newest`: by its
/// age on the wall clock, or, if the driver has another clock, as if the newest sample were of now.
fn moment(at: u64, newest: u64, wall: u64, now: Moment) -> Option<Moment> {
    let is_wall = wall.checked_sub(newest).is_some_and(|age| u128::from(age) <= OLDEST.as_micros());
    let age = if is_wall { wall } else { newest }.checked_sub(at)?;
    now.checked_sub(Duration::from_micros(age))
}

/// Samples that are newer than `newest`: the type of their values, and how many they are. Of an empty
/// buffer, how many there can be.
fn samples(
    device: &Device,
    kind: sys::nvmlSamplingType_t,
    newest: u64,
    buffer: &mut [sys::nvmlSample_t],
) -> Result<(sys::nvmlValueType_t, usize), Code> {
    let get = function(&device.library.symbols.nvmlDeviceGetSamples)?;
    let (mut value_kind, mut count) = (0, buffer.len() as u32);
    let samples = if buffer.is_empty() { ptr::null_mut() } else { buffer.as_mut_ptr() };
    // SAFETY: the call writes at most `count` samples to the buffer, which has room for so many. Where
    // the pointer is null it writes the count alone.
    let code = unsafe { get(device.handle, kind, newest, &mut value_kind, &mut count, samples) };
    Code::check(code)?;
    Ok((value_kind, count as usize))
}

#[cfg(test)]
mod tests {
    use model::{FieldId, field};

    use super::*;

    const HOUR: u64 = 3_600_000_000;

    fn stream(quantity: Quantity) -> Stream {
        let sampled = fields::rows().find_map(|row| match row.call {
            Call::Samples(sampled) if sampled.quantity == quantity => Some(sampled),
            _ => None,
        });
        Stream::of(sampled.expect("a stream"))
    }

    fn sample(at: u64, value: u32) -> sys::nvmlSample_t {
        let mut sample_value = sys::nvmlValue_t { ullVal: 0 };
        sample_value.uiVal = value;
        sys::nvmlSample_t { timeStamp: at, sampleValue: sample_value }
    }

    #[test]
    fn time_stamps_of_the_wall_clock_are_moments_by_their_age() {
        let now = Moment::now() + Duration::from_secs(7200);
        let wall = 100 * HOUR;
        let age = |at, newest| moment(at, newest, wall, now).map(|moment| now - moment);
        assert_eq!(age(wall - 1_500, wall - 500), Some(Duration::from_micros(1_500)));
        assert_eq!(age(wall, wall), Some(Duration::ZERO));
        assert_eq!(age(wall - HOUR, wall - HOUR), Some(Duration::from_secs(3600)));
        // Of the future, or of another clock: the newest is of now.
        assert_eq!(age(wall + 5, wall + 25), Some(Duration::from_micros(20)));
        assert_eq!(age(400, 1_400), Some(Duration::from_micros(1_000)));
        assert_eq!(age(wall - HOUR - 8, wall - HOUR - 1), Some(Duration::from_micros(7)));
    }

    #[test]
    fn only_new_and_plausible_samples_are_handed_on() {
        let mut stream = stream(Quantity::Power);
        let now = Moment::now();
        let wall = 50 * HOUR;
        let uint = sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        let buffer = [
            sample(wall - 20_000, 300_500),
            sample(0, 7),
            sample(wall - 40_000, 299_000),
            sample(wall - 1_000, 4_000_000_000),
        ];
        let samples = stream.samples(uint, &buffer, wall, now).expect("samples");
        assert_eq!(samples.quantity, Quantity::Power);
        let values: Vec<f64> = samples.samples.iter().map(|(_, value)| *value).collect();
        assert_eq!(values, [299.0, 300.5]);
        assert!(samples.samples.is_sorted_by_key(|(at, _)| *at));
        // None of them is new any more, and the implausible one is not looked at again.
        assert_eq!(stream.newest, wall - 1_000);
        assert_eq!(stream.samples(uint, &buffer, wall, now), None);
    }

    #[test]
    fn after_hours_without_samples_each_is_handed_on_once() {
        let mut stream = stream(Quantity::Power);
        let uint = sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        let (wall, now) = (50 * HOUR, Moment::now());
        assert!(stream.samples(uint, &[sample(wall, 300_000)], wall, now).is_some());
        let (wall, now) = (wall + 3 * HOUR, now + Duration::from_secs(3 * 3600));
        let buffer = [sample(wall, 310_000)];
        assert!(stream.samples(uint, &buffer, wall, now).is_some());
        assert_eq!(stream.newest, wall);
        assert_eq!(stream.samples(uint, &buffer, wall, now), None);
    }

    #[test]
    fn samples_are_in_base_units() {
        let kind = sys::nvmlValueType_enum_NVML_VALUE_TYPE_UNSIGNED_INT;
        let value = |quantity, raw| stream(quantity).value(kind, sample(1, raw).sampleValue);
        assert_eq!(value(Quantity::Power, 512_345), Some(512.345));
        assert_eq!(value(Quantity::GpuUtilization, 37), Some(0.37));
        assert_eq!(value(Quantity::MemoryUtilization, 101), None);
        assert_eq!(value(Quantity::SmClock, 1_980), Some(1.98e9));
    }

    #[test]
    fn only_hidden_watches_with_a_period_of_their_own_want_samples() {
        let watch = |field: FieldId, kind, pace| Watch {
            field,
            name: "a".into(),
            kind,
            help: "b".into(),
            pace,
            cumulative: false,
        };
        let second = Pace::At(Duration::from_secs(1));
        let watches = [
            watch(field::POWER_USAGE, Kind::Hidden, second),
            watch(field::SM_CLOCK_HERTZ, Kind::Gauge, second),
            watch(field::GPU_UTIL_RATIO, Kind::Hidden, Pace::Every),
            watch(field::GPU_TEMP, Kind::Hidden, second),
        ];
        let samples = DriverSamples::new(&watches, &mut CallTimes::default());
        let quantities: Vec<Quantity> =
            samples.streams.iter().map(|stream| stream.sampled.quantity).collect();
        assert_eq!(quantities, [Quantity::Power]);
    }
}
