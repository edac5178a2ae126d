//! What happens in a simulation: one script per GPU, and its chapters in words.

use std::time::Duration;

use crate::script::{BadMemory, CoolingFailure, Leak, OffBus, Script};

/// The job's members are a bit each.
const MOST_GPUS: usize = 64;

/// A script for each GPU of a machine.
#[derive(Clone, Debug)]
pub struct Scenario {
    scripts: Vec<Script>,
    chapters: Vec<Chapter>,
}

/// Something that happens, for people to read.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Chapter {
    /// When, since the simulation began. Where physics decides, it is right to about ten seconds.
    pub at: Duration,
    /// To which GPU, by index; none where it happens to all.
    pub gpu: Option<usize>,
    /// One sentence.
    pub text: String,
}

/// The chapters of the story: when (s), which GPU, what.
#[rustfmt::skip]
const STORY: &[(u64, Option<usize>, &str)] = &[
    (10,   None, "A training job begins on all eight GPUs."),
    (60,   Some(4), "Its process leaks memory: a thousandth of all, every second."),
    (90,   Some(2), "Its cooling begins to fail."),
    (120,  Some(5), "Correctable memory errors begin, and come ever faster."),
    (140,  None, "The job saves a checkpoint: all pause for eight seconds, as they will every four minutes."),
    (168,  Some(2), "It is hotter than 80 °C."),
    (185,  Some(2), "It reaches 87 °C and slows down; the other seven wait for it."),
    (300,  Some(5), "An uncorrectable memory error costs its process its life; a row is to be remapped (XIDs 48, 94 and 63)."),
    (315,  Some(5), "Its process runs again; the remapping waits for a reset."),
    (360,  Some(4), "Its memory is full, and its process dies of it: no XID, for the fault is the program's."),
    (420,  Some(4), "Its process runs again, without the leak."),
    (450,  Some(7), "Its PCIe link begins to repeat packets, and loses half of its lanes."),
    (480,  Some(7), "It falls off the bus (XID 79); the others go on without it."),
    (900,  Some(2), "Its cooling is repaired: it cools down, and the job is fast again."),
    (1200, Some(7), "It is back after a reset, and joins the job ten seconds later."),
];

impl Scenario {
    /// Eight H100s share a training job; one overheats, one runs out of memory, one has bad memory
    /// and one falls off the bus.
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
            falters: seconds(450),
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

    /// Healthy H100s that share a training job from the first moment on. At most 64.
    pub fn steady(gpus: usize) -> Self {
        let scripts = vec![Script::training(Duration::ZERO); gpus.min(MOST_GPUS)];
        Self { scripts, chapters: Vec::new() }
    }

    /// Healthy H100s without work. At most 64.
    pub fn idle(gpus: usize) -> Self {
        let scripts = vec![Script::default(); gpus.min(MOST_GPUS)];
        Self { scripts, chapters: Vec::new() }
    }

    /// What happens when, in order of time; empty where nothing does.
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
