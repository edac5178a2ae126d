//! The driver's sample buffers: power, utilization and clocks of the last moments.

use std::{
    array,
    collections::VecDeque,
    time::{Duration, SystemTime, UNIX_EPOCH},
};

use serde::Deserialize;

/// How many samples a buffer holds.
pub(crate) const CAPACITY: usize = 120;

/// What is sampled.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Quantity {
    Power,
    GpuUtilization,
    MemoryUtilization,
    SmClock,
    MemoryClock,
}

impl Quantity {
    const COUNT: usize = 5;
}

/// Where the samples of a board come from; what is left out is not sampled.
#[derive(Deserialize, Clone, Default, Debug)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Sources {
    pub power_mw: Option<Source>,
    pub gpu_utilization: Option<Source>,
    pub memory_utilization: Option<Source>,
    pub sm_clock_mhz: Option<Source>,
    pub memory_clock_mhz: Option<Source>,
}

impl Sources {
    pub(crate) fn of(&self, quantity: Quantity) -> Option<&Source> {
        match quantity {
            Quantity::Power => self.power_mw.as_ref(),
            Quantity::GpuUtilization => self.gpu_utilization.as_ref(),
            Quantity::MemoryUtilization => self.memory_utilization.as_ref(),
            Quantity::SmClock => self.sm_clock_mhz.as_ref(),
            Quantity::MemoryClock => self.memory_clock_mhz.as_ref(),
        }
    }
}

/// A sample at each whole multiple of a period, with values that come in turn.
#[derive(Deserialize, Clone, Debug)]
#[serde(try_from = "SourceText")]
pub(crate) struct Source {
    every_us: u64,
    values: Vec<u32>,
}

impl Source {
    /// Samples with the present value.
    pub(crate) fn steady(every: Duration, value: u32) -> Self {
        Self { every_us: micros(every).max(1), values: vec![value] }
    }

    /// The `n`th sample since 1970.
    fn sample(&self, n: u64) -> Sample {
        let value = self.values[(n % self.values.len() as u64) as usize];
        Sample { timestamp_us: n * self.every_us, value }
    }
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct SourceText {
    every_ms: u64,
    values: Vec<u32>,
}

/// Samples that cannot be taken in turn.
#[derive(thiserror::Error, Debug)]
#[error("samples need a period above 0 and values")]
struct InvalidSamples;

impl TryFrom<SourceText> for Source {
    type Error = InvalidSamples;

    fn try_from(SourceText { every_ms, values }: SourceText) -> Result<Self, InvalidSamples> {
        if every_ms == 0 || values.is_empty() {
            return Err(InvalidSamples);
        }
        Ok(Self { every_us: every_ms * 1000, values })
    }
}

/// A time in which samples have another value.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Spike {
    pub quantity: Quantity,
    pub lasts: Duration,
    pub value: u32,
}

/// A spike, and when it began: µs of the wall clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Begun {
    pub at_us: u64,
    pub spike: Spike,
}

impl Begun {
    fn covers(&self, quantity: Quantity, timestamp_us: u64) -> bool {
        let until = self.at_us + micros(self.spike.lasts);
        self.spike.quantity == quantity && (self.at_us..until).contains(&timestamp_us)
    }
}

/// One sample.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Sample {
    pub timestamp_us: u64,
    pub value: u32,
}

/// The buffers of one GPU. A sample is made by the first call after its time, and then
/// stays as it is.
pub(crate) struct Recorder {
    buffers: [VecDeque<Sample>; Quantity::COUNT],
}

impl Recorder {
    pub(crate) fn new() -> Self {
        Self { buffers: array::from_fn(|_| VecDeque::with_capacity(CAPACITY)) }
    }

    /// All samples up to now, oldest first.
    pub(crate) fn record(
        &mut self,
        quantity: Quantity,
        source: &Source,
        spikes: &[Begun],
        now_us: u64,
    ) -> &VecDeque<Sample> {
        let buffer = &mut self.buffers[quantity as usize];
        let newest = now_us / source.every_us;
        let oldest = (newest + 1).saturating_sub(CAPACITY as u64);
        let next = buffer.back().map_or(0, |last| last.timestamp_us / source.every_us + 1);
        for n in oldest.max(next)..=newest {
            let mut sample = source.sample(n);
            let spike =
                spikes.iter().rev().find(|spike| spike.covers(quantity, sample.timestamp_us));
            if let Some(begun) = spike {
                sample.value = begun.spike.value;
            }
            if buffer.len() == CAPACITY {
                buffer.pop_front();
            }
            buffer.push_back(sample);
        }
        buffer
    }
}

/// The wall clock, µs since 1970.
pub(crate) fn now_us() -> u64 {
    micros(SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default())
}

fn micros(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn values(samples: &VecDeque<Sample>, newest: usize) -> Vec<u32> {
        samples.iter().skip(samples.len() - newest).map(|sample| sample.value).collect()
    }

    #[test]
    fn a_sample_keeps_its_value_once_it_is_made() {
        let mut recorder = Recorder::new();
        let steady = |value| Source::steady(Duration::from_micros(10), value);
        let first = recorder.record(Quantity::Power, &steady(1), &[], 10_000);
        assert_eq!((first.len(), first.back().unwrap().timestamp_us), (CAPACITY, 10_000));
        let later = recorder.record(Quantity::Power, &steady(2), &[], 10_029);
        assert_eq!((later.len(), values(later, 4)), (CAPACITY, vec![1, 1, 2, 2]));
        let long_after = recorder.record(Quantity::Power, &steady(3), &[], 90_000);
        assert!(long_after.iter().all(|sample| sample.value == 3), "the gap is as long as it is");
    }

    #[test]
    fn a_spike_is_in_the_samples_of_its_time_and_quantity() {
        let source = Source { every_us: 10, values: vec![5, 6] };
        let spike =
            Spike { quantity: Quantity::Power, lasts: Duration::from_micros(20), value: 900 };
        let spikes = [Begun { at_us: 2_005, spike }];
        let mut recorder = Recorder::new();
        let power = recorder.record(Quantity::Power, &source, &spikes, 2_040);
        assert_eq!(values(power, 5), [5, 900, 900, 6, 5]);
        let clock = recorder.record(Quantity::SmClock, &source, &spikes, 2_040);
        assert_eq!(values(clock, 5), [5, 6, 5, 6, 5]);
    }
}
