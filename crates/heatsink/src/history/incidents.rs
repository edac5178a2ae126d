//! `heatsink incidents`: lists incidents.

use anyhow::Result;
use history::incident::{Confidence, Incident};
use history::layout::GpuInfo;
use history::recording::Recording as _;
use history::report::{Mention, clip, escape, gpus_of, json, local};
use history::sign::SignKind;
use history::time::Time;
use jiff::tz::TimeZone;
use serde::Serialize;

use super::read;
use crate::cli::Args;
use crate::exit::{EXIT_OK, Exit};
use crate::table::aligned;
use crate::{flags, terminal};

/// From so many columns on, all columns of the table are shown.
const WIDE: usize = 120;

/// With fewer columns, the verdict has a line of its own.
const NARROW: usize = 72;

/// An incident in the JSON of the list.
#[derive(Serialize)]
struct Listed<'a> {
    number: u64,
    kind: SignKind,
    /// Milliseconds since 1970.
    began: Time,
    last: Time,
    is_closed: bool,
    is_simulated: bool,
    hostname: Option<&'a str>,
    gpus: &'a [GpuInfo],
    holders: Vec<String>,
    /// The name of the verdict.
    verdict: &'a str,
    headline: String,
    confidence: Confidence,
    runbook: Option<&'a str>,
}

/// Prints the incidents, the newest first.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let archive = read::open(args)?;
    let mut incidents = read::of(archive.incidents())?;
    let unread = read::of(archive.unread_incidents())?;
    read::note_unread(&unread);
    incidents.sort_by_key(|incident| std::cmp::Reverse((incident.began, incident.number)));
    let text = if args.get(&flags::INCIDENT_JSON)? {
        json(&incidents.iter().map(listed).collect::<Vec<_>>())?
    } else if incidents.is_empty() {
        let extent = read::extent(read::of(archive.extent())?);
        let what = if unread.is_empty() { "was recorded" } else { "can be read" };
        format!("No incident {what}; {extent}.\n")
    } else {
        table(&incidents, &TimeZone::system(), terminal::width())
    };
    terminal::print(&text)?;
    Ok(Exit::with(EXIT_OK))
}

fn listed(incident: &Incident) -> Listed<'_> {
    let verdict = &incident.verdict;
    Listed {
        number: incident.number,
        kind: incident.kind,
        began: incident.began,
        last: incident.last,
        is_closed: incident.is_closed,
        is_simulated: incident.host.is_simulated(),
        hostname: incident.host.hostname.as_deref(),
        gpus: &incident.gpus,
        holders: holders(incident),
        verdict: &verdict.name,
        headline: Mention::of(incident).headline,
        confidence: verdict.confidence,
        runbook: verdict.runbook.as_deref(),
    }
}

/// The names of the holders, each once.
fn holders(incident: &Incident) -> Vec<String> {
    let mut names: Vec<String> = Vec::new();
    for (_, holder) in &incident.holders {
        let name = holder.name();
        if !names.contains(&name) {
            names.push(name);
        }
    }
    names
}

/// Lines that are at most `width` columns wide.
fn table(incidents: &[Incident], zone: &TimeZone, width: usize) -> String {
    let head = ["ID", "TIME", "KIND", "GPUS", "HOLDER", "VERDICT"].map(str::to_owned).to_vec();
    let rows = incidents.iter().map(|incident| {
        let holders = holders(incident);
        let holder = match holders.as_slice() {
            [] => "-".to_owned(),
            [one] => one.clone(),
            [first, others @ ..] => format!("{first} and {} more", others.len()),
        };
        let simulated = if incident.host.is_simulated() { "SIMULATED: " } else { "" };
        let cells = [
            incident.number.to_string(),
            local(incident.began, zone),
            incident.kind.as_str().to_owned(),
            gpus_of(&incident.gpus).unwrap_or_else(|| "-".to_owned()),
            holder,
            format!("{simulated}{}", Mention::of(incident).headline),
        ];
        cells.map(|cell| escape(&cell).into_owned()).to_vec()
    });
    let mut lines: Vec<Vec<String>> = std::iter::once(head).chain(rows).collect();
    if width < WIDE {
        // The verdict says what counts; KIND and HOLDER are in the report.
        for line in &mut lines {
            line.drain(4..5);
            line.drain(2..3);
        }
    }
    let mut verdicts = Vec::new();
    if width < NARROW {
        verdicts.extend(lines.iter_mut().filter_map(Vec::pop));
    }
    let mut verdicts = verdicts.into_iter();
    let mut text = String::new();
    for line in aligned(&lines).lines() {
        let below = verdicts.next().map(|verdict| format!("  {verdict}"));
        for line in std::iter::once(line).chain(below.as_deref()) {
            text += &(clip(line, width) + "\n");
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use history::incident::Verdict;
    use history::layout::HostInfo;
    use history::time::Range;

    use super::*;

    fn incident() -> Incident {
        let began = Time(1_796_004_764_300);
        Incident {
            events_left_out: 0,
            number: 4,
            kind: SignKind::Xid,
            began,
            last: began,
            window: Range { from: began, to: began },
            is_closed: true,
            host: HostInfo::default(),
            gpus: vec![GpuInfo { index: Some(7), ..GpuInfo::default() }],
            holders: Vec::new(),
            signs: Vec::new(),
            events: Vec::new(),
            verdict: Verdict {
                xid: None,
                time: None,
                name: "off_bus".to_owned(),
                cause: "The PCIe link of GPU 7 failed, and it fell off the bus.".to_owned(),
                evidence: Vec::new(),
                actions: Vec::new(),
                confidence: Confidence::Likely,
                runbook: None,
            },
        }
    }

    #[test]
    fn the_verdict_is_told_on_any_terminal() {
        let table = |width| table(&[incident()], &TimeZone::UTC, width);
        let narrow = "\
ID  TIME                     GPUS
  VERDICT
4   2026-11-30 02:12:44 UTC  GPU 7
  The PCIe link of GPU 7 failed, and it…
";
        assert_eq!(table(40), narrow);
        let usual = "\
ID  TIME                     GPUS   VERDICT
4   2026-11-30 02:12:44 UTC  GPU 7  The PCIe link of GPU 7 failed, and it fell …
";
        assert_eq!(table(80), usual);
        assert!(table(120).contains("KIND  GPUS   HOLDER  VERDICT"), "{}", table(120));
        for width in 0..200 {
            assert!(table(width).lines().all(|line| history::report::columns(line) <= width));
        }
    }
}
