//! A report as text for a terminal or a mail.

use super::clock::{duration, local, local_range, relative, time_of_day};
use super::columns::{columns, pad_left};
use super::content::Report;
use super::names::{gpus_of, holder_name};
use super::page::{Page, Role};
use super::quantity::quantity;
use super::sparkline;
use super::story::Entry;
use super::style::Style;
use crate::incident::{Confidence, Verdict};
use crate::layout::GpuInfo;

/// The most entries of the story that are printed.
const MOST_ENTRIES: usize = 60;

/// The columns of the words before a text.
const LABEL: usize = 10;

impl Report {
    /// The report as text: lines that fit the terminal, without control characters but those of colours.
    pub fn text(&self, style: &Style) -> String {
        write(self, style)
    }
}

fn write(report: &Report, style: &Style) -> String {
    let mut page = Page::new(style);
    page.wrapped(Role::Strong, &[], 0, &title(report, style));
    page.wrapped(Role::Plain, &[], 0, &date(report, style));
    if report.is_simulated {
        page.wrapped(Role::Notice, &[], 0, "SIMULATED: nothing in this report was measured.");
    }
    who(&mut page, report);
    incidents(&mut page, report, style);
    story(&mut page, report, style);
    sparkline::charts(&mut page, report);
    if let Some(verdict) = &report.verdict {
        actions(&mut page, verdict);
        confidence(&mut page, verdict);
    }
    missing(&mut page, report, style);
    page.into_text()
}

/// The first line: the cause, and the time of day, which is that of the whole sentence.
fn title(report: &Report, style: &Style) -> String {
    match report.moment {
        Some(moment) => {
            format!("{}, at {}.", report.headline, time_of_day(moment, &style.time_zone))
        }
        None => format!("{}.", report.headline),
    }
}

/// The second line: from when to when.
fn date(report: &Report, style: &Style) -> String {
    let (zone, fault) = (&style.time_zone, report.fault);
    match (is_long(report, style), report.incident) {
        (false, _) => local(fault.from, zone),
        (true, None) => local_range(fault, zone),
        (true, Some(_)) => {
            format!("{}, from the first trigger to the last", local_range(fault, zone))
        }
    }
}

/// Whether the first and the last trigger are told with different times.
fn is_long(report: &Report, style: &Style) -> bool {
    let shown = |time| local(time, &style.time_zone);
    shown(report.fault.from) != shown(report.fault.to)
}

fn labelled(page: &mut Page, label: &str, text: &str) {
    let width = columns(label).max(LABEL - 2) + 2;
    // An address of a GPU is too long for a label.
    if width > LABEL {
        page.wrapped(Role::Quiet, &[], 0, label);
        page.wrapped(Role::Plain, &[], LABEL, text);
    } else {
        page.wrapped(Role::Plain, &[(Role::Quiet, label)], LABEL, text);
    }
}

fn who(page: &mut Page, report: &Report) {
    page.heading("Who and where");
    if let Some(number) = report.incident {
        let state = if report.is_closed == Some(false) { ", still going on" } else { "" };
        labelled(page, "Incident", &format!("{number}{state}"));
    }
    let host = &report.host;
    let mut machine = vec![host.hostname.clone().unwrap_or_else(|| "no host name".to_owned())];
    machine.extend(host.driver_version.as_ref().map(|version| format!("driver {version}")));
    if !host.heatsink_version.is_empty() {
        machine.push(format!("heatsink {}", host.heatsink_version));
    }
    machine.push(match report.is_simulated {
        true => "SIMULATED GPUs".to_owned(),
        false => format!("read through {}", host.source),
    });
    if host.source.is_empty() {
        machine.pop();
    }
    labelled(page, "Machine", &machine.join(", "));
    let models: Vec<_> = report.gpus.iter().filter_map(|gpu| gpu.model_name.as_ref()).collect();
    let model = match models.as_slice() {
        [first, others @ ..]
            if models.len() == report.gpus.len()
                && !others.is_empty()
                && others.iter().all(|other| other == first) =>
        {
            Some(*first)
        }
        _ => None,
    };
    if let (Some(model), Some(gpus)) = (model, gpus_of(&report.gpus)) {
        labelled(page, "GPUs", &format!("{gpus}: {model}"));
    }
    for gpu in &report.gpus {
        labelled(page, &gpu.name(), &identity(gpu, model.is_none()));
    }
    for (index, held) in report.holders.iter().enumerate() {
        let gpus: Vec<GpuInfo> =
            held.gpus.iter().filter_map(|position| report.gpus.get(*position)).cloned().collect();
        let gpus = gpus_of(&gpus).map(|gpus| format!(" ({gpus})")).unwrap_or_default();
        let label = if index == 0 { "Held by" } else { "" };
        labelled(page, label, &format!("{}{gpus}", holder_name(&held.holder)));
    }
}

fn incidents(page: &mut Page, report: &Report, style: &Style) {
    if report.incidents.is_empty() {
        return;
    }
    page.heading("Incidents; `heatsink report NUMBER` tells one");
    for incident in &report.incidents {
        let number = format!("{:>5}  ", incident.number);
        let text = format!("{}, {}", incident.headline, local(incident.moment, &style.time_zone));
        page.wrapped(Role::Plain, &[(Role::Strong, &number)], 7, &text);
    }
}

fn identity(gpu: &GpuInfo, with_model: bool) -> String {
    let parts = [
        gpu.model_name.clone().filter(|_| with_model),
        gpu.serial.as_ref().map(|serial| format!("serial {serial}")),
        gpu.uuid.clone(),
        gpu.pci_bus_id.clone(),
    ];
    let parts: Vec<String> = parts.into_iter().flatten().collect();
    if parts.is_empty() { "nothing else is known of it".to_owned() } else { parts.join(", ") }
}

fn story(page: &mut Page, report: &Report, style: &Style) {
    let end = local(report.end, &style.time_zone);
    let is_of_last = report.incident.is_some() && is_long(report, style);
    let of_last = if is_of_last { "the last trigger, " } else { "" };
    page.heading(&format!("What happened; 0:00 is {of_last}{end}"));
    if report.story.is_empty() {
        page.wrapped(Role::Plain, &[], 2, "Nothing: no event, and no sign of a fault.");
        return;
    }
    let shown = shown(&report.story);
    let times: Vec<String> = shown.iter().map(|entry| relative(entry.time, report.end)).collect();
    let width = times.iter().map(|time| columns(time)).max().unwrap_or_default();
    let mut is_first_trigger = true;
    for (entry, time) in shown.iter().zip(&times) {
        let time = format!("  {}", pad_left(time, width));
        let (mark, role) = match entry.is_trigger {
            true => (" ▲ ", Role::Strong),
            false => ("   ", Role::Plain),
        };
        let lasted = entry.last.0.saturating_sub(entry.time.0);
        let text = match lasted {
            ..1000 => entry.text.clone(),
            _ => format!("{} (within {})", entry.text, duration(lasted)),
        };
        page.wrapped(role, &[(Role::Quiet, &time), (Role::Fault, mark)], width + 5, &text);
        if entry.is_trigger
            && std::mem::take(&mut is_first_trigger)
            && let Some(line) = &entry.line
        {
            page.wrapped(Role::Quiet, &[], width + 5, line);
        }
    }
    let left_out = report.story.len() - shown.len();
    if left_out > 0 {
        let text = format!("{left_out} more, which --json has");
        page.wrapped(Role::Quiet, &[], width + 5, &text);
    }
}

/// The entries to print: triggers, then what is no detail, then what is nearest to the end.
fn shown(story: &[Entry]) -> Vec<&Entry> {
    let mut order: Vec<usize> = (0..story.len()).collect();
    let rank = |index: &usize| {
        story
            .get(*index)
            .map(|entry| (!entry.is_trigger, entry.is_detail(), entry.relative_ms.unsigned_abs()))
    };
    order.sort_by_key(rank);
    order.truncate(MOST_ENTRIES);
    order.sort_unstable();
    order.iter().filter_map(|index| story.get(*index)).collect()
}

fn actions(page: &mut Page, verdict: &Verdict) {
    if verdict.actions.is_empty() && verdict.runbook.is_none() {
        return;
    }
    page.heading("What to do");
    for (index, action) in verdict.actions.iter().enumerate() {
        let number = format!("{:>3}. ", index + 1);
        page.wrapped(Role::Plain, &[(Role::Quiet, &number)], 5, action);
    }
    if let Some(runbook) = &verdict.runbook {
        page.wrapped(Role::Plain, &[], 5, &format!("Runbook: docs/runbooks/{runbook}.md"));
    }
}

fn confidence(page: &mut Page, verdict: &Verdict) {
    let sure = match verdict.confidence {
        Confidence::Certain => "certain: the hardware or the kernel said so",
        Confidence::Likely => "likely: other causes do not fit as well",
        Confidence::Possible => "possible: it fits, and so do other causes",
        Confidence::None => "not known: nothing that was recorded explains it",
    };
    page.heading(&format!("How sure: {sure}"));
    for evidence in &verdict.evidence {
        page.wrapped(Role::Plain, &[(Role::Quiet, "  - ")], 4, evidence);
    }
}

fn missing(page: &mut Page, report: &Report, style: &Style) {
    let missing = &report.missing;
    let mut lines = Vec::new();
    for gap in &missing.gaps {
        let length = duration(gap.to.0.saturating_sub(gap.from.0));
        let when = local_range(*gap, &style.time_zone);
        lines.push(format!("Nothing was recorded for {length}: {when}."));
    }
    if missing.damaged_bytes > 0 || missing.damaged_rows > 0 {
        let mib = missing.damaged_bytes as f64 / 1_048_576.0;
        let size = match missing.damaged_bytes {
            0..1_048_576 => format!("{} bytes", missing.damaged_bytes),
            _ => quantity(mib, "MiB"),
        };
        lines.push(format!(
            "{size} of the recording are damaged and were skipped; {} rows were lost with them, as \
             far as that is known.",
            missing.damaged_rows
        ));
    }
    for file in &missing.newer_files {
        lines.push(format!(
            "{file} was written by a later version of heatsink and was not read; use that version."
        ));
    }
    if missing.events_left_out > 0 {
        lines.push(format!("{} more events were recorded.", missing.events_left_out));
    }
    if lines.is_empty() {
        return;
    }
    page.heading("What is missing");
    for line in lines {
        page.wrapped(Role::Plain, &[(Role::Quiet, "  - ")], 4, &line);
    }
}
