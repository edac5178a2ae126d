//! What happens to one GPU, and when: faults as pure functions of time.

use std::time::Duration;

use crate::XidEvent;

/// The life of one GPU. Without faults, it is healthy for ever.
#[derive(Clone, Debug, Default)]
pub(crate) struct Script {
    /// When the training job starts a process on it; never, on an idle GPU.
    pub(crate) job_starts: Option<Duration>,
    /// Its cooling fails.
    pub(crate) cooling: Option<CoolingFailure>,
    /// Its process leaks memory.
    pub(crate) leak: Option<Leak>,
    /// Its memory goes bad.
    pub(crate) bad_memory: Option<BadMemory>,
    /// It falls off the bus.
    pub(crate) off_bus: Option<OffBus>,
}

/// A cooling that gets worse, until somebody repairs it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct CoolingFailure {
    pub(crate) begins: Duration,
    pub(crate) worst: Duration,
    pub(crate) repaired: Duration,
    /// How many times its healthy value the thermal resistance reaches.
    pub(crate) worst_factor: f64,
}

/// A process that takes ever more memory until there is none, dies of it, and is started again
/// with the leak mended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Leak {
    pub(crate) begins: Duration,
    /// Share of the memory, per second.
    pub(crate) share_per_second: f64,
    pub(crate) out_of_memory: Duration,
    pub(crate) restarted: Duration,
}

/// Memory with correctable errors that come ever faster, then an uncorrectable one, which costs
/// the process its life and the row its place. With the row out of use, little follows.
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

/// A PCIe link that falters, with fewer lanes than it had, breaks, and is mended by a reset.
#[derive(Clone, Copy, Debug)]
pub(crate) struct OffBus {
    pub(crate) falters: Duration,
    /// Replays per second while it falters.
    pub(crate) replays_per_second: f64,
    /// Share of its lanes that it keeps while it falters.
    pub(crate) lanes_share: f64,
    pub(crate) lost: Duration,
    pub(crate) back: Duration,
    pub(crate) restarted: Duration,
}

/// What a script says about one moment.
#[derive(Clone, Copy, PartialEq, Debug)]
pub(crate) struct Fate {
    /// Whether the GPU is off the bus.
    pub(crate) lost: bool,
    /// Whether the job has a process on it.
    pub(crate) running: bool,
    /// Thermal resistance, as a multiple of its healthy value.
    pub(crate) cooling_factor: f64,
    /// Memory that leaked so far, as a share of all.
    pub(crate) leaked_share: f64,
    /// Correctable errors per second.
    pub(crate) correctable_per_second: f64,
    /// Uncorrectable errors so far, each with its remapped row.
    pub(crate) uncorrectable: u64,
    /// PCIe replays per second.
    pub(crate) replays_per_second: f64,
    /// PCIe lanes in use, as a share of all.
    pub(crate) lanes_share: f64,
}

impl Script {
    /// A GPU that takes part in the job from `at`.
    pub(crate) fn training(at: Duration) -> Self {
        Self { job_starts: Some(at), ..Self::default() }
    }

    /// What is so at `now`.
    pub(crate) fn at(&self, now: Duration) -> Fate {
        let within = |from: Duration, to: Duration| from <= now && now < to;
        let since = |from: Duration| now.saturating_sub(from).as_secs_f64();
        let mut fate = Fate {
            lost: false,
            running: self.job_starts.is_some_and(|at| at <= now),
            cooling_factor: 1.0,
            leaked_share: 0.0,
            correctable_per_second: 0.0,
            uncorrectable: 0,
            replays_per_second: 0.0,
            lanes_share: 1.0,
        };
        if let Some(it) = self.cooling
            && within(it.begins, it.repaired)
        {
            let worse = since(it.begins) / (it.worst - it.begins).as_secs_f64();
            fate.cooling_factor += (it.worst_factor - 1.0) * worse.min(1.0);
        }
        if let Some(it) = self.leak {
            if within(it.begins, it.out_of_memory) {
                fate.leaked_share = it.share_per_second * since(it.begins);
            }
            fate.running &= !within(it.out_of_memory, it.restarted);
        }
        if let Some(it) = self.bad_memory {
            if now >= it.uncorrectable {
                fate.correctable_per_second = it.errors_per_second_after;
                fate.uncorrectable = 1;
            } else {
                fate.correctable_per_second = it.errors_per_second_squared * since(it.begins);
            }
            fate.running &= !within(it.uncorrectable, it.restarted);
        }
        if let Some(it) = self.off_bus {
            if within(it.falters, it.lost) {
                fate.replays_per_second = it.replays_per_second;
                fate.lanes_share = it.lanes_share;
            }
            fate.lost = within(it.lost, it.back);
            fate.running &= !within(it.lost, it.restarted);
        }
        fate
    }

    /// Every XID that will be reported, in order of time.
    pub(crate) fn xids(&self) -> Vec<XidEvent> {
        let mut xids = Vec::new();
        if let Some(it) = self.bad_memory {
            // The error itself, its containment to one process, and the row that is to be remapped.
            for (milliseconds, code) in [(0, 48), (100, 94), (400, 63)] {
                let at = it.uncorrectable + Duration::from_millis(milliseconds);
                xids.push(XidEvent { at, code });
            }
        }
        if let Some(it) = self.off_bus {
            xids.push(XidEvent { at: it.lost, code: 79 });
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
    fn without_faults_nothing_is_wrong() {
        let script = Script::training(seconds(10));
        assert!(!script.at(seconds(9)).running);
        let fate = script.at(seconds(100_000));
        assert!(fate.running && !fate.lost);
        assert_eq!((fate.cooling_factor, fate.uncorrectable), (1.0, 0));
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
    fn a_lost_gpu_runs_nothing_until_it_is_started_again() {
        let off_bus = OffBus {
            falters: seconds(5),
            replays_per_second: 2.0,
            lanes_share: 0.25,
            lost: seconds(10),
            back: seconds(20),
            restarted: seconds(25),
        };
        let script = Script { off_bus: Some(off_bus), ..Script::training(Duration::ZERO) };
        let told = |s| {
            let fate = script.at(seconds(s));
            (fate.lost, fate.running, fate.replays_per_second, fate.lanes_share)
        };
        assert_eq!(told(4), (false, true, 0.0, 1.0));
        assert_eq!(told(9), (false, true, 2.0, 0.25));
        assert_eq!(told(10), (true, false, 0.0, 1.0));
        assert_eq!(told(20), (false, false, 0.0, 1.0));
        assert_eq!(told(25), (false, true, 0.0, 1.0));
        assert_eq!(script.xids(), [XidEvent { at: seconds(10), code: 79 }]);
    }
}
