//! The source of the rules: the keys of `rules.toml`, and checks of their values.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use anyhow::{Context as _, Result, bail, ensure};
use serde::Deserialize;

use crate::duration;

/// All recording rules and alerts, with their thresholds and texts.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Source {
    /// The URL of the folder that the runbooks are in.
    pub runbooks: String,
    /// Numbers, by name.
    pub thresholds: BTreeMap<String, Threshold>,
    /// Snippets of expressions and texts, by name.
    pub words: BTreeMap<String, String>,
    /// Rules that are evaluated together, in order.
    #[serde(rename = "group")]
    pub groups: Vec<Group>,
}

/// A number that users may change, and its bounds.
#[derive(Clone, Copy, PartialEq, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Threshold {
    /// The threshold, in `unit`.
    pub value: f64,
    /// The unit of all three numbers.
    pub unit: Unit,
    /// The smallest sensible value.
    pub least: f64,
    /// The largest sensible value.
    pub most: f64,
}

/// The unit of a threshold. Some are scaled with time.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Unit {
    /// A share, 0 to 1.
    Ratio,
    /// °C.
    Celsius,
    /// W.
    Watts,
    /// Bytes.
    Bytes,
    /// A number of things.
    Count,
    /// Seconds, divided by the time scale.
    Seconds,
    /// Seconds, not scaled.
    ClockSeconds,
    /// Events per second, multiplied by the time scale.
    PerSecond,
}

/// Rules that are evaluated together.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Group {
    /// The name of the group in Prometheus.
    pub name: String,
    /// The evaluation interval; if absent, that of Prometheus.
    pub interval: Option<String>,
    /// Recording rules.
    #[serde(default, rename = "record")]
    pub records: Vec<Record>,
    /// Alerts.
    #[serde(default, rename = "alert")]
    pub alerts: Vec<Alert>,
}

/// A recording rule.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Record {
    /// The name of the recorded family: `level:metric:operation`.
    pub name: String,
    /// The recorded expression, with placeholders.
    pub expr: String,
}

/// An alert.
#[derive(Clone, Deserialize, Debug)]
#[serde(deny_unknown_fields)]
pub struct Alert {
    /// Its name, also that of its runbook.
    pub name: String,
    /// Who has to act.
    pub severity: Severity,
    /// How long the expression has to be true; if absent, the alert fires at once.
    #[serde(rename = "for")]
    pub hold: Option<String>,
    /// The expression on which it fires, with placeholders.
    pub expr: String,
    /// The fault, if other alerts follow from this one.
    pub cause: Option<String>,
    /// What it needs besides rows of a counters file, in Markdown.
    pub needs: Option<String>,
    /// One line: what, where, how much.
    pub summary: String,
    /// The effect on jobs and what to do.
    pub description: String,
}

/// Who acts on an alert.
#[derive(Clone, Copy, PartialEq, Eq, Deserialize, Debug)]
#[serde(rename_all = "snake_case")]
pub enum Severity {
    /// The person on call, now.
    Critical,
    /// The team, on the next working day.
    Warning,
    /// No one: dashboards show it, and no message is sent.
    Info,
}

impl Severity {
    /// The value of the label.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Critical => "critical",
            Self::Warning => "warning",
            Self::Info => "info",
        }
    }
}

impl Source {
    /// Reads a source and checks it.
    ///
    /// # Errors
    /// The key and the reason, if a value is out of bounds, a name occurs twice or an alert follows
    /// from a missing one.
    pub fn parse(text: &str) -> Result<Self> {
        let source: Self = toml::from_str(text).context("the source of the rules")?;
        for (name, threshold) in &source.thresholds {
            threshold.check().with_context(|| format!("threshold `{name}`"))?;
        }
        for group in &source.groups {
            group.check().with_context(|| format!("group `{}`", group.name))?;
            for record in &group.records {
                record.check().with_context(|| format!("recording rule `{}`", record.name))?;
            }
            for alert in &group.alerts {
                alert.check().with_context(|| format!("alert `{}`", alert.name))?;
            }
        }
        ensure!(
            ["https://", "http://", "file:///"]
                .iter()
                .any(|start| source.runbooks.starts_with(start)),
            "`runbooks` is not a URL: https://..., http://..., file:///..."
        );
        each_once(source.groups.iter().map(|group| &group.name))?;
        each_once(source.alerts().map(|alert| &alert.name))?;
        each_once(source.records().map(|record| &record.name))?;
        source.check_causes()?;
        for (name, word) in &source.words {
            ensure!(!word.contains("[["), "word `{name}` contains a placeholder");
        }
        if let Some(name) = source.words.keys().find(|name| source.thresholds.contains_key(*name)) {
            bail!("`{name}` is a threshold and a word");
        }
        Ok(source)
    }

    /// An alert that follows from another has to wait for it, and the other needs a `cause`.
    fn check_causes(&self) -> Result<()> {
        for alert in self.alerts() {
            let name = &alert.name;
            for cause in alert.causes() {
                let other = self.alerts().find(|other| other.name == cause);
                let other = other.with_context(|| format!("`{name}`: no alert `{cause}`"))?;
                ensure!(other.cause.is_some(), "alert `{cause}`: `{name}` needs its `cause`");
                ensure!(!other.causes().contains(&**name), "`{name}` and `{cause}`: a circle");
                let hold = alert.hold.as_deref().and_then(duration::parse);
                ensure!(
                    hold >= Some(LEAST_HOLD),
                    "alert `{name}`: with a cause, `for` is at least {}",
                    duration::write(LEAST_HOLD)
                );
            }
        }
        Ok(())
    }

    /// The same with one alert, those that it follows from, and the recording rules that they need.
    #[must_use]
    pub fn only(&self, alert: &str) -> Self {
        let mut kept = BTreeSet::from([alert]);
        loop {
            let alerts = self.alerts().filter(|alert| kept.contains(&*alert.name));
            let records = self.records().filter(|record| kept.contains(&*record.name));
            let causes = alerts.clone().flat_map(Alert::causes);
            let exprs: Vec<&str> = alerts
                .map(|alert| &*alert.expr)
                .chain(records.map(|record| &*record.expr))
                .collect();
            let is_needed = |record: &&Record| exprs.iter().any(|expr| expr.contains(&record.name));
            let needed = self.records().filter(is_needed).map(|record| &*record.name);
            let more: Vec<&str> = causes.chain(needed).collect();
            let before = kept.len();
            kept.extend(more);
            if kept.len() == before {
                break;
            }
        }
        let mut source = self.clone();
        for group in &mut source.groups {
            group.alerts.retain(|alert| kept.contains(&*alert.name));
            group.records.retain(|record| kept.contains(&*record.name));
        }
        source.groups.retain(|group| !group.alerts.is_empty() || !group.records.is_empty());
        source
    }

    /// Every recording rule, in order.
    pub fn records(&self) -> impl Iterator<Item = &Record> {
        self.groups.iter().flat_map(|group| &group.records)
    }

    /// Every alert, in order.
    pub fn alerts(&self) -> impl Iterator<Item = &Alert> + Clone {
        self.groups.iter().flat_map(|group| &group.alerts)
    }
}

impl Threshold {
    fn check(&self) -> Result<()> {
        let Self { value, unit, least, most } = *self;
        let sane = [value, least, most].iter().all(|number| number.is_finite()) && least < most;
        ensure!(
            sane,
            "{value}, from {least} to {most}: the bounds are not two finite numbers in order"
        );
        ensure!(
            (least..=most).contains(&value),
            "{value} is not between {least} and {most}{}",
            hint(unit, value)
        );
        if unit == Unit::Ratio {
            ensure!(least > 0.0 && most < 1.0, "a ratio has bounds between 0 and 1");
        }
        Ok(())
    }
}

/// The probable mistake.
fn hint(unit: Unit, value: f64) -> String {
    match unit {
        Unit::Ratio if value > 1.0 && value <= 100.0 => {
            format!(": it is a ratio, not a percentage; {value} % is {}", value / 100.0)
        }
        Unit::Celsius if value > 130.0 => ": degrees Celsius".to_owned(),
        Unit::Seconds if value < 10.0 => ": it is in seconds".to_owned(),
        _ => String::new(),
    }
}

impl Group {
    fn check(&self) -> Result<()> {
        let title = self.name.strip_prefix("heatsink.").unwrap_or_default();
        let is_word = !title.is_empty() && title.chars().all(|c| c.is_ascii_lowercase());
        ensure!(is_word, "the name is not of the form heatsink.word");
        is_duration("interval", self.interval.as_deref())
    }
}

/// Checks an optional duration.
fn is_duration(what: &str, text: Option<&str>) -> Result<()> {
    let Some(text) = text else { return Ok(()) };
    let parsed = duration::parse(text).filter(|duration| !duration.is_zero());
    ensure!(parsed.is_some(), "`{what}` is not a duration: `{text}`; 5m is one");
    Ok(())
}

impl Record {
    fn check(&self) -> Result<()> {
        let parts: Vec<&str> = self.name.split(':').collect();
        ensure!(
            parts.len() == 3 && parts[1].starts_with("heatsink_"),
            "the name is not of the form level:heatsink_metric:operation"
        );
        Ok(())
    }
}

/// The least `for` of an alert with a cause: a few scrapes, and heatsink's slow readings.
const LEAST_HOLD: Duration = Duration::from_secs(60);

impl Alert {
    /// The alerts that this one follows from, as its expression names them.
    pub fn causes(&self) -> BTreeSet<&str> {
        let placeholders = self.expr.split("[[cause ").skip(1);
        let names = placeholders.filter_map(|tail| tail.split([']', ' ']).next());
        names.flat_map(|names| names.split('|')).collect()
    }

    fn check(&self) -> Result<()> {
        let is_name = self.name.chars().all(|c| c.is_ascii_alphanumeric());
        ensure!(is_name && !self.name.is_empty(), "a name has letters and digits only");
        is_duration("for", self.hold.as_deref())?;
        for (what, text) in [("summary", &self.summary), ("description", &self.description)] {
            ensure!(!text.trim().is_empty(), "the {what} is empty");
        }
        // A label whose value is a sentence may come last.
        let ends = self.description.ends_with('.') || self.description.ends_with("}}");
        ensure!(ends, "the description is not a sentence");
        Ok(())
    }
}

fn each_once<'a>(names: impl Iterator<Item = &'a String>) -> Result<()> {
    let mut seen = BTreeSet::new();
    for name in names {
        ensure!(seen.insert(name), "`{name}` is there twice");
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
        runbooks = "https://example.org"
        [thresholds]
        full = { value = 0.9, unit = "ratio", least = 0.5, most = 0.99 }
        [words]
        [[group]]
        name = "heatsink.g"
        [[group.alert]]
        name = "Full"
        severity = "warning"
        for = "5m"
        expr = "x > [[full]]"
        summary = "s"
        description = "d."
    "#;

    fn refused(from: &str, to: &str) -> String {
        assert!(GOOD.contains(from), "{from}");
        format!("{:#}", Source::parse(&GOOD.replace(from, to)).unwrap_err())
    }

    #[test]
    fn a_valid_source_is_parsed() {
        assert_eq!(Source::parse(GOOD).unwrap().alerts().count(), 1);
    }

    #[test]
    fn thresholds_out_of_bounds_are_refused_with_a_hint() {
        let error = refused("value = 0.9", "value = 90");
        assert!(error.contains("threshold `full`: 90 is not between 0.5 and 0.99"), "{error}");
        assert!(error.contains("90 % is 0.9"), "{error}");
        for value in ["0", "-1", "nan", "inf", "1.0"] {
            refused("value = 0.9", &format!("value = {value}"));
        }
        refused("value = 0.9", "value = \"0.9\"");
        refused("least = 0.5", "least = 5");
        refused("most = 0.99", "most = 2");
    }

    #[test]
    fn an_alert_waits_for_its_cause() {
        let follows = GOOD.to_owned()
            + r#"
        [[group.alert]]
        name = "Slow"
        severity = "warning"
        for = "1m"
        expr = "y unless [[cause Full within 1h]]"
        summary = "s"
        description = "d."
        "#;
        let named = follows.replace("for = \"5m\"", "for = \"5m\"\ncause = \"no memory\"");
        let source = Source::parse(&named).unwrap();
        let causes = |name: &str| {
            let found = source.alerts().find(|alert| alert.name == name);
            found.unwrap().causes().into_iter().collect::<Vec<_>>()
        };
        assert_eq!((causes("Slow"), causes("Full")), (vec!["Full"], vec![]));
        // An alert is kept together with its causes: `Full` is the cause of `Slow`.
        assert_eq!(source.only("Slow").alerts().count(), 2);
        assert_eq!(source.only("Full").alerts().count(), 1);

        let error = |text: &str| format!("{:#}", Source::parse(text).unwrap_err());
        assert!(error(&follows).contains("`Full`: `Slow` needs its `cause`"));
        assert!(error(&named.replace("for = \"1m\"", "for = \"59s\"")).contains("at least 1m"));
        assert!(error(&named.replace("cause Full", "cause Ful")).contains("no alert `Ful`"));
        let circle = named
            .replace("x > [[full]]", "x unless [[cause Slow]]")
            .replace("for = \"1m\"", "for = \"1m\"\ncause = \"slow\"");
        assert!(error(&circle).contains("a circle"), "{}", error(&circle));
    }

    #[test]
    fn other_mistakes_are_refused() {
        let error = refused("for = \"5m\"", "for = \"5\"");
        assert!(error.contains("alert `Full`: `for` is not a duration: `5`"), "{error}");
        refused("for = \"5m\"", "for = \"0s\"");
        refused("severity = \"warning\"", "severity = \"loud\"");
        refused("severity", "sevrity");
        refused("description = \"d.\"", "description = \"\"");
        refused("name = \"Full\"", "name = \"Full of it\"");
        refused("https://example.org", "docs");
        refused("https://example.org", "httpd/docs");
        refused("[words]", "[words]\nfull = \"x\"");
        refused("[words]", "[words]\nround = \"[[round]]\"");
        refused("\"heatsink.g\"", "\"heatsink.\"");
        refused("name = \"heatsink.g\"", "name = \"heatsink.g\"\ninterval = \"0s\"");
    }
}
