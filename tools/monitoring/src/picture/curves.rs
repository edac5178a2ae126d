//! Series as curves: cut where data is missing, stacked where a dashboard asks for it.

use std::collections::BTreeMap;

use super::answers::{Line, extremes};
use super::colour::Colour;
use super::field::Field;

/// A point of a curve: when, from which value the area below it is filled, and its value.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(super) struct Point {
    pub(super) time: f64,
    /// None means from the axis.
    pub(super) floor: Option<f64>,
    pub(super) value: f64,
}

/// A series as it is drawn.
#[derive(Clone, Debug)]
pub(super) struct Curve {
    pub(super) field: Field,
    pub(super) colour: Colour,
    /// Stretches without a gap.
    pub(super) parts: Vec<Vec<Point>>,
}

impl Curve {
    /// Whether it belongs to the axis on the right.
    pub(super) fn right(&self) -> bool {
        self.field.custom.axis_placement == "right"
    }

    /// All values that the axis has to have room for.
    pub(super) fn values(&self) -> impl Iterator<Item = f64> {
        // A bar without its foot says nothing.
        let foot = (self.field.custom.draw_style == "bars").then_some(0.0);
        let points = self.parts.iter().flatten();
        foot.into_iter()
            .chain(points.flat_map(|point| point.floor.into_iter().chain([point.value])))
    }
}

/// The curves of `lines`, whose points are `step` seconds apart.
pub(super) fn curves(lines: &[Line], step: f64) -> Vec<Curve> {
    let span = extremes(lines);
    let mut stacks: BTreeMap<bool, BTreeMap<i64, f64>> = BTreeMap::new();
    lines
        .iter()
        .enumerate()
        .filter(|(_, line)| !line.field.custom.hide_from.viz)
        .map(|(number, line)| {
            let field = line.field.clone();
            let sign = if field.custom.transform == "negative-Y" { -1.0 } else { 1.0 };
            let right = field.custom.axis_placement == "right";
            let mut points: Vec<Point> = line
                .points
                .iter()
                .map(|(time, value)| Point { time: *time, floor: None, value: value * sign })
                .collect();
            if field.custom.stacking.mode == "normal" {
                stack(&mut points, stacks.entry(right).or_default());
            }
            if let Some(other) = field.custom.fill_below_to.as_deref() {
                fill_to(&mut points, lines.iter().find(|line| line.name == other));
            }
            let colour = colour(line, span, number);
            Curve { parts: parts(&points, longest(&field, step)), field, colour }
        })
        .collect()
}

/// The colour of a line: from the palette if the dashboard does not say, by its last value if
/// colours come from values.
pub(super) fn colour(line: &Line, span: (f64, f64), number: usize) -> Colour {
    if line.field.color.mode.is_empty() {
        return Colour::of_series(number);
    }
    line.field.colour(line.reduced("lastNotNull").unwrap_or(f64::NAN), span, number)
}

/// The longest distance in seconds of two points that a line may go between.
fn longest(field: &Field, step: f64) -> f64 {
    match &field.custom.span_nulls {
        value if *value == true => f64::INFINITY,
        value => value.as_f64().map_or(1.5 * step, |ms| (ms / 1e3).max(1.5 * step)),
    }
}

/// Puts `points` on top of those before them.
fn stack(points: &mut [Point], tops: &mut BTreeMap<i64, f64>) {
    for point in points.iter_mut().filter(|point| point.value.is_finite()) {
        let top = tops.entry(key(point.time)).or_default();
        point.floor = Some(*top);
        *top += point.value;
        point.value = *top;
    }
}

/// Fills from the values of another line.
fn fill_to(points: &mut [Point], other: Option<&Line>) {
    let floors: BTreeMap<i64, f64> = other
        .into_iter()
        .flat_map(|line| &line.points)
        .map(|(t, value)| (key(*t), *value))
        .collect();
    for point in points {
        point.floor = floors.get(&key(point.time)).copied().filter(|floor| floor.is_finite());
    }
}

fn key(time: f64) -> i64 {
    (time * 1e3).round() as i64
}

fn parts(points: &[Point], longest: f64) -> Vec<Vec<Point>> {
    let mut parts: Vec<Vec<Point>> = Vec::new();
    let mut open = false;
    for point in points {
        if !point.value.is_finite() {
            open &= longest.is_infinite();
            continue;
        }
        match parts.last_mut() {
            Some(part) if open && part.last().is_some_and(|p| point.time - p.time <= longest) => {
                part.push(*point);
            }
            _ => parts.push(vec![*point]),
        }
        open = true;
    }
    parts
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::answers::{answer, lines};
    use super::*;

    fn drawn(custom: serde_json::Value, series: &[&[(f64, f64)]]) -> Vec<Curve> {
        let answers: Vec<_> =
            series.iter().map(|points| answer("A", "x", &[(&[], points)])).collect();
        let panel = json!({ "fieldConfig": { "defaults": { "custom": custom } } });
        curves(&lines(&panel, &answers).unwrap(), 1.0)
    }

    #[test]
    fn a_line_has_gaps_where_data_is_missing() {
        let points = [(0.0, 1.0), (1.0, 2.0), (4.0, 3.0), (5.0, f64::NAN), (6.0, 4.0)];
        assert_eq!(drawn(json!({}), &[&points])[0].parts.len(), 3);
        assert_eq!(drawn(json!({ "spanNulls": true }), &[&points])[0].parts.len(), 1);
        assert_eq!(drawn(json!({ "spanNulls": 3000 }), &[&points])[0].parts.len(), 2);
    }

    #[test]
    fn stacked_lines_stand_on_each_other() {
        let stacked = json!({ "stacking": { "mode": "normal" } });
        let curves = drawn(stacked, &[&[(0.0, 1.0), (1.0, 2.0)], &[(0.0, 10.0), (1.0, 20.0)]]);
        let upper: Vec<f64> = curves[1].parts[0].iter().map(|point| point.value).collect();
        assert_eq!(upper, [11.0, 22.0]);
        assert_eq!(curves[1].parts[0][1].floor, Some(2.0));
    }

    #[test]
    fn infinity_is_not_drawn() {
        let curves = drawn(json!({}), &[&[(0.0, f64::INFINITY), (1.0, 2.0)]]);
        assert_eq!(curves[0].values().collect::<Vec<_>>(), [2.0]);
    }
}
