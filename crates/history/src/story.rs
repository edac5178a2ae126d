//! Stories for tests: what a machine does, in a few words, recorded as rows and events.
//!
//! ```ignore
//! Story::of(2)                       // two busy GPUs, a row per second
//!     .job("4711", &[0, 1])          // which a job has
//!     .run(60)                       // for a minute all is well
//!     .hot(0, 89)                    // then GPU 0 is slowed by heat
//!     .run(3600)
//!     .idle(&[0, 1])                 // and the job stops
//!     .run(90)
//! ```

use std::sync::Arc;

use crate::event::{Event, HolderInfo, PreviousRun, Process, What};
use crate::incident::Incident;
use crate::layout::{GpuInfo, HostInfo, Layout, SignalInfo};
use crate::recording::Row;
use crate::time::Time;
use crate::tracker::Tracker;

/// The signals of the machine, with what they are on a healthy one. All have one digit.
const HOST: [(&str, f64); 3] =
    [("memory_available", 200_000.0), ("memory_pressure_some", 0.0), ("memory_pressure_full", 0.0)];

/// The signals of GPUs, with what they are on a busy one.
const GPU: [(&str, f64); 22] = [
    ("up", 1.0),
    ("gpu_temperature", 62.0),
    ("memory_temperature", 70.0),
    ("slowdown_temperature", 89.0),
    ("fan", 50.0),
    ("power_limit", 700.0),
    ("sm_clock", 1980.0),
    ("clock_reasons", 0.0),
    ("gpu_utilization", 97.0),
    ("sm_active", 0.8),
    ("memory_total", 81_559.0),
    ("memory_used", 60_000.0),
    ("pcie_replays", 0.0),
    ("pcie_link_generation", 5.0),
    ("pcie_link_width", 16.0),
    ("ecc_corrected", 0.0),
    ("ecc_uncorrected", 0.0),
    ("remap_pending", 0.0),
    ("remap_failed", 0.0),
    ("nvlink_errors", 0.0),
    ("links_active", 18.0),
    ("xid", 0.0),
];

/// When stories begin.
const BEGIN: i64 = 1_700_000_000_000;

/// A machine, and what was recorded of it so far.
#[derive(Clone)]
pub(crate) struct Story {
    layout: Arc<Layout>,
    interval_ms: i64,
    now: i64,
    host: Vec<Option<f64>>,
    gpus: Vec<Vec<Option<f64>>>,
    /// GPUs without readings.
    is_down: Vec<bool>,
    /// Events that come with the next row.
    pending: Vec<Event>,
    /// What was recorded, in order.
    pub(crate) steps: Vec<Step>,
}

/// A row and the events that came with it.
#[derive(Clone, Debug)]
pub(crate) struct Step {
    pub(crate) row: Row,
    pub(crate) events: Vec<Event>,
}

impl Story {
    /// A machine with this many busy, healthy GPUs, and a row per second.
    pub(crate) fn of(gpus: u32) -> Self {
        let signal = |(number, (name, is_of_host)): (u16, (&str, bool))| SignalInfo {
            number,
            name: name.to_owned(),
            unit: String::new(),
            is_of_host,
            digits: 3,
            step: 0,
        };
        let names = HOST.iter().map(|(name, _)| (*name, true));
        let names = names.chain(GPU.iter().map(|(name, _)| (*name, false)));
        let layout = Layout {
            host: HostInfo {
                source: "nvml".to_owned(),
                interval_ms: 1000,
                xid_source: Some("kernel_log".to_owned()),
                reads_kernel_log: true,
                ..HostInfo::default()
            },
            gpus: (0..gpus).map(gpu_info).collect(),
            signals: (0..).zip(names).map(signal).collect(),
        };
        Self {
            layout: Arc::new(layout),
            interval_ms: 1000,
            now: BEGIN,
            host: HOST.map(|(_, value)| Some(value)).to_vec(),
            gpus: vec![GPU.map(|(_, value)| Some(value)).to_vec(); gpus as usize],
            is_down: vec![false; gpus as usize],
            pending: Vec::new(),
            steps: Vec::new(),
        }
    }

    /// Rows this far apart, from now on.
    pub(crate) fn every_ms(mut self, interval_ms: i64) -> Self {
        self.interval_ms = interval_ms;
        let mut layout = Layout::clone(&self.layout);
        layout.host.interval_ms = interval_ms.unsigned_abs();
        self.layout = Arc::new(layout);
        self
    }

    /// Lets time pass.
    pub(crate) fn run(mut self, seconds: i64) -> Self {
        let end = self.now + seconds * 1000;
        while self.now < end {
            self.now += self.interval_ms;
            let mut values = self.host.clone();
            for (gpu, is_down) in self.gpus.iter().zip(&self.is_down) {
                let shown = |value: &Option<f64>| value.filter(|_| !is_down);
                values.extend(gpu.iter().map(shown));
            }
            let number = |value: Option<f64>| value.map(|value| (value * 1000.0).round() as i64);
            let values = values.into_iter().map(number).collect();
            let events = std::mem::take(&mut self.pending);
            self.steps.push(Step { row: Row { time: Time(self.now), values }, events });
        }
        self
    }

    /// Sets a signal of some GPUs; `None` for a gap.
    pub(crate) fn set(mut self, gpus: &[u32], name: &str, value: impl Into<Option<f64>>) -> Self {
        let column = GPU.iter().position(|(other, _)| *other == name).expect("a signal of GPUs");
        let value = value.into();
        for gpu in gpus {
            self.gpus[*gpu as usize][column] = value;
        }
        self
    }

    /// Sets a signal of the machine.
    pub(crate) fn machine(mut self, name: &str, value: f64) -> Self {
        let column = HOST.iter().position(|(other, _)| *other == name).expect("a signal");
        self.host[column] = Some(value);
        self
    }

    /// Adds to a count of a GPU.
    pub(crate) fn count(self, gpu: u32, name: &str, more: f64) -> Self {
        let column = GPU.iter().position(|(other, _)| *other == name).expect("a signal of GPUs");
        let value = self.gpus[gpu as usize][column].unwrap_or_default() + more;
        self.set(&[gpu], name, value)
    }

    /// The GPU is slowed by heat.
    pub(crate) fn hot(self, gpu: u32, temperature: i32) -> Self {
        self.set(&[gpu], "gpu_temperature", f64::from(temperature))
            .set(&[gpu], "clock_reasons", 32.0)
            .set(&[gpu], "sm_clock", 1200.0)
    }

    /// The GPU is cool again.
    pub(crate) fn cool(self, gpu: u32) -> Self {
        self.set(&[gpu], "gpu_temperature", 62.0).set(&[gpu], "clock_reasons", 0.0).set(
            &[gpu],
            "sm_clock",
            1980.0,
        )
    }

    /// The GPUs do nothing, and nothing on them is freed: as if their processes hung.
    pub(crate) fn idle(self, gpus: &[u32]) -> Self {
        self.set(gpus, "gpu_utilization", 0.0).set(gpus, "sm_active", 0.0)
    }

    /// The GPUs work again.
    pub(crate) fn work(self, gpus: &[u32]) -> Self {
        self.set(gpus, "gpu_utilization", 97.0).set(gpus, "sm_active", 0.8)
    }

    /// The processes on the GPUs end.
    pub(crate) fn exit(self, gpus: &[u32]) -> Self {
        self.idle(gpus).set(gpus, "memory_used", 10.0)
    }

    /// An XID.
    pub(crate) fn xid(self, gpu: u32, code: u32) -> Self {
        self.event(Some(gpu), xid(code))
    }

    /// The GPU does not answer any more, for this reason.
    pub(crate) fn down(mut self, gpu: u32, reason: &str) -> Self {
        self.is_down[gpu as usize] = true;
        self.event(Some(gpu), What::GpuDown { reason: reason.to_owned() })
    }

    /// The GPU answers again.
    pub(crate) fn up(mut self, gpu: u32) -> Self {
        self.is_down[gpu as usize] = false;
        self.event(Some(gpu), What::GpuUp)
    }

    /// A job has these GPUs from now on.
    pub(crate) fn job(self, id: &str, gpus: &[u32]) -> Self {
        let began = || What::HolderBegan { holder: HolderInfo::Job { id: id.to_owned() } };
        gpus.iter().fold(self, |story, gpu| story.event(Some(*gpu), began()))
    }

    /// A job gives them back.
    pub(crate) fn job_ends(self, id: &str, gpus: &[u32]) -> Self {
        let ended = || What::HolderEnded { holder: HolderInfo::Job { id: id.to_owned() } };
        gpus.iter().fold(self, |story, gpu| story.event(Some(*gpu), ended()))
    }

    /// The kernel kills a process: of this cgroup, or because its limit was reached.
    pub(crate) fn oom_kill(self, cgroup: Option<&str>, limited: Option<&str>) -> Self {
        let process = Process { pid: Some(4211), name: Some("python".to_owned()) };
        self.event(
            None,
            What::OomKill {
                process,
                limited_cgroup: limited.map(str::to_owned),
                cgroup: cgroup.map(str::to_owned),
                anonymous_kb: Some(48_000_000),
                line: String::new(),
            },
        )
    }

    /// heatsink starts, after a run that ended this many seconds ago.
    pub(crate) fn started(self, was_stopped: bool, machine_restarted: bool, seconds: i64) -> Self {
        let last = Time(self.now - seconds * 1000);
        let before = Some(PreviousRun { was_stopped, machine_restarted, last });
        self.event(None, What::Started { before })
    }

    /// The source of readings closes.
    pub(crate) fn source_down(self) -> Self {
        self.event(None, What::SourceDown { why: "the driver is not loaded".to_owned() })
    }

    /// And opens, with this driver.
    pub(crate) fn source_up(self, version: &str) -> Self {
        self.event(None, What::SourceUp { driver_version: Some(version.to_owned()) })
    }

    /// Something else happens.
    pub(crate) fn event(mut self, gpu: Option<u32>, what: What) -> Self {
        let gpu = gpu.map(gpu_info);
        self.pending.push(Event { time: Time(self.now), gpu, what });
        self
    }

    /// The same with another layout.
    pub(crate) fn with_layout(mut self, layout: Layout) -> Self {
        self.layout = Arc::new(layout);
        self
    }

    /// The layout of its rows.
    pub(crate) fn layout(&self) -> Arc<Layout> {
        Arc::clone(&self.layout)
    }

    /// All incidents, as they were told last, in order.
    pub(crate) fn incidents(&self) -> Vec<Incident> {
        let mut tracker = Tracker::new(1);
        let mut incidents: Vec<Incident> = Vec::new();
        for Step { row, events } in &self.steps {
            for told in tracker.observe(row.time, &self.layout, Some(row), events) {
                match incidents.iter_mut().find(|known| known.number == told.number) {
                    Some(known) => *known = told,
                    None => incidents.push(told),
                }
            }
        }
        incidents
    }

    /// The incident that began last, three minutes later.
    pub(crate) fn ends(self) -> Option<Incident> {
        self.run(180).incidents().pop()
    }
}

/// An XID as the kernel log has it.
pub(crate) fn xid(code: u32) -> What {
    let process = Some(Process { pid: Some(4211), name: Some("python".to_owned()) });
    let message = model::catalog::xid::lookup(code).message.to_owned();
    What::Xid { code, message, process, link: None, line: None, count: 1 }
}

/// The GPU with this index.
pub(crate) fn gpu_info(index: u32) -> GpuInfo {
    GpuInfo { index: Some(index), uuid: Some(format!("GPU-{index}")), ..GpuInfo::default() }
}
