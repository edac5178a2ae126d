//! The command line and the environment, as typed. What it means is in `settings`.

use std::ffi::OsString;
use std::path::Path;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::upstream::Upstream;

/// The defaults that an empty variable stands for, too.
pub(crate) const ADDRESS: &str = ":9400";
pub(crate) const INTERVAL: &str = "1000";
pub(crate) const DEVICES: &str = "f";

/// GPU telemetry for Prometheus: every NVIDIA GPU of this machine at /metrics.
#[derive(Parser, Debug)]
#[command(name = "heatsink", version, args_conflicts_with_subcommands = true)]
#[command(after_help = "Without a command, heatsink serves. Try `heatsink demo`: no GPU needed.")]
pub(crate) struct Cli {
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
    #[command(flatten)]
    pub(crate) serve: ServeArgs,
}

#[derive(Subcommand, Debug)]
pub(crate) enum Command {
    /// Serve this machine's GPUs (what heatsink does without a command)
    Serve(ServeArgs),
    /// Serve eight simulated H100s and the story of a training job; no GPU needed
    Demo(DemoArgs),
    /// Say what can be read here, field by field, and why not; exit status 0 only if data flows
    Check(CheckArgs),
    /// List all fields that can be asked for
    Fields(FieldsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// Counters file: what to serve, one `NAME, type, help` a line [default: a built-in set]
    #[arg(short = 'f', long, env = "DCGM_EXPORTER_COLLECTORS", value_name = "FILE")]
    pub(crate) collectors: Option<OsString>,

    /// Where to listen: `:9400`, `127.0.0.1:9400`, `[::1]:9400`
    #[arg(
        short = 'a',
        long,
        env = "DCGM_EXPORTER_LISTEN",
        default_value = ADDRESS,
        value_name = "ADDRESS"
    )]
    pub(crate) address: String,

    /// Milliseconds from one reading to the next
    #[arg(
        short = 'c',
        long,
        env = "DCGM_EXPORTER_INTERVAL",
        default_value = INTERVAL,
        value_name = "MS"
    )]
    pub(crate) collect_interval: String,

    /// Leave the label `hostname` out
    #[arg(
        short = 'n',
        long,
        env = "DCGM_EXPORTER_NO_HOSTNAME",
        value_parser = boolean,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) no_hostname: bool,

    /// GPUs to serve: `f` or `g` for all, `g:0,2-4` for some
    #[arg(
        short = 'd',
        long,
        env = "DCGM_EXPORTER_DEVICES_STR",
        default_value = DEVICES,
        value_name = "DEVICES"
    )]
    pub(crate) devices: String,

    /// Write model names with dashes instead of blanks
    #[arg(
        long,
        visible_alias = "rbmn",
        env = "DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME",
        value_parser = boolean,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) replace_blanks_in_model_name: bool,

    #[command(flatten)]
    pub(crate) log: LogArgs,

    #[command(flatten)]
    pub(crate) upstream: Upstream,

    // Last, for its help has a heading of its own.
    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct SourceArgs {
    /// Where readings come from. `auto` is the driver library; made-up numbers come only from `sim`
    #[arg(long, env = "HEATSINK_SOURCE", default_value = "auto", value_name = "SOURCE")]
    pub(crate) source: SourceName,

    /// The driver library [default: libnvidia-ml.so.1, where the dynamic linker finds it]
    #[arg(long, env = "HEATSINK_NVML_LIBRARY", value_name = "FILE")]
    pub(crate) nvml_library: Option<OsString>,

    #[command(flatten)]
    pub(crate) sim: SimArgs,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum SourceName {
    /// The driver library
    Auto,
    /// The driver library
    Nvml,
    /// Simulated GPUs
    Sim,
}

#[derive(Args, Debug)]
#[command(next_help_heading = "Simulation (with --source sim)")]
pub(crate) struct SimArgs {
    /// What happens to the simulated GPUs
    #[arg(long, default_value = "story", value_name = "SCENARIO")]
    pub(crate) sim_scenario: ScenarioName,

    /// How many GPUs `steady` and `idle` have
    #[arg(long, default_value = "8", value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub(crate) sim_gpus: u8,

    /// The same seed gives the same numbers
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) sim_seed: u64,

    /// Let simulated time stand still at this second
    #[arg(long, value_name = "SECONDS")]
    pub(crate) sim_at: Option<u64>,

    /// Simulated seconds per second, up to 1000
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    pub(crate) speed: f64,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum ScenarioName {
    /// Eight H100s, a training job, and four of them in trouble
    Story,
    /// The same job on healthy GPUs
    Steady,
    /// Nothing to do
    Idle,
}

#[derive(Args, Debug)]
pub(crate) struct LogArgs {
    /// How log lines look
    #[arg(long, env = "DCGM_EXPORTER_LOG_FORMAT", default_value = "text", value_name = "FORMAT")]
    pub(crate) log_format: LogFormat,

    /// Log more
    #[arg(
        long,
        env = "DCGM_EXPORTER_DEBUG",
        value_parser = boolean,
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) debug: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, ValueEnum, Debug)]
pub(crate) enum LogFormat {
    /// A line for people
    Text,
    /// One JSON object a line
    Json,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where to listen
    #[arg(short = 'a', long, default_value = ADDRESS, value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Simulated seconds per second, up to 1000; the story takes 20 minutes at 1
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    pub(crate) speed: f64,

    /// The same seed gives the same numbers
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) seed: u64,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// GPUs to check: `f` or `g` for all, `g:0,2-4` for some
    #[arg(short = 'd', long, default_value = DEVICES, value_name = "DEVICES")]
    pub(crate) devices: String,

    /// Time every driver call, too
    #[arg(long)]
    pub(crate) timings: bool,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FieldsArgs {
    /// Only the fields that heatsink serves
    #[arg(long)]
    pub(crate) served: bool,

    /// As JSON, one object per field
    #[arg(long)]
    pub(crate) json: bool,
}

/// A variable that is set to nothing is as good as one that is not set.
pub(crate) fn path(text: &Option<OsString>) -> Option<&Path> {
    text.as_deref().filter(|text| !text.is_empty()).map(Path::new)
}

/// The same for a text with a default.
pub(crate) fn or_default<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

/// A boolean as Go programs take it from the environment; nothing at all is no.
fn boolean(text: &str) -> Result<bool, String> {
    match text {
        "" | "0" | "f" | "F" | "false" | "False" | "FALSE" => Ok(false),
        "1" | "t" | "T" | "true" | "True" | "TRUE" => Ok(true),
        _ => Err("write true or false".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use clap::{CommandFactory, Parser};

    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_those_of_dcgm_exporter() {
        let line = "heatsink -f x.csv -a :1 -c 100 -n -d g:0 --log-format json --debug=false";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert!(cli.serve.no_hostname && !cli.serve.log.debug);
        assert_eq!(cli.serve.address, ":1");
        assert!(Cli::try_parse_from(["heatsink", "--replace-blanks-in-model-name"]).is_ok());
        assert!(Cli::try_parse_from(["heatsink", "serve", "-c", "30000"]).is_ok());
    }

    #[test]
    fn booleans_are_those_of_go() {
        assert_eq!(boolean(""), Ok(false));
        assert_eq!(boolean("T"), Ok(true));
        assert!(boolean("yes").is_err());
    }
}
