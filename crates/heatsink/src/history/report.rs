//! `heatsink report`: tells an incident, or what happened at a time.

mod selection;

use std::time::{Duration, SystemTime};

use anyhow::Result;
use history::incident::Incident;
use history::recording::{Damage, Recording};
use history::report::{Holds, Mention, Report, Scope, holds, json, local, local_range};
use history::time::{Range, Time};
use jiff::tz::TimeZone;

use self::selection::Selection;
use super::read;
use crate::cli::Args;
use crate::exit::{EXIT_OK, Exit, NothingToRead};
use crate::{flags, terminal};

/// How much is told before and after a time without an incident.
const AROUND: Duration = Duration::from_secs(300);

/// The most incidents of a job that are told one after the other.
const MOST_OF_JOB: usize = 3;

/// Prints a report.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let now = Time::of(SystemTime::now());
    let (selection, gpu) = (Selection::read(args, now)?, args.get(&flags::REPORT_GPU)?);
    let is_json = args.get(&flags::INCIDENT_JSON)?;
    let archive = read::open(args)?;
    let told = tell(&selection, gpu, &archive)?;
    let text = if is_json {
        let missing = &told.report.missing;
        read::note(&Damage {
            bytes: missing.damaged_bytes,
            rows: missing.damaged_rows,
            newer_files: missing.newer_files.clone(),
        });
        json(&told.report)?
    } else {
        let style = terminal::style();
        let reports = std::iter::once(&told.report).chain(&told.others);
        reports.map(|report| report.text(&style)).collect::<Vec<_>>().join("\n")
    };
    terminal::print(&text)?;
    Ok(Exit::with(EXIT_OK))
}

/// What is printed.
struct Told {
    report: Report,
    /// The incidents of a job, the newest first.
    others: Vec<Report>,
}

impl From<Report> for Told {
    fn from(report: Report) -> Self {
        Self { report, others: Vec::new() }
    }
}

/// What a recording has for a selection.
///
/// # Errors
///
/// One line: that there is nothing, and what there is instead.
fn tell(selection: &Selection, gpu: Option<u32>, recording: &dyn Recording) -> Result<Told> {
    let mut incidents = read::of(recording.incidents())?;
    if let Some(index) = gpu {
        incidents.retain(|incident| incident.gpus.iter().any(|gpu| gpu.index == Some(index)));
    }
    incidents.sort_by_key(|incident| (incident.began, incident.number));
    let of_incident = |incident: &Incident| read::of(Report::of_incident(incident, recording));
    match selection {
        Selection::Newest => match incidents.last() {
            Some(newest) => Ok(of_incident(newest)?.into()),
            None => no_incident(gpu, recording),
        },
        Selection::Number(number) => {
            match incidents.iter().find(|incident| incident.number == *number) {
                Some(incident) => Ok(of_incident(incident)?.into()),
                None => unknown(*number, &incidents, recording),
            }
        }
        Selection::At(at) => match at_time(&incidents, *at) {
            Some(incident) => Ok(of_incident(incident)?.into()),
            None => {
                let range = Range { from: at.before(AROUND), to: at.after(AROUND) };
                of_range(range, *at, gpu, &incidents, recording)
            }
        },
        Selection::Range { from, to } => {
            // A demo records faster than the clock.
            let last = read::of(recording.extent())?.map_or(*from, |extent| extent.to);
            let to = to.unwrap_or_else(|| last.max(*from));
            of_range(Range { from: *from, to }, to, gpu, &incidents, recording)
        }
        Selection::Job(name) => of_job(name, gpu, &incidents, recording),
    }
}

/// The incident that goes on at a time, else the nearest of those that have it in their window.
fn at_time(incidents: &[Incident], at: Time) -> Option<&Incident> {
    let near = incidents.iter().filter(|incident| incident.window.contains(at));
    near.min_by_key(|incident| distance(incident, at))
}

/// Milliseconds from an incident to a time.
fn distance(incident: &Incident, at: Time) -> u64 {
    let nearest = at.0.min(incident.last.0).max(incident.began.0);
    at.0.abs_diff(nearest)
}

fn of_range(
    range: Range,
    end: Time,
    gpu: Option<u32>,
    incidents: &[Incident],
    recording: &dyn Recording,
) -> Result<Told> {
    let inside: Vec<&Incident> = incidents
        .iter()
        .filter(|incident| range.overlaps(&Range { from: incident.began, to: incident.last }))
        .collect();
    let of = gpu.map(|index| format!(" of GPU {index}")).unwrap_or_default();
    let headline = match inside.len() {
        0 => format!("No incident{of}"),
        1 => format!("1 incident{of}"),
        count => format!("{count} incidents{of}"),
    };
    let incidents = inside.iter().map(|incident| Mention::of(incident)).collect();
    let scope = Scope { range, end, gpu, gpus: None, headline, incidents };
    let report = read::of(Report::of_range(scope.clone(), recording))?;
    if report.is_empty() && inside.is_empty() {
        return nothing_then(range, end, incidents_near(recording, end)?, recording);
    }
    let Some(index) = gpu.filter(|_| report.gpus.is_empty()) else { return Ok(report.into()) };
    let all = read::of(Report::of_range(Scope { gpu: None, ..scope }, recording))?;
    let there = history::report::gpus_of(&all.gpus).unwrap_or_else(|| "no GPU".to_owned());
    nothing(format!("GPU {index} was not recorded then; there is {there}"))
}

/// The incident that is nearest to a time.
fn incidents_near(recording: &dyn Recording, at: Time) -> Result<Option<Incident>> {
    let incidents = read::of(recording.incidents())?;
    Ok(incidents.into_iter().min_by_key(|incident| distance(incident, at)))
}

fn of_job(
    name: &str,
    gpu: Option<u32>,
    incidents: &[Incident],
    recording: &dyn Recording,
) -> Result<Told> {
    let (holder, range, mut gpus, goes_on) = match read::of(holds(recording, name))? {
        Holds::Found { name, range, gpus, goes_on } => (name, range, gpus, goes_on),
        Holds::NotFound(others) => {
            let extent = read::extent(read::of(recording.extent())?);
            let others = match others.as_slice() {
                [] => "it has no job and no pod".to_owned(),
                _ => format!("the newest jobs and pods in it: {}", others.join(", ")),
            };
            return nothing(format!(
                "no job or pod `{name}` had a GPU in this recording; {extent}; {others}"
            ));
        }
    };
    if let Some(index) = gpu {
        let all = history::report::gpus_of(&gpus).unwrap_or_else(|| "a GPU".to_owned());
        gpus.retain(|gpu| gpu.index == Some(index));
        if gpus.is_empty() {
            return nothing(format!("{holder} did not have GPU {index}; it had {all}"));
        }
    }
    // What ends a job is often seen just after it.
    let told = Range { from: range.from, to: range.to.after(Duration::from_secs(60)) };
    let inside: Vec<&Incident> = incidents
        .iter()
        .filter(|incident| {
            let is_near = told.overlaps(&Range { from: incident.began, to: incident.last });
            let of_gpus = || {
                let mut own = incident.gpus.iter();
                own.any(|own| gpus.iter().any(|gpu| gpu.is_same(own)))
            };
            is_near && (incident.gpus.is_empty() || gpus.is_empty() || of_gpus())
        })
        .collect();
    let of = history::report::gpus_of(&gpus).unwrap_or_else(|| "a GPU".to_owned());
    let has = if goes_on { "has" } else { "had" };
    let scope = Scope {
        range,
        end: range.to,
        gpu: None,
        gpus: Some(gpus),
        headline: format!("{holder} {has} {of}, and there {}", was(inside.len())),
        incidents: inside.iter().map(|incident| Mention::of(incident)).collect(),
    };
    let report = read::of(Report::of_range(scope, recording))?;
    let newest = inside.iter().rev().take(MOST_OF_JOB);
    let others = newest.map(|incident| Report::of_incident(incident, recording));
    Ok(Told { report, others: read::of(others.collect())? })
}

/// How many incidents there were, with the verb.
fn was(incidents: usize) -> String {
    match incidents {
        0 => "was no incident".to_owned(),
        1 => "was 1 incident".to_owned(),
        count => format!("were {count} incidents"),
    }
}

fn nothing<T>(line: String) -> Result<T> {
    Err(NothingToRead(line).into())
}

fn no_incident(gpu: Option<u32>, recording: &dyn Recording) -> Result<Told> {
    let of = gpu.map(|index| format!(" of GPU {index}")).unwrap_or_default();
    let extent = read::extent(read::of(recording.extent())?);
    nothing(format!(
        "no incident{of} was recorded; {extent}; `heatsink report --from -1h` tells what happened"
    ))
}

fn unknown(number: u64, incidents: &[Incident], recording: &dyn Recording) -> Result<Told> {
    let mut numbers: Vec<u64> = incidents.iter().map(|incident| incident.number).collect();
    numbers.sort_unstable();
    match numbers.as_slice() {
        [] => no_incident(None, recording),
        [only] => nothing(format!("there is no incident {number}; the only one is {only}")),
        [first, .., last] => nothing(format!(
            "there is no incident {number}; there are {} from {first} to {last}; `heatsink \
             incidents` lists them",
            numbers.len()
        )),
    }
}

fn nothing_then(
    range: Range,
    end: Time,
    nearest: Option<Incident>,
    recording: &dyn Recording,
) -> Result<Told> {
    let zone = TimeZone::system();
    let extent = read::extent(read::of(recording.extent())?);
    let when = match range.to == end {
        true => local_range(range, &zone),
        false => local(end, &zone),
    };
    let nearest = nearest.map(|incident| {
        let began = local(incident.began, &zone);
        format!("; the nearest incident is {}, at {began}", incident.number)
    });
    let nearest = nearest.unwrap_or_default();
    nothing(format!("nothing was recorded at {when}; {extent}{nearest}"))
}

#[cfg(test)]
mod tests;
