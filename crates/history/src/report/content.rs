//! What there is to tell, as data.

use std::time::Duration;

use serde::Serialize;

use super::chart::{Chart, Others};
use super::holds::Hold;
use super::interest;
use super::names::gpus_of;
use super::reading::{Reading, read, read_range};
use super::story::{self, Entry};
use crate::event::{Event, HolderInfo, What};
use crate::incident::{Incident, Verdict};
use crate::layout::{GpuInfo, HostInfo};
use crate::recording::{Damage, ReadError, Recording};
use crate::sign::{Sign, SignKind};
use crate::time::{Range, Time};

/// What there is to tell of an incident, or of a range of time. All times are milliseconds since 1970.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Report {
    /// The verdict in a short sentence, with GPUs and XID, without the time.
    pub headline: String,
    /// Whether nothing here was measured.
    pub is_simulated: bool,
    /// The number of the incident; `None` of a range.
    pub incident: Option<u64>,
    /// The kind of the incident's first trigger.
    pub kind: Option<SignKind>,
    /// Whether nothing joins the incident any more; `None` of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_closed: Option<bool>,
    /// From the first to the last trigger; of a range, the whole range.
    pub fault: Range,
    /// The time that the charts show.
    pub range: Range,
    /// The time from which `relative_ms` of the story counts.
    pub end: Time,
    /// The time that the headline is about; `None` of a range.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub moment: Option<Time>,
    /// When triggers were seen.
    pub triggers: Vec<Time>,
    /// The machine and the programs.
    pub host: HostInfo,
    /// The GPUs that it is about.
    pub gpus: Vec<GpuInfo>,
    /// Who had these GPUs.
    pub holders: Vec<Held>,
    /// The most likely cause; `None` of a range.
    pub verdict: Option<Verdict>,
    /// What happened, in order, with what repeats folded.
    pub story: Vec<Entry>,
    /// The signs, each as it was found.
    pub signs: Vec<Sign>,
    /// The events, each as it was recorded.
    pub events: Vec<Event>,
    /// The signals that matter for the verdict.
    pub charts: Vec<Chart>,
    /// How many rows were read.
    pub rows: u64,
    /// The incidents of a range.
    pub incidents: Vec<Mention>,
    /// What was not recorded, or cannot be read.
    pub missing: Missing,
}

/// An incident in the report of a range.
#[derive(Clone, PartialEq, Debug, Serialize)]
pub struct Mention {
    /// Its number.
    pub number: u64,
    /// The kind of its first trigger.
    pub kind: SignKind,
    /// When its first trigger was seen.
    pub began: Time,
    /// Its verdict in one line.
    pub headline: String,
    /// The time that the headline is about.
    pub moment: Time,
}

impl Mention {
    /// A line about an incident.
    pub fn of(incident: &Incident) -> Self {
        let Incident { number, kind, began, .. } = *incident;
        Self { number, kind, began, headline: headline(incident), moment: moment(incident) }
    }
}

/// A holder and its GPUs.
#[derive(Clone, PartialEq, Eq, Debug, Serialize)]
pub struct Held {
    /// Who.
    pub holder: HolderInfo,
    /// Positions in [`Report::gpus`].
    pub gpus: Vec<usize>,
}

/// What a report lacks.
#[derive(Clone, PartialEq, Eq, Default, Debug, Serialize)]
pub struct Missing {
    /// The longest times of the range without a row.
    pub gaps: Vec<Range>,
    /// Bytes that could not be read.
    pub damaged_bytes: u64,
    /// Rows that were lost with them, as far as that is known.
    pub damaged_rows: u64,
    /// Files of a later version of heatsink.
    pub newer_files: Vec<String>,
    /// Events beyond the most that an incident or a report has.
    pub events_left_out: u64,
}

/// What a report of a range is about.
#[derive(Clone, PartialEq, Debug)]
pub struct Scope {
    /// The time that is told.
    pub range: Range,
    /// The time from which distances count: a time of interest, or the end of the range.
    pub end: Time,
    /// Only the GPU with this index.
    pub gpu: Option<u32>,
    /// Only what happened on the GPUs of a job or a pod while it had them.
    pub holds: Option<Vec<Hold>>,
    /// The first line, without the time.
    pub headline: String,
    /// The incidents of this time.
    pub incidents: Vec<Mention>,
}

impl Report {
    /// What there is to tell of an incident.
    ///
    /// # Errors
    ///
    /// If the recording cannot be read.
    pub fn of_incident(incident: &Incident, recording: &dyn Recording) -> Result<Self, ReadError> {
        let range = drawn_range(incident, recording.extent()?);
        let signals = interest::signals(&incident.verdict.name, incident.kind);
        let Reading { charts, coverage, damage, .. } =
            read(recording, range, signals, &incident.gpus, Others::None)?;
        // An incident whose rows are gone is told without charts; all of them are missing.
        let missing = Missing::of(coverage.gaps(range), damage, incident.events_left_out);
        let triggers = incident.signs.iter().filter(|sign| sign.is_trigger);
        Ok(Self {
            headline: headline(incident),
            is_simulated: incident.host.is_simulated(),
            incident: Some(incident.number),
            kind: Some(incident.kind),
            is_closed: Some(incident.is_closed),
            fault: Range { from: incident.began, to: incident.last.max(incident.began) },
            range,
            end: incident.last,
            moment: Some(moment(incident)),
            triggers: triggers.map(|sign| sign.from).collect(),
            host: incident.host.clone(),
            gpus: incident.gpus.clone(),
            holders: held(incident.holders.iter().cloned()),
            verdict: Some(incident.verdict.clone()),
            story: story::tell(&incident.events, &incident.signs, incident.last),
            signs: incident.signs.clone(),
            events: incident.events.clone(),
            charts,
            rows: coverage.rows,
            incidents: Vec::new(),
            missing,
        })
    }

    /// What there is to tell of a range of time.
    ///
    /// # Errors
    ///
    /// If the recording cannot be read.
    pub fn of_range(scope: Scope, recording: &dyn Recording) -> Result<Self, ReadError> {
        let Scope { range, end, gpu, holds, headline, incidents } = scope;
        let others = match (&holds, gpu) {
            (Some(_), _) => Others::None,
            (None, Some(index)) => Others::Index(index),
            (None, None) => Others::All,
        };
        let holds = holds.unwrap_or_default();
        let named = Hold::gpus(&holds);
        let reading = read_range(recording, range, interest::signals_of_range(), &named, others)?;
        let Reading {
            charts,
            gpus,
            host,
            holding,
            mut events,
            left_out,
            mut signs,
            coverage,
            damage,
        } = reading;
        let is_of = |gpu: Option<&GpuInfo>| {
            gpu.is_none_or(|gpu| gpus.iter().any(|known| known.is_same(gpu)))
        };
        if others != Others::All {
            events.retain(|event| is_of(event.gpu.as_ref()));
            signs.retain(|sign| is_of(sign.gpu.as_ref()));
        }
        if !holds.is_empty() {
            let is_held = |gpu: &Option<GpuInfo>, from, to| {
                gpu.as_ref().is_none_or(|gpu| Hold::has(&holds, gpu, Range { from, to }))
            };
            events.retain(|event| is_held(&event.gpu, event.time, event.time));
            signs.retain(|sign| is_held(&sign.gpu, sign.from, sign.to.unwrap_or(range.to)));
        }
        let holders =
            holding.iter().chain(&events).filter_map(|event| match (&event.what, &event.gpu) {
                (
                    What::HolderBegan { holder }
                    | What::HolderGoesOn { holder }
                    | What::HolderEnded { holder },
                    Some(gpu),
                ) => {
                    let position = gpus.iter().position(|known| known.is_same(gpu))?;
                    Some((position, holder.clone()))
                }
                _ => None,
            });
        let holders = held(holders);
        let triggers = signs.iter().filter(|sign| sign.is_trigger).map(|sign| sign.from);
        Ok(Self {
            headline,
            is_simulated: host.is_simulated(),
            incident: None,
            kind: None,
            is_closed: None,
            fault: range,
            range,
            end,
            moment: None,
            triggers: triggers.collect(),
            host,
            gpus,
            holders,
            verdict: None,
            story: story::tell(&events, &signs, end),
            signs,
            events,
            charts,
            rows: coverage.rows,
            incidents,
            missing: Missing::of(coverage.gaps(range), damage, left_out),
        })
    }

    /// Whether nothing was recorded: no row and no event.
    pub fn is_empty(&self) -> bool {
        self.rows == 0 && self.events.is_empty()
    }
}

impl Missing {
    fn of(gaps: Vec<Range>, damage: Damage, events_left_out: u64) -> Self {
        let Damage { bytes, rows, newer_files } = damage;
        Self { gaps, damaged_bytes: bytes, damaged_rows: rows, newer_files, events_left_out }
    }
}

/// What goes on for long before an incident and explains it.
const DRAWN: [SignKind; 3] =
    [SignKind::HeatSlowdown, SignKind::PowerBrake, SignKind::HostMemoryPressure];
/// Charts show at most as much before the first trigger, and after the last one: the window of a machine that was off
/// for days is as long.
const BEFORE: Duration = Duration::from_secs(3 * 3600);
const AFTER: Duration = Duration::from_secs(30 * 60);

/// What the charts of an incident show: its window and, if what explains it began earlier, the time from a minute
/// before that; no more than was recorded.
fn drawn_range(incident: &Incident, extent: Option<Range>) -> Range {
    let Incident { window, began, last, .. } = *incident;
    let is_drawn = |sign: &&Sign| {
        let is_its = |gpu: &GpuInfo| incident.gpus.iter().any(|own| own.is_same(gpu));
        sign.is_trigger || DRAWN.contains(&sign.kind) && sign.gpu.as_ref().is_none_or(is_its)
    };
    let first = incident.signs.iter().filter(is_drawn).map(|sign| sign.from).min();
    let before = first.unwrap_or(began).before(Duration::from_secs(60)).max(began.before(BEFORE));
    let mut range =
        Range { from: window.from.min(before), to: window.to.min(last.after(AFTER)).max(last) };
    if let Some(extent) = extent {
        range.from = range.from.max(extent.from.min(window.from));
        range.to = range.to.min(extent.to).max(last);
    }
    range
}

/// When what decided began. Earlier versions did not say: when the fault began; if a job stopped of it, when that did.
fn moment(incident: &Incident) -> Time {
    let triggers = || incident.signs.iter().filter(|sign| sign.is_trigger);
    let speaks_of_job = headline(incident).contains("job");
    let silent = triggers().filter(|sign| speaks_of_job && sign.kind == SignKind::JobSilent);
    let silent = || silent.map(|sign| sign.from).max();
    let first = || triggers().map(|sign| sign.from).min();
    incident.verdict.time.or_else(silent).or_else(first).unwrap_or(incident.began)
}

/// The first sentence of the cause, and what it does not name: the GPUs and the XID.
fn headline(incident: &Incident) -> String {
    let cause = incident.verdict.cause.trim_end().trim_end_matches('.');
    let cause = cause.split_once(". ").map_or(cause, |(first, _)| first);
    let gpus = gpus_of(&incident.gpus).filter(|_| !cause.contains("GPU"));
    let xid = xid(incident).filter(|_| !cause.contains("XID")).map(|code| format!("XID {code}"));
    let parts: Vec<String> = gpus.into_iter().chain(xid).collect();
    match parts.as_slice() {
        [] => cause.to_owned(),
        parts => format!("{cause} ({})", parts.join("; ")),
    }
}

/// The XID that decided. Earlier versions did not say: the first among the triggers that is a cause, as 45 follows
/// others.
fn xid(incident: &Incident) -> Option<u32> {
    let Verdict { xid, time: Some(_), .. } = incident.verdict else {
        let triggers = incident.signs.iter().filter(|sign| sign.is_trigger);
        let codes = || triggers.clone().filter_map(|sign| sign.xid);
        return codes().find(|code| *code != 45).or_else(|| codes().next());
    };
    xid
}

/// Each holder once, in order.
fn held(holders: impl Iterator<Item = (usize, HolderInfo)>) -> Vec<Held> {
    let mut all: Vec<Held> = Vec::new();
    for (gpu, holder) in holders {
        match all.iter_mut().find(|held| held.holder == holder) {
            Some(held) if held.gpus.contains(&gpu) => {}
            Some(held) => held.gpus.push(gpu),
            None => all.push(Held { holder, gpus: vec![gpu] }),
        }
    }
    all
}
