//! Charts as lines of text.

use super::chart::Chart;
use super::clock::relative;
use super::columns::{columns, pad, pad_left};
use super::content::Report;
use super::interest::Shows;
use super::page::{Page, Role};
use super::quantity::{from_to, quantity};
use crate::layout::GpuInfo;
use crate::time::Time;

/// The lines that stand for values, the lowest first.
const LEVELS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// A chart beside its name has at least this many columns.
const FEWEST: usize = 16;

/// With more GPUs, only the first signals of a verdict are drawn.
const FEW_GPUS: usize = 2;

/// How many signals are drawn of many GPUs.
const SIGNALS_OF_MANY: usize = 3;

/// Where the parts of a chart are.
struct Frame {
    /// The columns of names before charts; 0 if names are above.
    label: usize,
    /// The columns of charts.
    cells: usize,
}

/// A chart with its words.
struct Drawn<'a> {
    chart: &'a Chart,
    label: String,
    note: String,
    /// The words above it, if it is the first of a group.
    above: Option<String>,
}

/// Draws the charts of a report.
pub(super) fn charts(page: &mut Page, report: &Report) {
    let charts = drawn(&report.charts);
    let Some(first) = charts.first() else { return };
    let rows = rows(&charts);
    let steps = steps(first, report);
    let (from, to) =
        (relative(report.range.from, report.end), relative(report.range.to, report.end));
    let label = widest(rows.iter().map(|row| &row.label).chain([&from]));
    let note = widest(rows.iter().map(|row| &row.note).chain([&to]));
    let frame = match page.width.saturating_sub(2 + label + note) {
        beside @ FEWEST.. => Frame { label, cells: beside.min(steps) },
        _ => Frame { label: 0, cells: (page.width - 2).min(steps) },
    };
    let marks: Vec<usize> =
        report.triggers.iter().filter_map(|time| first.column(*time, frame.cells, steps)).collect();
    let legend = if marks.is_empty() { "" } else { "▲ is the fault, " };
    page.heading(&format!("Charts; {legend}a blank is a time without a value"));
    for row in &rows {
        if let Some(above) = &row.above {
            page.line(&[(Role::Plain, "  "), (Role::Plain, above)]);
        }
        let cells = pieces(&cells(row.chart, frame.cells, steps));
        let cells = cells.iter().map(|(role, text)| (*role, text.as_str()));
        let label = format!("  {}", pad(&row.label, frame.label));
        let note = format!("  {}", row.note);
        let (before, after) = ([(Role::Plain, label.as_str())], [(Role::Quiet, note.as_str())]);
        if frame.label == 0 {
            page.wrapped(Role::Plain, &[], 2, &format!("{}: {}", row.label, row.note));
            page.line(&std::iter::once((Role::Plain, "  ")).chain(cells).collect::<Vec<_>>());
        } else {
            page.line(&before.into_iter().chain(cells).chain(after).collect::<Vec<_>>());
        }
    }
    axis(page, &frame, &marks, &from, &to);
}

/// The columns of the widest of these, and two blanks.
fn widest<'a>(texts: impl Iterator<Item = &'a String>) -> usize {
    texts.map(|text| columns(text)).max().unwrap_or_default() + 2
}

/// The line below charts: the times of its ends, and marks.
fn axis(page: &mut Page, frame: &Frame, marks: &[usize], from: &str, to: &str) {
    let line = (0..frame.cells).map(|column| match marks.contains(&column) {
        true => (Role::Fault, '▲'),
        false => (Role::Quiet, '─'),
    });
    let line = pieces(&line.collect::<Vec<_>>());
    let line = line.iter().map(|(role, text)| (*role, text.as_str()));
    if frame.label > 0 {
        let (from, to) = (pad_left(from, frame.label), format!("  {to}"));
        let (from, to) = ((Role::Quiet, from.as_str()), (Role::Quiet, to.as_str()));
        let before = [from, (Role::Plain, "  ")];
        page.line(&before.into_iter().chain(line).chain([to]).collect::<Vec<_>>());
        return;
    }
    page.line(&std::iter::once((Role::Plain, "  ")).chain(line).collect::<Vec<_>>());
    let to = pad_left(to, frame.cells.saturating_sub(columns(from)));
    page.line(&[(Role::Plain, "  "), (Role::Quiet, from), (Role::Quiet, &to)]);
}

/// The charts with their words: with several GPUs, those of a signal are a group.
fn rows<'a>(charts: &[&'a Chart]) -> Vec<Drawn<'a>> {
    let gpu = charts.iter().find_map(|chart| chart.gpu.as_ref());
    let has_groups = charts.iter().any(|chart| chart.gpu.is_some() && chart.gpu.as_ref() != gpu);
    let mut group = None;
    let rows = charts.iter().map(|chart| {
        let same = charts.iter().filter(|other| other.signal == chart.signal);
        let has_one_limit = same.clone().all(|other| other.limit == chart.limit);
        let limit = limit(chart).map(|limit| format!(", {limit}")).unwrap_or_default();
        if !has_groups {
            let note = format!("{}{limit}", values(chart));
            return Drawn { chart, label: chart.title.to_owned(), note, above: None };
        }
        let in_group = if has_one_limit { limit.as_str() } else { "" };
        let in_row = if has_one_limit { "" } else { limit.as_str() };
        let is_first = group.replace(&chart.signal) != Some(&chart.signal);
        let name = chart.gpu.as_ref().map_or_else(|| "machine".to_owned(), GpuInfo::name);
        Drawn {
            chart,
            label: name,
            note: format!("{}{in_row}", values(chart)),
            above: is_first.then(|| format!("{}{in_group}", chart.title)),
        }
    });
    rows.collect()
}

/// The charts that are drawn: of a few GPUs all, of many those of the first signals.
fn drawn(charts: &[Chart]) -> Vec<&Chart> {
    let mut signals: Vec<&str> = Vec::new();
    for chart in charts {
        if !signals.contains(&chart.signal.as_str()) {
            signals.push(&chart.signal);
        }
    }
    let most_gpus = signals.iter().map(|signal| {
        charts.iter().filter(|chart| chart.signal == *signal && chart.gpu.is_some()).count()
    });
    let is_many = most_gpus.max().unwrap_or_default() > FEW_GPUS;
    let position = |chart: &Chart| signals.iter().position(|signal| *signal == chart.signal);
    let is_drawn = |chart: &&Chart| {
        !is_many
            || chart.gpu.is_none()
            || position(chart).is_some_and(|position| position < SIGNALS_OF_MANY)
    };
    charts.iter().filter(is_drawn).collect()
}

/// The values in words.
fn values(chart: &Chart) -> String {
    let last = quantity(chart.max, &chart.unit);
    match chart.increase {
        Some(0.0) => format!("stays at {last}"),
        Some(increase) => format!("+{}, to {last}", quantity(increase, &chart.unit)),
        None => from_to(chart.min, chart.max, &chart.unit),
    }
}

/// The value that bounds it, in words.
fn limit(chart: &Chart) -> Option<String> {
    let (_, words) = chart.drawing()?.limit?;
    Some(format!("{words} {}", quantity(chart.limit?, &chart.unit)))
}

/// How many steps the range has.
fn steps(chart: &Chart, report: &Report) -> usize {
    let span = report.range.to.0.saturating_sub(chart.begin.0).max(0);
    let steps = usize::try_from(span / chart.step_ms.max(1)).unwrap_or(usize::MAX);
    steps.saturating_add(1)
}

impl Chart {
    /// The column of a time, if it is in the range.
    fn column(&self, time: Time, cells: usize, steps: usize) -> Option<usize> {
        let passed = time.0.checked_sub(self.begin.0).filter(|passed| *passed >= 0)?;
        let step =
            usize::try_from(passed / self.step_ms.max(1)).ok().filter(|step| *step < steps)?;
        step.checked_mul(cells)?.checked_div(steps)
    }
}

/// The characters of a chart, each with what it is.
fn cells(chart: &Chart, cells: usize, steps: usize) -> Vec<(Role, char)> {
    let mut values: Vec<Option<f64>> = vec![None; cells];
    let extreme = |old: f64, new: f64| match chart.drawing().map(|drawing| drawing.shows) {
        Some(Shows::Min) => old.min(new),
        Some(Shows::Increase) => old + new,
        _ => old.max(new),
    };
    for point in &chart.points {
        let column = chart.column(point.time, cells, steps);
        if let Some(value) = column.and_then(|column| values.get_mut(column)) {
            let new = chart.drawn(point);
            *value = Some(value.map_or(new, |old| extreme(old, new)));
        }
    }
    let (low, high) = chart.bounds();
    // Steps of a count are added up in a column.
    let high = values.iter().flatten().copied().fold(high, f64::max);
    let is_hot = |value: f64| {
        let is_too_much = chart.drawing().is_some_and(|drawing| drawing.limit_is_fault);
        match chart.increase {
            Some(_) => value > 0.0,
            None => is_too_much && chart.limit.is_some_and(|limit| value >= limit),
        }
    };
    let shown = values.into_iter().map(|value| match value {
        None => (Role::Plain, ' '),
        Some(value) if is_hot(value) => (Role::Fault, level(value, low, high)),
        Some(value) => (Role::Plain, level(value, low, high)),
    });
    shown.collect()
}

fn level(value: f64, low: f64, high: f64) -> char {
    let share = if high > low { (value - low) / (high - low) } else { 0.0 };
    // A float outside of the range becomes its nearest end; NaN becomes 0.
    let index = (share * (LEVELS.len() - 1) as f64).round() as usize;
    LEVELS.get(index).copied().unwrap_or('█')
}

/// Neighbours of one role as one piece.
fn pieces(cells: &[(Role, char)]) -> Vec<(Role, String)> {
    let mut pieces: Vec<(Role, String)> = Vec::new();
    for (role, c) in cells {
        match pieces.last_mut() {
            Some((last, text)) if last == role => text.push(*c),
            _ => pieces.push((*role, c.to_string())),
        }
    }
    pieces
}
