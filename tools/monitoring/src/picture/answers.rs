//! What a panel's queries answered, and the named series in it.

use std::collections::BTreeMap;

use anyhow::{Context, Result};
use serde_json::Value;

use super::field::Field;
use crate::ask::{Prometheus, Series, Variables, Window};

/// The answer to one of a panel's queries.
#[derive(Clone, Debug)]
pub(super) struct Answer {
    /// The query's letter.
    pub(super) ref_id: String,
    /// How its series are to be named.
    legend: String,
    expr: String,
    pub(super) series: Vec<Series>,
}

/// A series with its name and how it is shown.
#[derive(Clone, Debug)]
pub(super) struct Line {
    pub(super) name: String,
    pub(super) points: Vec<(f64, f64)>,
    pub(super) field: Field,
}

/// Asks the queries of `panel`, at the window's end or over all of it.
pub(super) fn ask(
    panel: &Value,
    prometheus: &Prometheus,
    variables: &Variables,
    window: Window,
) -> Result<Vec<Answer>> {
    let variables = variables.over(window);
    let targets = panel["targets"].as_array().into_iter().flatten();
    let mut answers = Vec::new();
    for target in targets.filter(|target| target["hide"] != true) {
        let text = |name: &str| target[name].as_str().unwrap_or_default();
        let expr =
            variables.fill(text("expr")).with_context(|| format!("query {}", text("refId")))?;
        let series = if target["instant"] == true {
            prometheus.query(&expr, Some(window.to))?
        } else {
            prometheus.range(&expr, window.from, window.to, window.step)?
        };
        answers.push(Answer {
            ref_id: text("refId").to_owned(),
            legend: variables.label(text("legendFormat")),
            expr,
            series,
        });
    }
    Ok(answers)
}

/// The series of all answers, named, in the order of the queries and then of their names, since
/// the server's own order is not always the same; unless the query sorts them.
pub(super) fn lines(panel: &Value, answers: &[Answer]) -> Result<Vec<Line>> {
    let mut lines = Vec::new();
    for answer in answers {
        let named = answer.series.iter().map(|series| (name(answer, &series.labels), series));
        let mut named: Vec<(String, &Series)> = named.collect();
        if !answer.expr.starts_with("sort") {
            named.sort_by_cached_key(|(name, _)| natural(name));
        }
        for (name, series) in named {
            let mut field = Field::of(panel, &name, &answer.ref_id)?;
            let name = match field.display_name.take() {
                Some(display) => displayed(&display, &name, &series.labels),
                None => name,
            };
            lines.push(Line { name, points: series.points.clone(), field });
        }
    }
    Ok(lines)
}

impl Line {
    /// Its values that are numbers.
    pub(super) fn values(&self) -> impl DoubleEndedIterator<Item = f64> {
        self.points.iter().map(|(_, value)| *value).filter(|value| value.is_finite())
    }

    /// One number for all its values, as Grafana's calculations are called.
    pub(super) fn reduced(&self, calculation: &str) -> Option<f64> {
        let mut values = self.values();
        match calculation {
            "min" => values.reduce(f64::min),
            "max" => values.reduce(f64::max),
            "first" | "firstNotNull" => values.next(),
            "sum" => Some(values.sum()),
            "count" => Some(values.count() as f64),
            "mean" => {
                let (sum, count) = values.fold((0.0, 0.0), |(s, n), value| (s + value, n + 1.0));
                (count > 0.0).then(|| sum / count)
            }
            "range" => Some(self.reduced("max")? - self.reduced("min")?),
            "delta" | "diff" => Some(values.next_back()? - self.values().next()?),
            // The last sample, even if it is no number, is what a stat of `NaN` shows.
            "last" => self.points.last().map(|(_, value)| *value),
            _ => values.next_back().or(self.points.last().map(|(_, value)| *value)),
        }
    }
}

/// The least and the greatest value of all `lines`.
pub(super) fn extremes(lines: &[Line]) -> (f64, f64) {
    let values = lines.iter().flat_map(Line::values);
    values
        .fold((f64::INFINITY, f64::NEG_INFINITY), |(lo, hi), value| (lo.min(value), hi.max(value)))
}

/// The name of a series: its legend filled in, or its labels.
fn name(answer: &Answer, labels: &BTreeMap<String, String>) -> String {
    if !answer.legend.is_empty() && answer.legend != "__auto" {
        return templated(&answer.legend, labels);
    }
    let metric = labels.get("__name__").map_or("", String::as_str);
    let pairs: Vec<String> = labels
        .iter()
        .filter(|(name, _)| *name != "__name__")
        .map(|(name, value)| format!("{name}={value:?}"))
        .collect();
    match (metric, pairs.is_empty()) {
        ("", true) => answer.expr.clone(),
        (metric, true) => metric.to_owned(),
        (metric, false) => format!("{metric}{{{}}}", pairs.join(", ")),
    }
}

/// `template` with each `{{label}}` replaced by the label's value.
pub(super) fn templated(template: &str, labels: &BTreeMap<String, String>) -> String {
    let mut out = String::new();
    let mut rest = template;
    while let Some((before, after)) = rest.split_once("{{") {
        let Some((label, after)) = after.split_once("}}") else { break };
        out.push_str(before);
        out.push_str(labels.get(label.trim()).map_or("", String::as_str));
        rest = after;
    }
    out.push_str(rest);
    out
}

/// A `displayName`, in which `${__field.labels.x}` and `${__field.name}` are known.
fn displayed(display: &str, name: &str, labels: &BTreeMap<String, String>) -> String {
    let mut out = display.replace("${__field.name}", name).replace("${__series.name}", name);
    for (label, value) in labels {
        out = out.replace(&format!("${{__field.labels.{label}}}"), value);
    }
    out
}

/// What sorts `GPU 10` after `GPU 9`: runs of digits by their length first.
pub(super) fn natural(text: &str) -> Vec<(usize, String)> {
    let mut parts: Vec<(usize, String)> = Vec::new();
    let mut digits = false;
    for c in text.chars() {
        let digit = c.is_ascii_digit();
        match parts.last_mut() {
            Some((len, part)) if digit && digits => {
                part.push(c);
                *len += 1;
            }
            Some((_, part)) if !digit && !digits => part.push(c),
            _ => parts.push((usize::from(digit), c.to_string())),
        }
        digits = digit;
    }
    parts
}

/// A series as tests write it: labels and points.
#[cfg(test)]
pub(super) type Written<'a> = (&'a [(&'a str, &'a str)], &'a [(f64, f64)]);

#[cfg(test)]
pub(super) fn answer(ref_id: &str, legend: &str, series: &[Written<'_>]) -> Answer {
    let owned = |labels: &[(&str, &str)]| {
        labels.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect()
    };
    let series = series
        .iter()
        .map(|(labels, points)| Series { labels: owned(labels), points: points.to_vec() })
        .collect();
    Answer { ref_id: ref_id.to_owned(), legend: legend.to_owned(), expr: "up".to_owned(), series }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn names(legend: &str, series: &[Written<'_>]) -> Vec<String> {
        let lines = lines(&json!({}), &[answer("A", legend, series)]).unwrap();
        lines.into_iter().map(|line| line.name).collect()
    }

    #[test]
    fn series_are_named_by_their_legend() {
        let series: &[Written<'_>] = &[(&[("gpu", "10")], &[]), (&[("gpu", "9")], &[])];
        assert_eq!(names("GPU {{gpu}}", series), ["GPU 9", "GPU 10"]);
        assert_eq!(names("{{ gpu }}{{nothing}} {{", series), ["9 {{", "10 {{"]);
        assert_eq!(names("__auto", series), ["{gpu=\"9\"}", "{gpu=\"10\"}"]);
    }

    #[test]
    fn a_series_without_a_legend_has_a_name() {
        assert_eq!(names("", &[(&[], &[])]), ["up"]);
        assert_eq!(names("", &[(&[("__name__", "x")], &[])]), ["x"]);
        assert_eq!(names("", &[(&[("__name__", "x"), ("a", "b")], &[])]), ["x{a=\"b\"}"]);
    }

    #[test]
    fn a_display_name_knows_labels() {
        let panel = json!({ "fieldConfig": { "defaults": { "displayName": "GPU ${__field.labels.gpu}" } } });
        let answers = [answer("A", "x", &[(&[("gpu", "3")], &[])])];
        assert_eq!(lines(&panel, &answers).unwrap()[0].name, "GPU 3");
    }

    #[test]
    fn values_are_reduced_to_one() {
        let points = [(0.0, 1.0), (1.0, 5.0), (2.0, 3.0), (3.0, f64::NAN)];
        let answers = [answer("A", "", &[(&[], &points)])];
        let line = &lines(&json!({}), &answers).unwrap()[0];
        for (calculation, value) in [
            ("lastNotNull", 3.0),
            ("", 3.0),
            ("max", 5.0),
            ("min", 1.0),
            ("mean", 3.0),
            ("sum", 9.0),
            ("first", 1.0),
            ("count", 3.0),
            ("range", 4.0),
            ("delta", 2.0),
        ] {
            assert_eq!(line.reduced(calculation), Some(value), "{calculation}");
        }
        assert!(line.reduced("last").unwrap().is_nan());
    }
}
