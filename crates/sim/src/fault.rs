//! One fault on a machine of eight H100s that share a training job: for histories with one incident.

use std::time::Duration;

use crate::Scenario;
use crate::script::{BadMemory, CoolingFailure, Leak, LinksDown, OffBus, PowerBrake, Script};

/// A fault that a scenario is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Fault {
    /// The cooling of GPU 2 fails. It is slowed down for an hour, and then the watchdog of the job
    /// kills all processes.
    Overheat,
    /// A power supply fails: all GPUs are slowed down for three minutes.
    PowerBrake,
    /// The process on GPU 4 leaks memory until none is left, and dies.
    MemoryLeak,
    /// The memory of GPU 5 has an uncorrectable error.
    MemoryError,
    /// The same, and GPU 5 falls off the bus two seconds later.
    MemoryErrorThenOffBus,
    /// GPU 7 falls off the bus, without a sign before.
    OffBus,
    /// The same, after its PCIe link has replayed packets and lost lanes for half a minute.
    LinkThenOffBus,
    /// Two NVLinks of GPU 3 go down, and the job dies.
    NvlinkDown,
}

/// When the job starts, in seconds.
const STARTS: u64 = 10;

/// When the fault happens, or first shows, in seconds.
const HAPPENS: u64 = 300;

/// For as long as a simulation lasts.
const NEVER: Duration = Duration::MAX;

impl Fault {
    /// All faults, each with its name in settings.
    pub const ALL: [(Self, &'static str); 8] = [
        (Self::Overheat, "overheat"),
        (Self::PowerBrake, "power-brake"),
        (Self::MemoryLeak, "memory-leak"),
        (Self::MemoryError, "memory-error"),
        (Self::MemoryErrorThenOffBus, "memory-error-off-bus"),
        (Self::OffBus, "off-bus"),
        (Self::LinkThenOffBus, "link-off-bus"),
        (Self::NvlinkDown, "nvlink-down"),
    ];

    /// The fault with this name.
    pub fn parse(name: &str) -> Option<Self> {
        Self::ALL.iter().find(|(_, known)| *known == name).map(|(fault, _)| *fault)
    }

    /// Its name.
    pub fn name(self) -> &'static str {
        Self::ALL.iter().find(|(fault, _)| *fault == self).map_or("", |(_, name)| name)
    }

    /// What happens to each GPU.
    pub fn scenario(self) -> Scenario {
        let mut scripts = vec![Script::training(seconds(STARTS)); 8];
        match self {
            Self::Overheat => {
                scripts[2].cooling = Some(CoolingFailure {
                    begins: seconds(90),
                    worst: seconds(240),
                    repaired: NEVER,
                    worst_factor: 4.5,
                });
                // It is slowed down from about 185 s on.
                end_job(&mut scripts, 185 + 3600);
            }
            Self::PowerBrake => {
                let brake = PowerBrake { begins: seconds(HAPPENS), ends: seconds(HAPPENS + 180) };
                for script in &mut scripts {
                    script.power_brake = Some(brake);
                }
            }
            Self::MemoryLeak => {
                scripts[4].leak = Some(Leak {
                    begins: seconds(60),
                    share_per_second: 0.00125,
                    out_of_memory: seconds(HAPPENS),
                    restarted: NEVER,
                });
            }
            Self::MemoryError => scripts[5].bad_memory = Some(bad_memory()),
            Self::MemoryErrorThenOffBus => {
                scripts[5].bad_memory = Some(bad_memory());
                scripts[5].off_bus = Some(off_bus(HAPPENS + 2, HAPPENS + 2));
            }
            Self::OffBus => scripts[7].off_bus = Some(off_bus(HAPPENS, HAPPENS)),
            Self::LinkThenOffBus => scripts[7].off_bus = Some(off_bus(HAPPENS - 30, HAPPENS)),
            Self::NvlinkDown => {
                scripts[3].links_down = Some(LinksDown { at: seconds(HAPPENS), links: 2 });
                end_job(&mut scripts, HAPPENS + 4);
            }
        }
        Scenario::of_scripts(scripts)
    }
}

/// Kills the processes on all GPUs.
fn end_job(scripts: &mut [Script], at: u64) {
    for script in scripts {
        script.job_ends = Some(seconds(at));
    }
}

fn bad_memory() -> BadMemory {
    BadMemory {
        begins: seconds(120),
        errors_per_second_squared: 0.02,
        uncorrectable: seconds(HAPPENS),
        errors_per_second_after: 0.05,
        restarted: NEVER,
    }
}

/// A GPU that does not come back.
fn off_bus(degrades: u64, lost: u64) -> OffBus {
    OffBus {
        degrades: seconds(degrades),
        replays_per_second: 3.0,
        lanes_share: 0.5,
        lost: seconds(lost),
        back: NEVER,
        restarted: NEVER,
    }
}

const fn seconds(s: u64) -> Duration {
    Duration::from_secs(s)
}
