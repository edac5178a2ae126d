//! Pages of the book that are made from the rules.

use std::fmt::Write as _;

use anyhow::Result;

use crate::expand::{Expander, Names};
use crate::rows;
use crate::source::{Alert, Source};

const INTRODUCTION: &str = "\
# Alerts

Every alert of heatsink's rules, with what it says and its runbook. They are tested: each fires, does
not fire just below, and does what is meant when its series end.

The severity says who acts:

- **critical**: the person on call, now. A job has died or is about to, data is lost, or a GPU or
  a node has failed.
- **warning**: the team, on the next working day. A job is slow or at risk, or a GPU needs service.
- **info**: no one. Prometheus and the dashboards show it, and no message is sent.

Some need rows that are not in the default counters file: start heatsink with
`--extra-collectors monitoring` for those, or they can never fire. How to install the rules, what to
turn and how to test a change: [monitoring](../monitoring/README.md).
";

const CAUSES: &str = "
## One cause, one alert

One fault shows in many metrics, and only one alert is sent. While the alert in the middle fires, and
ten minutes longer (some longer, see [the rules](../monitoring/rules/rules.toml)), those on the right do
not fire for the same GPU, or for the same node where they follow from a fault of another GPU. That is
part of the rules, so it works with any Alertmanager.

Of XIDs, those of memory errors follow from GpuEccUncorrectable and GpuRowRemapFailed, and those of
NVLink from NvswitchSxidCritical. Two faults have a second alert when they get worse: after
GpuTemperatureHigh (warning) comes GpuHardwareSlowdown (critical) when the clocks are halved, and after
GpuEccCorrectableRate (warning) comes GpuEccUncorrectable (critical) when data is lost. XIDs that need
nothing, such as 63, have no alert.

| what is wrong | alert | do not fire then |
|---|---|---|
";

/// The table of causes, and the tables of all alerts.
pub fn alerts(source: &Source) -> Result<String> {
    let expander = Expander { source, names: Names::V4_8, time_scale: 1.0 };
    let mut page = INTRODUCTION.to_owned() + CAUSES;
    for alert in source.alerts() {
        let Some(cause) = &alert.cause else { continue };
        let following = source.alerts().filter(|other| other.causes().contains(&*alert.name));
        let following: Vec<_> = following.map(|alert| link(&alert.name)).collect();
        let (name, following) = (link(&alert.name), following.join(", "));
        // Writing to a string cannot fail.
        let _ = writeln!(page, "| {cause} | {name} | {following} |");
    }
    for group in source.groups.iter().filter(|group| !group.alerts.is_empty()) {
        let title = group.name.trim_start_matches("heatsink.");
        let _ = writeln!(page, "\n## {}\n", capitalised(title));
        page += "| alert | severity | after | what it means | needs |\n|---|---|---|---|---|\n";
        for alert in &group.alerts {
            page += &row(source, alert, &expander.text(&alert.description)?)?;
        }
    }
    Ok(page)
}

fn capitalised(word: &str) -> String {
    let mut letters = word.chars();
    letters.next().map_or_else(String::new, |first| first.to_uppercase().chain(letters).collect())
}

fn link(alert: &str) -> String {
    format!("[{alert}](runbooks/{alert}.md)")
}

fn row(source: &Source, alert: &Alert, description: &str) -> Result<String> {
    let Alert { name, severity, hold, .. } = alert;
    let rows = rows::needs_extra(source, alert)?.then_some("`--extra-collectors monitoring`");
    let needs: Vec<&str> = rows.into_iter().chain(alert.needs.as_deref()).collect();
    let needs = needs.join(", ");
    let hold = hold.as_deref().unwrap_or("at once");
    let description = description.replace("{{ $labels.action }}", "The alert says what to do.");
    Ok(format!("| {} | {} | {hold} | {description} | {needs} |\n", link(name), severity.as_str()))
}
