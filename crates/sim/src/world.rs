//! All GPUs of a machine, and the time that they have lived through.

use std::time::Duration;

use crate::board::Board;
use crate::governor::MAX_CLOCK_MHZ;
use crate::job::Job;
use crate::random::Random;
use crate::script::Fate;
use crate::{GpuState, Scenario, XidEvent};

/// How long a step is.
const STEP: Duration = Duration::from_millis(100);
/// How many XIDs a GPU keeps.
const MOST_EVENTS: usize = 1_024;

/// A machine full of simulated GPUs. It has no clock of its own: whoever holds it says how far it
/// goes, and scenario, seed and time determine its state.
#[derive(Clone, Debug)]
pub struct World {
    scenario: Scenario,
    steps: u32,
    job: Job,
    gpus: Vec<GpuState>,
    boards: Vec<Board>,
    /// What each script says of the current step.
    fates: Vec<Fate>,
    /// Per GPU, all XIDs that its script has, and how many of them have been reported.
    events: Vec<(Vec<XidEvent>, usize)>,
}

impl World {
    /// A world at time zero, with every GPU cold and idle.
    pub fn new(scenario: Scenario, seed: u64) -> Self {
        let scripts = scenario.scripts();
        let (boards, gpus) = (0..scripts.len())
            .map(|index| Board::new(Random::new(seed, 1 + index as u64), index))
            .unzip();
        let fates = scripts.iter().map(|script| script.at(Duration::ZERO)).collect();
        let events = scripts
            .iter()
            .map(|script| {
                let mut xids = script.xids();
                xids.truncate(MOST_EVENTS);
                (xids, 0)
            })
            .collect();
        let job = Job::new(Random::new(seed, 0));
        Self { scenario, steps: 0, job, gpus, boards, fates, events }
    }

    /// Lives on until `t`, in whole steps of 100 ms; a `t` that has passed changes nothing. The
    /// state depends on `t` only, not on how many calls led to it.
    pub fn advance_to(&mut self, t: Duration) {
        let target = u32::try_from(t.as_millis() / STEP.as_millis()).unwrap_or(u32::MAX);
        while self.steps < target {
            self.step();
        }
    }

    /// The moment that the state is of: a multiple of 100 ms.
    pub fn now(&self) -> Duration {
        STEP * self.steps
    }

    /// Every GPU, by index.
    pub fn gpus(&self) -> &[GpuState] {
        &self.gpus
    }

    /// Every XID of a GPU so far, oldest first; at most 1,024. None of a GPU that does not exist.
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
            let fate = script.at(now);
            if fate.running {
                members |= 1 << index;
                slowest = slowest.min(speed(gpu));
            }
            self.fates[index] = fate;
        }
        let phase = self.job.advance(now, STEP, members, slowest);

        for ((gpu, board), fate) in self.gpus.iter_mut().zip(&mut self.boards).zip(&self.fates) {
            let demand = phase.demand(speed(gpu), slowest);
            board.advance(gpu, fate, &demand, STEP.as_secs_f64());
        }
        for (xids, reported) in &mut self.events {
            while xids.get(*reported).is_some_and(|xid| xid.at <= now) {
                *reported += 1;
            }
        }
    }
}

/// The share of full clock at which a GPU ran in the last step.
fn speed(gpu: &GpuState) -> f64 {
    gpu.sm_clock_mhz / MAX_CLOCK_MHZ
}
