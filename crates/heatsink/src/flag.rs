//! A flag: one row of the table in `flags`.

use std::ffi::OsStr;
use std::fmt;
use std::path::Path;

use anyhow::{Context, Result, anyhow};

use crate::message::one_line;
use crate::parse;

/// A flag, and how its text becomes a setting.
pub(crate) struct Flag<T> {
    pub(crate) row: Row,
    parse: Parse<T>,
}

enum Parse<T> {
    /// From the text; bytes that are not UTF-8 are replaced.
    Text(fn(&str) -> Result<T>),
    /// From the bytes as they are; an empty text is no path.
    Path(fn(Option<&Path>) -> Result<T>),
}

/// All of a flag but the type of its setting.
pub(crate) struct Row {
    pub(crate) long: &'static str,
    pub(crate) short: Option<char>,
    /// Another long name.
    pub(crate) alias: Option<&'static str>,
    /// The environment variable. `HEATSINK_*`, or that of the flag of dcgm-exporter with this name.
    pub(crate) variable: Option<&'static str>,
    pub(crate) form: Form,
    /// The placeholder of the value in `--help`.
    pub(crate) value_name: Option<&'static str>,
    /// The text if none is typed, or an empty one. `--help` shows it unless it is empty.
    pub(crate) default: &'static str,
    /// All possible values, each with its help; empty if they are not listed.
    pub(crate) choices: &'static [(&'static str, &'static str)],
    /// Long names of flags that this one cannot be used with.
    pub(crate) conflicts: &'static [&'static str],
    pub(crate) help: &'static str,
    pub(crate) heading: Option<&'static str>,
    pub(crate) commands: &'static [Command],
    pub(crate) support: Support,
    /// Whether its value may begin with a dash, as `-2h` does.
    pub(crate) begins_with_dash: bool,
    /// What `heatsink config` prints of a text that may hold secrets.
    pub(crate) shown: Option<fn(&str) -> String>,
    /// Whether a reload changes the setting. Any other change takes effect after a restart.
    pub(crate) reloads: bool,
}

/// How the value is written.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Form {
    /// A value: `--flag value` or `--flag=value`.
    Value,
    /// A value that may be given several times, each with several items separated by commas.
    List,
    /// A value that may be given several times, each as it is.
    Repeated,
    /// Nothing or a boolean: `--flag` or `--flag=false`.
    Boolean,
    /// Nothing.
    Switch,
    /// A value without a name.
    Positional,
}

/// Whether heatsink does what a flag asks for.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(crate) enum Support {
    Served,
    /// A flag of dcgm-exporter that is accepted without effect, and why: a warning has the reason.
    NoEffect(&'static str),
}

/// The commands that flags belong to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Command {
    Serve,
    Demo,
    Check,
    Fields,
    /// Has the flags of `Serve`, too.
    Config,
    Incidents,
    Report,
    /// `heatsink history export`.
    History,
    /// Started by heatsink itself.
    ProbeGpu,
    /// A comparison with `nvidia-smi`, for developers.
    Acceptance,
}

/// A flag with a value, any but a path.
pub(crate) const fn text<T>(long: &'static str, parse: fn(&str) -> Result<T>) -> Flag<T> {
    Flag { row: Row::new(long, Form::Value), parse: Parse::Text(parse) }
}

/// A flag with a list, as dcgm-exporter has them.
pub(crate) const fn list(
    long: &'static str,
    parse: fn(&str) -> Result<Vec<String>>,
) -> Flag<Vec<String>> {
    Flag { row: Row::new(long, Form::List), parse: Parse::Text(parse) }
}

/// A flag that is given once for each item.
pub(crate) const fn repeated(
    long: &'static str,
    parse: fn(&str) -> Result<Vec<String>>,
) -> Flag<Vec<String>> {
    Flag { row: Row::new(long, Form::Repeated), parse: Parse::Text(parse) }
}

/// A flag with the path of a file or folder.
pub(crate) const fn path<T>(long: &'static str, parse: fn(Option<&Path>) -> Result<T>) -> Flag<T> {
    Flag { row: Row::new(long, Form::Value), parse: Parse::Path(parse) }
}

/// A flag with a boolean, as dcgm-exporter has them.
pub(crate) const fn boolean(long: &'static str) -> Flag<bool> {
    Flag { row: Row::new(long, Form::Boolean), parse: Parse::Text(parse::boolean) }.value("BOOL")
}

/// A flag without a value.
pub(crate) const fn switch(long: &'static str) -> Flag<bool> {
    Flag { row: Row::new(long, Form::Switch), parse: Parse::Text(parse::boolean) }
}

/// An argument without a name.
pub(crate) const fn positional<T>(name: &'static str, parse: fn(&str) -> Result<T>) -> Flag<T> {
    Flag { row: Row::new(name, Form::Positional), parse: Parse::Text(parse) }
}

impl<T> Flag<T> {
    pub(crate) const fn short(mut self, short: char) -> Self {
        self.row.short = Some(short);
        self
    }

    pub(crate) const fn alias(mut self, alias: &'static str) -> Self {
        self.row.alias = Some(alias);
        self
    }

    pub(crate) const fn variable(mut self, variable: &'static str) -> Self {
        self.row.variable = Some(variable);
        self
    }

    pub(crate) const fn value(mut self, name: &'static str) -> Self {
        self.row.value_name = Some(name);
        self
    }

    pub(crate) const fn default(mut self, default: &'static str) -> Self {
        self.row.default = default;
        self
    }

    pub(crate) const fn choices(
        mut self,
        choices: &'static [(&'static str, &'static str)],
    ) -> Self {
        self.row.choices = choices;
        self
    }

    pub(crate) const fn conflicts(mut self, flags: &'static [&'static str]) -> Self {
        self.row.conflicts = flags;
        self
    }

    pub(crate) const fn heading(mut self, heading: &'static str) -> Self {
        self.row.heading = Some(heading);
        self
    }

    /// Its value may begin with a dash.
    pub(crate) const fn begins_with_dash(mut self) -> Self {
        self.row.begins_with_dash = true;
        self
    }

    /// Its text may hold secrets: `heatsink config` prints this of it.
    pub(crate) const fn shown_as(mut self, shown: fn(&str) -> String) -> Self {
        self.row.shown = Some(shown);
        self
    }

    /// A reload changes the setting.
    pub(crate) const fn reloads(mut self) -> Self {
        self.row.reloads = true;
        self
    }

    pub(crate) const fn of(mut self, commands: &'static [Command], help: &'static str) -> Self {
        (self.row.commands, self.row.help) = (commands, help);
        self
    }

    /// The setting that this text asks for; without a text, or with an empty one, the default.
    ///
    /// # Errors
    ///
    /// The name of the flag, and the mistake in the text.
    pub(crate) fn parse(&'static self, text: Option<&OsStr>) -> Result<T> {
        self.setting(text).context(self)
    }

    /// As [`Self::parse`].
    ///
    /// # Errors
    ///
    /// The mistake in the text alone.
    pub(crate) fn setting(&'static self, text: Option<&OsStr>) -> Result<T> {
        let text = text.filter(|text| !text.is_empty()).unwrap_or(OsStr::new(self.row.default));
        let setting = match self.parse {
            Parse::Text(parse) => parse(&text.to_string_lossy()),
            Parse::Path(parse) => parse(Some(Path::new(text)).filter(|_| !text.is_empty())),
        };
        setting.map_err(|error| anyhow!(one_line(&format!("{error:#}"))))
    }
}

impl Row {
    const fn new(long: &'static str, form: Form) -> Self {
        Self {
            long,
            short: None,
            alias: None,
            variable: None,
            form,
            value_name: None,
            default: "",
            choices: &[],
            conflicts: &[],
            help: "",
            heading: None,
            commands: &[],
            support: Support::Served,
            begins_with_dash: false,
            shown: None,
            reloads: false,
        }
    }

    /// Whether it is a flag of this command.
    pub(crate) fn is_of(&self, command: Command) -> bool {
        let is_of = |command| self.commands.contains(&command);
        is_of(command) || command == Command::Config && is_of(Command::Serve)
    }

    /// A flag of dcgm-exporter that is accepted without being a setting; its default is that of
    /// dcgm-exporter.
    pub(crate) const fn accepted(
        form: Form,
        long: &'static str,
        variable: &'static str,
        default: &'static str,
        support: Support,
    ) -> Self {
        let mut row = Self::new(long, form);
        (row.variable, row.default, row.support) = (Some(variable), default, support);
        row.commands = &[Command::Serve];
        row
    }

    /// Whether a change of the setting takes effect only after a restart.
    pub(crate) const fn waits_for_restart(&self) -> bool {
        !self.reloads && !self.is_hidden()
    }

    /// Whether no help names the flag: one that is accepted without being a setting.
    pub(crate) const fn is_hidden(&self) -> bool {
        self.help.is_empty()
    }
}

/// Rows are statics: one is equal only to itself.
impl PartialEq for Row {
    fn eq(&self, other: &Self) -> bool {
        std::ptr::eq(self, other)
    }
}

/// As messages name it: `-d, --devices (DCGM_EXPORTER_DEVICES_STR)`.
impl fmt::Display for Row {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(short) = self.short {
            write!(f, "-{short}, ")?;
        }
        match (self.form, self.value_name) {
            (Form::Positional, Some(name)) => write!(f, "{name}")?,
            _ => write!(f, "--{}", self.long)?,
        }
        match self.variable {
            Some(variable) => write!(f, " ({variable})"),
            None => Ok(()),
        }
    }
}

impl<T> fmt::Display for Flag<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.row.fmt(f)
    }
}
