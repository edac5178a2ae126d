//! Charts: the values of a signal over a range, in steps. A step without a value is a gap.

use std::sync::Arc;

use serde::Serialize;

use super::interest::{Drawing, Scale, Shows, how};
use crate::layout::{GpuInfo, Layout};
use crate::recording::Row;
use crate::signal::Resolution;
use crate::time::{Range, Time};

/// The most steps of a chart.
const MOST_STEPS: i64 = 240;

/// The most GPUs that are drawn.
const MOST_GPUS: usize = 72;

/// The values of one signal of one GPU, or of the machine.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Chart {
    /// The name of the signal.
    pub signal: String,
    /// How people call it.
    pub title: &'static str,
    /// The unit of all values.
    pub unit: String,
    /// The GPU; `None` for the machine.
    pub gpu: Option<GpuInfo>,
    /// The begin of the first step.
    pub begin: Time,
    /// Milliseconds per step.
    pub step_ms: i64,
    /// The smallest value of all.
    pub min: f64,
    /// The largest value of all.
    pub max: f64,
    /// The value that bounds it, such as the temperature at which the GPU slows down.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// By how much it grew, if it is a count: its points then say by how much it grew in each step.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub increase: Option<f64>,
    /// The steps that have a value, in order.
    pub points: Vec<ChartPoint>,
}

/// One step of a chart.
#[derive(Clone, Copy, PartialEq, Debug, Serialize)]
pub struct ChartPoint {
    /// The begin of the step.
    pub time: Time,
    /// The smallest value.
    pub min: f64,
    /// The mean of the values.
    pub mean: f64,
    /// The largest value.
    pub max: f64,
}

impl Chart {
    /// How it is drawn.
    pub(super) fn drawing(&self) -> Option<&'static Drawing> {
        how(&self.signal)
    }

    /// The values that its lowest and its highest line stand for.
    pub(super) fn bounds(&self) -> (f64, f64) {
        if self.increase.is_some() {
            return (0.0, self.points.iter().map(|point| point.max).fold(0.0, f64::max));
        }
        match self.drawing().map_or(Scale::Values, |drawing| drawing.scale) {
            Scale::Values => (self.min, self.max),
            Scale::FromZero => (self.min.min(0.0), self.max),
            Scale::UpTo(most) => (self.min.min(0.0), self.max.max(f64::from(most))),
        }
    }

    /// The value that is drawn for a step.
    pub(super) fn drawn(&self, point: &ChartPoint) -> f64 {
        match self.drawing().map_or(Shows::Mean, |drawing| drawing.shows) {
            Shows::Min => point.min,
            Shows::Mean => point.mean,
            Shows::Max | Shows::Increase => point.max,
        }
    }
}

/// The values of a step while rows are read.
#[derive(Clone, Copy, Default)]
struct Step {
    min: f64,
    max: f64,
    sum: f64,
    count: u32,
}

impl Step {
    fn add(&mut self, value: f64) {
        self.merge(&Self { min: value, max: value, sum: value, count: 1 });
    }

    fn merge(&mut self, other: &Self) {
        if other.count == 0 {
            return;
        }
        if self.count == 0 {
            *self = *other;
            return;
        }
        self.min = self.min.min(other.min);
        self.max = self.max.max(other.max);
        self.sum += other.sum;
        self.count = self.count.saturating_add(other.count);
    }
}

/// A chart while rows are read.
struct Series {
    drawing: &'static Drawing,
    gpu: Option<usize>,
    unit: String,
    /// Where it is in the rows of the current layout.
    column: Option<(usize, Resolution)>,
    limit_column: Option<(usize, Resolution)>,
    limit: Option<f64>,
    /// The last value, of a count.
    last: Option<f64>,
    increase: f64,
    all: Step,
    steps: Vec<Step>,
}

/// Makes charts from rows.
pub(super) struct ChartBuilder {
    range: Range,
    step_ms: i64,
    signals: &'static [&'static str],
    gpus: Vec<GpuInfo>,
    /// Which GPUs of the rows are drawn that `gpus` lacks.
    others: Others,
    layout: Option<Arc<Layout>>,
    series: Vec<Series>,
}

/// Which GPUs are drawn beside those that are named.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Others {
    /// None.
    None,
    /// All.
    All,
    /// That with this index.
    Index(u32),
}

impl Others {
    fn has(self, gpu: &GpuInfo) -> bool {
        match self {
            Self::None => false,
            Self::All => true,
            Self::Index(index) => gpu.index == Some(index),
        }
    }
}

impl ChartBuilder {
    /// Charts of these signals over a range.
    pub(super) fn new(
        range: Range,
        signals: &'static [&'static str],
        gpus: &[GpuInfo],
        others: Others,
    ) -> Self {
        let span = range.to.0.saturating_sub(range.from.0).max(0);
        let gpus = gpus.iter().take(MOST_GPUS).cloned().collect();
        let step_ms = (span / MOST_STEPS).saturating_add(1);
        Self { range, step_ms, signals, gpus, others, layout: None, series: Vec::new() }
    }

    /// The GPUs that are drawn.
    pub(super) fn gpus(&self) -> &[GpuInfo] {
        &self.gpus
    }

    /// The rows that follow have these columns.
    pub(super) fn take_layout(&mut self, layout: &Arc<Layout>) {
        let is_same = self
            .layout
            .as_ref()
            .is_some_and(|current| Arc::ptr_eq(current, layout) || current == layout);
        if is_same {
            return;
        }
        for gpu in layout.gpus.iter().filter(|gpu| self.others.has(gpu)) {
            let is_known = self.gpus.iter().any(|known| known.is_same(gpu));
            if !is_known && self.gpus.len() < MOST_GPUS {
                self.gpus.push(gpu.clone());
            }
        }
        for drawing in self.signals.iter().filter_map(|name| how(name)) {
            let Some(info) = layout.signals.iter().find(|info| info.name == drawing.signal) else {
                continue;
            };
            let gpus: Vec<Option<usize>> = match info.is_of_host {
                true => vec![None],
                false => (0..self.gpus.len()).map(Some).collect(),
            };
            for gpu in gpus {
                let is_new = !self.series.iter().any(|series| series.is_of(drawing, gpu));
                if is_new {
                    self.series.push(Series::new(drawing, gpu, &info.unit));
                }
            }
        }
        for series in &mut self.series {
            series.find_columns(layout, &self.gpus);
        }
        self.layout = Some(Arc::clone(layout));
    }

    /// Takes the values of a row.
    pub(super) fn take_row(&mut self, row: &Row) {
        if !self.range.contains(row.time) {
            return;
        }
        let passed = row.time.0.saturating_sub(self.range.from.0);
        let Ok(step) = usize::try_from(passed / self.step_ms) else { return };
        for series in &mut self.series {
            series.take(row, step);
        }
    }

    /// The charts that have a value, in the order of the signals. A step is at least two rows long if rows
    /// are `row_ms` apart, so that a step without a value is a gap.
    pub(super) fn finish(self, row_ms: i64) -> Vec<Chart> {
        let merged = row_ms.saturating_mul(2).saturating_sub(1) / self.step_ms + 1;
        let merged = usize::try_from(merged.clamp(1, MOST_STEPS)).unwrap_or(1);
        let mut series = self.series;
        let order = |name: &str| self.signals.iter().position(|signal| *signal == name);
        series.sort_by_key(|series| (order(series.drawing.signal), series.gpu));
        let has_value = series.into_iter().filter(|series| series.all.count > 0);
        let charts = has_value.map(|series| {
            let step_ms = self.step_ms.saturating_mul(i64::try_from(merged).unwrap_or(1));
            let steps = series.steps.chunks(merged).map(|steps| {
                let mut step = Step::default();
                steps.iter().for_each(|other| step.merge(other));
                step
            });
            let is_count = series.drawing.shows == Shows::Increase;
            let points =
                steps.enumerate().filter(|(_, step)| step.count > 0).map(|(index, step)| {
                    let passed = step_ms.saturating_mul(i64::try_from(index).unwrap_or(i64::MAX));
                    let time = Time(self.range.from.0.saturating_add(passed));
                    let Step { min, max, sum, count } = step;
                    match is_count {
                        true => ChartPoint { time, min: sum, mean: sum, max: sum },
                        false => ChartPoint { time, min, mean: sum / f64::from(count), max },
                    }
                });
            Chart {
                signal: series.drawing.signal.to_owned(),
                title: series.drawing.title,
                unit: series.unit,
                gpu: series.gpu.and_then(|gpu| self.gpus.get(gpu)).cloned(),
                begin: self.range.from,
                step_ms,
                min: series.all.min,
                max: series.all.max,
                limit: series.limit,
                increase: is_count.then_some(series.increase),
                points: points.collect(),
            }
        });
        charts.collect()
    }
}

impl Series {
    fn new(drawing: &'static Drawing, gpu: Option<usize>, unit: &str) -> Self {
        Self {
            drawing,
            gpu,
            unit: unit.to_owned(),
            column: None,
            limit_column: None,
            limit: None,
            last: None,
            increase: 0.0,
            all: Step::default(),
            steps: Vec::new(),
        }
    }

    fn is_of(&self, drawing: &Drawing, gpu: Option<usize>) -> bool {
        self.drawing.signal == drawing.signal && self.gpu == gpu
    }

    fn find_columns(&mut self, layout: &Layout, gpus: &[GpuInfo]) {
        (self.column, self.limit_column) = (None, None);
        let position = match self.gpu {
            None => None,
            Some(gpu) => match gpus.get(gpu).and_then(|gpu| layout.position(gpu)) {
                None => return,
                position => position,
            },
        };
        let column = |name: &str| {
            let info = layout.signals.iter().find(|info| info.name == name)?;
            Some((layout.column(name, position)?, info.resolution()))
        };
        self.column = column(self.drawing.signal);
        self.limit_column = self.drawing.limit.and_then(|(name, _)| column(name));
    }

    fn take(&mut self, row: &Row, step: usize) {
        if let Some(limit) = value(row, self.limit_column) {
            self.limit = Some(limit);
        }
        let Some(value) = value(row, self.column) else { return };
        self.all.add(value);
        if self.steps.len() <= step {
            self.steps.resize(step.saturating_add(1), Step::default());
        }
        let Some(step) = self.steps.get_mut(step) else { return };
        if self.drawing.shows == Shows::Increase {
            // A count that fell began again from 0.
            let grown =
                self.last.map_or(0.0, |last| if value < last { value } else { value - last });
            self.last = Some(value);
            self.increase += grown;
            step.add(grown);
        } else {
            step.add(value);
        }
    }
}

/// The value of a column; `None` where there is a gap.
fn value(row: &Row, column: Option<(usize, Resolution)>) -> Option<f64> {
    let (column, resolution) = column?;
    let number = row.values.get(column).copied().flatten()?;
    Some(resolution.decode(number))
}
