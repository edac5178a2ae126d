//! Reads what a report needs, in one pass over a recording.

use std::ops::ControlFlow;
use std::sync::Arc;

use super::chart::{Chart, ChartBuilder, Others};
use super::coverage::Coverage;
use crate::detector::Detector;
use crate::event::Event;
use crate::layout::{GpuInfo, HostInfo, Layout};
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::sign::Sign;
use crate::time::Range;

/// The most events that are kept.
const MOST_EVENTS: usize = 2000;

/// What was found in a range.
pub(super) struct Reading {
    pub(super) charts: Vec<Chart>,
    /// The GPUs that are drawn.
    pub(super) gpus: Vec<GpuInfo>,
    /// The machine, as it was last.
    pub(super) host: HostInfo,
    pub(super) events: Vec<Event>,
    /// Events beyond the most that are kept.
    pub(super) left_out: u64,
    pub(super) signs: Vec<Sign>,
    pub(super) coverage: Coverage,
    pub(super) damage: Damage,
}

/// Reads a range: charts of these signals, of `named` and `others`, and what happened.
pub(super) fn read(
    recording: &dyn Recording,
    range: Range,
    signals: &'static [&'static str],
    named: &[GpuInfo],
    others: Others,
) -> Result<Reading, ReadError> {
    let mut reader = Reader {
        range,
        charts: ChartBuilder::new(range, signals, named, others),
        coverage: Coverage::default(),
        layout: None,
        detector: Detector::default(),
        events: Vec::new(),
        left_out: 0,
        signs: Vec::new(),
    };
    let damage = recording.read(range, &mut |item| {
        reader.take(item);
        ControlFlow::Continue(())
    })?;
    let Reader { charts, coverage, layout, events, left_out, signs, .. } = reader;
    let gpus = charts.gpus().to_vec();
    let host = layout.map(|layout| layout.host.clone()).unwrap_or_default();
    let charts = charts.finish(coverage.row_ms());
    Ok(Reading { charts, gpus, host, events, left_out, signs, coverage, damage })
}

struct Reader {
    range: Range,
    charts: ChartBuilder,
    coverage: Coverage,
    layout: Option<Arc<Layout>>,
    detector: Detector,
    events: Vec<Event>,
    left_out: u64,
    signs: Vec<Sign>,
}

impl Reader {
    fn take(&mut self, item: Item<'_>) {
        match item {
            Item::Layout(layout) => {
                self.charts.take_layout(layout);
                self.layout = Some(Arc::clone(layout));
            }
            Item::Row(row) if self.range.contains(row.time) => {
                self.coverage.take(row.time);
                self.charts.take_row(row);
                self.look_for_signs(Some(row), &[]);
            }
            Item::Event(event) if self.range.contains(event.time) => {
                self.look_for_signs(None, std::slice::from_ref(event));
                if self.events.len() < MOST_EVENTS {
                    self.events.push(event.clone());
                } else {
                    self.left_out += 1;
                }
            }
            Item::Row(_) | Item::Event(_) => {}
        }
    }

    fn look_for_signs(&mut self, row: Option<&Row>, events: &[Event]) {
        let Some(layout) = &self.layout else { return };
        for sign in self.detector.observe(layout, row, events) {
            let position = self.signs.iter().rposition(|known| {
                let is_same_gpu = match (&known.gpu, &sign.gpu) {
                    (Some(one), Some(other)) => one.is_same(other),
                    (one, other) => one.is_none() && other.is_none(),
                };
                known.kind == sign.kind
                    && known.from == sign.from
                    && known.xid == sign.xid
                    && is_same_gpu
            });
            // A known one goes on, or has ended since.
            if let Some(known) = position.and_then(|position| self.signs.get_mut(position)) {
                *known = sign;
            } else if self.signs.len() < MOST_EVENTS {
                self.signs.push(sign);
            }
        }
    }
}
