//! The command line and the environment, as typed. What it means is in `settings`.
//!
//! Whatever the environment can say is taken as text, however wrong: clap reads the variables of
//! `serve` before any command, and `heatsink fields` has to work beside a mistake in them.

use std::ffi::OsString;
use std::path::Path;

use clap::builder::{OsStringValueParser, TypedValueParser};
use clap::{Args, CommandFactory, Parser, Subcommand, ValueEnum};

use crate::fleet::MOST_NODES;
use crate::upstream::Upstream;

/// Where the demo listens: its numbers are made up, and nothing for other machines.
const DEMO_ADDRESS: &str = "127.0.0.1:9400";

/// The defaults that an empty variable stands for, too.
pub(crate) const ADDRESS: &str = ":9400";
pub(crate) const INTERVAL: &str = "1000";
pub(crate) const DEVICES: &str = "f";
pub(crate) const SOURCE: &str = "auto";
pub(crate) const LOG_FORMAT: &str = "text";
pub(crate) const WINDOW: &str = "60s";
pub(crate) const COUNT_WINDOW: &str = "300000";
pub(crate) const KERNEL_LOG: &str = "auto";
pub(crate) const FORGET_MISSING: &str = "24h";
pub(crate) const ROOT: &str = "/";
pub(crate) const FAIL_HEALTH: &str = "true";

/// What heatsink is started with to try whether a GPU can be read by a new process.
pub(crate) const PROBE_GPU: &str = "probe-gpu";
pub(crate) const DCGM_LOG_LEVEL: &str = "NONE";

/// GPU telemetry for Prometheus: every NVIDIA GPU of this machine at /metrics.
#[derive(Parser, Debug)]
#[command(name = "heatsink", version, args_conflicts_with_subcommands = true)]
#[command(args_override_self = true)]
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
    Serve(Box<ServeArgs>),
    /// Serve eight simulated H100s and the story of a training job; no GPU needed
    Demo(DemoArgs),
    /// Say whether data flows, what can be read here, and why not; exit status 0 only if data flows
    Check(CheckArgs),
    /// List the fields that can be asked for, all or those that a pattern fits
    Fields(FieldsArgs),
}

#[derive(Args, Debug)]
pub(crate) struct ServeArgs {
    /// What to serve: a counters file with one `NAME, type, help[, interval]` a line, or one of the
    /// built-in sets `default`, `all`, `minimal`, `1.x` [default: default]
    #[arg(short = 'f', long, env = "DCGM_EXPORTER_COLLECTORS", value_name = "FILE")]
    pub(crate) collectors: Option<OsString>,

    /// Another counters file, beside the first: adds its rows, and replaces those of the same name;
    /// the built-in `machine` adds NVSwitches and CPUs, which DCGM has; `monitoring` what the shipped
    /// alert rules and dashboards look at beyond `default`
    #[arg(long, env = "HEATSINK_EXTRA_COLLECTORS", value_name = "FILE")]
    pub(crate) extra_collectors: Option<OsString>,

    /// Whose metric names to serve: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8's
    /// and 4.9's side by side [default: 4.8, and a counters file's own names as it writes them]
    #[arg(long, env = "HEATSINK_METRIC_NAMES", value_parser = text(), default_value = "", hide_default_value = true, value_name = "GENERATION")]
    pub(crate) metric_names: String,

    /// Where to listen: `:9400`, `127.0.0.1:9400`, `[::1]:9400`
    #[arg(
        short = 'a',
        long,
        env = "DCGM_EXPORTER_LISTEN",
        value_parser = text(),
        default_value = ADDRESS,
        value_name = "ADDRESS"
    )]
    pub(crate) address: String,

    /// Listen on the socket that systemd passes, and on nothing else; without this flag, --address
    /// is listened on where systemd passes none
    #[arg(
        long,
        env = "DCGM_EXPORTER_SYSTEMD_SOCKET",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) web_systemd_socket: String,

    /// Milliseconds from one reading to the next
    #[arg(
        short = 'c',
        long,
        env = "DCGM_EXPORTER_INTERVAL",
        value_parser = text(),
        default_value = INTERVAL,
        value_name = "MS"
    )]
    pub(crate) collect_interval: String,

    /// Leave the label `hostname` out
    #[arg(
        short = 'n',
        long,
        env = "DCGM_EXPORTER_NO_HOSTNAME",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) no_hostname: String,

    /// Devices to serve: `f`, MIG instances where a GPU has them, else the GPU; `g`, whole GPUs; `i`,
    /// instances; `g+i`, both; some of them as in `g:0,2-4` or `i:8`, where 8 is instance 1 of GPU 1
    /// if each GPU can have seven
    #[arg(
        short = 'd',
        long,
        env = "DCGM_EXPORTER_DEVICES_STR",
        value_parser = text(),
        default_value = DEVICES,
        value_name = "DEVICES"
    )]
    pub(crate) devices: String,

    /// NVSwitches to serve, and their NVLinks, with DCGM: `f`, all; `g`, switches; `i`, links; `g+i`,
    /// both; some of them as in `g:0,2-4`
    #[arg(
        short = 's',
        long,
        env = "DCGM_EXPORTER_OTHER_DEVICES_STR",
        value_parser = text(),
        default_value = DEVICES,
        value_name = "DEVICES"
    )]
    pub(crate) switch_devices: String,

    /// CPUs to serve, and their cores, with DCGM: `f`, all; `g`, CPUs; `i`, cores; `g+i`, both; some
    /// of them as in `i:0-15`
    #[arg(
        short = 'p',
        long,
        env = "DCGM_EXPORTER_CPU_DEVICES_STR",
        value_parser = text(),
        default_value = DEVICES,
        value_name = "DEVICES"
    )]
    pub(crate) cpu_devices: String,

    /// Serve MIG compute instances, too, with the label `GPU_CI_ID`
    #[arg(
        long,
        env = "HEATSINK_COMPUTE_INSTANCES",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) compute_instances: String,

    /// Write the label `UUID` as `uuid`, as before dcgm-exporter 2
    #[arg(
        short = 'o',
        long,
        env = "DCGM_EXPORTER_USE_OLD_NAMESPACE",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) use_old_namespace: String,

    /// How long the window is whose least, mean and most are served, so that nothing falls between
    /// two scrapes: longer than the scrape interval, up to 1h; `0` for none
    #[arg(long, env = "HEATSINK_WINDOW", value_parser = text(), default_value = WINDOW, value_name = "DURATION")]
    pub(crate) window: String,

    /// Milliseconds in which DCGM_EXP_XID_ERRORS_COUNT counts
    #[arg(
        short = 'x',
        long,
        env = "DCGM_EXPORTER_XID_COUNT_WINDOW_SIZE",
        value_parser = text(),
        default_value = COUNT_WINDOW,
        value_name = "MS"
    )]
    pub(crate) xid_count_window_size: String,

    /// Milliseconds in which DCGM_EXP_CLOCK_EVENTS_COUNT counts
    #[arg(
        long,
        env = "DCGM_EXPORTER_CLOCK_EVENTS_COUNT_WINDOW_SIZE",
        value_parser = text(),
        default_value = COUNT_WINDOW,
        value_name = "MS"
    )]
    pub(crate) clock_events_count_window_size: String,

    /// Where XIDs are read: `kmsg`, /dev/kmsg; `journal`, the files of systemd's journal; `auto`, the
    /// first of the two that can be read; a file in the format of kmsg or syslog, or a folder of a
    /// journal; `none`, only from the driver's events, which lack XIDs 79, 119, 120 and a few more
    #[arg(long, env = "HEATSINK_KERNEL_LOG", value_parser = text(), default_value = KERNEL_LOG, value_name = "LOG")]
    pub(crate) kernel_log: String,

    /// How many GPUs this machine should have, as `heatsink_gpus_expected`, so that an alert can tell
    /// when one is missing even from the bus
    #[arg(long, env = "HEATSINK_EXPECTED_GPUS", value_parser = text(), default_value = "", hide_default_value = true, value_name = "N")]
    pub(crate) expected_gpus: String,

    /// How long a GPU that is missing is shown as such; `0` for ever. SIGHUP forgets it at once
    #[arg(long, env = "HEATSINK_FORGET_MISSING", value_parser = text(), default_value = FORGET_MISSING, value_name = "DURATION")]
    pub(crate) forget_missing: String,

    /// Let /health fail once the kernel's module was replaced and the driver library, as in a
    /// container, was not for a minute: a liveness probe then restarts the container
    #[arg(
        long,
        env = "HEATSINK_FAIL_HEALTH_AFTER_DRIVER_UPGRADE",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = FAIL_HEALTH,
        default_missing_value = "true",
        value_name = "BOOL"
    )]
    pub(crate) fail_health_after_driver_upgrade: String,

    /// Write model names with dashes instead of blanks
    #[arg(
        long,
        visible_alias = "rbmn",
        env = "DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) replace_blanks_in_model_name: String,

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
    /// Where readings come from: `nvml`, the driver library; `dcgm`, NVIDIA's DCGM; `sim`, made-up
    /// numbers; `auto`, DCGM if a host engine is named, else the driver library
    #[arg(
        long,
        env = "HEATSINK_SOURCE",
        value_parser = text(),
        default_value = SOURCE,
        value_name = "SOURCE"
    )]
    pub(crate) source: String,

    /// The driver library [default: libnvidia-ml.so.1, where the dynamic linker finds it]
    #[arg(long, env = "HEATSINK_NVML_LIBRARY", value_name = "FILE")]
    pub(crate) nvml_library: Option<OsString>,

    /// Below which `/proc`, `/sys`, `/dev` and the journal are looked at: the host's root, where a
    /// container has it elsewhere
    #[arg(long = "path.rootfs", env = "HEATSINK_ROOTFS", value_name = "FOLDER")]
    pub(crate) rootfs: Option<OsString>,

    /// DCGM's library [default: libdcgm.so.4, where the dynamic linker finds it]
    #[arg(long, env = "HEATSINK_DCGM_LIBRARY", value_name = "FILE")]
    pub(crate) dcgm_library: Option<OsString>,

    /// The DCGM host engine to read through: `host:port`, `[v6]:port`, `tcp://host:port`,
    /// `unix:///path`, `vsock://cid:port` [default: none; --source dcgm starts one in this process]
    #[arg(
        short = 'r',
        long,
        env = "DCGM_REMOTE_HOSTENGINE_INFO",
        value_parser = text(),
        default_value = "",
        hide_default_value = true,
        value_name = "ADDRESS"
    )]
    pub(crate) remote_hostengine_info: String,

    /// Serve GPUs, too, that DCGM only makes up
    #[arg(
        long,
        env = "DCGM_EXPORTER_USE_FAKE_GPUS",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) fake_gpus: String,

    /// Let a DCGM engine in this process log to standard output
    #[arg(
        long,
        env = "DCGM_EXPORTER_ENABLE_DCGM_LOG",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) enable_dcgm_log: String,

    /// How much it logs: `NONE`, `FATAL`, `ERROR`, `WARN`, `INFO`, `DEBUG` or `VERB`
    #[arg(
        long,
        env = "DCGM_EXPORTER_DCGM_LOG_LEVEL",
        value_parser = text(),
        default_value = DCGM_LOG_LEVEL,
        value_name = "LEVEL"
    )]
    pub(crate) dcgm_log_level: String,

    #[command(flatten)]
    pub(crate) sim: SimArgs,
}

// None of these has a default here: one that is typed without `--source sim` is refused.
#[derive(Args, Debug)]
#[command(next_help_heading = "Simulation (with --source sim)")]
pub(crate) struct SimArgs {
    /// What happens to the simulated GPUs [default: story]
    #[arg(long, value_name = "SCENARIO")]
    pub(crate) sim_scenario: Option<ScenarioName>,

    /// How many GPUs `steady` and `idle` have [default: 8]
    #[arg(long, value_parser = clap::value_parser!(u8).range(1..=64), value_name = "N")]
    pub(crate) sim_gpus: Option<u8>,

    /// The same seed gives the same numbers [default: 1]
    #[arg(long, value_name = "N")]
    pub(crate) sim_seed: Option<u64>,

    /// Let simulated time stand still at this second
    #[arg(long, value_name = "SECONDS")]
    pub(crate) sim_at: Option<u64>,

    /// Simulated seconds per second, up to 1000 [default: 1]
    #[arg(long, value_name = "FACTOR")]
    pub(crate) speed: Option<f64>,
}

impl SimArgs {
    /// The first of these flags that was given.
    pub(crate) fn first_given(&self) -> Option<&'static str> {
        let flags = [
            ("sim-scenario", self.sim_scenario.is_some()),
            ("sim-gpus", self.sim_gpus.is_some()),
            ("sim-seed", self.sim_seed.is_some()),
            ("sim-at", self.sim_at.is_some()),
            ("speed", self.speed.is_some()),
        ];
        flags.into_iter().find_map(|(flag, is_given)| is_given.then_some(flag))
    }
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
    /// How log lines look: `text`, a line for people, or `json`, one object a line
    #[arg(
        long,
        env = "DCGM_EXPORTER_LOG_FORMAT",
        value_parser = text(),
        default_value = LOG_FORMAT,
        value_name = "FORMAT"
    )]
    pub(crate) log_format: String,

    /// Log more
    #[arg(
        long,
        env = "DCGM_EXPORTER_DEBUG",
        value_parser = text(),
        num_args = 0..=1,
        require_equals = true,
        default_value = "false",
        default_missing_value = "true",
        hide_default_value = true,
        value_name = "BOOL"
    )]
    pub(crate) debug: String,
}

#[derive(Args, Debug)]
pub(crate) struct DemoArgs {
    /// Where to listen: this machine only, unless told otherwise, as with `:9400`
    #[arg(short = 'a', long, default_value = DEMO_ADDRESS, value_name = "ADDRESS")]
    pub(crate) address: String,

    /// Whose metric names to serve: those of dcgm-exporter `4.8`, `4.8.2` or `4.9`, or `both`, 4.8's
    /// and 4.9's side by side
    #[arg(long, default_value = "4.8", value_name = "GENERATION")]
    pub(crate) metric_names: String,

    /// Simulated seconds per second, up to 1000; the story takes 20 minutes at 1
    #[arg(long, default_value = "1", value_name = "FACTOR")]
    pub(crate) speed: f64,

    /// The same seed gives the same numbers
    #[arg(long, default_value = "1", value_name = "N")]
    pub(crate) seed: u64,

    /// Be as many nodes, up to 10000, each with a page of its own: the first tells the story, the
    /// others are copies of one healthy node; /targets lists them for Prometheus' http_sd_configs
    #[arg(long, default_value = "1", value_parser = clap::value_parser!(u16).range(1..=i64::from(MOST_NODES)), value_name = "N")]
    pub(crate) nodes: u16,

    #[command(flatten)]
    pub(crate) log: LogArgs,
}

/// Whether a GPU can be read by a new process, which the exit status says: heatsink asks itself;
/// users need not know it.
#[derive(Parser, Debug)]
#[command(name = PROBE_GPU)]
pub(crate) struct ProbeArgs {
    /// The driver library
    #[arg(long)]
    pub(crate) nvml_library: Option<OsString>,

    /// The UUID of the GPU
    #[arg(long)]
    pub(crate) uuid: Option<String>,

    /// Its PCI address
    #[arg(long)]
    pub(crate) pci_bus_id: Option<String>,

    /// Its index in the session that has lost it
    #[arg(long)]
    pub(crate) index: Option<u32>,
}

#[derive(Args, Debug)]
pub(crate) struct CheckArgs {
    /// GPUs to check, with their instances and links: `f` for all, `g:0,2-4` for some
    #[arg(short = 'd', long, default_value = DEVICES, value_name = "DEVICES")]
    pub(crate) devices: String,

    /// Print every reading, too
    #[arg(long)]
    pub(crate) all: bool,

    /// Print all of it as JSON
    #[arg(long, conflicts_with_all = ["all", "timings"])]
    pub(crate) json: bool,

    /// Time every driver call, too
    #[arg(long)]
    pub(crate) timings: bool,

    /// Which of the kernel's logs to check, as for `serve`
    #[arg(long, env = "HEATSINK_KERNEL_LOG", value_parser = text(), default_value = KERNEL_LOG, value_name = "LOG")]
    pub(crate) kernel_log: String,

    #[command(flatten)]
    pub(crate) source: SourceArgs,
}

#[derive(Args, Debug)]
pub(crate) struct FieldsArgs {
    /// Only what has this in a name, unit, group or help text, in any letter case; with --xids, as its
    /// code or in a text
    #[arg(value_name = "PATTERN")]
    pub(crate) pattern: Option<String>,

    /// Only the fields that heatsink serves
    #[arg(long)]
    pub(crate) served: bool,

    /// The XIDs instead: what each means, and what to do
    #[arg(long)]
    pub(crate) xids: bool,

    /// As JSON, one object per field
    #[arg(long)]
    pub(crate) json: bool,

    /// As a page in Markdown, with heatsink's own families
    #[arg(long, conflicts_with_all = ["json", "xids", "pattern"])]
    pub(crate) markdown: bool,
}

/// The arguments with two dashes before each long flag that has one: Go programs, and so manifests
/// written for them, take both.
pub(crate) fn with_dashes(args: impl Iterator<Item = OsString>) -> Vec<OsString> {
    let command = Cli::command();
    let of_commands = command.get_subcommands().flat_map(clap::Command::get_arguments);
    let all: Vec<&clap::Arg> = command.get_arguments().chain(of_commands).collect();
    let known = |name: &str| {
        all.iter().any(|arg| {
            let aliases = arg.get_all_aliases().unwrap_or_default();
            arg.get_long() == Some(name) || aliases.contains(&name)
        })
    };
    let dashed = |arg: OsString| match arg.to_str().and_then(|text| text.strip_prefix('-')) {
        Some(text) if text.len() > 1 && known(text.split('=').next().unwrap_or(text)) => {
            OsString::from(format!("--{text}"))
        }
        _ => arg,
    };
    args.map(dashed).collect()
}

/// A variable that is set to nothing is as good as one that is not set.
pub(crate) fn path(text: &Option<OsString>) -> Option<&Path> {
    text.as_deref().filter(|text| !text.is_empty()).map(Path::new)
}

/// The same for a text with a default.
pub(crate) fn or_default<'a>(text: &'a str, default: &'a str) -> &'a str {
    if text.is_empty() { default } else { text }
}

/// Any text; what is not UTF-8 in it is an error where it is used, and only there.
pub(crate) fn text() -> impl TypedValueParser<Value = String> {
    OsStringValueParser::new().map(|text| text.to_string_lossy().into_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_command_line_is_well_formed() {
        Cli::command().debug_assert();
    }

    #[test]
    fn flags_are_those_of_dcgm_exporter() {
        let line = "heatsink -f x.csv -a :1 -c 100 -n -d g:0 --log-format json --debug=false";
        let cli = Cli::try_parse_from(line.split(' ')).unwrap();
        assert_eq!([cli.serve.no_hostname, cli.serve.log.debug], ["true", "false"]);
        assert_eq!(cli.serve.address, ":1");
        assert!(Cli::try_parse_from(["heatsink", "--replace-blanks-in-model-name"]).is_ok());
        assert!(Cli::try_parse_from(["heatsink", "serve", "-c", "30000"]).is_ok());
    }

    #[test]
    fn long_flags_may_have_one_dash_and_come_twice() {
        let parse = |line: &str| {
            let args = line.split(' ').map(OsString::from);
            Cli::try_parse_from(with_dashes(args)).unwrap().serve
        };
        let serve = parse("heatsink -collect-interval 100 -rbmn -n -n -c 200 -address=:1");
        assert_eq!([serve.replace_blanks_in_model_name, serve.no_hostname], ["true", "true"]);
        assert_eq!([serve.collect_interval, serve.address], ["200", ":1"]);
        assert!(
            Cli::try_parse_from(with_dashes(["heatsink", "-nx"].map(OsString::from).into_iter()))
                .is_err()
        );
        let of_command = ["heatsink", "check", "-timings"].map(OsString::from).into_iter();
        assert!(Cli::try_parse_from(with_dashes(of_command)).is_ok());
        parse("heatsink --nvidia-resource-names a --nvidia-resource-names b");
    }
}
