//! Answers questions about one signal: minimum, mean, maximum and last value per step.

use std::collections::BTreeMap;
use std::ops::ControlFlow;
use std::sync::Arc;

use thiserror::Error;

use crate::layout::{GpuInfo, Layout, SignalInfo};
use crate::recording::{Damage, Item, ReadError, Recording, Row};
use crate::signal::{Resolution, SIGNALS, Shape};
use crate::time::{Range, Time};

/// A question about one signal.
#[derive(Clone, PartialEq, Debug)]
pub struct Query {
    /// [`crate::signal::Signal::name`].
    pub signal: String,
    /// The GPUs; empty for all.
    pub gpus: Vec<GpuChoice>,
    /// The time.
    pub range: Range,
    /// Milliseconds per point, at least 1.
    pub step_ms: u64,
}

/// A GPU as a question names it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum GpuChoice {
    /// By the driver's index.
    Index(u32),
    /// By its UUID, in any letter case.
    Uuid(String),
}

impl GpuChoice {
    /// Whether it is this GPU.
    pub fn is(&self, gpu: &GpuInfo) -> bool {
        match self {
            Self::Index(index) => gpu.index == Some(*index),
            Self::Uuid(uuid) => {
                gpu.uuid.as_deref().is_some_and(|known| known.eq_ignore_ascii_case(uuid))
            }
        }
    }
}

/// The answer to a question.
#[derive(Clone, PartialEq, Debug)]
pub struct Answer {
    /// The name of the signal.
    pub signal: String,
    /// Its unit.
    pub unit: String,
    /// How its values behave: which statistics the points have.
    pub shape: Shape,
    /// Milliseconds per point: those that were asked for, or doubled until the points are few enough.
    pub step_ms: u64,
    /// The GPUs that have the signal, or the machine.
    pub series: Vec<Points>,
    /// What could not be read.
    pub damage: Damage,
}

/// The points of one GPU, or of the machine.
#[derive(Clone, PartialEq, Debug)]
pub struct Points {
    /// `None` for the machine. As it was last recorded.
    pub gpu: Option<GpuInfo>,
    /// In order of time. A step without a value is left out.
    pub points: Vec<Point>,
}

/// One step.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Point {
    /// The begin of the step, a multiple of the step since 1970.
    pub time: Time,
    /// The smallest value; `None` for codes and flags.
    pub min: Option<f64>,
    /// The mean of the values; only of a gauge.
    pub mean: Option<f64>,
    /// The largest value; `None` for codes and flags.
    pub max: Option<f64>,
    /// The value that was recorded last.
    pub last: f64,
    /// The number of values.
    pub count: u64,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum QueryError {
    /// There is no such signal.
    #[error("there is no signal `{name}`{}; the signals are {}", near(.similar), .all.join(", "))]
    UnknownSignal {
        /// What was asked for.
        name: String,
        /// Names that are almost the same.
        similar: Vec<String>,
        /// The names of all signals.
        all: Vec<String>,
    },
    /// No GPU that was asked for was recorded, while others were.
    #[error("no such GPU was recorded in this time; there are {}", .known.join(", "))]
    UnknownGpu {
        /// The GPUs that were recorded.
        known: Vec<String>,
    },
    /// The recording cannot be read.
    #[error(transparent)]
    Read(#[from] ReadError),
}

fn near(similar: &[String]) -> String {
    match similar {
        [] => String::new(),
        names => format!(" (near it: {})", names.join(", ")),
    }
}

/// The answer to a question. At most `max_points` points in all, or two of each series: the step is doubled
/// until they are.
///
/// # Errors
///
/// If there is no such signal or GPU, or the recording cannot be read.
pub fn points(
    recording: &dyn Recording,
    query: &Query,
    max_points: usize,
) -> Result<Answer, QueryError> {
    let mut collector = Collector::new(query, max_points);
    let damage = recording.read(query.range, &mut |item| {
        match item {
            Item::Layout(layout) => collector.begin(layout),
            Item::Row(row) => collector.take(row),
            Item::Event(_) => {}
        }
        ControlFlow::Continue(())
    })?;
    collector.finish(damage)
}

/// Collects the points while rows are read. Its memory is bounded by the number of points.
struct Collector<'a> {
    query: &'a Query,
    max_points: usize,
    step_ms: i64,
    /// The signal as it was last recorded.
    signal: Option<SignalInfo>,
    /// Names of signals that were recorded, other than those of this version.
    others: Vec<String>,
    /// Names of GPUs that were recorded and not asked for.
    other_gpus: Vec<String>,
    series: Vec<Series>,
    /// The columns of the rows that follow, each with the position of its series.
    columns: Vec<(usize, usize)>,
    count: usize,
}

/// The steps of one GPU, by their number since 1970.
struct Series {
    gpu: Option<GpuInfo>,
    steps: BTreeMap<i64, Step>,
}

/// What is known of one step.
#[derive(Clone, Copy)]
struct Step {
    min: f64,
    max: f64,
    sum: f64,
    last: f64,
    count: u64,
}

impl<'a> Collector<'a> {
    fn new(query: &'a Query, max_points: usize) -> Self {
        Self {
            query,
            max_points: max_points.max(1),
            step_ms: i64::try_from(query.step_ms).unwrap_or(i64::MAX).max(1),
            signal: None,
            others: Vec::new(),
            other_gpus: Vec::new(),
            series: Vec::new(),
            columns: Vec::new(),
            count: 0,
        }
    }

    /// Finds the columns of the signal in rows of this layout.
    fn begin(&mut self, layout: &Arc<Layout>) {
        self.columns.clear();
        let Some(signal) = layout.signals.iter().find(|signal| signal.name == self.query.signal)
        else {
            let names = layout.signals.iter().map(|signal| &signal.name);
            let unknown = names.filter(|name| SIGNALS.iter().all(|known| known.name != **name));
            for name in unknown {
                if !self.others.contains(name) {
                    self.others.push(name.clone());
                }
            }
            return;
        };
        self.signal = Some(signal.clone());
        for (place, column) in layout.columns().enumerate() {
            if column.signal.number != signal.number || column.signal.name != signal.name {
                continue;
            }
            let gpu = column.gpu.and_then(|gpu| layout.gpus.get(gpu));
            let chosen = &self.query.gpus;
            if let Some(gpu) = gpu
                && !(chosen.is_empty() || chosen.iter().any(|choice| choice.is(gpu)))
            {
                let name = gpu.name();
                if !self.other_gpus.contains(&name) {
                    self.other_gpus.push(name);
                }
                continue;
            }
            let series = self.series_of(gpu);
            self.columns.push((place, series));
        }
    }

    /// The position of the series of a GPU, which is added if it is new.
    fn series_of(&mut self, gpu: Option<&GpuInfo>) -> usize {
        let is_it = |series: &Series| match (&series.gpu, gpu) {
            (Some(known), Some(gpu)) => known.is_same(gpu),
            (known, gpu) => known.is_none() && gpu.is_none(),
        };
        let known = self.series.iter().position(is_it);
        let place = known.unwrap_or_else(|| {
            self.series.push(Series { gpu: None, steps: BTreeMap::new() });
            self.series.len() - 1
        });
        if let (Some(series), Some(gpu)) = (self.series.get_mut(place), gpu) {
            series.gpu = Some(gpu.clone());
        }
        place
    }

    fn take(&mut self, row: &Row) {
        let Some(resolution) = self.signal.as_ref().map(SignalInfo::resolution) else { return };
        if !self.query.range.contains(row.time) {
            return;
        }
        let step = row.time.0.div_euclid(self.step_ms);
        for (column, series) in &self.columns {
            let number = row.values.get(*column).copied().flatten();
            let (Some(number), Some(series)) = (number, self.series.get_mut(*series)) else {
                continue;
            };
            let value = Step::of(number, resolution);
            match series.steps.get_mut(&step) {
                Some(known) => known.add(value),
                None => {
                    series.steps.insert(step, value);
                    self.count += 1;
                }
            }
        }
        while self.count > self.max_points && self.double() {}
    }

    /// Doubles the step. Returns whether that can help: two points, before and after 1970, never become one.
    fn double(&mut self) -> bool {
        if self.series.iter().all(|series| series.steps.len() <= 2) {
            return false;
        }
        let Some(step_ms) = self.step_ms.checked_mul(2) else { return false };
        self.step_ms = step_ms;
        self.count = 0;
        for series in &mut self.series {
            let mut steps: BTreeMap<i64, Step> = BTreeMap::new();
            for (step, value) in &series.steps {
                let known = steps.entry(step.div_euclid(2));
                known.and_modify(|known| known.add(*value)).or_insert(*value);
            }
            series.steps = steps;
            self.count += series.steps.len();
        }
        true
    }

    fn finish(self, damage: Damage) -> Result<Answer, QueryError> {
        let of_table = SIGNALS.iter().find(|signal| signal.name == self.query.signal);
        let signal = self.signal.or_else(|| of_table.map(SignalInfo::from));
        let Some(signal) = signal else {
            return Err(unknown_signal(&self.query.signal, self.others));
        };
        if self.series.is_empty() && !self.other_gpus.is_empty() {
            return Err(QueryError::UnknownGpu { known: self.other_gpus });
        }
        let shape = signal.shape();
        let points = |series: Series| {
            let point = |(step, value): (i64, Step)| {
                value.point(Time(step.saturating_mul(self.step_ms)), shape)
            };
            let points = series.steps.into_iter().map(point).collect();
            Points { gpu: series.gpu, points }
        };
        Ok(Answer {
            signal: signal.name,
            unit: signal.unit,
            shape,
            step_ms: self.step_ms.unsigned_abs(),
            series: self.series.into_iter().map(points).collect(),
            damage,
        })
    }
}

impl Step {
    fn of(number: i64, resolution: Resolution) -> Self {
        let value = resolution.decode(number);
        Self { min: value, max: value, sum: value, last: value, count: 1 }
    }

    /// Adds a later step.
    fn add(&mut self, later: Self) {
        self.min = self.min.min(later.min);
        self.max = self.max.max(later.max);
        self.sum += later.sum;
        self.last = later.last;
        self.count += later.count;
    }

    fn point(&self, time: Time, shape: Shape) -> Point {
        let (is_gauge, has_order) =
            (shape == Shape::Gauge, shape != Shape::Flags && shape != Shape::Code);
        Point {
            time,
            min: has_order.then_some(self.min),
            // Rounding must not lead beyond the values.
            mean: is_gauge.then(|| (self.sum / self.count as f64).clamp(self.min, self.max)),
            max: has_order.then_some(self.max),
            last: self.last,
            count: self.count,
        }
    }
}

/// The error for a signal that neither this version nor the recording has.
fn unknown_signal(name: &str, recorded: Vec<String>) -> QueryError {
    const MOST: usize = 3;
    let known = SIGNALS.iter().map(|signal| signal.name.to_owned());
    let all: Vec<String> = known.chain(recorded).collect();
    // A long text costs as much as a short one.
    let asked: String = name.chars().take(64).collect();
    let mut similar: Vec<(usize, &String)> = all
        .iter()
        .map(|known| (strsim::damerau_levenshtein(&asked, known), known))
        .filter(|(typos, known)| typos * 3 <= known.len() || shares_word(&asked, known))
        .collect();
    similar.sort();
    let similar = similar.into_iter().take(MOST).map(|(_, known)| known.clone()).collect();
    QueryError::UnknownSignal { name: asked, similar, all }
}

/// Whether one of the words at `_` is the same: `temperature` and `gpu_temperature`.
fn shares_word(asked: &str, known: &str) -> bool {
    asked.split('_').any(|word| word.len() >= 3 && known.split('_').any(|other| other == word))
}

#[cfg(test)]
mod tests;
