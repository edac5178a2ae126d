//! Reads what a report needs, in one pass over a recording.

use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

use super::chart::{Chart, ChartBuilder, Others};
use super::coverage::Coverage;
use crate::detector::Detector;
use crate::detector::holders::{Hold, Holders};
use crate::event::{Event, What};
use crate::incident::Incident;
use crate::layout::{GpuInfo, HostInfo, Layout};
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::sign::Sign;
use crate::time::{Range, Time};

/// The most events that are kept.
const MOST_EVENTS: usize = 2000;

/// Signs of a range are looked for from so long before it on: what began then is not taken for something new.
const WARM_UP: Duration = Duration::from_secs(600);

/// Who has a GPU is recorded once an hour, besides its begin and end.
const HOLDERS: Duration = Duration::from_secs(2 * 3600);

/// A sign of an incident and the same sign of a range are at most this far apart.
const SAME: Duration = Duration::from_secs(2);

/// What was found in a range.
pub(super) struct Reading {
    pub(super) charts: Vec<Chart>,
    /// The GPUs that are drawn.
    pub(super) gpus: Vec<GpuInfo>,
    /// The machine, as it was last.
    pub(super) host: HostInfo,
    /// Who had GPUs when the range began: events that say that they go on. Only of [`read_range`].
    pub(super) holding: Vec<Event>,
    pub(super) events: Vec<Event>,
    /// Events beyond the most that are kept.
    pub(super) left_out: u64,
    pub(super) signs: Vec<Sign>,
    pub(super) coverage: Coverage,
    pub(super) damage: Damage,
}

/// Reads the window of an incident: charts of these signals, of `named` and `others`, and what happened.
pub(super) fn read(
    recording: &dyn Recording,
    range: Range,
    signals: &'static [&'static str],
    named: &[GpuInfo],
    others: Others,
) -> Result<Reading, ReadError> {
    Reader::new(range, signals, named, others).read(recording)
}

/// Reads a range of which nothing is known: as [`read`], with what was so when it began. Triggers are those of
/// incidents.
pub(super) fn read_range(
    recording: &dyn Recording,
    range: Range,
    signals: &'static [&'static str],
    named: &[GpuInfo],
    others: Others,
) -> Result<Reading, ReadError> {
    let mut reader = Reader::new(range, signals, named, others);
    let holding = reader.warm_up(recording)?;
    let mut reading = reader.read(recording)?;
    reading.holding = holding;
    // Of a GPU that did not answer when the range began, it may be known only later that it was over.
    reading.signs.retain(|sign| sign.to.is_none_or(|to| to >= range.from));
    if reading.signs.iter().any(|sign| sign.is_trigger) {
        let incidents = recording.incidents()?;
        for sign in &mut reading.signs {
            // One that began before and goes on is told, and is no trigger of this range.
            sign.is_trigger &= range.contains(sign.from)
                && incidents.iter().any(|incident| has_trigger(incident, sign));
        }
    }
    Ok(reading)
}

/// Whether the sign is a trigger of the incident.
fn has_trigger(incident: &Incident, sign: &Sign) -> bool {
    let (from, to) = (sign.from.before(SAME), sign.to.unwrap_or(Time(i64::MAX)).after(SAME));
    incident.signs.iter().any(|own| {
        let is_same_kind = own.is_trigger && own.kind == sign.kind && own.xid == sign.xid;
        is_same_kind && is_on_same_gpu(own, sign) && own.overlaps(from, to)
    })
}

/// Whether both are about the same GPU, or about none.
fn is_on_same_gpu(one: &Sign, other: &Sign) -> bool {
    one.is_on_same_gpu(other) || one.gpu.is_none() && other.gpu.is_none()
}

/// From `duration` before the range to its begin, which is not in it.
fn before(range: Range, duration: Duration) -> Range {
    let to = range.from.before(Duration::from_millis(1));
    Range { from: range.from.before(duration).min(to), to }
}

/// Who has GPUs at a time, as events.
fn holding(holders: &Holders, time: Time) -> Vec<Event> {
    let going_on = holders.all().iter().filter(|hold| hold.to.is_none());
    let event = |hold: &Hold| {
        let what = What::HolderGoesOn { holder: hold.holder.clone() };
        Event { time, gpu: Some(hold.gpu.clone()), what }
    };
    going_on.map(event).collect()
}

/// Follows who has GPUs.
fn step(holders: &mut Holders, event: &Event) {
    if matches!(event.what, What::Started { .. }) {
        // What is so is told again.
        holders.end_all(event.time);
    }
    holders.step(event.time, event);
}

struct Reader {
    range: Range,
    charts: ChartBuilder,
    coverage: Coverage,
    layout: Option<Arc<Layout>>,
    detector: Detector,
    /// Events before the first layout, which comes with the first row.
    waiting: Vec<Event>,
    events: Vec<Event>,
    left_out: u64,
    signs: Vec<Sign>,
}

impl Reader {
    fn new(
        range: Range,
        signals: &'static [&'static str],
        named: &[GpuInfo],
        others: Others,
    ) -> Self {
        Self {
            range,
            charts: ChartBuilder::new(range, signals, named, others),
            coverage: Coverage::default(),
            layout: None,
            detector: Detector::default(),
            waiting: Vec::new(),
            events: Vec::new(),
            left_out: 0,
            signs: Vec::new(),
        }
    }

    /// Reads what was before the range, for the detector alone. Returns who had GPUs when the range began.
    fn warm_up(&mut self, recording: &dyn Recording) -> Result<Vec<Event>, ReadError> {
        let warm_up = before(self.range, WARM_UP);
        let mut holders = Holders::default();
        recording.events(before(warm_up, HOLDERS), &mut |event| {
            step(&mut holders, event);
            ControlFlow::Continue(())
        })?;
        self.waiting = holding(&holders, warm_up.from);
        // What is damaged is not in the range.
        let _ = recording.read(warm_up, &mut |item| {
            match item {
                Item::Layout(layout) => self.take_layout(layout),
                Item::Row(row) => drop(self.look_for_signs(Some(row), &[])),
                Item::Event(event) => {
                    step(&mut holders, event);
                    self.look_for_signs(None, std::slice::from_ref(event));
                }
            }
            ControlFlow::Continue(())
        })?;
        self.signs = self.detector.ongoing().into_iter().map(|found| found.sign).collect();
        Ok(holding(&holders, self.range.from))
    }

    fn read(mut self, recording: &dyn Recording) -> Result<Reading, ReadError> {
        let damage = recording.read(self.range, &mut |item| {
            self.take(item);
            ControlFlow::Continue(())
        })?;
        let Self { charts, coverage, layout, events, left_out, signs, .. } = self;
        let gpus = charts.gpus().to_vec();
        let host = layout.map(|layout| layout.host.clone()).unwrap_or_default();
        let charts = charts.finish(coverage.row_ms());
        let holding = Vec::new();
        Ok(Reading { charts, gpus, host, holding, events, left_out, signs, coverage, damage })
    }

    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Layout(layout) => {
                self.charts.take_layout(layout);
                self.take_layout(layout);
            }
            Item::Row(row) if self.range.contains(row.time) => {
                self.coverage.take(row.time);
                self.charts.take_row(row);
                let found = self.look_for_signs(Some(row), &[]);
                self.take_signs(found);
            }
            Item::Event(event) if self.range.contains(event.time) => {
                let found = self.look_for_signs(None, std::slice::from_ref(event));
                self.take_signs(found);
                if self.events.len() < MOST_EVENTS {
                    self.events.push(event.clone());
                } else {
                    self.left_out += 1;
                }
            }
            Item::Row(_) | Item::Event(_) => {}
        }
    }

    fn take_layout(&mut self, layout: &Arc<Layout>) {
        self.layout = Some(Arc::clone(layout));
    }

    fn look_for_signs(&mut self, row: Option<&Row>, events: &[Event]) -> Vec<Sign> {
        let Some(layout) = &self.layout else {
            let room = MOST_EVENTS.saturating_sub(self.waiting.len());
            self.waiting.extend(events.iter().take(room).cloned());
            return Vec::new();
        };
        if self.waiting.is_empty() {
            return self.detector.observe(layout, row, events);
        }
        let mut waited = std::mem::take(&mut self.waiting);
        waited.extend_from_slice(events);
        self.detector.observe(layout, row, &waited)
    }

    fn take_signs(&mut self, found: Vec<Sign>) {
        for sign in found {
            let is_known = |known: &Sign| {
                known.kind == sign.kind
                    && known.from == sign.from
                    && known.xid == sign.xid
                    && is_on_same_gpu(known, &sign)
            };
            let position = self.signs.iter().rposition(is_known);
            // A known one goes on, or has ended since.
            if let Some(known) = position.and_then(|position| self.signs.get_mut(position)) {
                *known = sign;
            } else if self.signs.len() < MOST_EVENTS {
                self.signs.push(sign);
            }
        }
    }
}
