//! Annotations: the moments that a dashboard's own queries pick out, as lines in every plot.

use anyhow::{Context, Result};
use serde_json::Value;

use super::answers::templated;
use super::colour::Colour;
use crate::ask::{Prometheus, Series, Variables, Window};

/// A moment.
#[derive(Clone, Debug, PartialEq)]
pub(super) struct Mark {
    pub(super) time: f64,
    pub(super) colour: Colour,
    pub(super) text: String,
}

/// Asks the annotations of `dashboard`, sorted by time.
pub(super) fn ask(
    dashboard: &Value,
    prometheus: &Prometheus,
    variables: &Variables,
    window: Window,
) -> Result<Vec<Mark>> {
    let list = dashboard.pointer("/annotations/list").and_then(Value::as_array);
    let variables = variables.over(window);
    let mut marks = Vec::new();
    for annotation in list.into_iter().flatten().filter(|one| one["enable"] != false) {
        // What Grafana stores itself, by hand, has no query.
        let Some(expr) = annotation["target"]["expr"].as_str() else { continue };
        let named = || format!("the annotation {}", annotation["name"]);
        let expr = variables.fill(expr).with_context(named)?;
        let series =
            prometheus.range(&expr, window.from, window.to, window.step).with_context(named)?;
        marks.extend(series.iter().flat_map(|series| moments(annotation, series, window)));
    }
    marks.sort_by(|a, b| a.time.total_cmp(&b.time).then_with(|| a.text.cmp(&b.text)));
    marks.dedup();
    Ok(marks)
}

/// How many equal values in a row show that a change after them is an event, rather than a value
/// that is always on the move.
const CALM: usize = 3;

/// The moments in one series: where it begins to be there and not zero, and where its value changes
/// after a calm stretch.
fn moments(annotation: &Value, series: &Series, window: Window) -> Vec<Mark> {
    let text = |name: &str| annotation[name].as_str().unwrap_or_default();
    let format = [text("titleFormat"), text("textFormat"), text("name")];
    let format = format.into_iter().find(|format| !format.is_empty()).unwrap_or_default();
    let mark = |time| Mark {
        time,
        colour: Colour::of(text("iconColor")),
        text: templated(format, &series.labels),
    };
    if annotation["useValueForTime"] == true {
        // The values are the moments, in milliseconds.
        let times = series.points.iter().map(|(_, value)| value / 1e3);
        return times.filter(|time| (window.from..=window.to).contains(time)).map(mark).collect();
    }
    let mut marks = Vec::new();
    let mut before: Option<(f64, f64)> = None;
    let mut calm = 0;
    for &(time, value) in &series.points {
        let adjoining = before.filter(|(last, _)| time - last < 1.5 * window.step);
        match adjoining {
            _ if value == 0.0 || value.is_nan() => {}
            Some((_, last)) if last == value => {}
            Some((_, last)) if last != 0.0 && calm < CALM => {}
            // What was so from the window's first moment has begun before it.
            None if time < window.from + window.step => {}
            _ => marks.push(mark(time)),
        }
        calm = if adjoining.is_some_and(|(_, last)| last == value) { calm + 1 } else { 1 };
        before = Some((time, value));
    }
    marks
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn times(values: &[(f64, f64)]) -> Vec<f64> {
        let annotation = json!({ "name": "x", "iconColor": "red", "titleFormat": "XID {{xid}}" });
        let labels = [("xid".to_owned(), "79".to_owned())].into();
        let series = Series { labels, points: values.to_vec() };
        let window = Window { from: 0.0, to: 20.0, step: 1.0 };
        let marks = moments(&annotation, &series, window);
        assert!(marks.iter().all(|mark| mark.text == "XID 79"));
        marks.into_iter().map(|mark| mark.time).collect()
    }

    #[test]
    fn a_moment_is_where_a_value_begins() {
        assert_eq!(times(&[(0.0, 0.0), (1.0, 0.0), (2.0, 1.0), (3.0, 1.0), (4.0, 0.0)]), [2.0]);
        assert_eq!(times(&[(5.0, 1.0), (6.0, 1.0), (9.0, 1.0)]), [5.0, 9.0]);
    }

    #[test]
    fn a_moment_is_where_a_calm_value_changes() {
        let steps = [7.0, 7.0, 7.0, 8.0, 8.0, 8.0, 9.0];
        let points: Vec<(f64, f64)> = (0..).map(f64::from).zip(steps).collect();
        assert_eq!(times(&points), [3.0, 6.0]);
    }

    #[test]
    fn a_value_on_the_move_is_one_moment() {
        assert_eq!(times(&[(4.0, 0.1), (5.0, 0.2), (6.0, 0.3), (7.0, 0.35)]), [4.0]);
    }

    #[test]
    fn what_was_always_so_is_none() {
        assert_eq!(times(&[(0.0, 1.0), (1.0, 1.0), (2.0, 1.0)]), [0.0; 0]);
    }
}
