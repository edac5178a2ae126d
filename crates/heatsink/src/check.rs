//! `heatsink check`: whether data flows here, what can be read, and why not.
//!
//! - `report`: the readings, by device; `place`: the names of devices; `advice`: what to do.
//! - `summary`, `details`, `json`: the printed forms.

mod advice;
mod details;
mod json;
mod place;
mod report;
mod summary;

use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant, SystemTime};

use anyhow::{Context, Result};
use model::catalog::builtin::Set;
use model::catalog::{FIELDS, Field};
use model::{Moment, Reason, Snapshot, Source, SourceView, Watch, When, Windows};
use sampler::Sampler;
use web_config::WebConfig;

use crate::cli::Args;
use crate::exit::{EXIT_BROKEN, EXIT_OK, EXIT_UNHEALTHY, Exit};
use crate::flags::{
    CHECK_ALL, CHECK_DEVICES, CHECK_EXPECTED_GPUS, CHECK_HEALTH, CHECK_JSON, CHECK_TIMINGS,
    CHECK_WEB_CONFIG, NVML_LIBRARY,
};
use crate::overview::{Machine, Severity};
use crate::watches::{Extra, WatchConfig};
use crate::{devices, source};

use report::{Report, Row, Xids};

/// Time between two passes; averages of profiling fields need two passes.
const INTERVAL: Duration = Duration::from_millis(250);

/// Time to read at least.
const MIN_TIME: Duration = Duration::from_secs(1);

/// Time to wait for fields that have no value yet.
const FIELD_TIMEOUT: Duration = Duration::from_secs(4);

/// Time to wait for GPUs that do not answer.
const GPU_TIMEOUT: Duration = Duration::from_secs(8);

/// Printed instead of the details.
const HINT: &str =
    "`heatsink check --all` prints every reading, `heatsink check --json` the report as JSON.\n";

/// Reads for some seconds as `serve` does, and prints a report. Nothing is logged.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    if let Some(path) = args.get(&CHECK_WEB_CONFIG)? {
        return web_config(&path);
    }
    let devices = args.get(&CHECK_DEVICES)?;
    let is_json = args.get(&CHECK_JSON)?;
    let source = source::open(args, INTERVAL, false)?;
    let is_health = args.get(&CHECK_HEALTH)?;
    let when_all_are_late = source.when_all_are_late();
    // Nothing is counted or averaged here.
    let (extents, count) = (Duration::ZERO, Duration::from_secs(1));
    let windows = Windows { extents, xids: count, clock_events: count };
    let watches = if is_health { health_watches(windows)? } else { watches(source.as_ref()) };
    let settings = sampler::Settings {
        gpus: devices::gpus(&devices),
        windows,
        // A report names the log; whether XIDs are in it matters only to health.
        kernel_log: if is_health { source::kernel_log(args)? } else { None },
        ..sampler::Settings::new(INTERVAL)
    };
    let xids = xids(args)?;
    let sampler =
        Sampler::start(source, watches, settings).context("cannot start the reader threads")?;
    let snapshot = wait_for_readings(&sampler);
    if is_health {
        let (line, status) = health(&snapshot, args.get(&CHECK_EXPECTED_GPUS)?);
        let is_stuck = !sampler.stop(Duration::from_secs(1));
        print(&line)?;
        return Ok(Exit { status, is_stuck });
    }
    let report = Report::of(&snapshot, xids, when_all_are_late);
    let mut text = match is_json {
        true => json::text(&report)?,
        false => summary::text(&report),
    };
    if !is_json && !report.readings.is_empty() {
        text.push('\n');
        text += &match args.get(&CHECK_ALL)? {
            true => details::text(&report),
            false => HINT.to_owned(),
        };
    }
    if args.get(&CHECK_TIMINGS)? && snapshot.source.name == "nvml" {
        text += &timings(args, &snapshot)?;
    }
    let status = if report.verdict.is_ok() { EXIT_OK } else { EXIT_UNHEALTHY };
    let is_stuck = !sampler.stop(Duration::from_secs(1));
    print(&text)?;
    Ok(Exit { status, is_stuck })
}

fn print(text: &str) -> io::Result<()> {
    match io::stdout().lock().write_all(text.as_bytes()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Prints what a web configuration file turns on; no GPU is read.
fn web_config(path: &Path) -> Result<Exit> {
    let config = WebConfig::load(path).context(&CHECK_WEB_CONFIG)?;
    let lines = config.summary(SystemTime::now());
    print(&format!("{} is valid\n{}\n", path.display(), lines.join("\n")))?;
    Ok(Exit::with(EXIT_OK))
}

/// The state of the GPUs in one line, and the exit status for it.
fn health(snapshot: &Snapshot, expected_gpus: Option<u32>) -> (String, u8) {
    let now = When { time: SystemTime::now(), moment: Moment::now() };
    let machine = Machine::of(snapshot, expected_gpus, now);
    let status = match machine.worst {
        Severity::Healthy => EXIT_OK,
        Severity::Warning => EXIT_UNHEALTHY,
        Severity::Critical | Severity::Unknown => EXIT_BROKEN,
    };
    let why = snapshot.source.up.as_ref().err().map(|why| format!(" {why}")).unwrap_or_default();
    let line = format!("{}{why}", machine.sentence);
    (line.replace('\n', " ") + "\n", status)
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

/// What the conditions of GPUs are found in.
fn health_watches(windows: Windows) -> Result<Arc<[Watch]>> {
    let config = WatchConfig {
        counters: None,
        extra: Some(Extra::Builtin(Set::Monitoring)),
        generation: None,
        interval: INTERVAL,
        windows,
        groups: Arc::new([]),
        has_own_groups: true,
        known_files: Vec::new(),
        is_recorded: false,
    };
    Ok(config.read()?.watches)
}

/// Waits until every GPU answers and every field has a value, until the time is over, or until the
/// source cannot be opened.
fn wait_for_readings(sampler: &Sampler) -> Arc<Snapshot> {
    let began = Instant::now();
    while began.elapsed() < GPU_TIMEOUT {
        thread::sleep(INTERVAL / 5);
        if began.elapsed() < MIN_TIME {
            continue;
        }
        let snapshot = sampler.snapshot();
        let is_closed = |why: &String| why != SourceView::BEING_OPENED;
        if snapshot.source.up.as_ref().is_err_and(is_closed) {
            return snapshot;
        }
        let gpus = &snapshot.gpus;
        let are_all_up = !gpus.is_empty() && gpus.iter().all(|view| view.up.is_ok());
        let has_result = |row: &Row| *row.reading != Err(Reason::NoData);
        if are_all_up
            && (began.elapsed() > FIELD_TIMEOUT
                || report::readings(&snapshot).iter().all(has_result))
        {
            return snapshot;
        }
    }
    sampler.snapshot()
}

/// The source of XIDs on this machine.
fn xids(args: &Args) -> Result<Xids> {
    Ok(match source::kernel_log(args)? {
        Some(log) => match log.probe() {
            Ok(name) => Xids::Log(name),
            Err(why) => Xids::Source(Some(why.to_string())),
        },
        None => Xids::Source(None),
    })
}

/// How long each driver call takes on the first GPU that answers.
fn timings(args: &Args, snapshot: &Snapshot) -> Result<String> {
    let mut answering = snapshot.gpus.iter().filter(|view| view.up.is_ok());
    let Some(index) = answering.find_map(|view| view.gpu.index) else {
        return Ok("\nNo GPU to time driver calls on.\n".to_owned());
    };
    Ok(match nvml::time_calls(args.get(&NVML_LIBRARY)?.as_deref(), index) {
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
    })
}
