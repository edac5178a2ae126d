//! What happens in a simulation: a script for each GPU, and a story that describes it.

use std::time::Duration;

use crate::script::{BadMemory, CoolingFailure, Leak, OffBus, Script};

/// The job has one bit per GPU.
const MAX_GPUS: usize = 64;

/// A script for each GPU of a machine.
#[derive(Clone, Debug)]
pub struct Scenario {
    scripts: Vec<Script>,
    chapters: Vec<Chapter>,
}

/// One sentence of the story.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chapter {
    /// Time since the simulation began. If the time depends on physics, it is right within ten
    /// seconds.
    pub at: Duration,
    /// Index of the GPU; `None` if it happens to all.
    pub gpu: Option<usize>,
    /// The sentence, for users of the demo.
    pub text: String,
}

/// The chapters of the story: time (s), GPU, text.
#[rustfmt::skip]
const STORY: &[(u64, Option<usize>, &str)] = &[
    (10,   None, "A training job starts on all eight GPUs."),
    (60,   Some(4), "Its process leaks memory, 0.1 % of all memory per second."),
    (90,   Some(2), "Its cooling starts to fail."),
    (120,  Some(5), "Correctable memory errors start, and become more frequent."),
    (140,  None, "The job writes a checkpoint: all GPUs pause for eight seconds, and again every four minutes."),
    (168,  Some(2), "It is above 80 °C."),
    (185,  Some(2), "It reaches 87 °C and throttles. The other seven GPUs wait for it."),
    (300,  Some(5), "An uncorrectable memory error kills its process, and a row remapping is pending (XIDs 48, 94 and 63)."),
    (315,  Some(5), "Its process runs again. The row remapping waits for a reset."),
    (360,  Some(4), "Its process runs out of memory and dies. There is no XID, because the hardware is healthy."),
    (420,  Some(4), "Its process runs again, without the leak."),
    (450,  Some(7), "Its PCIe link replays packets and loses half of its lanes."),
    (480,  Some(7), "It falls off the bus (XID 79). The job continues without it."),
    (900,  Some(2), "Its cooling is repaired. It cools down, and the job is fast again."),
    (1200, Some(7), "It returns after a reset, and joins the job ten seconds later."),
];

impl Scenario {
    /// Eight H100s share a training job. One overheats, one runs out of memory, one has memory
    /// errors, and one falls off the bus.
    pub fn story() -> Self {
        let mut scripts = vec![Script::training(seconds(10)); 8];
        scripts[2].cooling = Some(CoolingFailure {
            begins: seconds(90),
            worst: seconds(240),
            repaired: seconds(900),
            worst_factor: 4.5,
        });
        scripts[4].leak = Some(Leak {
            begins: seconds(60),
            share_per_second: 0.001,
            out_of_memory: seconds(360),
            restarted: seconds(420),
        });
        scripts[5].bad_memory = Some(BadMemory {
            begins: seconds(120),
            errors_per_second_squared: 0.02,
            uncorrectable: seconds(300),
            errors_per_second_after: 0.05,
            restarted: seconds(315),
        });
        scripts[7].off_bus = Some(OffBus {
            degrades: seconds(450),
            replays_per_second: 3.0,
            lanes_share: 0.5,
            lost: seconds(480),
            back: seconds(1200),
            restarted: seconds(1210),
        });
        let chapters = STORY
            .iter()
            .map(|&(at, gpu, text)| Chapter { at: seconds(at), gpu, text: text.to_owned() })
            .collect();
        Self { scripts, chapters }
    }

    /// Healthy H100s that share a training job from the start. At most 64.
    pub fn steady(gpus: usize) -> Self {
        let scripts = vec![Script::training(Duration::ZERO); gpus.min(MAX_GPUS)];
        Self { scripts, chapters: Vec::new() }
    }

    /// Healthy, idle H100s. At most 64.
    pub fn idle(gpus: usize) -> Self {
        let scripts = vec![Script::default(); gpus.min(MAX_GPUS)];
        Self { scripts, chapters: Vec::new() }
    }

    /// What happens to each GPU, without a story.
    pub(crate) fn of_scripts(scripts: Vec<Script>) -> Self {
        Self { scripts, chapters: Vec::new() }
    }

    /// The chapters of the story in order of time; empty for all other scenarios.
    pub fn chapters(&self) -> &[Chapter] {
        &self.chapters
    }

    pub(crate) fn scripts(&self) -> &[Script] {
        &self.scripts
    }
}

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}
