//! For each verdict a story that ends in it and one near it that does not, through the built binary.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::thread;
use std::time::Duration;

use testkit::exporter::Exporter;
use testkit::page::Sample;
use testkit::pauses::{self, Stopwatch};

use crate::incidents::{self, Told};
use crate::rig::{BINARY, PATIENCE, Rig, up};

/// Stories that are told at once. They mostly wait.
const AT_ONCE: usize = 6;

/// Seconds of the recording that pass in a second, where a story does not say otherwise.
const FAST: u64 = 20;

/// The GPU that the end of a story without an incident is about.
const LAST_GPU: u64 = 6;

/// What happens, and what is said of it.
struct Story {
    name: &'static str,
    /// Seconds of the recording that pass in a second.
    speed: u64,
    steps: &'static [Step],
    expected: Expected,
    /// Verdicts that it is near to, and does not end in.
    near: &'static [&'static str],
}

impl Story {
    /// The same, near to these verdicts.
    const fn near(self, verdicts: &'static [&'static str]) -> Self {
        Self { near: verdicts, ..self }
    }
}

/// A step of a story.
enum Step {
    /// Commands to the fake driver that are added, and lines of the kernel log in which `{3}` is the PCI
    /// address of GPU 3, all at once.
    Happens(&'static [&'static str], &'static [&'static str]),
    /// The same, and the commands before are over.
    Instead(&'static [&'static str], &'static [&'static str]),
    /// Time of the recording in seconds, at least.
    Passes(u64),
    /// The batch system takes the job off all GPUs.
    JobEnds,
    /// All programs wait for memory during this percentage of the time (`/proc/pressure/memory`).
    MemoryPressure(u32),
}

/// What is said of a story.
enum Expected {
    /// One incident with this verdict; the first line of the report has all these words.
    Verdict(&'static str, &'static [&'static str]),
    /// No incident.
    Nothing,
    /// Whatever there is, it is not a verdict that it is near to.
    Other,
}

use Expected::{Nothing, Other, Verdict};
use Step::{Happens, Instead, JobEnds, MemoryPressure, Passes};

const fn story(name: &'static str, steps: &'static [Step], expected: Expected) -> Story {
    Story { name, speed: FAST, steps, expected, near: &[] }
}

const HEAT: &str = "gpu 2 set temperature 90";
const ALL_BRAKED: &[&str] = &[
    "gpu 0 set clock_reasons 136",
    "gpu 1 set clock_reasons 136",
    "gpu 2 set clock_reasons 136",
    "gpu 3 set clock_reasons 136",
    "gpu 4 set clock_reasons 136",
    "gpu 5 set clock_reasons 136",
    "gpu 6 set clock_reasons 136",
    "gpu 7 set clock_reasons 136",
];
const ALL_IDLE: &[&str] = &[
    "gpu 0 idle",
    "gpu 1 idle",
    "gpu 2 idle",
    "gpu 3 idle",
    "gpu 4 idle",
    "gpu 5 idle",
    "gpu 6 idle",
    "gpu 7 idle",
];
const ALL_SILENT: &[&str] = &[
    "gpu 0 silent",
    "gpu 1 silent",
    "gpu 2 silent",
    "gpu 3 silent",
    "gpu 4 silent",
    "gpu 5 silent",
    "gpu 6 silent",
    "gpu 7 silent",
];
const ALL_HANG: &[&str] = &[
    "gpu 0 hang",
    "gpu 1 hang",
    "gpu 2 hang",
    "gpu 3 hang",
    "gpu 4 hang",
    "gpu 5 hang",
    "gpu 6 hang",
    "gpu 7 hang",
];
/// The driver's new version, and a job that did not outlast its installation.
const NEW_DRIVER: &[&str] = &[
    "driver 570.86.10",
    "gpu 0 idle",
    "gpu 1 idle",
    "gpu 2 idle",
    "gpu 3 idle",
    "gpu 4 idle",
    "gpu 5 idle",
    "gpu 6 idle",
    "gpu 7 idle",
];
const XID_48: &str = "NVRM: Xid (PCI:{5}): 48, pid=4211, name=trainer, An uncorrectable double bit error (DBE) has been detected on GPU in the framebuffer at partition 5, subpartition 0.";
const XID_79: &str = "NVRM: Xid (PCI:{7}): 79, pid=4211, name=trainer, GPU has fallen off the bus.";
const XID_79_ON_5: &str =
    "NVRM: Xid (PCI:{5}): 79, pid=4211, name=trainer, GPU has fallen off the bus.";
const XID_31: &str = "NVRM: Xid (PCI:{1}): 31, pid=4211, name=trainer, Ch 00000008, intr 10000000. MMU Fault: ENGINE GRAPHICS GPCCLIENT_T1_0 faulted @ 0x7f_2c000000. Fault is of type FAULT_PDE ACCESS_TYPE_VIRT_READ";
const XID_45: &str = "NVRM: Xid (PCI:{1}): 45, pid=4211, name=trainer, Ch 00000009";
const XID_74: &str = "NVRM: Xid (PCI:{3}): 74, pid=4211, name=trainer, NVLink: fatal error detected on link 1(0x0, 0x0, 0x10000, 0x0, 0x0, 0x0, 0x0)";
const XID_119: &str = "NVRM: Xid (PCI:{1}): 119, pid=1702, name=nvidia-smi, Timeout after 6s of waiting for RPC response from GPU1 GSP! Expected function 76 (GSP_RM_CONTROL) (0x20802a02 0x5).";
const OOM_LIMIT: &str = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=job_4711,mems_allowed=0-1,oom_memcg=/system.slice/slurmstepd.scope/job_4711,task_memcg=/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0,task=trainer,pid=4211,uid=1000";
const OOM_LIMIT_KILL: &str = "Memory cgroup out of memory: Killed process 4211 (trainer) total-vm:104857600kB, anon-rss:67108864kB, file-rss:1024kB, shmem-rss:0kB, UID:1000 pgtables:140000kB oom_score_adj:0";
const OOM_MACHINE: &str = "oom-kill:constraint=CONSTRAINT_NONE,nodemask=(null),cpuset=/,mems_allowed=0-1,global_oom,task_memcg=/system.slice/slurmstepd.scope/job_4711/step_0/user/task_0,task=trainer,pid=4211,uid=1000";
const OOM_MACHINE_KILL: &str = "Out of memory: Killed process 4211 (trainer) total-vm:104857600kB, anon-rss:67108864kB, file-rss:1024kB, shmem-rss:0kB, UID:1000 pgtables:140000kB oom_score_adj:0";
const OOM_OTHER: &str = "oom-kill:constraint=CONSTRAINT_MEMCG,nodemask=(null),cpuset=/,mems_allowed=0-1,oom_memcg=/system.slice/indexer.service,task_memcg=/system.slice/indexer.service,task=indexer,pid=99,uid=0";
const OOM_OTHER_KILL: &str = "Memory cgroup out of memory: Killed process 99 (indexer) total-vm:204800kB, anon-rss:102400kB, file-rss:0kB, shmem-rss:0kB, UID:0 pgtables:400kB oom_score_adj:0";

/// A story, and the one near it, by verdict.
static STORIES: &[Story] = &[
    story(
        "a GPU is slowed by heat for more than 30 s",
        &[
            Happens(&[HEAT, "gpu 2 set clock_reasons 96", "gpu 2 set sm_clock 1200"], &[]),
            Passes(60),
        ],
        Verdict("heat", &["GPU 2", "heat"]),
    ),
    story(
        "a GPU is warm and held back by its power limit",
        &[Happens(&["gpu 2 set temperature 84", "gpu 2 set clock_reasons 4"], &[]), Passes(60)],
        Nothing,
    ).near(&["heat"]),
    story(
        "a GPU is slowed by heat, and then lost",
        &[
            Happens(&["gpu 7 set temperature 91", "gpu 7 set clock_reasons 96"], &[]),
            Passes(60),
            Happens(&["gpu 7 lost"], &[XID_79]),
        ],
        Verdict("heat_then_lost", &["GPU 7"]),
    ),
    story(
        "the power brake slows all GPUs",
        &[Happens(ALL_BRAKED, &[]), Passes(20)],
        Verdict("power_brake_machine", &["ower"]),
    ),
    story(
        "the power brake slows one GPU",
        &[Happens(&["gpu 3 set clock_reasons 136"], &[]), Passes(20)],
        Verdict("power_brake", &["GPU 3"]),
    ).near(&["power_brake_machine"]),
    story(
        "the hardware slows a hot GPU, without a power brake",
        &[Happens(&[HEAT, "gpu 2 set clock_reasons 72"], &[]), Passes(60)],
        Verdict("heat", &["GPU 2"]),
    ).near(&["power_brake"]),
    story(
        "a GPU falls off the bus",
        &[Happens(&["gpu 7 lost"], &[XID_79])],
        Verdict("off_bus", &["GPU 7", "bus"]),
    ).near(&["missing"]),
    story(
        "the PCIe link of a GPU is degraded, and then it falls off the bus",
        &[
            Happens(&["gpu 7 set pcie_lanes 8", "gpu 7 set pcie_replays 500"], &[]),
            // The link is read every ten seconds of real time.
            Passes(280),
            Happens(&["gpu 7 lost"], &[XID_79]),
        ],
        Verdict("bus_link", &["GPU 7", "PCIe"]),
    ),
    story(
        "the PCIe link of a GPU is degraded, and nothing more",
        &[Happens(&["gpu 7 set pcie_lanes 8", "gpu 7 set pcie_replays 500"], &[]), Passes(60)],
        Nothing,
    ).near(&["bus_link"]),
    story(
        "the memory of a GPU fails, and then it is lost",
        &[
            Happens(&["gpu 5 set ecc_uncorrected 1"], &[XID_48]),
            Passes(10),
            Happens(
                &["gpu 5 lost"],
                &[XID_79_ON_5],
            ),
        ],
        Verdict("memory_then_lost", &["GPU 5", "memory"]),
    ),
    story(
        "the memory of one GPU fails, and another is lost",
        &[
            Happens(&["gpu 5 set ecc_uncorrected 1"], &[XID_48]),
            Passes(60),
            Happens(&["gpu 7 lost"], &[XID_79]),
            Passes(20),
        ],
        Other,
    ).near(&["memory_then_lost"]),
    story(
        "the memory of a GPU has an uncorrected error",
        &[Happens(&["gpu 5 set ecc_uncorrected 1", "gpu 5 set remap_pending 1"], &[XID_48])],
        Verdict("ecc_uncorrected", &["GPU 5", "memory"]),
    ).near(&["ecc_contained"]),
    story(
        "the error is contained in one application",
        &[Happens(
            &["gpu 5 set ecc_uncorrected 1", "gpu 5 set remap_pending 1"],
            &[
                XID_48,
                "NVRM: Xid (PCI:{5}): 94, pid=4211, name=trainer, Contained: SM (0x1). RST: No, D-RST: No",
            ],
        )],
        Verdict("ecc_contained", &["GPU 5", "memory"]),
    ).near(&["ecc_uncontained"]),
    story(
        "the error may have hit every application",
        &[Happens(
            &["gpu 5 set ecc_uncorrected 1"],
            &[
                "NVRM: Xid (PCI:{5}): 95, pid=4211, name=trainer, Uncontained: LTC TAG (0x2,0x0). RST: Yes, D-RST: No",
            ],
        )],
        Verdict("ecc_uncontained", &["GPU 5", "memory"]),
    ),
    story(
        "the memory of a GPU has many corrected errors",
        &[Happens(&["gpu 5 set ecc_corrected 5000"], &[]), Passes(30)],
        Nothing,
    ).near(&["ecc_uncorrected"]),
    story(
        "a faulty row cannot be replaced",
        &[Happens(
            &["gpu 5 set ecc_uncorrected 1", "gpu 5 set remap_failed 1"],
            &[
                XID_48,
                "NVRM: Xid (PCI:{5}): 64, pid=4211, name=trainer, Row Remapper Error: (0x0000000400aab10) - All reserved rows for bank are remapped",
            ],
        )],
        Verdict("remap_failed", &["GPU 5"]),
    ),
    story(
        "a faulty row is replaced at the next reset",
        &[
            Happens(
                &["gpu 5 set remap_pending 1"],
                &[
                    "NVRM: Xid (PCI:{5}): 63, pid=4211, name=trainer, Row Remapper: New row marked for remapping, reset gpu to activate.",
                ],
            ),
            Passes(20),
        ],
        Other,
    ).near(&["remap_failed", "xid_contact_support", "xid_other"]),
    story("a GPU hangs", &[Happens(&["gpu 3 hang"], &[])], Verdict("hung", &["GPU 3"])),
    story(
        "calls to a GPU are slow",
        &[Happens(&["gpu 3 slow 100 nvmlDeviceGetPowerUsage"], &[]), Passes(60)],
        Nothing,
    ).near(&["hung"]),
    story(
        "the driver does not list a GPU any more",
        &[Happens(&["gpus 7"], &[])],
        Verdict("missing", &["GPU 7"]),
    ).near(&["off_bus"]),
    story(
        "the firmware of a GPU does not answer",
        &[Happens(&[], &[XID_119])],
        Verdict("gsp", &["GPU 1"]),
    ),
    story(
        "a GPU falls off the bus, and its firmware cannot be reached after that",
        &[
            Happens(&["gpu 7 lost"], &[XID_79]),
            Passes(10),
            Happens(
                &[],
                &[
                    "NVRM: Xid (PCI:{7}): 119, pid=1702, name=nvidia-smi, Timeout after 6s of waiting for RPC response from GPU7 GSP! Expected function 76 (GSP_RM_CONTROL) (0x20802a02 0x5).",
                ],
            ),
            Passes(20),
        ],
        Verdict("off_bus", &["GPU 7"]),
    ).near(&["gsp"]),
    story(
        "NVLinks of a GPU go down",
        &[Happens(&["gpu 3 set links_down 2"], &[XID_74])],
        Verdict("nvlink", &["NVLink"]),
    ),
    story(
        "an application reads an address that is not mapped",
        &[Happens(&[], &[XID_31, XID_45, XID_45])],
        Verdict("application_fault", &["GPU 1"]),
    ),
    story(
        "an application is ended from outside",
        &[Happens(&[], &[XID_45, XID_45])],
        Other,
    ).near(&["application_fault"]),
    story(
        "an application fails after the memory of its GPU did",
        &[Happens(
            &["gpu 5 set ecc_uncorrected 1"],
            &[
                XID_48,
                "NVRM: Xid (PCI:{5}): 43, pid=4211, name=trainer, Ch 00000008",
                "NVRM: Xid (PCI:{5}): 45, pid=4211, name=trainer, Ch 00000009",
            ],
        )],
        Verdict("ecc_uncorrected", &["GPU 5"]),
    ),
    Story {
        name: "the memory of a GPU is full, and then freed at once",
        // It has to grow within the last seconds, and a slow machine needs some.
        speed: 1,
        steps: &[
            Happens(&["gpu 4 set memory_used 80500"], &[]),
            Passes(3),
            Instead(&["gpu 4 idle"], &[]),
        ],
        ..story("", &[], Verdict("gpu_memory_full", &["memory"]))
    },
    story(
        "three quarters of the memory of a GPU are freed at once",
        &[
            Happens(&["gpu 4 set memory_used 60000"], &[]),
            Passes(30),
            Instead(&["gpu 4 idle"], &[]),
            Passes(30),
        ],
        Nothing,
    ).near(&["gpu_memory_full"]),
    story(
        "the memory of a GPU is full and stays so",
        &[Happens(&["gpu 4 set memory_used 80500"], &[]), Passes(60)],
        Nothing,
    ).near(&["gpu_memory_full_for_long"]),
    story(
        "the memory limit of the job is reached",
        &[Happens(ALL_IDLE, &[OOM_LIMIT, OOM_LIMIT_KILL])],
        Verdict("oom_kill_limit", &["memory"]),
    ).near(&["oom_kill_machine"]),
    Story {
        name: "the machine is out of memory",
        // The kill and the idle GPUs are seen by different threads; a second is a second here.
        speed: 1,
        steps: &[Happens(ALL_IDLE, &[OOM_MACHINE, OOM_MACHINE_KILL])],
        ..story("", &[], Verdict("oom_kill_machine", &["memory"]))
    },
    story(
        "the kernel kills a process that uses no GPU",
        &[Happens(&[], &[OOM_OTHER, OOM_OTHER_KILL]), Passes(60)],
        Nothing,
    ).near(&["oom_kill_limit"]),
    story(
        "the driver is replaced while a job runs",
        &[Happens(&["init mismatch"], &[]), Passes(20), Instead(NEW_DRIVER, &[])],
        Verdict("driver_changed", &["driver"]),
    ),
    story(
        "the driver cannot be reached for a moment",
        &[Happens(&["init mismatch"], &[]), Passes(20), Instead(&[], &[]), Passes(60)],
        Nothing,
    ).near(&["driver_changed"]),
    story(
        "a job stops working, and nothing says why",
        &[Happens(ALL_SILENT, &[])],
        Verdict("not_known", &["not known"]),
    ).near(&["application_ended"]),
    story(
        "the power brake slows all GPUs, and one of them is lost",
        &[Happens(ALL_BRAKED, &[]), Passes(20), Happens(&["gpu 7 lost"], &[XID_79])],
        Verdict("power_then_lost", &["ower"]),
    ),
    story(
        "a GPU has to be reset",
        &[Happens(
            &[],
            &["NVRM: Xid (PCI:{2}): 62, pid=4211, name=trainer, 2a1d(31b4) 00000000 00000000"],
        )],
        Verdict("xid_reset_gpu", &["GPU 2"]),
    ),
    story(
        "a GPU has a fatal time-out on PCIe",
        &[Happens(&[], &["NVRM: Xid (PCI:{2}): 167, pid=4211, name=trainer, PCIe fatal timeout"])],
        Verdict("xid_restart", &["GPU 2"]),
    ),
    story("all GPUs hang", &[Happens(ALL_HANG, &[])], Verdict("driver_hung", &["driver"])),
    story(
        "the software of a GPU has to be updated",
        &[Happens(&[], &["NVRM: Xid (PCI:{2}): 78, pid=4211, name=trainer, vGPU start error"])],
        Verdict("xid_update_software", &["GPU 2"]),
    ),
    story(
        "a microcontroller of a GPU stops",
        &[Happens(
            &[],
            &["NVRM: Xid (PCI:{2}): 61, pid=4211, name=trainer, 0cec(3098) 00000000 00000000"],
        )],
        Verdict("xid_contact_support", &["GPU 2"]),
    ).near(&["xid_reset_gpu"]),
    story(
        "a GPU reports a fault that asks for nothing known",
        &[Happens(&[], &["NVRM: Xid (PCI:{2}): 164, pid=4211, name=trainer, fault"])],
        Verdict("xid_other", &["GPU 2"]),
    ).near(&["xid_update_software"]),
    story(
        "a job stops after a channel of an application had an error",
        &[Happens(ALL_SILENT, &["NVRM: Xid (PCI:{1}): 43, pid=4211, name=trainer, Ch 00000008"])],
        Verdict("application_channel", &["GPU"]),
    ),
    story(
        "a job stops after an application was ended from outside",
        &[Happens(ALL_SILENT, &[XID_45])],
        Verdict("application_ended", &["45"]),
    ),
    story(
        "a job stops while the machine is short of memory",
        &[MemoryPressure(60), Passes(80), Happens(ALL_SILENT, &[])],
        Verdict("host_memory", &["memory"]),
    ),
    story(
        "the memory of a GPU is full for long, and then freed at once",
        &[
            Happens(&["gpu 4 set memory_used 80500"], &[]),
            Passes(700),
            Happens(&["gpu 4 set memory_used 80700"], &[]),
            Passes(5),
            Instead(&["gpu 4 idle"], &[]),
        ],
        Verdict("gpu_memory_full_for_long", &["memory"]),
    ),
    story(
        "the power brake is over for long when the memory of a GPU fails, and it is lost",
        &[
            Happens(ALL_BRAKED, &[]),
            Passes(10),
            Instead(&[], &[]),
            Passes(150),
            Happens(&["gpu 5 set ecc_uncorrected 1"], &[XID_48]),
            Passes(10),
            Happens(&["gpu 5 lost"], &[]),
            Passes(10),
        ],
        Other,
    )
    .near(&["power_then_lost"]),
    story(
        "a GPU is slowed by heat, and another is lost",
        &[
            Happens(&["gpu 2 set temperature 91", "gpu 2 set clock_reasons 96"], &[]),
            Passes(60),
            Happens(&["gpu 7 lost"], &[XID_79]),
            Passes(20),
        ],
        Other,
    )
    .near(&["heat_then_lost"]),
    story(
        "a GPU hangs, and the NVLinks to it go down",
        &[
            Happens(&["gpu 1 hang"], &[]),
            Passes(60),
            Happens(&["gpu 0 set links_down 1", "gpu 2 set links_down 1"], &[]),
            Passes(20),
        ],
        Other,
    )
    .near(&["nvlink"]),
    story(
        "the encryption of a link of a GPU has an error",
        &[
            Happens(&[], &["NVRM: Xid (PCI:{2}): 166, pid=4211, name=trainer, NVLink: secure crypto error"]),
            Passes(20),
        ],
        Other,
    )
    .near(&["xid_restart"]),
    story(
        "two of eight GPUs hang",
        &[Happens(&["gpu 3 hang", "gpu 4 hang"], &[]), Passes(60)],
        Other,
    )
    .near(&["driver_hung"]),
    story(
        "a job stops after a fault during a context switch",
        &[
            Happens(ALL_SILENT, &["NVRM: Xid (PCI:{1}): 44, pid=4211, name=trainer, Ch 00000008"]),
            Passes(20),
        ],
        Other,
    )
    .near(&["application_channel"]),
    story(
        "a job stops while programs hardly wait for memory",
        &[MemoryPressure(3), Passes(80), Happens(ALL_SILENT, &[])],
        Verdict("not_known", &["not known"]),
    )
    .near(&["host_memory"]),
    story("a job ends well", &[JobEnds, Happens(ALL_IDLE, &[]), Passes(120)], Nothing).near(&["not_known"]),
];

/// A story on a machine of its own.
struct Stage<'a> {
    story: &'a Story,
    rig: Rig,
    history: PathBuf,
}

impl<'a> Stage<'a> {
    fn new(story: &'a Story) -> Self {
        let rig = Rig::new().with_kernel_log().with("FAKE_NVML_SPEED", &FAST.to_string());
        let history = rig.path("history");
        Self { story, rig, history }
    }

    /// heatsink on this machine, once the job is at work on all GPUs.
    fn start(&self) -> Exporter {
        (0..8).for_each(|gpu| self.give(gpu, "4711"));
        self.start_at(self.story.speed, 8)
    }

    /// The batch system gives a GPU to a job.
    fn give(&self, gpu: u32, job: &str) {
        let jobs = self.rig.path("jobs");
        std::fs::create_dir_all(&jobs).expect("the temporary folder can be written");
        std::fs::write(jobs.join(gpu.to_string()), format!("{job}\n")).expect("it can be written");
    }

    /// heatsink on this machine, once jobs are at work on this many GPUs. So many seconds of the recording pass
    /// in a second.
    fn start_at(&self, speed: u64, gpus: usize) -> Exporter {
        let jobs = self.rig.path("jobs").display().to_string();
        let history = self.history.display().to_string();
        let speed = speed.to_string();
        let args = [
            "--collect-interval",
            "100",
            "--history-speed",
            &speed,
            "--history-dir",
            &history,
            "--hpc-job-mapping-dir",
            &jobs,
        ];
        let exporter = self.rig.started(&args, gpus);
        exporter.wait_for("the jobs are at work and known", PATIENCE, |page| {
            let samples = page.samples("DCGM_FI_DEV_GPU_UTIL");
            let is_at_work =
                |sample: &&Sample| sample.value >= 90.0 && sample.label("hpc_job").is_some();
            samples.len() == gpus && samples.iter().all(is_at_work) && up(page) == gpus
        });
        self.pass(40);
        exporter
    }

    /// Lets time of the recording pass: on a busy machine more, and at real time no more than is needed to
    /// see what happens.
    fn pass(&self, seconds: u64) {
        let seconds = if self.story.speed == FAST { seconds } else { seconds.min(3) };
        pauses::sleep(Duration::from_secs(seconds).div_f64(self.story.speed as f64));
    }

    fn log(&self, lines: &[&str]) {
        let filled = |line: &&str| {
            (0..8).fold((*line).to_owned(), |line, gpu| {
                line.replace(&format!("{{{gpu}}}"), self.rig.address(gpu))
            })
        };
        let lines: Vec<String> = lines.iter().map(filled).collect();
        self.rig.log(&lines.iter().map(String::as_str).collect::<Vec<_>>());
    }

    fn play(&self) {
        for step in self.story.steps {
            match step {
                Happens(commands, lines) => {
                    self.log(lines);
                    self.rig.control.add(commands);
                }
                Instead(commands, lines) => {
                    self.log(lines);
                    self.rig.control.set(commands);
                }
                Passes(seconds) => self.pass(*seconds),
                MemoryPressure(percent) => {
                    let proc = self.rig.root().join("proc");
                    let write = |name: &str, text: String| {
                        std::fs::write(proc.join(name), text).expect("it can be written");
                    };
                    std::fs::create_dir_all(proc.join("pressure")).expect("it can be made");
                    write("meminfo", "MemAvailable: 1000000 kB\n".to_owned());
                    let shares = format!("avg10={percent}.00 avg60=0.00 avg300=0.00 total=1");
                    write("pressure/memory", format!("some {shares}\nfull {shares}\n"));
                }
                JobEnds => {
                    for gpu in 0..8 {
                        let file = self.rig.path("jobs").join(gpu.to_string());
                        std::fs::remove_file(file).expect("it is there");
                    }
                }
            }
        }
    }

    /// Tells the story.
    ///
    /// # Errors
    ///
    /// What was said of it instead.
    fn tell(&self) -> Result<(), String> {
        let exporter = self.start();
        self.play();
        match self.story.expected {
            Verdict(verdict, words) => self.has_verdict(&exporter, verdict, words),
            Nothing => {
                let incidents = self.end(&exporter)?;
                if incidents.len() > 1 {
                    return Err(format!("{incidents:?}"));
                }
                let is_last = |last: &Told| last.verdict == "off_bus" && last.gpus == [LAST_GPU];
                let is_alone = |told: &[Told]| matches!(told, [last] if is_last(last));
                incidents::wait_for(&exporter, is_alone).map(drop)
            }
            Other => {
                let incidents = self.end(&exporter)?;
                let is_near = |incident: &&Told| self.story.near.contains(&&*incident.verdict);
                match incidents.iter().find(is_near) {
                    Some(wrong) => Err(format!("{wrong:?}")),
                    None => Ok(()),
                }
            }
        }
    }

    /// Waits until the folder has the one incident, with this verdict.
    fn wait_until_written(&self, exporter: &Exporter, verdict: &str) {
        let is_written = |told: &[Told]| {
            matches!(told, [one] if one.verdict == verdict)
                && incidents::listed(&self.history) == told
        };
        incidents::wait_for(exporter, is_written).unwrap_or_else(|other| panic!("{other}"));
    }

    /// Ends the story with an incident of its own, so that nothing of before is still on its way.
    fn end(&self, exporter: &Exporter) -> Result<Vec<Told>, String> {
        self.pass(30);
        self.log(&["NVRM: Xid (PCI:{6}): 79, pid=4211, name=trainer, GPU has fallen off the bus."]);
        self.rig.control.add(&["gpu 6 lost"]);
        incidents::wait_for(exporter, |incidents| {
            incidents.iter().any(|incident| incident.gpus.contains(&LAST_GPU))
        })
    }

    fn has_verdict(
        &self,
        exporter: &Exporter,
        verdict: &str,
        words: &[&str],
    ) -> Result<(), String> {
        let is_told = |incidents: &[Told]| matches!(incidents, [one] if one.verdict == verdict);
        incidents::wait_for(exporter, is_told)?;
        // The faults end, and it stays what it is.
        if self.story.speed == FAST {
            self.rig.control.clear();
            self.pass(150);
        }
        // The folder is written by another thread.
        let is_in_folder = |incidents: &[Told]| {
            is_told(incidents) && incidents::listed(&self.history) == incidents
        };
        incidents::wait_for(exporter, is_in_folder).map_err(|last| {
            let listed = incidents::listed(&self.history);
            format!("later: {last}, and in the folder {listed:?}")
        })?;
        let (report, status) = incidents::command(&["report", "--last"], &self.history);
        // The first line may be longer than a terminal is wide.
        let first: Vec<&str> = report.lines().take_while(|line| !line.is_empty()).collect();
        let first = first.join(" ").to_lowercase();
        match words.iter().find(|word| !first.contains(&word.to_lowercase())) {
            Some(word) => Err(format!("no `{word}` in the first line:\n{report}")),
            None if status != Some(0) => Err(format!("exit status {status:?}:\n{report}")),
            None => Ok(()),
        }
    }
}

/// Runs some of them at once, and names all that fail. One that fails when the machine stood still, which is another
/// story for what is recorded, runs once more.
fn each_is_told<T: Sync>(
    all: &[T],
    name: impl Fn(&T) -> &str,
    tell: impl Fn(&T) -> Result<(), String> + Sync,
) {
    let mut failed = Vec::new();
    for some in all.chunks(AT_ONCE) {
        thread::scope(|scope| {
            let tell = &tell;
            let threads: Vec<_> = some
                .iter()
                .map(|one| {
                    let tell_again = move || {
                        let watch = Stopwatch::start();
                        tell(one).or_else(
                            |error| if watch.was_paused() { tell(one) } else { Err(error) },
                        )
                    };
                    let thread = thread::Builder::new().spawn_scoped(scope, tell_again);
                    (one, thread.expect("a thread"))
                })
                .collect();
            for (one, thread) in threads {
                let error = match thread.join() {
                    Ok(Ok(())) => continue,
                    Ok(Err(error)) => error,
                    Err(_) => "it panicked".to_owned(),
                };
                failed.push(format!("{}: {error}", name(one)));
            }
        });
    }
    assert!(failed.is_empty(), "{}", failed.join("\n\n"));
}

/// All of them take minutes: `cargo xtask nightly` sets `HEATSINK_STORIES` to their number. The stories of
/// `history`'s own tests are all told each time.
#[test]
fn each_story_ends_in_its_verdict_and_those_near_it_do_not() {
    let number = std::env::var("HEATSINK_STORIES").ok().and_then(|number| number.parse().ok());
    let stories = &STORIES[..number.unwrap_or(AT_ONCE).min(STORIES.len())];
    each_is_told(stories, |story| story.name, |story| Stage::new(story).tell());
}

/// Verdicts whose stories are tests of their own.
const OWN_TESTS: [&str; 2] = ["machine_restart", "gpu_failed_before"];

#[test]
fn each_verdict_has_a_story_and_one_near_it() {
    let table = include_str!("../../../history/src/verdict/table.rs");
    let names = table.lines().filter_map(|line| {
        let name = line.trim().strip_prefix("name: \"")?.strip_suffix("\",")?;
        Some(name).filter(|name| !OWN_TESTS.contains(name))
    });
    let names: BTreeSet<&str> = names.chain(["not_known"]).collect();
    assert!(names.len() > 30, "{names:?}");
    let told = STORIES.iter().filter_map(|story| match story.expected {
        Verdict(name, _) => Some(name),
        Nothing | Other => None,
    });
    assert_eq!(told.collect::<BTreeSet<&str>>(), names);
    let near = STORIES.iter().flat_map(|story| story.near.iter().copied());
    assert_eq!(near.collect::<BTreeSet<&str>>(), names);
    for Story { name, expected, near, .. } in STORIES {
        assert!(!matches!(expected, Verdict(verdict, _) if near.contains(verdict)), "{name}");
        assert!(!matches!(expected, Other) || !near.is_empty(), "{name}");
    }
}

/// What is recorded of a machine that goes down, and comes back with this id of the boot.
fn after_a_kill(boot_id: &str) -> Vec<Told> {
    // The clock of the recording must not be ahead when the next run begins.
    let story = Story { speed: 1, ..story("a machine goes down", &[], Nothing) };
    let stage = Stage::new(&story);
    let file = stage.rig.root().join("proc/sys/kernel/random/boot_id");
    let write = |id: &str| {
        std::fs::create_dir_all(file.parent().expect("a folder")).expect("it can be made");
        std::fs::write(&file, format!("{id}\n")).expect("it can be written");
    };
    write(BOOT);
    let exporter = stage.start();
    // What is synced for an incident survives the kill.
    stage.log(&[XID_31]);
    stage.wait_until_written(&exporter, "application_fault");
    exporter.signal("KILL");
    drop(exporter);
    write(boot_id);
    if boot_id != BOOT {
        // The log begins with the boot.
        std::fs::write(stage.rig.root().join("dev/kmsg"), "").expect("it can be written");
    }
    let exporter = stage.start();
    stage.end(&exporter).unwrap_or_else(|other| panic!("{other}"));
    let has_ended = |told: &[Told]| told.last().is_some_and(|last| last.verdict == "off_bus");
    let incidents = incidents::wait_for(&exporter, has_ended);
    let mut incidents = incidents.unwrap_or_else(|other| panic!("{other}"));
    assert_eq!(incidents.remove(0).verdict, "application_fault", "{incidents:?}");
    incidents
}

const BOOT: &str = "5a1c6a36-6d5c-4d0e-8a0e-1f7a6d9e3b11";

#[test]
fn a_machine_that_was_started_again_is_an_incident() {
    let incidents = after_a_kill("e3b117a6-0e1f-4d0e-8a0e-6d5c5a1c6a36");
    let verdicts: Vec<&str> = incidents.iter().map(|incident| incident.verdict.as_str()).collect();
    assert_eq!(verdicts, ["machine_restart", "off_bus"]);
}

#[test]
fn a_heatsink_that_was_started_again_is_none() {
    let incidents = after_a_kill(BOOT);
    assert!(matches!(incidents.as_slice(), [one] if one.verdict == "off_bus"), "{incidents:?}");
}

/// Waits for this verdict on job 4711, which stops after heatsink was started again beside a lost GPU of this job.
fn beside_a_gpu_lost_before(job_of_lost_gpu: &str, verdict: &str) {
    // The clock of the recording must not be ahead when the next run begins.
    let story = Story { speed: 1, ..story("heatsink is started again", &[], Nothing) };
    let stage = Stage::new(&story);
    (0..8).for_each(|gpu| stage.give(gpu, if gpu == 5 { job_of_lost_gpu } else { "4711" }));
    let exporter = stage.start_at(1, 8);
    stage.log(&[XID_79_ON_5]);
    stage.rig.control.add(&["gpu 5 lost"]);
    stage.wait_until_written(&exporter, "off_bus");
    exporter.terminate();
    let exporter = stage.start_at(FAST, 7);
    stage.rig.control.add(ALL_SILENT);
    let is_told = |told: &[Told]| {
        let verdicts: Vec<&str> = told.iter().map(|one| one.verdict.as_str()).collect();
        verdicts == ["off_bus", verdict]
    };
    incidents::wait_for(&exporter, is_told).unwrap_or_else(|other| panic!("{other}"));
}

#[test]
fn a_gpu_that_was_lost_before_the_start_is_why_its_job_stops() {
    beside_a_gpu_lost_before("4711", "gpu_failed_before");
}

#[test]
fn a_gpu_that_another_job_lost_is_not_why_a_job_stops() {
    beside_a_gpu_lost_before("4712", "not_known");
}

/// Of the simulation: scenario, speed, interval in ms, verdict, words of the report.
type Simulated = (&'static str, &'static str, &'static str, &'static str, &'static [&'static str]);

#[rustfmt::skip]
const SIMULATED: &[Simulated] = &[
    // An hour of heat takes half a minute. On a busy machine the first or the last row of it is missing.
    ("overheat",             "120", "100", "heat",                &["GPU 2", "1 h|59 min"]),
    ("power-brake",          "60",  "100", "power_brake_machine", &["ower"]),
    ("memory-leak",          "20",  "100", "gpu_memory_full",     &["memory"]),
    ("memory-error",         "60",  "100", "ecc_contained",       &["GPU 5"]),
    ("memory-error-off-bus", "60",  "100", "memory_then_lost",    &["GPU 5"]),
    ("off-bus",              "60",  "100", "off_bus",             &["GPU 7"]),
    ("nvlink-down",          "60",  "100", "nvlink",              &["NVLink"]),
];

#[test]
fn simulated_faults_end_in_their_verdicts() {
    each_is_told(
        SIMULATED,
        |(scenario, ..)| scenario,
        |(scenario, speed, interval, verdict, words)| {
            let folder = tempfile::TempDir::new().expect("a temporary folder");
            let history = folder.path().join("history");
            let place = history.display().to_string();
            let args = [
                "--source",
                "sim",
                "--sim-scenario",
                scenario,
                "--speed",
                speed,
                "--collect-interval",
                interval,
                "--history-dir",
                &place,
            ];
            let exporter = Exporter::start(BINARY, &args, &[]);
            let is_told = |report: &str| {
                words.iter().all(|word| word.split('|').any(|word| report.contains(word)))
            };
            incidents::wait_for(&exporter, |incidents| {
                incidents.iter().any(|incident| incident.verdict == *verdict)
                    && is_told(&incidents::command(&["report", "--last"], &history).0)
            })?;
            Ok(())
        },
    );
}
