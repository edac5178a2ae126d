//! All GPUs of a machine, simulated step by step.

use std::time::Duration;

use crate::board::Board;
use crate::governor::MAX_CLOCK_MHZ;
use crate::job::Job;
use crate::random::Random;
use crate::script::Condition;
use crate::{GpuState, Scenario, XidEvent};

/// Length of a step.
const STEP: Duration = Duration::from_millis(100);
/// Most XIDs of one GPU.
const MAX_EVENTS: usize = 1_024;

/// A machine with simulated GPUs. It uses no clock: the caller sets the time. Scenario, seed and
/// time determine its state.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Scenario,
    steps: u32,
    job: Job,
    gpus: Vec<GpuState>,
    boards: Vec<Board>,
    /// The condition of each GPU in the current step.
    conditions: Vec<Condition>,
    /// For each GPU, all XIDs of its script, and how many of them have been reported.
    events: Vec<(Vec<XidEvent>, usize)>,
}

impl World {
    /// A world at time zero: all GPUs are cold and idle.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let scripts = scenario.scripts();
        let (boards, gpus) = (0..scripts.len())
            .map(|index| Board::new(Random::new(seed, 1 + index as u64), index))
            .unzip();
        let conditions = scripts.iter().map(|script| script.at(Duration::ZERO)).collect();
        let events = scripts
            .iter()
            .map(|script| {
                let mut xids = script.xids();
                xids.truncate(MAX_EVENTS);
                (xids, 0)
            })
            .collect();
        let job = Job::new(Random::new(seed, 0));
        Self { scenario, steps: 0, job, gpus, boards, conditions, events }
    }

    /// Advances to `t` in steps of 100 ms. A `t` in the past changes nothing. The state depends
    /// on `t` only, not on the number of calls.
    pub fn advance_to(&mut self, t: Duration) {
        let target = u32::try_from(t.as_millis() / STEP.as_millis()).unwrap_or(u32::MAX);
        while self.steps < target {
            self.step();
        }
    }

    /// The time of the state: a multiple of 100 ms.
    pub fn now(&self) -> Duration {
        STEP * self.steps
    }

    /// All GPUs, by index.
    pub fn gpus(&self) -> &[GpuState] {
        &self.gpus
    }

    /// All XIDs of a GPU so far, oldest first; at most 1,024. Empty if the GPU does not exist.
    pub fn events(&self, gpu: usize) -> &[XidEvent] {
        self.events.get(gpu).map_or(&[], |(xids, reported)| &xids[..*reported])
    }

    fn step(&mut self) {
        self.steps += 1;
        let now = self.now();

        let mut members = 0;
        let mut slowest = 1.0_f64;
        let scripts = self.scenario.scripts();
        for (index, (script, gpu)) in scripts.iter().zip(&self.gpus).enumerate() {
            let condition = script.at(now);
            if condition.running {
                members |= 1 << index;
                slowest = slowest.min(speed(gpu));
            }
            self.conditions[index] = condition;
        }
        let phase = self.job.advance(now, STEP, members, slowest);

        for ((gpu, board), condition) in
            self.gpus.iter_mut().zip(&mut self.boards).zip(&self.conditions)
        {
            let demand = phase.demand(speed(gpu), slowest);
            board.advance(gpu, condition, &demand, STEP.as_secs_f64());
        }
        for (xids, reported) in &mut self.events {
            while xids.get(*reported).is_some_and(|xid| xid.at <= now) {
                *reported += 1;
            }
        }
    }
}

/// The clock of a GPU in the last step, as a share of the maximum.
fn speed(gpu: &GpuState) -> f64 {
    gpu.sm_clock_mhz / MAX_CLOCK_MHZ
}
