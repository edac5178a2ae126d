//! An export as `promtool tsdb create-blocks-from openmetrics` reads it: the families of the page, and in each
//! family one series after the other.
//!
//! A recording has all signals of a row together. It is therefore read several times, each time for as many
//! families and GPUs as fit in a fixed amount of memory; nothing is written to temporary files.

use std::collections::HashMap;
use std::io::{self, Write};
use std::sync::Arc;

use anyhow::Result;
use exposition::past;
use history::layout::{GpuInfo, Layout};
use history::recording::{Item, Recording, Row};
use history::signal::Resolution;
use history::time::Range;
use model::Value;

use super::counts::{Count, Counts};
use super::each::each;
use super::holders::PastHolders;
use super::page::{Family, Origin, PastPage, Sample, SeriesByName, State};
use super::progress::Progress;
use super::survey::Survey;

/// The most samples in memory, of 16 bytes each: 8 MiB, so that an export beside a recorder fits in the memory
/// limit of its container. An hour of 145 series has as many. A series that alone has more is kept whole: a
/// week of it is 9 MiB.
const MOST_SAMPLES: u64 = 512 << 10;

/// The most samples for which memory is reserved: a week of a second each.
const MOST_RESERVED: usize = 7 * 24 * 3600;

/// The size at which text is written.
const CHUNK: usize = 64 * 1024;

/// Writes the export.
///
/// # Errors
///
/// If the recording cannot be read or the text not be written.
pub(super) fn write(
    recording: &dyn Recording,
    range: Range,
    survey: &Survey,
    page: &PastPage,
    progress: &mut Progress<'_>,
    out: &mut dyn Write,
) -> Result<()> {
    write_in_passes(recording, range, survey, page, progress, out, MOST_SAMPLES)
}

fn write_in_passes(
    recording: &dyn Recording,
    range: Range,
    survey: &Survey,
    page: &PastPage,
    progress: &mut Progress<'_>,
    out: &mut dyn Write,
    most_samples: u64,
) -> Result<()> {
    let units: Vec<Unit> = page
        .families()
        .iter()
        .enumerate()
        .flat_map(|(family, Family { origin, .. })| {
            let of_machine = origin.is_of_machine().then_some(None);
            let gpus = (0..survey.gpus.len()).filter(|_| !origin.is_of_machine()).map(Some);
            of_machine.into_iter().chain(gpus).map(move |gpu| Unit { family, gpu })
        })
        .collect();
    // A GPU has as many series in a family as it has holders.
    let rows = survey.rows.saturating_mul(survey.most_holders);
    let per_pass = most_samples.checked_div(rows).unwrap_or(1).max(1);
    let per_pass = usize::try_from(per_pass).unwrap_or(usize::MAX);
    progress.begin(survey.rows.saturating_mul(units.len().div_ceil(per_pass) as u64));
    let mut begun = None;
    for units in units.chunks(per_pass) {
        let mut pass = Pass::new(page, survey, units);
        each(recording, range, |item| {
            match item {
                Item::Layout(layout) => pass.begin(layout),
                Item::Event(event) => {
                    pass.is_stale |= pass.holders.take(event);
                    pass.counts.take(event);
                }
                Item::Row(row) => {
                    pass.take(row);
                    progress.step();
                }
            }
            Ok(())
        })?;
        pass.write(&mut begun, out)?;
    }
    out.write_all(past::END.as_bytes())?;
    Ok(())
}

/// The series of one GPU, or of the machine, in one family.
#[derive(Clone, Copy)]
struct Unit {
    /// The position of the family on the page.
    family: usize,
    /// The position of the GPU in the survey; `None` for the machine.
    gpu: Option<usize>,
}

/// One reading of the recording, for some units.
struct Pass<'a> {
    page: &'a PastPage,
    survey: &'a Survey,
    units: &'a [Unit],
    collected: Vec<Collected>,
    holders: PastHolders,
    counts: Counts,
    /// Whether something is counted from rows.
    counts_rows: bool,
    layout: Option<Arc<Layout>>,
    /// Whether `targets` are of another layout or of other holders.
    is_stale: bool,
    targets: Vec<Target<'a>>,
    /// What the page has, by the position of a GPU in the layout and its state.
    rendered: HashMap<(Option<usize>, State), SeriesByName>,
}

/// Stands for all GPUs in series of the machine.
static ANY_GPU: GpuInfo = GpuInfo {
    index: Some(0),
    uuid: None,
    pci_bus_id: None,
    model_name: None,
    serial: None,
    minor: None,
};

/// The samples of a unit by series, in the order in which the series began.
#[derive(Default)]
struct Collected {
    /// The number of rows.
    rows: usize,
    places: HashMap<String, usize>,
    series: Vec<(String, Vec<(i64, f64)>)>,
}

/// Where values come from, and where they go.
struct Target<'a> {
    source: Source,
    family: &'a Family,
    /// The position of its GPU in the layout; `None` for the machine.
    gpu: Option<usize>,
    /// The position of its unit in the pass.
    unit: usize,
    /// Positions in [`Collected::series`], by the state that the labels are of.
    series: HashMap<State, Vec<usize>>,
}

/// Where the values of a target come from.
enum Source {
    /// A column of the rows.
    Column(usize, Resolution, Sample),
    /// What is counted.
    Count(Count),
    /// There is one value.
    One,
}

impl<'a> Pass<'a> {
    fn new(page: &'a PastPage, survey: &'a Survey, units: &'a [Unit]) -> Self {
        Self {
            page,
            survey,
            units,
            collected: units
                .iter()
                .map(|_| Collected {
                    rows: usize::try_from(survey.rows).unwrap_or(0).min(MOST_RESERVED),
                    ..Collected::default()
                })
                .collect(),
            holders: survey.holders.clone(),
            counts: survey.counts.clone(),
            counts_rows: units.iter().any(|unit| {
                let family = page.families().get(unit.family);
                family.is_some_and(
                    |family| matches!(family.origin, Origin::Count(count) if count.needs_rows()),
                )
            }),
            layout: None,
            is_stale: true,
            targets: Vec::new(),
            rendered: HashMap::new(),
        }
    }

    fn begin(&mut self, layout: &Arc<Layout>) {
        let is_same = |known: &Arc<Layout>| Arc::ptr_eq(known, layout) || known == layout;
        if !self.layout.as_ref().is_some_and(is_same) {
            self.layout = Some(Arc::clone(layout));
            self.is_stale = true;
        }
    }

    fn take(&mut self, row: &Row) {
        let Some(layout) = self.layout.clone() else { return };
        if self.is_stale {
            self.is_stale = false;
            self.targets = self.find_targets(&layout);
            self.rendered.clear();
        }
        if self.counts_rows {
            self.counts.take_row(row, &layout);
        }
        for target in &mut self.targets {
            let gpu = target.gpu.and_then(|gpu| layout.gpus.get(gpu));
            let value = match target.source {
                Source::Column(column, resolution, _) => row
                    .values
                    .get(column)
                    .copied()
                    .flatten()
                    .map(|number| resolution.decode(number)),
                Source::Count(count) => self.counts.value(count, gpu, row.time, &layout),
                Source::One => Some(1.0),
            };
            let Some(value) = value else { continue };
            let Some(state) = target.family.origin.state(value) else { continue };
            let Some(collected) = self.collected.get_mut(target.unit) else { continue };
            let series = target.series.entry(state).or_insert_with(|| {
                let rendered = self.rendered.entry((target.gpu, state)).or_insert_with(|| {
                    let gpu = gpu.unwrap_or(&ANY_GPU);
                    self.page.series(&layout.host, gpu, self.holders.of(gpu), state)
                });
                collected.places_of(rendered.of(target.family))
            });
            let value = match target.source {
                Source::Column(.., sample) => sample.value(value),
                Source::Count(_) | Source::One => value,
            };
            for place in series {
                if let Some((_, samples)) = collected.series.get_mut(*place) {
                    samples.push((row.time.0, value));
                }
            }
        }
    }

    /// Finds what the units are of in a layout.
    fn find_targets(&self, layout: &Layout) -> Vec<Target<'a>> {
        let columns: Vec<_> = layout.columns().collect();
        let places: Vec<_> = layout.gpus.iter().map(|gpu| self.survey.position(gpu)).collect();
        let mut targets = Vec::new();
        for (unit, Unit { family, gpu }) in self.units.iter().enumerate() {
            let Some(family) = self.page.families().get(*family) else { continue };
            let gpu = match gpu {
                Some(gpu) => match places.iter().position(|place| *place == Some(*gpu)) {
                    Some(place) => Some(place),
                    None => continue,
                },
                None => None,
            };
            let source = match &family.origin {
                Origin::Signal(name, sample) => {
                    let is_it = |column: &history::layout::Column<'_>| {
                        column.gpu == gpu && column.signal.name == *name
                    };
                    let Some(column) = columns.iter().position(is_it) else { continue };
                    Source::Column(column, columns[column].signal.resolution(), *sample)
                }
                Origin::Count(count) => Source::Count(*count),
                Origin::Holder => Source::One,
            };
            targets.push(Target { source, family, gpu, unit, series: HashMap::new() });
        }
        targets
    }

    /// Writes what was collected. `begun` is the name of the family whose HELP and TYPE lines were written last.
    fn write(self, begun: &mut Option<Arc<str>>, out: &mut dyn Write) -> io::Result<()> {
        let mut text = String::with_capacity(CHUNK + CHUNK / 4);
        for (unit, collected) in self.units.iter().zip(self.collected) {
            let Some(family) = self.page.families().get(unit.family) else { continue };
            for (series, mut samples) in collected.series {
                if !samples.is_empty() && begun.as_ref() != Some(&family.name) {
                    *begun = Some(Arc::clone(&family.name));
                    text.push_str(&family.head);
                }
                in_order(&mut samples);
                for (time, value) in samples {
                    past::push_sample(&mut text, &series, &Value::Float(value), time);
                    if text.len() >= CHUNK {
                        out.write_all(text.as_bytes())?;
                        text.clear();
                    }
                }
            }
        }
        out.write_all(text.as_bytes())
    }
}

impl Collected {
    /// The positions of these series, which are added if they are new.
    fn places_of(&mut self, series: &[String]) -> Vec<usize> {
        let mut places = Vec::with_capacity(series.len());
        for one in series {
            let next = self.series.len();
            let place = *self.places.entry(one.clone()).or_insert(next);
            if place == next {
                // The first series of a GPU often is the only one: no growing, which holds twice the memory.
                let capacity = if next == 0 { self.rows } else { 0 };
                self.series.push((one.clone(), Vec::with_capacity(capacity)));
            }
            places.push(place);
        }
        places
    }
}

/// Sorts samples by time. Only a clock that was set back leaves them in another order; of two at one time,
/// the one that was recorded last stays.
fn in_order(samples: &mut Vec<(i64, f64)>) {
    if samples.windows(2).all(|pair| pair[0].0 < pair[1].0) {
        return;
    }
    samples.reverse();
    samples.sort_by_key(|(time, _)| *time);
    samples.dedup_by_key(|(time, _)| *time);
}

#[cfg(test)]
mod tests;
