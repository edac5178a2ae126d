//! Stories that reports tell.

use super::double::Replayed;
use crate::event::{Event, HolderInfo, Process, What};
use crate::incident::{Confidence, Incident, Verdict};
use crate::layout::{GpuInfo, HostInfo};
use crate::recording::Damage;
use crate::report::{Report, Scope};
use crate::sign::{Sign, SignKind};
use crate::time::{Range, Time};

/// 2026-11-30 03:12:44.300 CET.
pub(super) const END: i64 = 1_796_004_764_300;

/// What is told.
#[derive(Clone, Debug)]
pub(super) struct Story {
    pub(super) recording: Replayed,
    pub(super) incident: Option<Incident>,
    pub(super) scope: Scope,
}

impl Story {
    pub(super) fn report(&self) -> Report {
        match &self.incident {
            Some(incident) => Report::of_incident(incident, &self.recording).unwrap(),
            None => Report::of_range(self.scope.clone(), &self.recording).unwrap(),
        }
    }
}

fn host(source: &str) -> HostInfo {
    HostInfo {
        hostname: Some("gpu-node-7".to_owned()),
        source: source.to_owned(),
        heatsink_version: "0.1.0".to_owned(),
        driver_version: Some("550.163.01".to_owned()),
        boot_id: None,
        interval_ms: 1000,
        ..HostInfo::default()
    }
}

fn gpu(index: u32) -> GpuInfo {
    GpuInfo {
        index: Some(index),
        uuid: Some(format!("GPU-5e4b31a0-0000-4000-8000-00000000000{index}")),
        pci_bus_id: Some(format!("00000000:{:02X}:00.0", 0x1a + index)),
        model_name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        serial: Some(format!("165092300000{index}")),
        minor: Some(index),
    }
}

fn at(seconds: f64) -> Time {
    Time(END + (seconds * 1000.0).round() as i64)
}

fn range(from: f64, to: f64) -> Range {
    Range { from: at(from), to: at(to) }
}

fn sign(kind: SignKind, index: Option<u32>, from: f64, to: Option<f64>, text: &str) -> Sign {
    let gpu = index.map(gpu);
    let to = to.map(at);
    Sign { kind, gpu, xid: None, from: at(from), to, is_trigger: true, text: text.to_owned() }
}

fn xid(index: u32, seconds: f64, code: u32, message: &str, name: &str) -> Event {
    let gpu = gpu(index);
    let address = gpu.pci_bus_id.as_deref().unwrap_or_default();
    let line = format!("NVRM: Xid (PCI:{address}): {code}, pid=4242, name={name}, {message}");
    let what = What::Xid {
        code,
        message: message.to_owned(),
        process: Some(Process { pid: Some(4242), name: Some(name.to_owned()) }),
        link: None,
        line: Some(line),
        count: 1,
    };
    Event { time: at(seconds), gpu: Some(gpu), what }
}

fn event(seconds: f64, index: Option<u32>, what: What) -> Event {
    Event { time: at(seconds), gpu: index.map(gpu), what }
}

fn scope(gpu: Option<u32>) -> Scope {
    let range = range(-300.0, 300.0);
    let headline = "No incident".to_owned();
    Scope { range, end: at(0.0), gpu, holds: None, headline, incidents: Vec::new() }
}

/// One GPU overheats for an hour, and a watchdog ends the job.
pub(super) fn heat() -> Story {
    let drawn = range(-4400.0, 120.0);
    let is_recorded = |second: i64| !(600..780).contains(&second);
    let mut recording =
        Replayed::new(host("sim"), vec![gpu(2)], drawn, is_recorded, |name, _, s| {
            let is_over = s > 4400;
            let heat = (s - 600).clamp(0, 600);
            Some(match name {
                "gpu_temperature" if is_over => 89 - (s - 4400) / 5,
                "gpu_temperature" => 61 + heat * 28 / 600,
                "slowdown_temperature" => 87,
                "sm_clock" => 1980 - heat * 780 / 600,
                "power" if is_over => 98,
                "power" => 690 - heat / 3,
                "power_limit" => 700,
                "gpu_utilization" => {
                    if is_over {
                        0
                    } else {
                        99
                    }
                }
                "memory_used" => 74_000,
                _ => return None,
            })
        });
    let newer_files = vec!["00000042.segment".to_owned()];
    recording.damage = Damage { bytes: 4096, rows: 180, newer_files };
    let job = HolderInfo::Job { id: "4711".to_owned() };
    let slowed = "GPU 2 was slowed by heat for 1 h 2 min, at up to 89 °C";
    let silent = "the GPU of job 4711 stopped working";
    let incident = Incident {
        number: 17,
        kind: SignKind::HeatSlowdown,
        began: at(-3701.0),
        last: at(0.0),
        window: range(-4301.0, 120.0),
        is_closed: true,
        host: host("sim"),
        gpus: vec![gpu(2)],
        holders: vec![(0, job.clone())],
        signs: vec![
            sign(SignKind::HeatSlowdown, Some(2), -3731.0, Some(1.2), slowed),
            sign(SignKind::JobSilent, None, 0.0, None, silent),
        ],
        events: vec![event(0.8, Some(2), What::HolderEnded { holder: job })],
        events_left_out: 0,
        verdict: Verdict {
            name: "heat".to_owned(),
            cause: "GPU 2 was too hot for 1 h 2 min, and its job ended".to_owned(),
            evidence: vec![
                "GPU 2 was slowed by heat until the end, at up to 89 °C; it slows down at 87 °C."
                    .to_owned(),
                "It ran at 1200 MHz of 1980 MHz.".to_owned(),
            ],
            actions: vec![
                "Look for blocked air, a stopped fan and a wrong fan profile of the machine; compare \
                 with the GPUs beside it."
                    .to_owned(),
                "Start the job again from its last checkpoint.".to_owned(),
            ],
            confidence: Confidence::Likely,
            runbook: Some("GpuThermalSlowdown".to_owned()),
            xid: None,
            time: None,
        },
    };
    Story { recording, incident: Some(incident), scope: scope(None) }
}

/// A GPU falls off the bus, and the job on all eight is cleaned up.
pub(super) fn eight() -> Story {
    let drawn = range(-600.0, 120.0);
    let gpus: Vec<GpuInfo> = (0..8).map(gpu).collect();
    let recording = Replayed::new(
        host("nvml"),
        gpus.clone(),
        drawn,
        |_| true,
        |name, gpu, s| {
            let is_over = s > 600;
            if is_over && gpu == 5 {
                return None;
            }
            Some(match name {
                "gpu_temperature" => 60 + gpu as i64 + s % 7 - if is_over { 15 } else { 0 },
                "slowdown_temperature" => 87,
                "power" => {
                    if is_over {
                        98
                    } else {
                        650 + s % 11
                    }
                }
                "power_limit" => 700,
                "gpu_utilization" => {
                    if is_over {
                        0
                    } else {
                        98
                    }
                }
                "pcie_replays" => {
                    if gpu == 5 {
                        s / 100
                    } else {
                        0
                    }
                }
                "memory_used" => 74_000,
                _ => return None,
            })
        },
    );
    let pod = HolderInfo::Pod {
        namespace: "ml".to_owned(),
        pod: "pretrain-0".to_owned(),
        container: "train".to_owned(),
        uid: None,
    };
    let mut events = vec![
        event(-610.0, None, What::SourceUp { driver_version: Some("550.163.01".to_owned()) }),
        event(
            -0.2,
            None,
            What::DriverLine {
                line: "NVRM: GPU 0000:1f:00.0: GPU has fallen off the bus.".to_owned(),
            },
        ),
        xid(5, 0.0, 79, "GPU has fallen off the bus", "python"),
        event(0.4, Some(5), What::GpuDown { reason: "lost".to_owned() }),
    ];
    let cleanup =
        (0..31).map(|n| xid(n % 8, 0.6 + f64::from(n) / 10.0, 45, "Preemptive cleanup", "python"));
    events.extend(cleanup);
    events.extend(
        (0..8).map(|index| event(6.0, Some(index), What::HolderEnded { holder: pod.clone() })),
    );
    let mut lost = sign(SignKind::Xid, Some(5), 0.0, None, "GPU 5 reported XID 79");
    lost.xid = Some(79);
    let incident = Incident {
        number: 18,
        kind: SignKind::Xid,
        began: at(0.0),
        last: at(3.6),
        window: range(-600.0, 123.6),
        is_closed: true,
        host: host("nvml"),
        gpus,
        holders: (0..8).map(|index| (index, pod.clone())).collect(),
        signs: vec![lost, sign(SignKind::GpuLost, Some(5), 0.4, None, "GPU 5 is lost")],
        events,
        events_left_out: 0,
        verdict: Verdict {
            name: "off_bus".to_owned(),
            cause: "GPU 5 has fallen off the bus.".to_owned(),
            evidence: vec!["The driver reported XID 79.".to_owned()],
            actions: vec![
                "Save the kernel's log, then start the machine again, power off if need be."
                    .to_owned(),
                "If it comes again, have the board and its power cables checked.".to_owned(),
            ],
            confidence: Confidence::Certain,
            runbook: Some("GpuDown".to_owned()),
            xid: None,
            time: None,
        },
    };
    Story { recording, incident: Some(incident), scope: scope(None) }
}

/// A process with a hostile name is cleaned up, and nothing says why.
pub(super) fn not_known() -> Story {
    let drawn = range(-600.0, 120.0);
    let recording = Replayed::new(
        host("nvml"),
        vec![gpu(3)],
        drawn,
        |_| true,
        |name, _, s| {
            Some(match name {
                "memory_available" => 512_000 - s * 100,
                "memory_pressure_some" => 0,
                "gpu_temperature" => 55,
                "gpu_utilization" => {
                    if s > 600 {
                        0
                    } else {
                        s * 37 % 101
                    }
                }
                "pcie_replays" => {
                    if s > 300 {
                        4
                    } else {
                        1
                    }
                }
                _ => return None,
            })
        },
    );
    let pod = HolderInfo::Pod {
        namespace: "ml".to_owned(),
        pod: "漢字-\u{202e}0".to_owned(),
        container: String::new(),
        uid: None,
    };
    let mut cleanup = sign(SignKind::Xid, Some(3), 0.0, None, "GPU 3 reported XID 45");
    cleanup.xid = Some(45);
    let incident = Incident {
        number: 19,
        kind: SignKind::Xid,
        began: at(0.0),
        last: at(0.0),
        window: range(-600.0, 120.0),
        is_closed: false,
        host: host("nvml"),
        gpus: vec![gpu(3)],
        holders: vec![(0, pod)],
        signs: vec![cleanup],
        events: vec![xid(3, 0.0, 45, "Preemptive cleanup", "\u{1b}[2J\nroot")],
        events_left_out: 0,
        verdict: Verdict {
            name: "not_known".to_owned(),
            cause: "The cause is not known.".to_owned(),
            evidence: Vec::new(),
            actions: vec!["Look at the log of the job.".to_owned()],
            confidence: Confidence::None,
            runbook: None,
            xid: None,
            time: None,
        },
    };
    Story { recording, incident: Some(incident), scope: scope(None) }
}

/// Nothing happens.
pub(super) fn quiet() -> Story {
    let recorded = range(-900.0, 900.0);
    let gpus = vec![gpu(0), gpu(1)];
    let recording = Replayed::new(
        host("nvml"),
        gpus,
        recorded,
        |_| true,
        |name, gpu, s| {
            Some(match name {
                "memory_available" => 512_000,
                "memory_pressure_some" => 0,
                "gpu_temperature" => 50 + gpu as i64 + s / 60,
                "power" => 300 + s % 60,
                "gpu_utilization" => 80,
                "memory_used" => 10,
                "pcie_replays" => 0,
                _ => return None,
            })
        },
    );
    Story { recording, incident: None, scope: scope(None) }
}
