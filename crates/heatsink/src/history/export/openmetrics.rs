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
use history::layout::Layout;
use history::recording::{Item, Recording, Row};
use history::signal::Resolution;
use history::time::Range;
use model::Value;

use super::each::each;
use super::holders::PastHolders;
use super::page::{Family, PastPage, Sample, State};
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
    progress: &mut Progress,
    out: &mut dyn Write,
) -> Result<()> {
    write_in_passes(recording, range, survey, page, progress, out, MOST_SAMPLES)
}

fn write_in_passes(
    recording: &dyn Recording,
    range: Range,
    survey: &Survey,
    page: &PastPage,
    progress: &mut Progress,
    out: &mut dyn Write,
    most_samples: u64,
) -> Result<()> {
    let families = page.families().iter().enumerate();
    let units: Vec<Unit> = families
        .flat_map(|(family, _)| (0..survey.gpus.len()).map(move |gpu| Unit { family, gpu }))
        .collect();
    let per_pass = most_samples.checked_div(survey.rows).unwrap_or(1).max(1);
    let per_pass = usize::try_from(per_pass).unwrap_or(usize::MAX);
    progress.begin(survey.rows.saturating_mul(units.len().div_ceil(per_pass) as u64));
    let mut begun = None;
    for units in units.chunks(per_pass) {
        let mut pass = Pass::new(page, survey, units);
        each(recording, range, |item| {
            match item {
                Item::Layout(layout) => pass.begin(layout),
                Item::Event(event) => pass.is_stale |= pass.holders.take(event),
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

/// The series of one GPU in one family.
#[derive(Clone, Copy)]
struct Unit {
    /// The position of the family on the page.
    family: usize,
    /// The position of the GPU in the survey.
    gpu: usize,
}

/// One reading of the recording, for some units.
struct Pass<'a> {
    page: &'a PastPage,
    survey: &'a Survey,
    units: &'a [Unit],
    collected: Vec<Collected>,
    holders: PastHolders,
    layout: Option<Arc<Layout>>,
    /// Whether `targets` are of another layout or of other holders.
    is_stale: bool,
    targets: Vec<Target>,
}

/// The samples of a unit by series, in the order in which the series began.
#[derive(Default)]
struct Collected {
    /// The number of rows.
    rows: usize,
    places: HashMap<String, usize>,
    series: Vec<(String, Vec<(i64, f64)>)>,
}

/// Where the values of a column go.
struct Target {
    column: usize,
    resolution: Resolution,
    sample: Sample,
    /// The position of its GPU in the layout.
    gpu: usize,
    /// The position of its unit in the pass.
    unit: usize,
    /// Positions in [`Collected::series`], by the state that the labels are of.
    series: HashMap<State, Vec<usize>>,
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
            layout: None,
            is_stale: true,
            targets: Vec::new(),
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
        }
        for target in &mut self.targets {
            let Some(number) = row.values.get(target.column).copied().flatten() else { continue };
            let recorded = target.resolution.decode(number);
            let Some(state) = State::of(target.sample, recorded) else { continue };
            let Some(collected) = self.collected.get_mut(target.unit) else { continue };
            let series = target.series.entry(state).or_insert_with(|| {
                let (Some(gpu), Some(family)) = (
                    layout.gpus.get(target.gpu),
                    self.units
                        .get(target.unit)
                        .and_then(|unit| self.page.families().get(unit.family)),
                ) else {
                    return Vec::new();
                };
                let series = self.page.series(&layout.host, gpu, self.holders.of(gpu), state);
                collected.places_of(series.get(&family.name).map_or(&[], |series| series))
            });
            let value = target.sample.value(recorded);
            for place in series {
                if let Some((_, samples)) = collected.series.get_mut(*place) {
                    samples.push((row.time.0, value));
                }
            }
        }
    }

    /// Finds the columns of the units, and renders the series of their GPUs.
    fn find_targets(&mut self, layout: &Layout) -> Vec<Target> {
        let columns: Vec<_> = layout.columns().collect();
        let mut targets = Vec::new();
        for (place, gpu) in layout.gpus.iter().enumerate() {
            let position = self.survey.position(gpu);
            let mut up = None;
            for (unit, Unit { family, gpu: of }) in self.units.iter().enumerate() {
                let Some(family) = self.page.families().get(*family) else { continue };
                if position != Some(*of) {
                    continue;
                }
                let is_it = |column: &history::layout::Column<'_>| {
                    column.gpu == Some(place) && column.signal.name == family.signal
                };
                let Some(column) = columns.iter().position(is_it) else { continue };
                let mut series = HashMap::new();
                if let Some(collected) =
                    self.collected.get_mut(unit).filter(|_| !family.sample.is_label())
                {
                    let up = up.get_or_insert_with(|| {
                        self.page.series(&layout.host, gpu, self.holders.of(gpu), State::Up)
                    });
                    let of_family = up.get(&family.name).map_or(&[][..], |series| series);
                    series.insert(State::Up, collected.places_of(of_family));
                }
                targets.push(Target {
                    column,
                    resolution: columns[column].signal.resolution(),
                    sample: family.sample,
                    gpu: place,
                    unit,
                    series,
                });
            }
        }
        targets
    }

    /// Writes what was collected. `begun` is the family whose HELP and TYPE lines were written last.
    fn write(self, begun: &mut Option<usize>, out: &mut dyn Write) -> io::Result<()> {
        let mut text = String::with_capacity(CHUNK + CHUNK / 4);
        for (unit, collected) in self.units.iter().zip(self.collected) {
            let Some(Family { head, .. }) = self.page.families().get(unit.family) else { continue };
            for (series, mut samples) in collected.series {
                if !samples.is_empty() && *begun != Some(unit.family) {
                    *begun = Some(unit.family);
                    text.push_str(head);
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
