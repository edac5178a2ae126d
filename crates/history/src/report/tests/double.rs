//! A recording that replays rows and events.

use std::ops::ControlFlow;
use std::sync::Arc;

use crate::event::Event;
use crate::incident::Incident;
use crate::layout::{GpuInfo, HostInfo, Layout, SignalInfo};
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::time::{Range, Time};

/// The signals of its rows, with their units; those of the machine first.
const SIGNALS: [(&str, &str, bool); 10] = [
    ("memory_available", "MiB", true),
    ("memory_pressure_some", "%", true),
    ("gpu_temperature", "°C", false),
    ("slowdown_temperature", "°C", false),
    ("sm_clock", "MHz", false),
    ("power", "W", false),
    ("power_limit", "W", false),
    ("gpu_utilization", "%", false),
    ("memory_used", "MiB", false),
    ("pcie_replays", "", false),
];

/// Rows with the columns of one layout, and events.
#[derive(Clone, Debug)]
pub(super) struct Replayed {
    pub(super) layout: Arc<Layout>,
    pub(super) rows: Vec<Row>,
    pub(super) events: Vec<Event>,
    pub(super) incidents: Vec<Incident>,
    pub(super) damage: Damage,
}

impl Replayed {
    /// Rows from `range`, one per second, whose values `value` gives for a signal, a GPU (0 for the machine) and
    /// the seconds since the first row; a second for which `is_recorded` is false has no row.
    pub(super) fn new(
        host: HostInfo,
        gpus: Vec<GpuInfo>,
        range: Range,
        is_recorded: impl Fn(i64) -> bool,
        value: impl Fn(&str, usize, i64) -> Option<i64>,
    ) -> Self {
        let signals =
            SIGNALS.iter().enumerate().map(|(index, (name, unit, is_of_host))| SignalInfo {
                number: 1000 + index as u16,
                name: (*name).to_owned(),
                unit: (*unit).to_owned(),
                is_of_host: *is_of_host,
                digits: 0,
                step: 0,
            });
        let layout = Layout { host, gpus, signals: signals.collect() };
        let seconds = (range.to.0 - range.from.0) / 1000;
        let rows = (0..=seconds).filter(|second| is_recorded(*second)).map(|second| {
            let columns = layout.columns();
            let values = columns
                .map(|column| value(&column.signal.name, column.gpu.unwrap_or_default(), second));
            Row { time: Time(range.from.0 + second * 1000), values: values.collect() }
        });
        let rows = rows.collect();
        Self {
            layout: Arc::new(layout),
            rows,
            events: Vec::new(),
            incidents: Vec::new(),
            damage: Damage::default(),
        }
    }
}

impl Recording for Replayed {
    fn read(
        &self,
        range: Range,
        take: &mut dyn FnMut(Item<'_>) -> ControlFlow<()>,
    ) -> Result<Damage, ReadError> {
        let rows = self.rows.iter().map(|row| (row.time, Item::Row(row)));
        let events = self.events.iter().map(|event| (event.time, Item::Event(event)));
        let mut items: Vec<_> =
            rows.chain(events).filter(|(time, _)| range.contains(*time)).collect();
        items.sort_by_key(|(time, _)| *time);
        let mut layout = Some(Item::Layout(&self.layout));
        for (_, item) in items {
            if matches!(item, Item::Row(_)) {
                layout.take().map(&mut *take);
            }
            let _ = take(item);
        }
        Ok(self.damage.clone())
    }

    fn incidents(&self) -> Result<Vec<Incident>, ReadError> {
        Ok(self.incidents.clone())
    }

    fn extent(&self) -> Result<Option<Range>, ReadError> {
        let (Some(first), Some(last)) = (self.rows.first(), self.rows.last()) else {
            return Ok(None);
        };
        Ok(Some(Range { from: first.time, to: last.time }))
    }
}
