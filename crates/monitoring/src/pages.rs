//! Pages of the book that are made from the rules.

use std::fmt::Write as _;

use anyhow::Result;

use crate::expand::{Expander, Names};
use crate::files;
use crate::source::{Alert, Source};

const INTRODUCTION: &str = "\
# Alerts

Every alert of heatsink's rules, with what it says and its runbook. They are tested: each fires, does
not fire just below, and does what is meant when its series end.

- **critical** is for now: a job is dead or dying, or GPUs are not watched.
- **warning** is for this working day: a job is slow, or will be in trouble.
- **info** is sent to no one; Prometheus and the dashboards show it.

Some need rows that are not in the default counters file: start heatsink with
`--extra-collectors monitoring` for those, or they can never fire. How to install the rules, what to
turn and how to test a change: [monitoring](../monitoring/README.md).
";

/// The table of all alerts.
pub fn alerts(source: &Source) -> Result<String> {
    let expander = Expander { source, names: Names::V4_8, time_scale: 1.0 };
    let mut page = INTRODUCTION.to_owned();
    for group in source.groups.iter().filter(|group| !group.alerts.is_empty()) {
        let title = group.name.trim_start_matches("heatsink.");
        // Writing to a string cannot fail.
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

fn row(source: &Source, alert: &Alert, description: &str) -> Result<String> {
    let Alert { name, severity, hold, .. } = alert;
    let rows = files::needs_extra_rows(source, alert)?.then_some("`--extra-collectors monitoring`");
    let needs: Vec<&str> = rows.into_iter().chain(alert.needs.as_deref()).collect();
    let needs = needs.join(", ");
    let hold = hold.as_deref().unwrap_or("at once");
    let description = description.replace("{{ $labels.class }}", "that it names");
    Ok(format!(
        "| [{name}](runbooks/{name}.md) | {} | {hold} | {description} | {needs} |\n",
        severity.as_str()
    ))
}
