//! Rule files as Prometheus reads them.

use std::collections::BTreeMap;

use anyhow::{Context as _, Result};
use serde::Serialize;

use crate::expand::{Expander, Names};
use crate::source::{Alert, Group, Record, Source};

/// Rules as Prometheus reads them.
#[derive(Clone, PartialEq, Serialize, Debug)]
pub struct RuleFile {
    groups: Vec<RuleGroup>,
}

#[derive(Clone, PartialEq, Serialize, Debug)]
struct RuleGroup {
    name: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    interval: Option<String>,
    rules: Vec<Rule>,
}

#[derive(Clone, PartialEq, Serialize, Debug)]
#[serde(untagged)]
enum Rule {
    Record {
        record: String,
        expr: String,
    },
    Alert {
        alert: String,
        expr: String,
        #[serde(rename = "for", skip_serializing_if = "Option::is_none")]
        hold: Option<String>,
        labels: BTreeMap<&'static str, String>,
        annotations: BTreeMap<&'static str, String>,
    },
}

impl RuleFile {
    /// The rules of `source`, for these names and this speed of time.
    pub fn new(source: &Source, names: Names, time_scale: f64) -> Result<Self> {
        let expander = Expander { source, names, time_scale };
        let groups = source.groups.iter().map(|group| group_of(group, &expander));
        Ok(Self { groups: groups.collect::<Result<_>>()? })
    }

    /// As Prometheus reads it, below a heading.
    pub fn to_yaml(&self, heading: &str) -> Result<String> {
        yaml(heading, self)
    }
}

/// Below a heading of comments.
pub(crate) fn yaml(heading: &str, content: &impl Serialize) -> Result<String> {
    let comments = heading.lines().map(|line| format!("# {line}\n")).collect::<String>();
    Ok(format!("{comments}{}", yaml_serde::to_string(content)?))
}

fn group_of(group: &Group, expander: &Expander<'_>) -> Result<RuleGroup> {
    let records = group.records.iter().map(|record| record_of(record, expander));
    let alerts = group.alerts.iter().map(|alert| alert_of(alert, expander));
    let interval = group.interval.as_deref().map(|interval| expander.duration(interval));
    Ok(RuleGroup {
        name: group.name.clone(),
        interval: interval.transpose()?,
        rules: records.chain(alerts).collect::<Result<_>>()?,
    })
}

fn record_of(record: &Record, expander: &Expander<'_>) -> Result<Rule> {
    let expr = expander.expr(&record.expr).with_context(|| record.name.clone())?;
    Ok(Rule::Record { record: record.name.clone(), expr })
}

fn alert_of(alert: &Alert, expander: &Expander<'_>) -> Result<Rule> {
    let context = || alert.name.clone();
    let hold = alert.hold.as_deref().map(|hold| expander.duration(hold)).transpose();
    let runbook = runbook(expander.source, alert);
    Ok(Rule::Alert {
        alert: alert.name.clone(),
        expr: expander.expr(&alert.expr).with_context(context)?,
        hold: hold.with_context(context)?,
        labels: [("severity", alert.severity.as_str().to_owned())].into(),
        annotations: [
            ("summary", expander.text(&alert.summary).with_context(context)?),
            ("description", expander.text(&alert.description).with_context(context)?),
            ("runbook_url", runbook),
        ]
        .into(),
    })
}

fn runbook(source: &Source, alert: &Alert) -> String {
    format!("{}/{}.md", source.runbooks.trim_end_matches('/'), alert.name)
}
