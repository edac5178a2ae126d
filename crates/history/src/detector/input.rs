//! The signals that the detector looks at, by name, so that it reads recordings of any version.

use crate::layout::{Layout, SignalInfo};
use crate::recording::Row;

/// A signal of a GPU.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Input {
    Up,
    Temperature,
    MemoryTemperature,
    SlowdownTemperature,
    Fan,
    PowerLimit,
    SmClock,
    ClockReasons,
    Utilization,
    SmActive,
    MemoryTotal,
    MemoryFree,
    MemoryUsed,
    MemoryReserved,
    PcieReplays,
    PcieGeneration,
    PcieWidth,
    EccCorrected,
    EccUncorrected,
    RemapPending,
    RemapFailed,
    NvlinkErrors,
    LinksActive,
}

/// How many there are.
const INPUTS: usize = 23;

/// Their names, in order.
const NAMES: [&str; INPUTS] = [
    "up",
    "gpu_temperature",
    "memory_temperature",
    "slowdown_temperature",
    "fan",
    "power_limit",
    "sm_clock",
    "clock_reasons",
    "gpu_utilization",
    "sm_active",
    "memory_total",
    "memory_free",
    "memory_used",
    "memory_reserved",
    "pcie_replays",
    "pcie_link_generation",
    "pcie_link_width",
    "ecc_corrected",
    "ecc_uncorrected",
    "remap_pending",
    "remap_failed",
    "nvlink_errors",
    "links_active",
];

/// The signals of the machine.
const OF_HOST: [&str; 3] = ["memory_available", "memory_pressure_some", "memory_pressure_full"];

/// What one row says of one GPU.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct GpuReading([Option<f64>; INPUTS]);

impl GpuReading {
    /// A value, if the row has it.
    pub(crate) fn get(&self, input: Input) -> Option<f64> {
        self.0.get(input as usize).copied().flatten()
    }

    /// The values in the order of inputs.
    pub(crate) fn values(&self) -> &[Option<f64>] {
        &self.0
    }

    /// Memory in use, in MiB.
    pub(crate) fn memory_used(&self) -> Option<f64> {
        let rest = || {
            let reserved = self.get(Input::MemoryReserved).unwrap_or_default();
            Some(self.get(Input::MemoryTotal)? - self.get(Input::MemoryFree)? - reserved)
        };
        self.get(Input::MemoryUsed).or_else(rest)
    }

    /// The share of its memory that is in use: 0 to 1.
    pub(crate) fn memory_share(&self) -> Option<f64> {
        let total = self.get(Input::MemoryTotal)?;
        let usable = total - self.get(Input::MemoryReserved).unwrap_or_default();
        (usable > 0.0).then_some(self.memory_used()? / usable)
    }

    /// Whether it does no work at all.
    pub(crate) fn is_silent(&self) -> Option<bool> {
        match (self.get(Input::Utilization), self.get(Input::SmActive)) {
            (None, None) => None,
            (utilization, sm_active) => {
                Some(utilization == Some(0.0) || sm_active.is_some_and(|active| active < 0.005))
            }
        }
    }
}

/// What one row says of the machine.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct HostReading {
    /// Memory that programs can still get, in MiB.
    pub(crate) memory_available: Option<f64>,
    /// Memory pressure of at least one program, in percent.
    pub(crate) pressure_some: Option<f64>,
    /// Memory pressure of all programs, in percent.
    pub(crate) pressure_full: Option<f64>,
}

/// Where in rows of one layout the inputs are.
#[derive(Clone, Default, Debug)]
pub(crate) struct Columns {
    host: [Option<Place>; OF_HOST.len()],
    /// For each input, its place in the columns of the first GPU.
    gpu: [Option<Place>; INPUTS],
    /// The column of the first GPU.
    first: usize,
    /// Columns per GPU.
    width: usize,
}

/// A column, and how its numbers become values.
#[derive(Clone, Copy, Debug)]
struct Place {
    column: usize,
    resolution: crate::signal::Resolution,
}

impl Columns {
    /// The places in this layout.
    pub(crate) fn of(layout: &Layout) -> Self {
        let signals = |is_of_host: bool| -> Vec<&SignalInfo> {
            layout.signals.iter().filter(|signal| signal.is_of_host == is_of_host).collect()
        };
        let (of_host, of_gpu) = (signals(true), signals(false));
        let place = |signals: &[&SignalInfo], name: &str| {
            let column = signals.iter().position(|signal| signal.name == name)?;
            Some(Place { column, resolution: signals.get(column)?.resolution() })
        };
        Self {
            host: OF_HOST.map(|name| place(&of_host, name)),
            gpu: NAMES.map(|name| place(&of_gpu, name)),
            first: of_host.len(),
            width: of_gpu.len(),
        }
    }

    /// What the row says of the GPU at this position.
    pub(crate) fn gpu(&self, row: &Row, position: usize) -> GpuReading {
        let offset = position.saturating_mul(self.width).saturating_add(self.first);
        GpuReading(self.gpu.map(|place| value(row, place?, offset)))
    }

    /// What the row says of the machine.
    pub(crate) fn host(&self, row: &Row) -> HostReading {
        let [memory_available, pressure_some, pressure_full] =
            self.host.map(|place| value(row, place?, 0));
        HostReading { memory_available, pressure_some, pressure_full }
    }
}

fn value(row: &Row, place: Place, offset: usize) -> Option<f64> {
    let number = row.values.get(offset.checked_add(place.column)?).copied().flatten()?;
    let value = place.resolution.decode(number);
    value.is_finite().then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_input_has_its_name() {
        for (input, name) in [
            (Input::Up, "up"),
            (Input::ClockReasons, "clock_reasons"),
            (Input::MemoryReserved, "memory_reserved"),
            (Input::EccUncorrected, "ecc_uncorrected"),
            (Input::LinksActive, "links_active"),
        ] {
            assert_eq!(NAMES[input as usize], name);
        }
        assert_eq!(Input::LinksActive as usize + 1, INPUTS);
    }
}
