//! Samples from the past, as `promtool tsdb create-blocks-from openmetrics` reads them: series of the page,
//! each sample with its time.

use std::fmt::Write as _;
use std::sync::Arc;

use model::{Attribution, Snapshot, Value};

use crate::holders::Holders;
use crate::inputs::Inputs;
use crate::layout::Layout;
use crate::settings::Settings;
use crate::text::{Labels, Number, Output};
use crate::{families, gpus, openmetrics, parts};

/// The last line of a text with samples from the past.
pub const END: &str = openmetrics::END;

/// A family of a page, and its series without values: `NAME{LABELS}`.
pub type FamilySeries = (Arc<str>, Vec<String>);

/// The families that the page of this snapshot has, with their series. The labels `more` are added to each
/// series; none of them may be one of the page's own.
pub fn series(
    snapshot: &Snapshot,
    attribution: Option<&Attribution>,
    settings: &Settings,
    layout: &Layout,
    more: &[(String, String)],
) -> Vec<FamilySeries> {
    let holders = Holders { attribution, settings, layout };
    let gpus = gpus::rows(snapshot, &holders);
    let machine = parts::parts(snapshot, settings, layout);
    let inputs = Inputs { snapshot, settings, layout, attribution, gpus: &gpus };
    let mut added = Labels::default();
    for (name, value) in more {
        added.text(name, value);
    }
    let mut found = Vec::new();
    families::write(&mut Output::default(), &inputs, &machine, |out, row| {
        let lines = out.text.lines().filter(|line| !line.starts_with('#'));
        let series: Vec<String> = lines.filter_map(|line| before_value(line, &added)).collect();
        if !series.is_empty() {
            found.push((Arc::clone(&row.name), series));
        }
        out.text.clear();
    });
    found
}

/// The part of a sample line before the value, with more labels.
fn before_value(line: &str, more: &Labels) -> Option<String> {
    let (series, _) = line.rsplit_once(' ')?;
    if more.is_empty() {
        return Some(series.to_owned());
    }
    Some(match series.strip_suffix('}') {
        Some(labels) => format!("{labels},{}}}", more.as_str()),
        None => format!("{series}{{{}}}", more.as_str()),
    })
}

/// Appends a sample of a series: its value `time_ms` milliseconds after 1970. A value that is not a finite
/// number gives no sample.
pub fn push_sample(out: &mut String, series: &str, value: &Value, time_ms: i64) {
    let Some(number) = Number::of(value) else { return };
    out.push_str(series);
    out.push(' ');
    number.push_to(out);
    out.push(' ');
    push_time(out, time_ms);
    out.push('\n');
}

/// Appends a time in seconds.
fn push_time(out: &mut String, time_ms: i64) {
    let (seconds, millis) = (time_ms.unsigned_abs() / 1000, time_ms.unsigned_abs() % 1000);
    let sign = if time_ms < 0 { "-" } else { "" };
    // Writing to a string does not fail.
    let _ = match millis {
        0 => write!(out, "{sign}{seconds}"),
        _ => write!(out, "{sign}{seconds}.{millis:03}"),
    };
    // Prometheus cuts what is left of the float after the milliseconds: 1.001 s would become 1000 ms. A
    // microsecond more keeps the millisecond.
    if ((time_ms as f64 / 1000.0) * 1000.0) as i64 != time_ms {
        out.push_str("001");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn labels_are_added_to_a_series_with_and_without_labels() {
        let mut more = Labels::default();
        more.text("job", "a \"b\"");
        let with = |line| before_value(line, &more).unwrap();
        assert_eq!(with("a 1"), "a{job=\"a \\\"b\\\"\"}");
        assert_eq!(with("a{b=\"} 2\"} 1"), "a{b=\"} 2\",job=\"a \\\"b\\\"\"}");
        assert_eq!(before_value("a{b=\"} 2\"} 1", &Labels::default()).unwrap(), "a{b=\"} 2\"}");
    }

    #[test]
    fn a_sample_has_its_value_and_its_time_in_seconds() {
        let sample = |value: Value, time| {
            let mut out = String::new();
            push_sample(&mut out, "a{b=\"c\"}", &value, time);
            out
        };
        let at = |time| sample(Value::Int(71), time);
        assert_eq!(at(1_700_000_000_000), "a{b=\"c\"} 71 1700000000\n");
        assert_eq!(at(1_700_000_000_250), "a{b=\"c\"} 71 1700000000.250\n");
        assert_eq!(at(-1_500), "a{b=\"c\"} 71 -1.500\n");
        assert_eq!(sample(Value::Float(0.25), 0), "a{b=\"c\"} 0.25 0\n");
        assert_eq!(sample(Value::Float(f64::NAN), 0), "");
        assert_eq!(sample(Value::Text("x".into()), 0), "");
    }

    /// Prometheus reads a float and multiplies it by 1000.
    #[test]
    fn each_millisecond_is_read_back() {
        for time in
            (1_700_000_000_000..1_700_000_002_000).chain(1_000_000_000_000..1_000_000_001_000)
        {
            let mut out = String::new();
            push_time(&mut out, time);
            let read: f64 = out.parse().unwrap();
            assert_eq!((read * 1000.0) as i64, time, "{out}");
        }
    }
}
