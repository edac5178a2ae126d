//! The flags of dcgm-exporter: each is tried, and `docs/compatibility.md` says what each does here.
//!
//! `UPDATE_GOLDEN=1 cargo test -p heatsink --bin heatsink compatibility` writes the table of that page.

use std::collections::BTreeSet;
use std::ffi::{OsStr, OsString};
use std::fmt::Write;

use testkit::exporter::repository_file;
use testkit::golden::check_golden;

use super::tests::parsed;
use super::*;
use crate::cli::Args;
use crate::flag::{Command, Form, Support};

/// A flag of dcgm-exporter, from `test/fixtures/dcgm-exporter-flags.csv`.
struct Upstream {
    long: String,
    /// A letter or another long name; may be empty.
    alias: String,
    /// As its library names it: `bool`, `string`, `int`, `int64`, `duration` or `stringslice`.
    kind: String,
    variable: String,
    default: String,
    /// A valid value other than the default.
    example: String,
    /// The oldest version that is known to have it; 4.8.2 stands for all older ones too.
    since: String,
}

fn upstream() -> Vec<Upstream> {
    let path = repository_file("test/fixtures/dcgm-exporter-flags.csv");
    let text = std::fs::read_to_string(path).expect("the list of flags");
    let flag = |line: &str| {
        let cells: Vec<String> = line.split(',').map(str::to_owned).collect();
        let cells = <[String; 7]>::try_from(cells).expect("seven cells");
        let [long, alias, kind, variable, default, example, since] = cells;
        Upstream { long, alias, kind, variable, default, example, since }
    };
    text.lines().skip(1).map(flag).collect()
}

impl Upstream {
    fn row(&self) -> &'static Row {
        let mut rows = all().filter(|row| row.commands.contains(&Command::Serve));
        rows.find(|row| row.long == self.long).unwrap_or_else(|| panic!("no --{}", self.long))
    }

    /// Every way to write this value on a command line.
    fn forms(&self, value: &str) -> Vec<Vec<String>> {
        let names = [&self.long, &self.alias].into_iter().filter(|name| !name.is_empty());
        let flags = names.flat_map(|name| [format!("-{name}"), format!("--{name}")]);
        let forms = flags.flat_map(|flag| {
            let second = match (self.kind.as_str(), value) {
                ("bool", "true") => vec![flag.clone()],
                ("bool", _) => return vec![vec![format!("{flag}={value}")]],
                _ => vec![flag.clone(), value.to_owned()],
            };
            vec![vec![format!("{flag}={value}")], second]
        });
        forms.collect()
    }

    /// Asserts that these arguments are read as this value, and that exactly one warning says so if
    /// the value asks for something that heatsink does not do.
    fn check(&self, args: &Args, value: &str, context: &str) {
        let row = self.row();
        assert_eq!(args.text(row).unwrap_or_default(), OsStr::new(value), "{context}");
        let checked = checked().find(|checked| checked.row == row).expect("every row is in it");
        (checked.meaning)(Some(OsStr::new(value)))
            .unwrap_or_else(|error| panic!("{context}: {error:#}"));
        let name = format!("{row} has no effect: ");
        let warnings = args.warnings().filter(|warning| warning.starts_with(&name)).count();
        let expected = row.support != Support::Served && value != self.default;
        assert_eq!(warnings, usize::from(expected), "{context}");
    }
}

#[test]
fn every_flag_of_dcgm_exporter_is_read_in_each_form() {
    for flag in upstream() {
        for value in [&flag.default, &flag.example] {
            for line in flag.forms(value) {
                let context = line.join(" ");
                let line: Vec<&str> = line.iter().map(String::as_str).collect();
                let args = parsed(Command::Serve, &line);
                let args = args.unwrap_or_else(|error| panic!("{context}: {error}"));
                flag.check(&args, value, &context);
                let warned = flag.row().support != Support::Served && *value != flag.default;
                assert_eq!(args.warnings().count(), usize::from(warned), "{context}");
            }
        }
    }
}

/// Set for the test that runs itself, since the environment of a process cannot be changed safely.
const SET: &str = "TEST_WITH_VARIABLES_OF_DCGM_EXPORTER";

#[test]
fn every_variable_of_dcgm_exporter_is_read() {
    let value = |flag: &Upstream, set: &OsStr| match set.to_str() {
        Some("default") => flag.default.clone(),
        _ => flag.example.clone(),
    };
    if let Some(set) = std::env::var_os(SET) {
        let args = Args::parse([OsString::from("heatsink")]).expect("a command line");
        for flag in upstream() {
            flag.check(&args, &value(&flag, &set), &flag.variable);
        }
        return;
    }
    for set in ["default", "example"] {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        let name = "flags::compatibility::every_variable_of_dcgm_exporter_is_read";
        child.args(["--exact", name]).env(SET, set);
        let variables = upstream().into_iter().map(|flag| {
            let value = value(&flag, OsStr::new(set));
            (flag.variable, value)
        });
        let output = child.envs(variables).output().expect("this program runs");
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
    }
}

#[test]
fn the_list_has_every_flag_here_that_is_not_heatsinks_own() {
    let listed: BTreeSet<(String, String)> =
        upstream().into_iter().map(|flag| (flag.long, flag.variable)).collect();
    let here = all().filter_map(|row| Some((row.long.to_owned(), row.variable?.to_owned())));
    let here: BTreeSet<_> = here.filter(|(_, name)| !name.starts_with("HEATSINK_")).collect();
    let differences: Vec<_> = listed.symmetric_difference(&here).collect();
    assert!(differences.is_empty(), "{differences:#?}");
    for flag in upstream() {
        let row = flag.row();
        let alias = row.short.map(String::from).or_else(|| row.alias.map(str::to_owned));
        assert_eq!(alias.unwrap_or_default(), flag.alias, "{row}");
        let form = match flag.kind.as_str() {
            "bool" => Form::Boolean,
            "stringslice" => Form::List,
            // One address in dcgm-exporter.
            _ if flag.long == "address" => Form::List,
            _ => Form::Value,
        };
        assert!(row.form == form, "{row}");
        if row.is_hidden() && flag.default != "false" {
            assert_eq!(row.default, flag.default, "{row}");
        }
    }
}

/// What a flag does here, where its name and the same flag of dcgm-exporter do not say it. The reason
/// for a flag without effect is in its row.
const REMARKS: &[(&str, &str)] = &[
    (
        "collectors",
        "also accepts `default`, `all`, `minimal`, `machine`, `monitoring`, `1.x`; see \
         [the counters file](#the-counters-file)",
    ),
    (
        "address",
        "`:9400` is IPv6 and IPv4; several addresses, separated by commas, and \
         `unix:///run/heatsink.sock`",
    ),
    ("collect-interval", "from 10 to 3600000 milliseconds"),
    ("kubernetes", "[pods](kubernetes.md); shared GPUs [differ](#pods-and-jobs)"),
    (
        "use-old-namespace",
        "`UUID` becomes `uuid`, also in the `heatsink_*` families; `pod`, `namespace` and `container` \
         become `pod_name`, `pod_namespace` and `container_name`",
    ),
    ("cpu-devices", "with DCGM; needs the rows of `--extra-collectors machine`"),
    ("configmap-data", "needs the right to read that ConfigMap"),
    (
        "remote-hostengine-info",
        "selects [DCGM](dcgm.md). Without it heatsink reads the driver library, \
         where dcgm-exporter starts an engine in its process. With an address of an unknown form heatsink \
         exits with status 2",
    ),
    (
        "kubernetes-enable-pod-labels",
        "at most 20 labels of a pod (`--kubernetes-pod-label-limit`); needs `-k` and `NODE_NAME`",
    ),
    (
        "kubernetes-enable-pod-uid",
        "needs `-k`; without the API server with `--kubernetes-node-files`, otherwise needs `NODE_NAME`",
    ),
    (
        "kubernetes-gpu-id-type",
        "`uid` or `device-name`; all forms of ids are recognised with either",
    ),
    (
        "kubernetes-pod-label-allowlist-regex",
        "a pattern matches anywhere in a name; exit status 2 if pod labels are on and all patterns are \
         invalid",
    ),
    ("devices", "see [devices](#devices-and-mig)"),
    ("switch-devices", "with DCGM; needs the rows of `--extra-collectors machine`"),
    ("fake-gpus", "GPUs that the engine simulates, with DCGM"),
    (
        "web-config-file",
        "TLS 1.2 and 1.3; a file that asks for TLS 1.0 or 1.1, CBC or RSA key exchange is refused. It is \
         read again when it or a certificate changes",
    ),
    ("xid-count-window-size", "from 1 millisecond to a day"),
    ("clock-events-count-window-size", "from 1 millisecond to a day"),
    (
        "enable-dcgm-log",
        "with an engine in this process (`--source dcgm`); otherwise there is nothing to log",
    ),
    ("dcgm-log-level", "the same"),
    ("log-format", "`text` or `json`; the messages are heatsink's"),
    ("hpc-job-mapping-dir", "[job files](hpc.md#which-job-was-it), also those of jobstats"),
    (
        "nvidia-resource-names",
        "beside `nvidia.com/gpu`, `nvidia.com/gpu.shared` and `nvidia.com/mig-*`",
    ),
    (
        "kubernetes-virtual-gpus",
        "needs `-k`; values that divide among the pods of a GPU [are absent](#pods-and-jobs) for each",
    ),
    ("kubernetes-enable-dra", "needs `-k` and `NODE_NAME`"),
    (
        "disable-startup-validate",
        "always: heatsink starts without a driver and without GPUs, and tries again",
    ),
    (
        "enable-gpu-bind-unbind-watch",
        "always: GPUs that come or go are noticed within about a second",
    ),
    (
        "web-systemd-socket",
        "a socket that systemd passes is used without the flag, too; with the flag, heatsink listens on \
         nothing else",
    ),
    (
        "config-file",
        "YAML with the names of flags as keys, or those of dcgm-exporter's file that mean the same",
    ),
    (
        "health-require-gpus",
        "`/health` is 503 until a GPU has answered. heatsink also finds GPUs that come later without a \
         restart; `/ready` reports whether data flows",
    ),
];

/// What a flag does here, in a cell of a table.
fn here(flag: &Upstream) -> String {
    let row = flag.row();
    if let Support::NoEffect(why) = row.support {
        return format!("no effect: {why}");
    }
    let is_other =
        row.form != Form::Boolean && !row.default.is_empty() && row.default != flag.default;
    let default = is_other.then(|| format!("default `{}`", row.default));
    let remark = REMARKS.iter().find(|(long, _)| *long == flag.long);
    let remark = remark.map(|(_, remark)| (*remark).to_owned());
    let differences: Vec<String> = default.into_iter().chain(remark).collect();
    match differences.is_empty() {
        true => "works".to_owned(),
        false => format!("works: {}", differences.join("; ")),
    }
}

fn table() -> String {
    let mut table =
        "| flag | variable | in dcgm-exporter | in heatsink |\n|---|---|---|---|\n".to_owned();
    for flag in upstream() {
        let (long, alias) = (&flag.long, &flag.alias);
        let names = match alias.len() {
            0 => format!("`--{long}`"),
            1 => format!("`-{alias}`, `--{long}`"),
            _ => format!("`--{long}`, `--{alias}`"),
        };
        let default = match flag.default.as_str() {
            "" => String::new(),
            default => format!(", `{default}`"),
        };
        let since = match flag.since.as_str() {
            "4.8.2" => String::new(),
            since => format!(", since {since}"),
        };
        let (variable, kind) = (&flag.variable, &flag.kind);
        let here = here(&flag);
        let _ = writeln!(table, "| {names} | `{variable}` | {kind}{default}{since} | {here} |");
    }
    table
}

/// The names of the flags of `serve` that dcgm-exporter does not have.
fn own() -> String {
    let rows = all().filter(|row| row.commands.contains(&Command::Serve));
    let rows = rows.filter(|row| row.variable.is_some_and(|name| name.starts_with("HEATSINK_")));
    let mut lines =
        vec!["Flags that only heatsink has, each with a `HEATSINK_*` variable:".to_owned()];
    let names: Vec<String> = rows.map(|row| format!("`--{}`", row.long)).collect();
    for word in names.join(", ").split_inclusive(' ') {
        match lines.last_mut().filter(|line| line.len() + word.len() < 110) {
            Some(line) => {
                let _ = write!(line, " {}", word.trim_end());
            }
            None => lines.push(word.trim_end().to_owned()),
        }
    }
    lines.join("\n") + ".\n"
}

#[test]
fn the_page_about_compatibility_has_this_table() {
    const START: &str =
        "<!-- flags: generated by the tests in crates/heatsink/src/flags/compatibility.rs -->\n";
    const END: &str = "<!-- end of flags -->";
    let flags = upstream();
    for (long, _) in REMARKS {
        let flag = flags.iter().find(|flag| flag.long == *long);
        let flag = flag.unwrap_or_else(|| panic!("--{long} is no flag of dcgm-exporter"));
        assert!(flag.row().support == Support::Served, "the row of --{long} has a reason");
    }
    let page = std::fs::read_to_string(repository_file("docs/compatibility.md")).expect("the page");
    let (before, rest) = page.split_once(START).expect("the start of the table");
    let (_, after) = rest.split_once(END).expect("the end of the table");
    let page = [before, START, "\n", &table(), "\n", &own(), "\n", END, after].concat();
    check_golden("../../docs/compatibility.md", &page);
}
