//! The largest and smallest values while a condition goes on: the numbers of its sentence.

use super::input::{GpuReading, Input};

/// The smallest and the largest value of each input.
#[derive(Clone, Default, Debug)]
pub(crate) struct Extremes(Vec<Option<(f64, f64)>>);

impl Extremes {
    /// Takes a row. A GPU without work lowers its clock by itself.
    pub(crate) fn add(&mut self, reading: &GpuReading) {
        self.0.resize(reading.values().len(), None);
        let is_idle = reading.get(Input::Utilization) == Some(0.0);
        for (number, (extreme, value)) in self.0.iter_mut().zip(reading.values()).enumerate() {
            let Some(value) = *value else { continue };
            if is_idle && number == Input::SmClock as usize {
                continue;
            }
            let (min, max) = extreme.unwrap_or((value, value));
            *extreme = Some((min.min(value), max.max(value)));
        }
    }

    /// Forgets everything.
    pub(crate) fn clear(&mut self) {
        self.0.clear();
    }

    /// The largest value.
    pub(crate) fn max(&self, input: Input) -> Option<f64> {
        self.0.get(input as usize).copied().flatten().map(|(_, max)| max)
    }

    /// The smallest value.
    pub(crate) fn min(&self, input: Input) -> Option<f64> {
        self.0.get(input as usize).copied().flatten().map(|(min, _)| min)
    }
}
