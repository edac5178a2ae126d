//! A recording made by hand, for tests.

use std::ops::ControlFlow;
use std::sync::Arc;

use history::event::{Event, HolderInfo, What};
use history::incident::{Confidence, Incident, Verdict};
use history::layout::{GpuInfo, HostInfo, Layout, SignalInfo};
use history::recording::{Damage, Item, ReadError, Recording, Row};
use history::sign::SignKind;
use history::signal::SIGNALS;
use history::time::{Range, Time};

/// The time of its first row, in milliseconds since 1970.
pub(crate) const BEGIN: i64 = 1_700_000_000_000;

/// A piece of a recording.
pub(crate) enum Held {
    Layout(Arc<Layout>),
    Row(Row),
    Event(Box<Event>),
}

/// A recording that holds its pieces.
#[derive(Default)]
pub(crate) struct Made {
    pub(crate) items: Vec<Held>,
    pub(crate) incidents: Vec<Incident>,
}

impl Recording for Made {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let mut layout = None;
        for item in &self.items {
            let item = match item {
                Held::Layout(new) => {
                    layout = Some(new);
                    continue;
                }
                Held::Row(row) if range.contains(row.time) => Item::Row(row),
                Held::Event(event) if range.contains(event.time) => Item::Event(event),
                Held::Row(_) | Held::Event(_) => continue,
            };
            if let Some(layout) = layout.take()
                && take(Item::Layout(layout)).is_break()
            {
                break;
            }
            if take(item).is_break() {
                break;
            }
        }
        Ok(Damage::default())
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(self.incidents.clone())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        let times = self.items.iter().filter_map(|item| match item {
            Held::Layout(_) => None,
            Held::Row(row) => Some(row.time),
            Held::Event(event) => Some(event.time),
        });
        let (from, to) = (times.clone().min(), times.max());
        Ok(from.zip(to).map(|(from, to)| Range { from, to }))
    }
}

/// A GPU with everything that labels show.
pub(crate) fn gpu(index: u32) -> GpuInfo {
    GpuInfo {
        index: Some(index),
        uuid: Some(format!("GPU-{index}")),
        pci_bus_id: Some(format!("00000000:{:02X}:00.0", 0x1a + index)),
        model_name: Some("NVIDIA H100 80GB HBM3".to_owned()),
        serial: None,
        minor: Some(index),
    }
}

/// A layout with these signals of the table.
pub(crate) fn layout(signals: &[&str], gpus: &[u32]) -> Arc<Layout> {
    let known =
        |name: &&str| SIGNALS.iter().find(|signal| signal.name == *name).map(SignalInfo::from);
    Arc::new(Layout {
        host: HostInfo {
            hostname: Some("n1".to_owned()),
            source: "nvml".to_owned(),
            driver_version: Some("570.124.06".to_owned()),
            interval_ms: 1000,
            ..HostInfo::default()
        },
        gpus: gpus.iter().map(|index| gpu(*index)).collect(),
        signals: signals.iter().filter_map(known).collect(),
    })
}

pub(crate) fn row(after_ms: i64, values: &[Option<i64>]) -> Held {
    Held::Row(Row { time: Time(BEGIN + after_ms), values: values.to_vec() })
}

pub(crate) fn event(after_ms: i64, gpu: Option<GpuInfo>, what: What) -> Held {
    Held::Event(Box::new(Event { time: Time(BEGIN + after_ms), gpu, what }))
}

pub(crate) fn pod(name: &str) -> HolderInfo {
    HolderInfo::Pod {
        namespace: "ml".to_owned(),
        pod: name.to_owned(),
        container: "main".to_owned(),
        uid: None,
    }
}

pub(crate) fn incident(number: u64) -> Incident {
    let (began, last) = (Time(BEGIN + 2_000), Time(BEGIN + 2_000));
    Incident {
        number,
        kind: SignKind::GpuLost,
        began,
        last,
        window: Range { from: Time(BEGIN), to: Time(BEGIN + 122_000) },
        is_closed: false,
        host: HostInfo::default(),
        gpus: vec![gpu(0)],
        holders: vec![(0, pod("train-0"))],
        signs: Vec::new(),
        events: Vec::new(),
        events_left_out: 0,
        verdict: Verdict {
            name: "off_bus".to_owned(),
            cause: "GPU 0 has fallen off the bus.".to_owned(),
            evidence: Vec::new(),
            actions: vec!["Restart the machine.".to_owned()],
            confidence: Confidence::Certain,
            runbook: None,
            xid: None,
            time: None,
        },
    }
}

/// Four seconds of two GPUs: a pod ends, another GPU skips a value, a GPU is lost and then gone, and the clock
/// of the last row is a millisecond late.
pub(crate) fn recording() -> Made {
    let signals = ["memory_available", "up", "down_reason", "gpu_temperature", "power"];
    let began =
        |gpu_index, name| event(0, Some(gpu(gpu_index)), What::HolderBegan { holder: pod(name) });
    let items = vec![
        Held::Layout(layout(&signals, &[0, 1])),
        began(0, "train-0"),
        began(1, "train-1"),
        row(
            0,
            &[
                Some(1000),
                Some(1),
                None,
                Some(70),
                Some(500_125),
                Some(1),
                None,
                Some(40),
                Some(80_000),
            ],
        ),
        event(500, Some(gpu(1)), What::HolderEnded { holder: pod("train-1") }),
        row(
            1_000,
            &[Some(900), Some(1), None, Some(71), Some(501_125), Some(1), None, Some(40), None],
        ),
        row(2_000, &[None, Some(0), Some(1), None, None, Some(1), None, Some(41), Some(82_000)]),
        Held::Layout(layout(&signals, &[1])),
        row(3_001, &[None, Some(1), None, Some(42), Some(83_000)]),
    ];
    Made { items, incidents: vec![incident(1)] }
}
