//! The script of one GPU: its faults as pure functions of time.

use std::time::Duration;

use crate::XidEvent;

/// What happens to one GPU. Without faults, it stays healthy.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// When the training job starts a process on it; `None` for an idle GPU.
    pub(crate) job_starts: Option<Duration>,
    /// When its process is killed, and not started again.
    pub(crate) job_ends: Option<Duration>,
    /// Its cooling fails.
    pub(crate) cooling: Option<CoolingFailure>,
    /// Its process leaks memory.
    pub(crate) leak: Option<Leak>,
    /// Its memory has errors.
    pub(crate) bad_memory: Option<BadMemory>,
    /// It falls off the bus.
    pub(crate) off_bus: Option<OffBus>,
    /// The power supply makes it slow down.
    pub(crate) power_brake: Option<PowerBrake>,
    /// Some of its NVLinks go down.
    pub(crate) links_down: Option<LinksDown>,
}

/// Cooling that gets worse until it is repaired.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoolingFailure {
    pub(crate) begins: Duration,
    pub(crate) worst: Duration,
    pub(crate) repaired: Duration,
    /// Highest thermal resistance, as a multiple of the healthy value.
    pub(crate) worst_factor: f64,
}

/// A process that leaks memory until none is left, dies, and is restarted without the leak.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leak {
    pub(crate) begins: Duration,
    /// Growth per second, as a share of all memory.
    pub(crate) share_per_second: f64,
    pub(crate) out_of_memory: Duration,
    pub(crate) restarted: Duration,
}

/// Memory whose correctable errors become more frequent, until an uncorrectable error kills the
/// process and causes a row remapping. Afterwards there are few errors.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BadMemory {
    pub(crate) begins: Duration,
    /// How fast the rate of correctable errors grows: errors per second, per second.
    pub(crate) errors_per_second_squared: f64,
    pub(crate) uncorrectable: Duration,
    /// Correctable errors per second afterwards.
    pub(crate) errors_per_second_after: f64,
    pub(crate) restarted: Duration,
}

/// A PCIe link that degrades (replays, fewer lanes), fails, and works again after a reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffBus {
    pub(crate) degrades: Duration,
    /// Replays per second while the link is degraded.
    pub(crate) replays_per_second: f64,
    /// Lanes in use while the link is degraded, as a share of all.
    pub(crate) lanes_share: f64,
    pub(crate) lost: Duration,
    pub(crate) back: Duration,
    pub(crate) restarted: Duration,
}

/// A power supply that holds the power brake for a while.
#[derive(Clone, Copy, Debug)]
pub(crate) struct PowerBrake {
    pub(crate) begins: Duration,
    pub(crate) ends: Duration,
}

/// NVLinks that go down and stay down.
#[derive(Clone, Copy, Debug)]
pub(crate) struct LinksDown {
    pub(crate) at: Duration,
    /// How many.
    pub(crate) links: u32,
}

/// The condition of a GPU at one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Condition {
    /// Whether the GPU is off the bus.
    pub(crate) lost: bool,
    /// Whether the job has a process on it.
    pub(crate) running: bool,
    /// Thermal resistance, as a multiple of its healthy value.
    pub(crate) cooling_factor: f64,
    /// Memory leaked so far, as a share of all.
    pub(crate) leaked_share: f64,
    /// Correctable errors per second.
    pub(crate) correctable_per_second: f64,
    /// Uncorrectable errors so far, each with its remapped row.
    pub(crate) uncorrectable: u64,
    /// PCIe replays per second.
    pub(crate) replays_per_second: f64,
    /// PCIe lanes in use, as a share of all.
    pub(crate) lanes_share: f64,
    /// Whether the power supply holds the power brake.
    pub(crate) power_brake: bool,
    /// NVLinks that are down.
    pub(crate) links_down: u32,
}

impl Script {
    /// A GPU that takes part in the job from `at`.
    pub(crate) fn training(at: Duration) -> Self {
        Self { job_starts: Some(at), ..Self::default() }
    }

    /// The condition at `now`.
    pub(crate) fn at(&self, now: Duration) -> Condition {
        let within = |from: Duration, to: Duration| from <= now && now < to;
        let since = |from: Duration| now.saturating_sub(from).as_secs_f64();
        let mut condition = Condition {
            lost: false,
            running: self.job_starts.is_some_and(|at| at <= now)
                && self.job_ends.is_none_or(|at| now < at),
            cooling_factor: 1.0,
            leaked_share: 0.0,
            correctable_per_second: 0.0,
            uncorrectable: 0,
            replays_per_second: 0.0,
            lanes_share: 1.0,
            power_brake: self.power_brake.is_some_and(|it| within(it.begins, it.ends)),
            links_down: self.links_down.filter(|it| it.at <= now).map_or(0, |it| it.links),
        };
        if let Some(it) = self.cooling
            && within(it.begins, it.repaired)
        {
            let worse = since(it.begins) / (it.worst - it.begins).as_secs_f64();
            condition.cooling_factor += (it.worst_factor - 1.0) * worse.min(1.0);
        }
        if let Some(it) = self.leak {
            if within(it.begins, it.out_of_memory) {
                condition.leaked_share = it.share_per_second * since(it.begins);
            }
            condition.running &= !within(it.out_of_memory, it.restarted);
        }
        if let Some(it) = self.bad_memory {
            if now >= it.uncorrectable {
                condition.correctable_per_second = it.errors_per_second_after;
                condition.uncorrectable = 1;
            } else {
                condition.correctable_per_second = it.errors_per_second_squared * since(it.begins);
            }
            condition.running &= !within(it.uncorrectable, it.restarted);
        }
        if let Some(it) = self.off_bus {
            if within(it.degrades, it.lost) {
                condition.replays_per_second = it.replays_per_second;
                condition.lanes_share = it.lanes_share;
            }
            condition.lost = within(it.lost, it.back);
            condition.running &= !within(it.lost, it.restarted);
        }
        condition
    }

    /// All XIDs that the GPU reports, in order of time.
    pub(crate) fn xids(&self) -> Vec<XidEvent> {
        let mut xids = Vec::new();
        if let Some(it) = self.bad_memory {
            // The error, its containment to one process, and the pending row remapping.
            for (milliseconds, code) in [(0, 48), (100, 94), (400, 63)] {
                let at = it.uncorrectable + Duration::from_millis(milliseconds);
                xids.push(XidEvent { at, code });
            }
        }
        if let Some(it) = self.off_bus {
            xids.push(XidEvent { at: it.lost, code: 79 });
        }
        if let Some(it) = self.links_down {
            xids.push(XidEvent { at: it.at, code: 74 });
        }
        xids.sort_by_key(|xid| xid.at);
        xids
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const fn seconds(s: u64) -> Duration {
        Duration::from_secs(s)
    }

    #[test]
    fn a_gpu_without_faults_stays_healthy() {
        let script = Script::training(seconds(10));
        assert!(!script.at(seconds(9)).running);
        let condition = script.at(seconds(100_000));
        assert!(condition.running && !condition.lost);
        assert_eq!((condition.cooling_factor, condition.uncorrectable), (1.0, 0));
        assert!(script.xids().is_empty());
    }

    #[test]
    fn cooling_gets_worse_and_is_repaired() {
        let script = Script {
            cooling: Some(CoolingFailure {
                begins: seconds(10),
                worst: seconds(20),
                repaired: seconds(30),
                worst_factor: 3.0,
            }),
            ..Script::default()
        };
        let factors = [9, 10, 15, 20, 29, 30].map(|s| script.at(seconds(s)).cooling_factor);
        assert_eq!(factors, [1.0, 1.0, 2.0, 3.0, 3.0, 1.0]);
    }

    #[test]
    fn a_killed_process_does_not_come_back() {
        let script = Script { job_ends: Some(seconds(20)), ..Script::training(seconds(10)) };
        let running = [9, 10, 19, 20, 100_000].map(|s| script.at(seconds(s)).running);
        assert_eq!(running, [false, true, true, false, false]);
    }

    #[test]
    fn a_power_brake_ends_and_links_stay_down() {
        let script = Script {
            power_brake: Some(PowerBrake { begins: seconds(10), ends: seconds(20) }),
            links_down: Some(LinksDown { at: seconds(15), links: 2 }),
            ..Script::default()
        };
        let condition = |s| script.at(seconds(s));
        assert_eq!([9, 10, 20].map(|s| condition(s).power_brake), [false, true, false]);
        assert_eq!([14, 15, 100].map(|s| condition(s).links_down), [0, 2, 2]);
        assert_eq!(script.xids(), [XidEvent { at: seconds(15), code: 74 }]);
    }

    #[test]
    fn a_lost_gpu_runs_no_process_until_the_job_restarts() {
        let off_bus = OffBus {
            degrades: seconds(5),
            replays_per_second: 2.0,
            lanes_share: 0.25,
            lost: seconds(10),
            back: seconds(20),
            restarted: seconds(25),
        };
        let script = Script { off_bus: Some(off_bus), ..Script::training(Duration::ZERO) };
        let observed = |s| {
            let condition = script.at(seconds(s));
            (condition.lost, condition.running, condition.replays_per_second, condition.lanes_share)
        };
        assert_eq!(observed(4), (false, true, 0.0, 1.0));
        assert_eq!(observed(9), (false, true, 2.0, 0.25));
        assert_eq!(observed(10), (true, false, 0.0, 1.0));
        assert_eq!(observed(20), (false, false, 0.0, 1.0));
        assert_eq!(observed(25), (false, true, 0.0, 1.0));
        assert_eq!(script.xids(), [XidEvent { at: seconds(10), code: 79 }]);
    }
}
