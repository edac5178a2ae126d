//! Decides the SM clock from load, power limit and temperature.

/// SM clock of an idle GPU, MHz.
pub(crate) const IDLE_CLOCK_MHZ: f64 = 345.0;
/// Highest SM clock, MHz.
pub(crate) const MAX_CLOCK_MHZ: f64 = 1980.0;
/// Step between clocks, MHz.
const CLOCK_STEP_MHZ: f64 = 15.0;

/// Core temperature at which the driver begins to slow the GPU down, °C.
pub(crate) const SLOWDOWN_CELSIUS: f64 = 87.0;
/// Core temperature below which the driver lets the clock rise again, °C.
const RELEASE_CELSIUS: f64 = 84.0;
/// Core temperature at which the hardware halves the clock, °C.
const HARDWARE_CELSIUS: f64 = 90.0;
/// Core temperature below which the hardware stops halving the clock, °C.
const HARDWARE_RELEASE_CELSIUS: f64 = 87.0;
/// Core temperature at which the GPU switches itself off, °C.
pub(crate) const SHUTDOWN_CELSIUS: f64 = 92.0;

/// Lowest clock that the driver sets because of heat, MHz.
const SOFTWARE_FLOOR_MHZ: f64 = 1350.0;
/// Highest clock while the hardware halves it, MHz.
const HARDWARE_CLOCK_MHZ: f64 = 990.0;
/// Highest clock while the power supply holds the power brake, MHz.
const POWER_BRAKE_CLOCK_MHZ: f64 = 705.0;
/// How fast the driver lowers the clock because of heat.
const FALL_MHZ_PER_SECOND: f64 = 20.0;
/// How fast the driver raises the clock afterwards.
const RISE_MHZ_PER_SECOND: f64 = 25.0;
/// Largest rise of the clock per decision while the load runs, MHz.
const POWER_RISE_MHZ: f64 = 30.0;

const REASON_IDLE: u64 = 0x1;
const REASON_POWER_CAP: u64 = 0x4;
const REASON_HARDWARE_SLOWDOWN: u64 = 0x8;
const REASON_SOFTWARE_THERMAL: u64 = 0x20;
const REASON_HARDWARE_THERMAL: u64 = 0x40;
const REASON_POWER_BRAKE: u64 = 0x80;

/// The clock, and the limits that heat sets on it.
#[derive(Clone, Debug)]
pub(crate) struct Governor {
    /// Highest clock that the driver allows at this temperature, MHz.
    ceiling_mhz: f64,
    /// Whether the hardware halves the clock because of heat.
    hardware_slowdown: bool,
    /// The clock, MHz.
    clock_mhz: f64,
}

impl Governor {
    pub(crate) fn new() -> Self {
        Self { ceiling_mhz: MAX_CLOCK_MHZ, hardware_slowdown: false, clock_mhz: IDLE_CLOCK_MHZ }
    }

    /// Decides the clock (MHz) and its reasons (NVML's bits) for the next `dt_seconds`.
    ///
    /// `watts` is the power that the load draws at a clock (MHz).
    pub(crate) fn decide(
        &mut self,
        dt_seconds: f64,
        temperature_celsius: f64,
        running: bool,
        power_brake: bool,
        limit_watts: f64,
        watts: impl Fn(f64) -> f64,
    ) -> (f64, u64) {
        self.update_ceilings(dt_seconds, temperature_celsius);
        if !running {
            self.clock_mhz = IDLE_CLOCK_MHZ;
            return (self.clock_mhz, REASON_IDLE);
        }

        let mut reasons = 0;
        let mut ceiling = (self.ceiling_mhz / CLOCK_STEP_MHZ).floor() * CLOCK_STEP_MHZ;
        if self.ceiling_mhz < MAX_CLOCK_MHZ {
            reasons |= REASON_SOFTWARE_THERMAL;
        }
        if self.hardware_slowdown {
            ceiling = ceiling.min(HARDWARE_CLOCK_MHZ);
            reasons |= REASON_HARDWARE_THERMAL;
        }
        if power_brake {
            ceiling = ceiling.min(POWER_BRAKE_CLOCK_MHZ);
            reasons |= REASON_HARDWARE_SLOWDOWN | REASON_POWER_BRAKE;
        }

        let target = match self.clock_mhz {
            c if c <= IDLE_CLOCK_MHZ => ceiling,
            c => ceiling.min(c + POWER_RISE_MHZ),
        };
        self.clock_mhz = target;
        while watts(self.clock_mhz) > limit_watts && self.clock_mhz > IDLE_CLOCK_MHZ {
            self.clock_mhz -= CLOCK_STEP_MHZ;
        }
        if self.clock_mhz < target {
            reasons |= REASON_POWER_CAP;
        }
        (self.clock_mhz, reasons)
    }

    fn update_ceilings(&mut self, dt_seconds: f64, celsius: f64) {
        if celsius >= SLOWDOWN_CELSIUS {
            let lower = self.ceiling_mhz - FALL_MHZ_PER_SECOND * dt_seconds;
            self.ceiling_mhz = lower.max(SOFTWARE_FLOOR_MHZ);
        } else if celsius < RELEASE_CELSIUS {
            let higher = self.ceiling_mhz + RISE_MHZ_PER_SECOND * dt_seconds;
            self.ceiling_mhz = higher.min(MAX_CLOCK_MHZ);
        }
        if celsius >= HARDWARE_CELSIUS {
            self.hardware_slowdown = true;
        } else if celsius < HARDWARE_RELEASE_CELSIUS {
            self.hardware_slowdown = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decide(governor: &mut Governor, celsius: f64, watts_at_full: f64) -> (f64, u64) {
        governor.decide(0.1, celsius, true, false, 700.0, |mhz| watts_at_full * mhz / MAX_CLOCK_MHZ)
    }

    #[test]
    fn an_idle_gpu_has_the_idle_clock() {
        let decision = Governor::new().decide(0.1, 30.0, false, true, 700.0, |_| 70.0);
        assert_eq!(decision, (345.0, 0x1));
    }

    #[test]
    fn load_raises_the_clock_to_its_maximum_at_once() {
        assert_eq!(decide(&mut Governor::new(), 60.0, 600.0), (1980.0, 0));
    }

    #[test]
    fn the_power_limit_lowers_the_clock_at_once() {
        let governor = &mut Governor::new();
        assert_eq!(decide(governor, 60.0, 770.0), (1800.0, 0x4));
        assert_eq!(decide(governor, 60.0, 600.0), (1830.0, 0), "the clock rises in steps");
    }

    #[test]
    fn the_power_brake_lowers_the_clock_at_once() {
        let governor = &mut Governor::new();
        assert_eq!(decide(governor, 60.0, 600.0), (1980.0, 0));
        let braked = governor.decide(0.1, 60.0, true, true, 700.0, |_| 300.0);
        assert_eq!(braked, (705.0, 0x88));
        assert_eq!(decide(governor, 60.0, 600.0), (735.0, 0), "the clock rises in steps");
    }

    #[test]
    fn heat_lowers_the_clock_with_hysteresis() {
        let governor = &mut Governor::new();
        assert_eq!(decide(governor, 86.9, 600.0), (1980.0, 0));
        for _ in 0..100 {
            decide(governor, 87.0, 600.0);
        }
        let (held, reasons) = decide(governor, 85.0, 600.0);
        assert_eq!((held, reasons), (1770.0, 0x20));
        assert_eq!(decide(governor, 84.0, 600.0), (1770.0, 0x20), "at 84 °C the clock stays");
        for _ in 0..100 {
            decide(governor, 83.0, 600.0);
        }
        assert_eq!(decide(governor, 83.0, 600.0), (1980.0, 0));
    }

    #[test]
    fn the_hardware_halves_the_clock_at_90_and_stops_below_87() {
        let governor = &mut Governor::new();
        assert_eq!(decide(governor, 90.0, 600.0), (990.0, 0x60));
        assert_eq!(decide(governor, 88.0, 600.0), (990.0, 0x60));
        assert_eq!(decide(governor, 86.0, 600.0).1, 0x20);
    }
}
