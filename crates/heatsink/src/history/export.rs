//! `heatsink history export`: writes what was recorded for other programs.

mod counts;
mod csv;
mod each;
mod holders;
mod json_lines;
mod labels;
mod openmetrics;
mod page;
mod progress;
mod survey;
mod value;

#[cfg(test)]
pub(crate) mod made;

use std::io::{self, BufWriter, IsTerminal as _, Write};
use std::time::SystemTime;

use anyhow::{Context, Result, bail};
use history::recording::Recording;
use history::report::{local, local_range};
use history::time::{Range, Time};
use jiff::tz::TimeZone;
use model::catalog::Generation;

use self::page::PastPage;
use self::progress::Progress;
use self::survey::Survey;
use super::{read, when};
use crate::cli::Args;
use crate::exit::{EXIT_OK, EXIT_UNHEALTHY, Exit, NotWritten};
use crate::flags;
use crate::parse::ExportFormat;

/// Writes the recording to standard output.
pub(crate) fn run(args: &Args) -> Result<Exit> {
    let settings = Settings::read(args, Time::of(SystemTime::now()))?;
    if io::stdout().is_terminal() {
        bail!("an export is too long for a terminal; write it to a file: add `> FILE`");
    }
    let archive = read::open(args)?;
    let out = BufWriter::with_capacity(64 * 1024, io::stdout().lock());
    let mut stderr = io::stderr();
    match write(&archive, &settings, &mut Progress::on_terminal(&mut stderr), out) {
        Ok(Outcome::Written(survey)) => {
            read::note(&survey.damage);
            if survey.is_simulated {
                tell("note: these GPUs are simulated: nothing here was measured");
            }
            Ok(Exit::with(EXIT_OK))
        }
        Ok(Outcome::Nothing(why)) => {
            tell(&why);
            Ok(Exit::with(EXIT_UNHEALTHY))
        }
        // Of reading there are other errors.
        Err(error) => match error.downcast::<io::Error>() {
            Ok(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(Exit::with(EXIT_OK)),
            Ok(error) => Err(NotWritten(error).into()),
            Err(error) => Err(error),
        },
    }
}

/// Writes a line to standard error.
fn tell(line: &str) {
    // A failure to print leaves nothing to do about it.
    let _ = writeln!(io::stderr(), "heatsink: {line}");
}

/// What is exported, and how.
#[derive(Clone, Debug)]
struct Settings {
    format: ExportFormat,
    range: Range,
    /// Labels to add.
    labels: Vec<(String, String)>,
    names: Generation,
}

impl Settings {
    /// Reads the flags.
    ///
    /// # Errors
    ///
    /// The first mistake.
    fn read(args: &Args, now: Time) -> Result<Self> {
        if args.get(&flags::HISTORY_ACTION)?.is_empty() {
            bail!("say what to do with the history: `heatsink history export`");
        }
        let format = args.get(&flags::EXPORT_FORMAT)?;
        let names = args.get(&flags::EXPORT_METRIC_NAMES)?;
        let typed = args.get(&flags::EXPORT_LABELS)?;
        let labels = labels::parse(&typed, &page::names_of_label_rows(names))
            .with_context(|| args.place(&flags::EXPORT_LABELS.row))?;
        if format != ExportFormat::OpenMetrics {
            for row in [&flags::EXPORT_LABELS.row, &flags::EXPORT_METRIC_NAMES.row] {
                if args.asks_for(row) {
                    bail!("{row} is for --format openmetrics only");
                }
            }
        }
        let time = |flag: &'static crate::flag::Flag<Option<String>>, default| {
            let typed = args.get(flag)?;
            let time = typed.map(|text| when::parse(&text, now)).transpose();
            anyhow::Ok(time.with_context(|| args.place(&flag.row))?.unwrap_or(default))
        };
        let range = Range {
            from: time(&flags::FROM, Range::ALL.from)?,
            to: time(&flags::TO, Range::ALL.to)?,
        };
        if range.to < range.from {
            bail!("{} is before {}", flags::TO.row, flags::FROM.row);
        }
        Ok(Self { format, range, labels, names })
    }
}

/// How an export ended.
#[derive(Debug)]
enum Outcome {
    /// This was written.
    Written(Box<Survey>),
    /// There was nothing. Why, and what there is instead.
    Nothing(String),
}

/// Writes what was recorded in the range.
///
/// # Errors
///
/// If the recording cannot be read or the text not be written.
fn write(
    recording: &dyn Recording,
    settings: &Settings,
    progress: &mut Progress<'_>,
    mut out: impl Write,
) -> Result<Outcome> {
    let range = settings.range;
    let survey = Survey::of(recording, range)?;
    let has_events = settings.format == ExportFormat::JsonLines;
    if survey.rows == 0 && !(has_events && survey.events > 0) {
        return Ok(Outcome::Nothing(nothing(recording, range)?));
    }
    match settings.format {
        ExportFormat::OpenMetrics => {
            let labels = settings.labels.clone();
            let page = PastPage::new(&survey.signals, &survey.xid_codes, settings.names, labels);
            openmetrics::write(recording, range, &survey, &page, progress, &mut out)?;
        }
        ExportFormat::Csv => csv::write(recording, range, &survey, progress, &mut out)?,
        ExportFormat::JsonLines => {
            json_lines::write(recording, range, &survey, progress, &mut out)?;
        }
    }
    out.flush()?;
    Ok(Outcome::Written(Box::new(survey)))
}

/// The line that says that nothing was recorded in the range, and what was.
fn nothing(recording: &dyn Recording, range: Range) -> Result<String> {
    let zone = TimeZone::system();
    let asked = match (range.from > Range::ALL.from, range.to < Range::ALL.to) {
        (false, false) => String::new(),
        (true, false) => format!(" since {}", local(range.from, &zone)),
        (false, true) => format!(" until {}", local(range.to, &zone)),
        (true, true) => format!(" at {}", local_range(range, &zone)),
    };
    let extent = read::extent(read::of(recording.extent())?);
    Ok(format!("nothing was recorded{asked}; {extent}"))
}
