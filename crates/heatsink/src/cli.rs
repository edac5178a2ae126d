//! The command line and the environment, as typed.
//!
//! clap accepts any text for a flag; a wrong one is an error where the setting is used. clap reads the
//! variables of `serve` before any command, and `heatsink fields` has to work despite a mistake in
//! them.

use std::borrow::Cow;
use std::ffi::{OsStr, OsString};
use std::sync::Arc;

use anyhow::{Context, Result};
use clap::builder::{OsStringValueParser, PossibleValue, PossibleValuesParser};
use clap::parser::ValueSource;
use clap::{Arg, ArgAction, ArgMatches};

use crate::config_file::{ConfigFile, Entry};
use crate::flag::{Command, Flag, Form, Row, Support};
use crate::flags::CheckedRow;
use crate::{flags, parse};

/// The command by which heatsink starts itself to find out whether a new process can read a GPU.
pub(crate) const PROBE_GPU: &str = "probe-gpu";

/// Commands that no help names.
const HIDDEN: [(Command, &str); 2] =
    [(Command::ProbeGpu, PROBE_GPU), (Command::Acceptance, "acceptance")];

/// The commands for users, each with its help.
#[rustfmt::skip]
const COMMANDS: [(Command, &str, &str); 8] = [
    (Command::Serve, "serve", "Serve this machine's GPUs (what heatsink does without a command)"),
    (Command::Demo, "demo", "Serve eight simulated H100s and the story of a training job; no GPU needed"),
    (Command::Check, "check", "Check whether data flows, what can be read here, and why not; exit status 0 only if data flows"),
    (Command::Config, "config", "Print the settings that serve would use, and where each comes from; exit status 2 on a mistake"),
    (Command::Report, "report", "Tell what happened before a fault: the verdict, the story, charts, what to do"),
    (Command::Incidents, "incidents", "List the incidents that were recorded"),
    (Command::History, "history", "Write what was recorded for other programs: `heatsink history export`"),
    (Command::Fields, "fields", "List the fields that can be served, all or those that match a pattern"),
];

/// A command and its flags, as typed, and as the configuration file has them.
#[derive(Clone)]
pub(crate) struct Args {
    command: Command,
    matches: Arc<ArgMatches>,
    file: Option<Arc<ConfigFile>>,
}

/// Where the text of a setting comes from.
#[derive(Clone, Copy)]
pub(crate) enum Origin<'a> {
    /// The command line.
    Flag,
    /// The environment variable of this name.
    Variable(&'static str),
    /// The configuration file.
    File(&'a ConfigFile, &'a Entry),
    /// The row's default, or nothing.
    Default,
}

impl Args {
    /// Reads a command line and the environment.
    ///
    /// # Errors
    ///
    /// clap's, with the text for the user; `--help` and `--version` are such errors, too.
    pub(crate) fn parse(args: impl IntoIterator<Item = OsString>) -> Result<Self, clap::Error> {
        let args: Vec<OsString> = args.into_iter().collect();
        let is_first = |name: &str| args.get(1).is_some_and(|first| first == name);
        if let Some((command, name)) = HIDDEN.into_iter().find(|(_, name)| is_first(name)) {
            let clap = with_flags(clap::Command::new(name), command).args_override_self(true);
            // Arguments behind `--` are for a process that the command starts.
            let args = args[1..].iter().take_while(|arg| *arg != "--").cloned();
            let matches = clap.try_get_matches_from(args.map(as_clap_takes_it))?;
            return Ok(Self { command, matches: Arc::new(matches), file: None });
        }
        let args = args.into_iter().map(as_clap_takes_it);
        let mut matches = self::command().try_get_matches_from(args)?;
        let subcommand = matches.remove_subcommand().and_then(|(name, matches)| {
            let (command, ..) = COMMANDS.iter().find(|(_, known, _)| *known == name)?;
            Some(Self { command: *command, matches: Arc::new(matches), file: None })
        });
        let serve = || Self { command: Command::Serve, matches: Arc::new(matches), file: None };
        Ok(subcommand.unwrap_or_else(serve))
    }

    pub(crate) fn command(&self) -> Command {
        self.command
    }

    /// The same with the values of the configuration file, if one is named.
    ///
    /// # Errors
    ///
    /// The first mistake in the file.
    pub(crate) fn with_file(&self) -> Result<Self> {
        let file =
            self.get(&flags::CONFIG_FILE)?.map(|path| ConfigFile::read(&path)).transpose()?;
        Ok(Self { file: file.map(Arc::new), ..self.clone() })
    }

    /// The same with the configuration file as it is now, except for flags that no reload changes;
    /// with a warning that names those of them that are no longer the same, and those warnings of
    /// `check` that it does not give for the settings in force.
    ///
    /// # Errors
    ///
    /// The first mistake in the file, and what `check` says of it as a whole.
    pub(crate) fn reread(
        &self,
        check: fn(&Self) -> Result<Vec<String>>,
    ) -> Result<(Self, Vec<String>)> {
        let mut new = self.with_file()?;
        let mut warnings = check(&new)?;
        let before = check(self).unwrap_or_default();
        warnings.retain(|warning| !before.contains(warning));
        let rows = flags::checked()
            .filter(|CheckedRow { row, .. }| row.is_of(Command::Serve) && row.waits_for_restart());
        let changed = rows.filter(|CheckedRow { row, meaning }| {
            let meaning = |args: &Self| meaning(args.text(row).as_deref()).ok();
            meaning(self) != meaning(&new)
        });
        let changed: Vec<String> = changed.map(|checked| checked.row.to_string()).collect();
        if !changed.is_empty() {
            warnings.push(format!("take effect after a restart: {}", changed.join(", ")));
        }
        if let (Some(file), Some(before)) = (&new.file, &self.file) {
            let mut file = ConfigFile::clone(file);
            file.keep_from(before);
            new.file = Some(Arc::new(file));
        }
        Ok((new, warnings))
    }

    /// The configuration file.
    pub(crate) fn file(&self) -> Option<&ConfigFile> {
        self.file.as_deref()
    }

    /// The setting that a flag of this command stands for.
    ///
    /// # Errors
    ///
    /// The name of the flag, and the mistake in its text.
    pub(crate) fn get<T>(&self, flag: &'static Flag<T>) -> Result<T> {
        let setting = flag.setting(self.text(&flag.row).as_deref());
        setting.with_context(|| self.place(&flag.row))
    }

    /// The place that a setting is from, for messages: line and key of the configuration file, else the
    /// flag and its variable.
    pub(crate) fn place(&self, row: &Row) -> String {
        match self.origin(row) {
            Origin::File(file, entry) => file.at(entry.line, &entry.key).to_string(),
            _ => row.to_string(),
        }
    }

    /// Where the text of a flag of this command comes from: a flag takes precedence over its variable,
    /// and that over the configuration file. A blank variable is none.
    pub(crate) fn origin(&self, row: &Row) -> Origin<'_> {
        let typed = self.matches.get_raw(row.long).into_iter().flatten();
        let is_blank = typed.map(|text| text.to_string_lossy()).all(|text| text.trim().is_empty());
        match (self.matches.value_source(row.long), row.variable) {
            (Some(ValueSource::CommandLine), _) => return Origin::Flag,
            (Some(ValueSource::EnvVariable), Some(name)) if !is_blank => {
                return Origin::Variable(name);
            }
            _ => {}
        }
        let entry = self.file.as_ref().and_then(|file| Some(Origin::File(file, file.get(row)?)));
        entry.unwrap_or(Origin::Default)
    }

    /// Whether a text that is not blank was typed.
    pub(crate) fn is_given(&self, row: &Row) -> bool {
        self.text(row).is_some_and(|text| !text.to_string_lossy().trim().is_empty())
    }

    /// Whether a flag was typed with a value that asks for something: not its default, and not nothing.
    pub(crate) fn asks_for(&self, row: &Row) -> bool {
        let text = self.text(row).unwrap_or_default();
        let text = text.to_string_lossy();
        match row.form {
            _ if text.is_empty() => false,
            Form::Boolean => parse::truth(&text) != parse::boolean(row.default).ok(),
            _ => text != row.default,
        }
    }

    /// The text of a flag of this command, if it was typed or has a default.
    pub(crate) fn text(&self, row: &Row) -> Option<Cow<'_, OsStr>> {
        match self.origin(row) {
            Origin::File(_, entry) => return Some(Cow::Borrowed(OsStr::new(&entry.text))),
            // Also where a variable is blank.
            Origin::Default => {
                let default = Some(row.default).filter(|default| !default.is_empty());
                return default.map(|default| Cow::Borrowed(OsStr::new(default)));
            }
            Origin::Flag | Origin::Variable(_) => {}
        }
        let mut values = self.matches.get_raw(row.long)?;
        match row.form {
            Form::List => Some(Cow::Owned(values.collect::<Vec<_>>().join(OsStr::new(",")))),
            Form::Repeated => {
                let between = OsStr::new(parse::BETWEEN_ITEMS);
                Some(Cow::Owned(values.collect::<Vec<_>>().join(between)))
            }
            _ => values.next().map(Cow::Borrowed),
        }
    }

    /// A warning for each flag that asks for something and has no effect, and for each such key of the
    /// configuration file.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let asked = flags::ACCEPTED.iter().filter(|row| self.asks_for(row));
        let flags = asked.filter_map(|row| match row.support {
            Support::Served => None,
            Support::NoEffect(why) => Some(format!("{} has no effect: {why}", self.place(row))),
        });
        let keys = self.file().into_iter().flat_map(|file| &file.ignored);
        flags.chain(keys.map(|key| format!("{key}: has no effect; leave it out")))
    }
}

/// heatsink's command line as clap takes it.
pub(crate) fn command() -> clap::Command {
    let heatsink = clap::Command::new("heatsink")
        .version(env!("CARGO_PKG_VERSION"))
        .about("GPU telemetry for Prometheus: every NVIDIA GPU of this machine at /metrics")
        .after_help("Without a command, heatsink serves. Try `heatsink demo`: no GPU needed.")
        .args_conflicts_with_subcommands(true)
        .args_override_self(true);
    let subcommands = COMMANDS
        .map(|(command, name, about)| with_flags(clap::Command::new(name).about(about), command));
    with_flags(heatsink, Command::Serve).subcommands(subcommands)
}

fn with_flags(clap: clap::Command, command: Command) -> clap::Command {
    clap.args(flags::all().filter(|row| row.is_of(command)).map(arg))
}

/// A row as clap takes it.
fn arg(row: &'static Row) -> Arg {
    let arg = Arg::new(row.long)
        .long((row.form != Form::Positional).then_some(row.long))
        .short(row.short)
        .visible_alias(row.alias)
        .env(row.variable)
        .help(Some(row.help.trim_start()).filter(|help| !help.is_empty()))
        .help_heading(row.heading)
        .hide(row.is_hidden())
        .conflicts_with_all(row.conflicts)
        .value_name(row.value_name)
        .default_value(Some(row.default).filter(|default| !default.is_empty()))
        .allow_hyphen_values(row.is_hidden() || row.begins_with_dash);
    let values = row.choices.iter().map(|(name, help)| PossibleValue::new(*name).help(*help));
    match row.form {
        Form::Switch => arg.action(ArgAction::SetTrue),
        Form::List | Form::Repeated => {
            arg.action(ArgAction::Append).value_parser(OsStringValueParser::new())
        }
        Form::Boolean => arg
            .value_parser(OsStringValueParser::new())
            .num_args(0..=1)
            .require_equals(true)
            .default_missing_value("true"),
        _ if row.choices.is_empty() => arg.value_parser(OsStringValueParser::new()),
        _ => arg.value_parser(PossibleValuesParser::new(values)),
    }
}

/// The argument, with two dashes if it is a long flag with one, and with one if it is a short flag with
/// two: Go programs, and so manifests written for them, take both.
fn as_clap_takes_it(arg: OsString) -> OsString {
    let flag = arg.to_str().and_then(|text| {
        let flag = text.strip_prefix("--").or_else(|| text.strip_prefix('-'))?;
        let name = flag.split('=').next().unwrap_or(flag);
        let mut named = flags::all().filter(|row| row.form != Form::Positional);
        let dashes = named.find_map(|row| match name.chars().next() {
            _ if row.long == name || row.alias == Some(name) => Some("--"),
            Some(short) if row.short == Some(short) && name.len() == 1 => Some("-"),
            _ => None,
        });
        Some(format!("{}{flag}", dashes?))
    });
    flag.map_or(arg, OsString::from)
}
