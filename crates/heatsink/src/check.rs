//! `heatsink check`: whether data flows here, what can be read, and why not.
//!
//! - `report`: what was found; `place`: what it is of; `advice`: what to do about it.
//! - `summary`, `details`, `json`: how it is printed.

mod advice;
mod details;
mod json;
mod place;
mod report;
mod summary;

use std::io::{self, Write};
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context, Result};
use model::catalog::{FIELDS, Field};
use model::{Reason, Snapshot, Source, SourceView, Watch, Windows};
use sampler::Sampler;

use crate::cli::{self, CheckArgs};
use crate::{DONE, NO, Outcome, devices, origin};

use report::{Report, Row, Xids};

/// From one pass to the next: profiling averages need two that are apart.
const INTERVAL: Duration = Duration::from_millis(250);

/// How long GPUs are looked at: at the least, for what nothing says that it is still to come; while
/// something has no value yet; and while one does not answer.
const LEAST: Duration = Duration::from_secs(1);
const SETTLING: Duration = Duration::from_secs(4);
const PATIENCE: Duration = Duration::from_secs(8);

/// What else there is to see.
const MORE: &str = "`heatsink check --all` prints every reading, `heatsink check --json` all of this for \
                    programs.\n";

/// Reads for a moment as `serve` would, and prints what came. Nothing is logged: what there is to say
/// is in the report.
pub(crate) fn run(args: &CheckArgs) -> Result<Outcome> {
    let devices =
        devices::parse(&args.devices).map_err(anyhow::Error::msg).context("-d, --devices")?;
    let source = origin::source(&args.source, INTERVAL, false)?;
    let watches = watches(source.as_ref());
    let when_all_are_late = source.when_all_are_late();
    // Nothing is counted or averaged here.
    let (extents, count) = (Duration::ZERO, Duration::from_secs(1));
    let settings = sampler::Settings {
        gpus: devices::gpus(&devices),
        windows: Windows { extents, xids: count, clock_events: count },
        ..sampler::Settings::new(INTERVAL)
    };
    let xids = xids(args)?;
    let sampler =
        Sampler::start(source, watches, settings).context("cannot start the reader threads")?;
    let snapshot = settle(&sampler);
    let report = Report::of(&snapshot, xids, when_all_are_late);
    let mut text = match args.json {
        true => json::text(&report)?,
        false => summary::text(&report),
    };
    if !args.json && !report.readings.is_empty() {
        text.push('\n');
        text += &match args.all {
            true => details::text(&report),
            false => MORE.to_owned(),
        };
    }
    if args.timings && snapshot.source.name == "nvml" {
        text += &timings(args, &snapshot);
    }
    let status = if report.verdict.is_ok() { DONE } else { NO };
    let stuck = !sampler.stop(Duration::from_secs(1));
    if let Err(error) = io::stdout().lock().write_all(text.as_bytes())
        && error.kind() != io::ErrorKind::BrokenPipe
    {
        return Err(error.into());
    }
    Ok(Outcome { status, stuck })
}

/// A watch on every field that the source serves.
fn watches(source: &dyn Source) -> Arc<[Watch]> {
    let mut fields: Vec<&Field> = FIELDS.iter().filter(|field| source.serves(field.id)).collect();
    // One field has two names.
    fields.dedup_by_key(|field| field.id);
    fields
        .into_iter()
        .map(|field| Watch {
            field: field.id,
            name: field.name.into(),
            kind: field.kind,
            help: "".into(),
            pace: field.pace,
            cumulative: field.is_cumulative(),
        })
        .collect()
}

/// Waits until every GPU has shown what it has, or has had its time, or the source cannot be opened.
fn settle(sampler: &Sampler) -> Arc<Snapshot> {
    let began = Instant::now();
    while began.elapsed() < PATIENCE {
        thread::sleep(INTERVAL / 5);
        if began.elapsed() < LEAST {
            continue;
        }
        let snapshot = sampler.snapshot();
        let is_closed = |why: &String| why != SourceView::BEING_OPENED;
        if snapshot.source.up.as_ref().is_err_and(is_closed) {
            return snapshot;
        }
        let gpus = &snapshot.gpus;
        let are_all_up = !gpus.is_empty() && gpus.iter().all(|view| view.up.is_ok());
        let is_shown = |row: &Row| *row.reading != Err(Reason::NoData);
        if are_all_up
            && (began.elapsed() > SETTLING || report::readings(&snapshot).iter().all(is_shown))
        {
            return snapshot;
        }
    }
    sampler.snapshot()
}

/// Where XIDs come from here.
fn xids(args: &CheckArgs) -> Result<Xids> {
    Ok(match origin::kernel_log(&args.source, &args.kernel_log)? {
        Some(log) => match log.probe() {
            Ok(name) => Xids::Log(name),
            Err(why) => Xids::Source(Some(why.to_string())),
        },
        None => Xids::Source(None),
    })
}

/// How long each driver call takes on the first GPU that answers.
fn timings(args: &CheckArgs, snapshot: &Snapshot) -> String {
    let mut answering = snapshot.gpus.iter().filter(|view| view.up.is_ok());
    let Some(index) = answering.find_map(|view| view.gpu.index) else {
        return "\nNo GPU to time driver calls on.\n".to_owned();
    };
    match nvml::time_calls(cli::path(&args.source.nvml_library), index) {
        Err(error) => format!("\nDriver calls cannot be timed: {error}\n"),
        Ok(timings) => {
            let widest = timings.iter().map(|timing| timing.call.len()).max().unwrap_or_default();
            let mut text = format!(
                "\nDriver calls on GPU {index}, microseconds:\n  {:widest$} {:>9} {:>9} {:>9}  {}\n",
                "CALL", "MIN", "MEDIAN", "MAX", "ANSWER"
            );
            for timing in timings {
                let [min, median, max] = timing.micros;
                let call = timing.call;
                text += &format!(
                    "  {call:widest$} {min:>9.1} {median:>9.1} {max:>9.1}  {}\n",
                    timing.answer
                );
            }
            text
        }
    }
}
