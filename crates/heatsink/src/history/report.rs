//! `heatsink report`: tells an incident, or what happened at a time.

mod selection;

use std::ops::ControlFlow;
use std::time::{Duration, SystemTime};

use anyhow::Result;
use history::incident::Incident;
use history::layout::GpuInfo;
use history::recording::{Damage, Item, Recording};
use history::report::{
    Hold, Holds, Mention, Report, Scope, gpus_of, holds, json, local, local_range,
};
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
    if !matches!(selection, Selection::Number(_)) {
        read::note_unread(&read::of(archive.unread_incidents())?);
    }
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
    let scope = Scope { range, end, gpu, holds: None, headline, incidents };
    let report = read::of(Report::of_range(scope.clone(), recording))?;
    if report.is_empty() && inside.is_empty() {
        return nothing_then(range, end, incidents_near(recording, end)?, recording);
    }
    let Some(index) = gpu.filter(|_| report.gpus.is_empty()) else { return Ok(report.into()) };
    let all = read::of(Report::of_range(Scope { gpu: None, ..scope }, recording))?;
    let there = gpus_of(&all.gpus).unwrap_or_else(|| "no GPU".to_owned());
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
    let mut job = match read::of(holds(recording, name))? {
        Holds::Found(job) => job,
        Holds::Several(pods) => {
            return nothing(format!(
                "pods of several namespaces are called `{name}`; name one of them: {}",
                pods.join(", ")
            ));
        }
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
        let all = names_of(&job.holds);
        job.holds.retain(|hold| hold.gpu.index == Some(index));
        if job.holds.is_empty() {
            return nothing(format!("{} did not have GPU {index}; it had {all}", job.name));
        }
    }
    let inside: Vec<&Incident> =
        incidents.iter().filter(|incident| job.concerns(incident)).collect();
    let of = names_of(&job.holds);
    let has = if job.goes_on { "has" } else { "had" };
    let scope = Scope {
        range: job.range,
        end: job.range.to,
        gpu: None,
        headline: format!("{} {has} {of}, and there {}", job.name, was(inside.len())),
        holds: Some(job.holds),
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

/// The GPUs of holds: `GPU 0-3`.
fn names_of(holds: &[Hold]) -> String {
    gpus_of(&Hold::gpus(holds)).unwrap_or_else(|| "a GPU".to_owned())
}

fn nothing<T>(line: String) -> Result<T> {
    Err(NothingToRead(line).into())
}

fn no_incident(gpu: Option<u32>, recording: &dyn Recording) -> Result<Told> {
    if let Some(index) = gpu
        && let Some(there) = other_gpus(index, recording)?
    {
        return nothing(format!("GPU {index} was not recorded; there is {there}"));
    }
    let of = gpu.map(|index| format!(" of GPU {index}")).unwrap_or_default();
    let extent = read::extent(read::of(recording.extent())?);
    nothing(format!(
        "no incident{of} was recorded; {extent}; with --from -1h the report tells what happened"
    ))
}

/// The GPUs of a recording, if none of them has this index.
fn other_gpus(index: u32, recording: &dyn Recording) -> Result<Option<String>> {
    let mut gpus: Vec<GpuInfo> = Vec::new();
    let mut is_there = false;
    let read = recording.read(Range::ALL, &mut |item| {
        let Item::Layout(layout) = item else { return ControlFlow::Continue(()) };
        for gpu in &layout.gpus {
            is_there |= gpu.index == Some(index);
            if !gpus.iter().any(|known| known.is_same(gpu)) {
                gpus.push(gpu.clone());
            }
        }
        if is_there { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    });
    read::of(read)?;
    Ok(gpus_of(&gpus).filter(|_| !is_there))
}

fn unknown(number: u64, incidents: &[Incident], recording: &dyn Recording) -> Result<Told> {
    let unread = read::of(recording.unread_incidents())?;
    let unread = unread.iter().find(|unread| unread.number() == number);
    let mut numbers: Vec<u64> = incidents.iter().map(|incident| incident.number).collect();
    numbers.sort_unstable();
    let (what, other) = match unread {
        Some(unread) => (unread.to_string(), "other "),
        None => (format!("there is no incident {number}"), ""),
    };
    match numbers.as_slice() {
        [] if unread.is_some() => nothing(what),
        [] => no_incident(None, recording),
        [only] => nothing(format!("{what}; the only {other}one is {only}")),
        [first, .., last] => nothing(format!(
            "{what}; there are {} from {first} to {last}; `heatsink incidents` lists them",
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
