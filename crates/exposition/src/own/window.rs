//! Of what happens between scrapes: the least, the mean and the most over a rolling window.

use model::{Extent, Kind, Quantity};

use super::{Known, Own};
use crate::text::{Family, Labels, Number};

/// Three families for each quantity, and how long the window is.
macro_rules! families {
    ($($name:literal, $unit:literal: $what:literal, $in:literal, $quantity:ident;)+) => {
        pub(super) const FAMILIES: &[Own] = &[
            $(
                Own {
                    name: concat!("heatsink_", $name, "_min_", $unit),
                    kind: Kind::Gauge,
                    help: concat!($what, ", lowest over the last heatsink_window_seconds ", $in),
                    samples: |known, family| {
                        extents(known, family, Quantity::$quantity, |extent| extent.min);
                    },
                },
                Own {
                    name: concat!("heatsink_", $name, "_mean_", $unit),
                    kind: Kind::Gauge,
                    help: concat!($what, ", mean over the last heatsink_window_seconds ", $in),
                    samples: |known, family| {
                        extents(known, family, Quantity::$quantity, |extent| extent.mean);
                    },
                },
                Own {
                    name: concat!("heatsink_", $name, "_max_", $unit),
                    kind: Kind::Gauge,
                    help: concat!($what, ", highest over the last heatsink_window_seconds ", $in),
                    samples: |known, family| {
                        extents(known, family, Quantity::$quantity, |extent| extent.max);
                    },
                },
            )+
            Own {
                name: "heatsink_window_seconds",
                kind: Kind::Gauge,
                help: "How long the window is that lowest, mean and highest are of (in seconds).",
                samples: window,
            },
        ];
    };
}

#[rustfmt::skip]
families! {
    "gpu_temperature", "celsius": "GPU temperature", "(in degrees Celsius).", Temperature;
    "memory_temperature", "celsius": "Memory temperature", "(in degrees Celsius).", MemoryTemperature;
    "power", "watts": "Power of the board", "(in watts).", Power;
    "sm_clock", "hertz": "SM clock", "(in hertz).", SmClock;
    "gpu_utilization", "ratio": "Share of time in which a kernel ran", "(ratio).", GpuUtilization;
    "memory_utilization", "ratio": "Share of time in which memory was read or written", "(ratio).", MemoryUtilization;
    "framebuffer_used", "bytes": "Framebuffer in use", "(in bytes).", FramebufferUsed;
}

fn extents(
    known: &Known<'_>,
    family: &mut Family<'_>,
    quantity: Quantity,
    value: impl Fn(&Extent) -> f64,
) {
    for row in known.gpus.iter().filter(|row| row.view.up.is_ok()) {
        let extent = row.view.extents.iter().find(|extent| extent.quantity == quantity);
        let Some(extent) = extent else { continue };
        if let Some(value) = Number::finite(value(extent)) {
            let samples = if extent.from_driver { "driver" } else { "polled" };
            family.line(&row.short).text("samples", samples).value(value);
        }
    }
}

fn window(known: &Known<'_>, family: &mut Family<'_>) {
    let window = known.snapshot.windows.extents;
    if !window.is_zero() {
        family.sample(&Labels::default(), window);
    }
}
