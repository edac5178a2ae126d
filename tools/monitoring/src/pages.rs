//! Documentation pages that are generated from the rules.

use std::fmt::Write as _;

use anyhow::Result;

use crate::expand::{Expander, Names};
use crate::rows;
use crate::source::{Alert, Source};

const INTRODUCTION: &str = "\
# Alerts

This page lists all alerts of heatsink's rules, with their description and runbook. Tests check that each alert fires,
does not fire just below its threshold, and behaves as documented when its series end.

Severities:

- **critical**: the person on call acts now. A job has died or is about to, data is lost, or a GPU or a node has failed.
- **warning**: the team acts on the next working day. A job is slow or at risk, or a GPU needs service.
- **info**: no action and no message. Prometheus and the dashboards show the alert.

Some alerts need rows that are not in the default set. Start heatsink with `--extra-collectors monitoring`, otherwise
they never fire. [Monitoring](../monitoring/README.md) describes how to install the rules, change thresholds and test
changes.
";

const HOLDERS: &str = "
## Pods and jobs

No alert uses labels of pods and jobs on the series of GPUs (`DCGM_*`), so all alerts are the same with
`--attribution labels` and `--attribution info`, and an alert about a fault of a GPU goes on when its pod or job ends
and another begins. Alerts about pods and jobs need these series, which exist only with `--kubernetes` or
`--hpc-job-mapping-dir`:

| series | number on a node | alerts |
|---|---|---|
| `heatsink_gpu_holder_info` | one for each container or job that has a GPU or a GPU instance | GpuAllocatedIdle, GpuMemoryHeldByNobody. GpuMemoryFull, GpuMemoryFillingUp and GpuBusyNotWorking name the pod or job, and fire without it, too |
| `heatsink_gpu_allocated` | one for each GPU | GpuMemoryHeldByNobody |
| `heatsink_attribution_up`, `heatsink_attribution_errors_total` | one for each refresher, one for each of its reasons | HeatsinkAttributionDown |

Eight GPUs with a job each are 8 series of `heatsink_gpu_holder_info`; eight GPUs that ten pods share are 80. The
recording rules add one series for each of them, and four for each GPU or GPU instance. The other
`heatsink_attribution_*` are in no rule: a scrape can drop them.
";

const CAUSES: &str = "
## One cause, one alert

One fault appears in many metrics, but sends only one alert. While the alert in the middle column fires, and for ten
minutes after (some longer, see [the rules](../monitoring/rules/rules.toml)), the alerts on the right do not fire for
the same GPU, or for the same node if they follow from a fault of another GPU. This is part of the rules, so it works
with any Alertmanager.

XIDs of memory errors follow from GpuEccUncorrectable and GpuRowRemapFailed, XIDs of NVLink from NvswitchSxidCritical.
Two faults have a second alert when they get worse: GpuTemperatureHigh (warning) is followed by GpuHardwareSlowdown
(critical) when the clocks are halved, and GpuEccCorrectableRate (warning) by GpuEccUncorrectable (critical) when data is
lost. XIDs that require no action, such as 63, have no alert.

| fault | alert | suppressed alerts |
|---|---|---|
";

/// The table of causes, and the tables of all alerts.
pub fn alerts(source: &Source) -> Result<String> {
    let expander = Expander { source, names: Names::V4_8, time_scale: 1.0 };
    let mut page = INTRODUCTION.to_owned() + HOLDERS + CAUSES;
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
        page += "| alert | severity | after | description | needs |\n|---|---|---|---|---|\n";
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
