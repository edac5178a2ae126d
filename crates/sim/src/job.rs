//! The training job: its phases, and the load that each puts on the GPUs.
//!
//! The job is synchronous. In each training step, every GPU computes its share, and then all
//! exchange gradients. So the slowest GPU sets the pace, and the others wait for it.

use std::time::Duration;

use crate::Activity;
use crate::random::Random;

/// What the job does at one moment, on all its GPUs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Phase {
    /// Processes start and read their weights.
    Loading,
    /// The next batch is loaded, and the optimizer updates the weights.
    Input,
    /// Forward and backward pass.
    Compute,
    /// All-reduce of the gradients.
    Reduce,
    /// Weights are written to disk.
    Checkpoint,
    /// A GPU has left the job; the others wait in a collective until it is given up.
    Waiting,
}

/// The load of a phase on one GPU at full clock.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Demand {
    /// Shares of time or of capacity.
    pub(crate) activity: Activity,
    /// Power, as a share of that of the most demanding kernel.
    pub(crate) intensity: f64,
    /// PCIe, bytes per second sent by the GPU.
    pub(crate) pcie_tx_bytes_per_second: f64,
    /// PCIe, bytes per second received by the GPU.
    pub(crate) pcie_rx_bytes_per_second: f64,
    /// NVLink over all links, bytes per second in each direction.
    pub(crate) nvlink_bytes_per_second: f64,
}

/// The demand on a GPU that runs no process.
pub(crate) const NO_DEMAND: Demand = Demand {
    activity: Activity { graphics: 0.0, sm: 0.0, occupancy: 0.0, tensor: 0.0, dram: 0.0 },
    intensity: 0.0,
    pcie_tx_bytes_per_second: 0.0,
    pcie_rx_bytes_per_second: 0.0,
    nvlink_bytes_per_second: 0.0,
};

const LOADING: Demand = Demand {
    activity: Activity { graphics: 0.15, sm: 0.08, occupancy: 0.03, tensor: 0.0, dram: 0.1 },
    intensity: 0.06,
    pcie_tx_bytes_per_second: 0.2e9,
    pcie_rx_bytes_per_second: 9.0e9,
    nvlink_bytes_per_second: 2.0e9,
};

const INPUT: Demand = Demand {
    activity: Activity { graphics: 0.96, sm: 0.78, occupancy: 0.51, tensor: 0.04, dram: 0.74 },
    intensity: 0.72,
    pcie_tx_bytes_per_second: 0.4e9,
    pcie_rx_bytes_per_second: 6.5e9,
    nvlink_bytes_per_second: 15.0e9,
};

const COMPUTE: Demand = Demand {
    activity: Activity { graphics: 1.0, sm: 0.93, occupancy: 0.43, tensor: 0.63, dram: 0.39 },
    intensity: 1.0,
    pcie_tx_bytes_per_second: 0.15e9,
    pcie_rx_bytes_per_second: 1.6e9,
    nvlink_bytes_per_second: 75.0e9,
};

const REDUCE: Demand = Demand {
    activity: Activity { graphics: 1.0, sm: 0.58, occupancy: 0.19, tensor: 0.09, dram: 0.33 },
    intensity: 0.78,
    pcie_tx_bytes_per_second: 0.1e9,
    pcie_rx_bytes_per_second: 0.9e9,
    nvlink_bytes_per_second: 195.0e9,
};

const CHECKPOINT: Demand = Demand {
    activity: Activity { graphics: 0.12, sm: 0.05, occupancy: 0.02, tensor: 0.0, dram: 0.12 },
    intensity: 0.07,
    pcie_tx_bytes_per_second: 11.0e9,
    pcie_rx_bytes_per_second: 0.2e9,
    nvlink_bytes_per_second: 1.0e9,
};

/// Collective kernels that wait keep the GPU at 100 % utilization without doing work.
const WAITING: Demand = Demand {
    activity: Activity { graphics: 1.0, sm: 0.26, occupancy: 0.05, tensor: 0.0, dram: 0.02 },
    intensity: 0.3,
    pcie_tx_bytes_per_second: 0.05e9,
    pcie_rx_bytes_per_second: 0.05e9,
    nvlink_bytes_per_second: 0.5e9,
};

impl Phase {
    /// The demand on a GPU that runs at `speed` while the slowest runs at `slowest`, both as shares
    /// of full clock.
    pub(crate) fn demand(self, speed: f64, slowest: f64) -> Demand {
        match self {
            Self::Loading => LOADING,
            Self::Checkpoint => CHECKPOINT,
            Self::Waiting => WAITING,
            Self::Input => INPUT,
            Self::Compute => {
                let busy = if speed > slowest { slowest / speed } else { 1.0 };
                let mut demand = mix(&WAITING, &COMPUTE, busy);
                // The memory clock stays, so slower SMs use a smaller share of its bandwidth. The
                // exchange that overlaps with the pass runs at the pace of the slowest GPU.
                demand.activity.dram *= speed;
                demand.nvlink_bytes_per_second = COMPUTE.nvlink_bytes_per_second * slowest;
                demand
            }
            Self::Reduce => {
                let mut demand = REDUCE;
                demand.nvlink_bytes_per_second *= reduce_pace(slowest);
                demand
            }
        }
    }
}

/// Pace of the gradient exchange: half of it depends on the links, half on the SMs.
fn reduce_pace(slowest: f64) -> f64 {
    0.5 + 0.5 * slowest
}

fn mix(one: &Demand, other: &Demand, share: f64) -> Demand {
    let mix = |a: f64, b: f64| a + (b - a) * share;
    let (a, b) = (&one.activity, &other.activity);
    Demand {
        activity: Activity {
            graphics: mix(a.graphics, b.graphics),
            sm: mix(a.sm, b.sm),
            occupancy: mix(a.occupancy, b.occupancy),
            tensor: mix(a.tensor, b.tensor),
            dram: mix(a.dram, b.dram),
        },
        intensity: mix(one.intensity, other.intensity),
        pcie_tx_bytes_per_second: mix(one.pcie_tx_bytes_per_second, other.pcie_tx_bytes_per_second),
        pcie_rx_bytes_per_second: mix(one.pcie_rx_bytes_per_second, other.pcie_rx_bytes_per_second),
        nvlink_bytes_per_second: mix(one.nvlink_bytes_per_second, other.nvlink_bytes_per_second),
    }
}

const LOADING_TIME: Duration = Duration::from_secs(5);
/// How long the job waits for a GPU that has left.
const GIVE_UP_TIME: Duration = Duration::from_secs(6);
/// Time from the start of the job to its first checkpoint.
const FIRST_CHECKPOINT: Duration = Duration::from_secs(130);
const CHECKPOINT_PERIOD: Duration = Duration::from_secs(240);
const CHECKPOINT_TIME: Duration = Duration::from_secs(8);
/// At which progress of a training step its phases begin, 0 to 1.
const COMPUTE_BEGINS: f64 = 0.1;
const REDUCE_BEGINS: f64 = 0.78;

/// The progress of the job.
#[derive(Clone, Debug)]
pub(crate) struct Job {
    random: Random,
    /// The GPUs of the last step, one bit each.
    members: u64,
    started: Duration,
    /// The phase that interrupts training, and when it ends.
    pause: Option<(Phase, Duration)>,
    /// Progress of the current training step, 0 to 1.
    progress: f64,
    /// Length of the current training step at full clock.
    step_seconds: f64,
}

impl Job {
    pub(crate) fn new(random: Random) -> Self {
        Self {
            random,
            members: 0,
            started: Duration::ZERO,
            pause: None,
            progress: 0.0,
            step_seconds: 1.0,
        }
    }

    /// Advances by `dt`, to `now`. `members` has a bit for each GPU that takes part, and `slowest`
    /// is the speed of the slowest of them, as a share of full clock. Returns the phase of all.
    pub(crate) fn advance(
        &mut self,
        now: Duration,
        dt: Duration,
        members: u64,
        slowest: f64,
    ) -> Phase {
        if members != self.members {
            self.change_members(now, members);
        }
        if let Some((phase, until)) = self.pause {
            if now < until {
                return phase;
            }
            self.pause = None;
        }
        if self.is_checkpoint(now) {
            return Phase::Checkpoint;
        }
        let (phase, pace) = match self.progress {
            p if p < COMPUTE_BEGINS => (Phase::Input, 1.0),
            p if p < REDUCE_BEGINS => (Phase::Compute, slowest),
            _ => (Phase::Reduce, reduce_pace(slowest)),
        };
        self.progress += pace * dt.as_secs_f64() / self.step_seconds;
        if self.progress >= 1.0 {
            self.progress -= 1.0;
            self.step_seconds = self.random.between(0.8, 1.2);
        }
        phase
    }

    /// After a GPU joins, all GPUs load first. After a GPU leaves, the others wait for a while.
    fn change_members(&mut self, now: Duration, members: u64) {
        if self.members == 0 {
            self.started = now;
        }
        let joined = members & !self.members != 0;
        self.pause = Some(if joined {
            (Phase::Loading, now + LOADING_TIME)
        } else {
            (Phase::Waiting, now + GIVE_UP_TIME)
        });
        self.members = members;
        self.progress = 0.0;
    }

    fn is_checkpoint(&self, now: Duration) -> bool {
        let Some(since_first) = (now - self.started).checked_sub(FIRST_CHECKPOINT) else {
            return false;
        };
        since_first.as_millis() % CHECKPOINT_PERIOD.as_millis() < CHECKPOINT_TIME.as_millis()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const DT: Duration = Duration::from_millis(100);

    fn phases(slowest: f64) -> Vec<Phase> {
        let mut job = Job::new(Random::new(1, 1));
        (0..3_000).map(|step| job.advance(DT * step, DT, 0b11, slowest)).collect()
    }

    fn steps(phases: &[Phase]) -> usize {
        phases.windows(2).filter(|w| w[0] == Phase::Reduce && w[1] == Phase::Input).count()
    }

    #[test]
    fn the_job_loads_then_trains_and_writes_checkpoints() {
        let phases = phases(1.0);
        assert!(phases[..50].iter().all(|p| *p == Phase::Loading));
        assert_eq!(phases[50], Phase::Input);
        let saving = phases.iter().filter(|p| **p == Phase::Checkpoint).count();
        assert_eq!(saving, 80, "one checkpoint of 8 s in five minutes");
        let steps = steps(&phases);
        assert!((250..330).contains(&steps), "{steps} steps in 287 s, of about a second each");
    }

    #[test]
    fn a_slow_member_slows_the_job() {
        assert!(steps(&phases(0.5)) < steps(&phases(1.0)) * 2 / 3);
    }

    #[test]
    fn fast_gpus_wait_for_the_slowest() {
        let slow = Phase::Compute.demand(0.5, 0.5);
        let fast = Phase::Compute.demand(1.0, 0.5);
        assert!(fast.intensity < slow.intensity);
        assert!(fast.activity.tensor < slow.activity.tensor);
        assert_eq!(fast.activity.graphics, 1.0);
        assert_eq!(fast.nvlink_bytes_per_second, slow.nvlink_bytes_per_second);
    }

    #[test]
    fn the_job_waits_six_seconds_for_a_member_that_leaves() {
        let mut job = Job::new(Random::new(1, 1));
        for step in 0..100 {
            job.advance(DT * step, DT, 0b11, 1.0);
        }
        assert_eq!(job.advance(DT * 100, DT, 0b01, 1.0), Phase::Waiting);
        assert_eq!(job.advance(DT * 160, DT, 0b01, 1.0), Phase::Input);
    }
}
