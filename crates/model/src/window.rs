//! Values between scrapes: minimum, mean and maximum over a sliding window.

use crate::field;
use crate::moment::Moment;
use crate::watch::FieldId;

/// A quantity that is sampled between scrapes, in base units.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Quantity {
    /// GPU temperature, °C.
    Temperature,
    /// Memory temperature, °C.
    MemoryTemperature,
    /// Power of the board, W.
    Power,
    /// SM clock, Hz.
    SmClock,
    /// Share of time in which a kernel ran, 0 to 1.
    GpuUtilization,
    /// Share of time in which the memory was read or written, 0 to 1.
    MemoryUtilization,
    /// Framebuffer in use, bytes.
    FramebufferUsed,
}

impl Quantity {
    /// All of them, in page order.
    pub const ALL: [Self; 7] = [
        Self::Temperature,
        Self::MemoryTemperature,
        Self::Power,
        Self::SmClock,
        Self::GpuUtilization,
        Self::MemoryUtilization,
        Self::FramebufferUsed,
    ];

    /// The families of its minimum, mean and maximum over the window.
    pub fn families(self) -> [FieldId; 3] {
        match self {
            Self::Temperature => [
                field::GPU_TEMPERATURE_MIN_CELSIUS,
                field::GPU_TEMPERATURE_MEAN_CELSIUS,
                field::GPU_TEMPERATURE_MAX_CELSIUS,
            ],
            Self::MemoryTemperature => [
                field::MEMORY_TEMPERATURE_MIN_CELSIUS,
                field::MEMORY_TEMPERATURE_MEAN_CELSIUS,
                field::MEMORY_TEMPERATURE_MAX_CELSIUS,
            ],
            Self::Power => {
                [field::POWER_MIN_WATTS, field::POWER_MEAN_WATTS, field::POWER_MAX_WATTS]
            }
            Self::SmClock => {
                [field::SM_CLOCK_MIN_HERTZ, field::SM_CLOCK_MEAN_HERTZ, field::SM_CLOCK_MAX_HERTZ]
            }
            Self::GpuUtilization => [
                field::GPU_UTILIZATION_MIN_RATIO,
                field::GPU_UTILIZATION_MEAN_RATIO,
                field::GPU_UTILIZATION_MAX_RATIO,
            ],
            Self::MemoryUtilization => [
                field::MEMORY_UTILIZATION_MIN_RATIO,
                field::MEMORY_UTILIZATION_MEAN_RATIO,
                field::MEMORY_UTILIZATION_MAX_RATIO,
            ],
            Self::FramebufferUsed => [
                field::FRAMEBUFFER_USED_MIN_BYTES,
                field::FRAMEBUFFER_USED_MEAN_BYTES,
                field::FRAMEBUFFER_USED_MAX_BYTES,
            ],
        }
    }

    /// The field that is read for it, in the same unit.
    pub fn field(self) -> FieldId {
        match self {
            Self::Temperature => field::GPU_TEMP,
            Self::MemoryTemperature => field::MEMORY_TEMP,
            Self::Power => field::POWER_USAGE,
            Self::SmClock => field::SM_CLOCK_HERTZ,
            Self::GpuUtilization => field::GPU_UTIL_RATIO,
            Self::MemoryUtilization => field::MEMORY_UTIL_RATIO,
            Self::FramebufferUsed => field::FB_USED_BYTES,
        }
    }
}

/// Samples that the driver takes many times per second, oldest first.
#[derive(Clone, PartialEq, Debug)]
pub struct Samples {
    /// The quantity that was sampled.
    pub quantity: Quantity,
    /// The moment and the value of each, in the quantity's unit.
    pub samples: Vec<(Moment, f64)>,
}

/// One quantity of one GPU over the window.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Extent {
    /// The quantity that was sampled.
    pub quantity: Quantity,
    /// The smallest sample.
    pub min: f64,
    /// The mean of all samples.
    pub mean: f64,
    /// The largest sample.
    pub max: f64,
    /// Whether it includes samples of the driver; otherwise all samples are readings of passes.
    pub from_driver: bool,
}
