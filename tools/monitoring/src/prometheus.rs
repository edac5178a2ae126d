//! Queries to a Prometheus server as Grafana sends them, its variables filled in.

use std::collections::BTreeMap;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use serde::Deserialize;
use serde_json::Value;

/// One series of an answer.
#[derive(Clone, Debug, PartialEq)]
pub struct Series {
    /// Its labels, `__name__` among them where the query keeps it.
    pub labels: BTreeMap<String, String>,
    /// Samples as (Unix time in seconds, value), oldest first. An instant query gives one. A value
    /// can be NaN or infinite, as Prometheus' own can.
    pub points: Vec<(f64, f64)>,
}

/// A Prometheus server.
pub struct Prometheus {
    url: String,
    agent: ureq::Agent,
}

impl Prometheus {
    /// The server at `url`, such as `http://127.0.0.1:9090`. Sends nothing yet.
    pub fn new(url: &str) -> Self {
        // An answer with status 400 or 422 has a body that says why, so a status is no error here.
        let config = ureq::Agent::config_builder()
            .http_status_as_error(false)
            .timeout_global(Some(Duration::from_secs(30)))
            .build();
        Self { url: url.trim_end_matches('/').to_owned(), agent: config.into() }
    }

    /// The value of `expr` at the time `at` (Unix seconds), or now: one point per series.
    ///
    /// # Errors
    /// The server's message or the failure of the connection, with the expression.
    pub fn query(&self, expr: &str, at: Option<f64>) -> Result<Vec<Series>> {
        let mut form = vec![("query", expr.to_owned())];
        form.extend(at.map(|at| ("time", at.to_string())));
        self.post("query", &form).with_context(|| format!("the query {expr}"))
    }

    /// The values of `expr` from `from` to `to` (Unix seconds), one every `step` seconds.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn range(&self, expr: &str, from: f64, to: f64, step: f64) -> Result<Vec<Series>> {
        let form = [
            ("query", expr.to_owned()),
            ("start", from.to_string()),
            ("end", to.to_string()),
            ("step", step.to_string()),
        ];
        self.post("query_range", &form).with_context(|| format!("the query {expr}"))
    }

    /// The values that `label` has in the series of `selector`, sorted; an empty selector means
    /// all series.
    ///
    /// # Errors
    /// As [`query`](Self::query).
    pub fn label_values(&self, label: &str, selector: &str) -> Result<Vec<String>> {
        let mut request = self.agent.get(format!("{}/api/v1/label/{label}/values", self.url));
        if !selector.is_empty() {
            request = request.query("match[]", selector);
        }
        let answer = request.call().map_err(anyhow::Error::from).and_then(data);
        answer
            .and_then(|data| Ok(serde_json::from_value(data)?))
            .with_context(|| format!("the values of {label} in {selector}"))
    }

    /// Sends a form, because an expression may be too long for a URL.
    fn post(&self, endpoint: &str, form: &[(&str, String)]) -> Result<Vec<Series>> {
        let request = self.agent.post(format!("{}/api/v1/{endpoint}", self.url));
        let answer = request.send_form(form.iter().map(|(name, value)| (*name, value.as_str())))?;
        series(data(answer)?)
    }
}

/// The envelope of every answer of the API.
#[derive(Deserialize)]
struct Answer {
    status: String,
    #[serde(default)]
    data: Value,
    #[serde(default, rename = "errorType")]
    error_type: String,
    #[serde(default)]
    error: String,
}

#[derive(Deserialize)]
#[serde(tag = "resultType", content = "result", rename_all = "lowercase")]
enum Outcome {
    Vector(Vec<Row>),
    Matrix(Vec<Row>),
    Scalar(Sample),
}

/// A vector's rows have `value`, a matrix's have `values`; native histograms have neither and come
/// out without points.
#[derive(Deserialize)]
struct Row {
    metric: BTreeMap<String, String>,
    value: Option<Sample>,
    #[serde(default)]
    values: Vec<Sample>,
}

#[derive(Deserialize)]
struct Sample(f64, String);

fn data(mut answer: ureq::http::Response<ureq::Body>) -> Result<Value> {
    let status = answer.status();
    let text = answer.body_mut().with_config().limit(1 << 28).read_to_string()?;
    unwrapped(&text).with_context(|| format!("HTTP status {status}"))
}

fn unwrapped(text: &str) -> Result<Value> {
    let answer: Answer = serde_json::from_str(text).context("not an answer of Prometheus")?;
    if answer.status != "success" {
        bail!("{}: {}", answer.error_type, answer.error);
    }
    Ok(answer.data)
}

fn series(data: Value) -> Result<Vec<Series>> {
    let rows = match serde_json::from_value(data).context("an unknown kind of result")? {
        Outcome::Vector(rows) | Outcome::Matrix(rows) => rows,
        Outcome::Scalar(sample) => {
            vec![Row { metric: BTreeMap::new(), value: Some(sample), values: Vec::new() }]
        }
    };
    let point = |Sample(time, value): Sample| -> Result<(f64, f64)> {
        Ok((time, value.parse().with_context(|| format!("the value {value:?}"))?))
    };
    rows.into_iter()
        .map(|row| {
            let samples = row.value.into_iter().chain(row.values);
            Ok(Series { labels: row.metric, points: samples.map(point).collect::<Result<_>>()? })
        })
        .collect()
}

/// The selected value of a dashboard's variable.
#[derive(Clone, Debug, PartialEq)]
pub enum Choice {
    /// One value, inserted as it is.
    One(String),
    /// Several values, inserted as the regex `(a|b)`.
    AnyOf(Vec<String>),
    /// Grafana's "All", inserted as `.*`.
    All,
}

/// The time range of a query, in seconds.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Window {
    /// Its start, in Unix time.
    pub from: f64,
    /// Its end, in Unix time.
    pub to: f64,
    /// The distance of two points.
    pub step: f64,
}

/// The variables of a dashboard, and the built-in ones about time.
#[derive(Clone, Debug)]
pub struct Variables {
    /// Selected values, by variable name.
    pub choices: BTreeMap<String, Choice>,
    /// From which `$__range` and `$__interval` are computed; without it they are unknown.
    pub window: Option<Window>,
    /// Seconds between two scrapes, from which `$__rate_interval` is computed.
    pub scrape_interval: f64,
}

impl Variables {
    /// No variables yet, for a server that scrapes every `scrape_interval` seconds.
    pub fn new(scrape_interval: f64) -> Self {
        Self { choices: BTreeMap::new(), window: None, scrape_interval }
    }

    /// These, and `name` with `choice`.
    #[must_use]
    pub fn with(mut self, name: &str, choice: Choice) -> Self {
        self.choices.insert(name.to_owned(), choice);
        self
    }

    /// These with another time range.
    #[must_use]
    pub fn over(&self, window: Window) -> Self {
        Self { window: Some(window), ..self.clone() }
    }

    /// `expr` with `$name`, `${name}` and `${name:regex}` filled in, for PromQL.
    ///
    /// `$1` and `${1}` stay: they are the groups of a `label_replace`.
    ///
    /// # Errors
    /// Names the variable that is unknown, or the format that is.
    pub fn fill(&self, expr: &str) -> Result<String> {
        replace(expr, |name, format| {
            self.value(name, format).with_context(|| format!("in the expression {expr}"))
        })
    }

    fn value(&self, name: &str, format: &str) -> Result<String> {
        if let Some(value) = self.builtin(name) {
            return Ok(value);
        }
        let choice = self.choices.get(name);
        let choice = choice.ok_or_else(|| anyhow!("the variable ${name} is unknown"))?;
        match (choice, format) {
            (Choice::All, "" | "regex") => Ok(".*".to_owned()),
            (Choice::One(value), "") => Ok(in_string(value)),
            (Choice::One(value), "regex") => Ok(in_regex(value)),
            (Choice::AnyOf(values), "" | "regex") => {
                let values: Vec<String> = values.iter().map(|value| in_regex(value)).collect();
                Ok(format!("({})", values.join("|")))
            }
            _ => bail!("the format {format} of the variable ${name} is unknown"),
        }
    }

    fn builtin(&self, name: &str) -> Option<String> {
        let window = self.window?;
        let range = (window.to - window.from).round();
        Some(match name {
            "__range" => duration(range),
            "__range_s" => range.to_string(),
            "__range_ms" => (range * 1e3).to_string(),
            "__interval" => duration(window.step),
            "__interval_ms" => (window.step * 1e3).round().to_string(),
            "__rate_interval" => duration(window.step.max(4.0 * self.scrape_interval)),
            _ => return None,
        })
    }
}

/// Whole seconds where they are, as PromQL has no fractions in a duration.
fn duration(seconds: f64) -> String {
    if seconds.fract() == 0.0 {
        format!("{seconds}s")
    } else {
        format!("{}ms", (seconds * 1e3).round())
    }
}

/// Escapes `value` for the inside of a quoted PromQL string.
fn in_string(value: &str) -> String {
    value.replace('\\', r"\\").replace('"', r#"\""#)
}

/// Escapes `value` for a regex that matches it alone, inside of a quoted PromQL string.
fn in_regex(value: &str) -> String {
    let mut regex = String::new();
    for c in value.chars() {
        if r"\.+*?()|[]{}^$".contains(c) {
            regex.push('\\');
        }
        regex.push(c);
    }
    in_string(&regex)
}

/// `text` with each `$name`, `${name}` and `${name:format}` given to `value`.
fn replace(text: &str, value: impl Fn(&str, &str) -> Result<String>) -> Result<String> {
    let mut out = String::new();
    let mut rest = text;
    while let Some(at) = rest.find('$') {
        out.push_str(&rest[..at]);
        rest = &rest[at..];
        let Some((name, format, len)) = reference(rest) else {
            out.push('$');
            rest = &rest[1..];
            continue;
        };
        out.push_str(&value(name, format)?);
        rest = &rest[len..];
    }
    out.push_str(rest);
    Ok(out)
}

/// The name and the format of the variable that `text` begins with, and how long the reference is.
fn reference(text: &str) -> Option<(&str, &str, usize)> {
    let word = |c: char| c.is_ascii_alphanumeric() || c == '_';
    let (name, format, len) = match text.strip_prefix("${") {
        Some(inner) => {
            let inner = &inner[..inner.find('}')?];
            let (name, format) = inner.split_once(':').unwrap_or((inner, ""));
            (name, format, inner.len() + 3)
        }
        None => {
            let name = &text[1..];
            let name = &name[..name.find(|c| !word(c)).unwrap_or(name.len())];
            (name, "", name.len() + 1)
        }
    };
    let named = name.starts_with(|c: char| !c.is_ascii_digit()) && name.chars().all(word);
    named.then_some((name, format, len))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn variables() -> Variables {
        Variables::new(15.0)
            .with("node", Choice::One("n1.example".to_owned()))
            .with("gpu", Choice::AnyOf(vec!["0".to_owned(), "a.b".to_owned()]))
            .with("job", Choice::All)
            .over(Window { from: 1000.0, to: 4600.0, step: 30.0 })
    }

    #[test]
    fn variables_are_filled_in_as_grafana_does() {
        for (expr, filled) in [
            (r#"up{node="$node"}"#, r#"up{node="n1.example"}"#),
            (r#"up{node=~"${node:regex}"}"#, r#"up{node=~"n1\\.example"}"#),
            (r#"up{gpu=~"$gpu"}"#, r#"up{gpu=~"(0|a\\.b)"}"#),
            (r#"up{gpu=~"${gpu:regex}",job=~"${job}"}"#, r#"up{gpu=~"(0|a\\.b)",job=~".*"}"#),
            ("rate(x[$__rate_interval])", "rate(x[60s])"),
            ("increase(x[$__range]) / $__range_s", "increase(x[3600s]) / 3600"),
            ("avg_over_time(x[$__interval])", "avg_over_time(x[30s])"),
            (r#"label_replace(x, "a", "$1-${2}", "b", "(.*)$")"#, ""),
            ("x", ""),
        ] {
            let expected = if filled.is_empty() { expr } else { filled };
            assert_eq!(variables().fill(expr).unwrap(), expected);
        }
    }

    #[test]
    fn a_step_longer_than_four_scrapes_is_the_rate_interval() {
        let window = Window { from: 0.0, to: 600.0, step: 120.0 };
        assert_eq!(variables().over(window).fill("$__rate_interval").unwrap(), "120s");
        let window = Window { step: 0.5, ..window };
        assert_eq!(variables().over(window).fill("$__interval").unwrap(), "500ms");
    }

    #[test]
    fn unknown_variables_are_named() {
        let error = |expr| format!("{:#}", variables().fill(expr).unwrap_err());
        assert!(error("up{a=\"$unknown\"}").contains("$unknown"));
        assert!(error("${gpu:json}").contains("json"));
        let timeless = Variables::new(15.0);
        assert!(
            timeless.fill("x[$__range]").unwrap_err().root_cause().to_string().contains("$__range")
        );
    }

    #[test]
    fn a_quote_in_a_value_does_not_end_the_string() {
        let variables = Variables::new(1.0).with("a", Choice::One(r#"x"y\"#.to_owned()));
        assert_eq!(variables.fill(r#"{a="$a"}"#).unwrap(), r#"{a="x\"y\\"}"#);
    }

    #[test]
    fn every_kind_of_answer_is_read() {
        let answer = |text: &str| series(unwrapped(text)?);
        let vector = r#"{"status":"success","data":{"resultType":"vector","result":[
            {"metric":{"gpu":"0"},"value":[1.5,"NaN"]},{"metric":{"gpu":"1"},"value":[1.5,"+Inf"]}]}}"#;
        let read = answer(vector).unwrap();
        assert_eq!(read[0].labels["gpu"], "0");
        assert!(read[0].points[0].1.is_nan());
        assert_eq!(read[1].points, [(1.5, f64::INFINITY)]);

        let matrix = r#"{"status":"success","data":{"resultType":"matrix","result":[
            {"metric":{},"values":[[1,"2"],[2,"-Inf"]]}]}}"#;
        assert_eq!(answer(matrix).unwrap()[0].points, [(1.0, 2.0), (2.0, f64::NEG_INFINITY)]);

        let scalar = r#"{"status":"success","data":{"resultType":"scalar","result":[7,"1e3"]}}"#;
        assert_eq!(answer(scalar).unwrap()[0].points, [(7.0, 1000.0)]);
    }

    #[test]
    fn an_error_has_the_message_of_prometheus() {
        let text = r#"{"status":"error","errorType":"bad_data","error":"parse error: no"}"#;
        assert_eq!(unwrapped(text).unwrap_err().to_string(), "bad_data: parse error: no");
        assert!(unwrapped("<html>").is_err());
    }

    #[test]
    fn an_error_names_the_expression() {
        // No server listens at port 1.
        let error = Prometheus::new("http://127.0.0.1:1/").query("up{}", None).unwrap_err();
        assert!(error.to_string().contains("up{}"));
    }
}
