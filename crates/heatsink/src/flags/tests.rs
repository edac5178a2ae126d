//! Tests over the whole table.

use std::collections::{BTreeMap, HashSet};
use std::ffi::OsString;

use super::*;
use crate::cli::Args;
use crate::flag::{Command, Form};

pub(super) fn parsed(command: Command, line: &[&str]) -> Result<Args, clap::Error> {
    let start: &[&str] = match command {
        Command::Serve => &["heatsink"],
        Command::Demo => &["heatsink", "demo"],
        Command::Check => &["heatsink", "check"],
        Command::Fields => &["heatsink", "fields"],
        Command::Config => &["heatsink", "config"],
        Command::Report => &["heatsink", "report"],
        Command::Incidents => &["heatsink", "incidents"],
        Command::History => &["heatsink", "history"],
        Command::ProbeGpu => &["heatsink", "probe-gpu"],
        Command::Acceptance => &["heatsink", "acceptance"],
    };
    Args::parse([start, line].concat().into_iter().map(OsString::from))
}

/// Asserts that these arguments give the flag this text.
fn check(row: &'static Row, line: &[&str], text: &str) {
    for command in row.commands {
        let args = parsed(*command, line);
        let args = args.unwrap_or_else(|error| panic!("{command:?} {line:?}: {error}"));
        assert_eq!(args.text(row).as_deref(), Some(OsStr::new(text)), "{command:?} {line:?}");
    }
}

fn check_refused(row: &'static Row, line: &[&str]) {
    for command in row.commands {
        assert!(parsed(*command, line).is_err(), "{command:?} {line:?}");
    }
}

/// A text that clap accepts: any, unless the row has choices.
fn value(row: &Row) -> &'static str {
    row.choices.last().map_or("any text", |(name, _)| name)
}

#[test]
fn no_name_and_no_variable_stands_twice_in_a_command() {
    crate::cli::command().debug_assert();
    for row in all() {
        assert!(!row.commands.is_empty(), "{row} belongs to no command");
        let is_accepted = ACCEPTED.iter().any(|accepted| accepted == row);
        assert_eq!(row.is_hidden(), is_accepted || *row == HISTORY_SPEED.row, "{row}");
    }
    for command in [Serve, Demo, Check, Fields, Config, ProbeGpu, Acceptance] {
        let mut seen = HashSet::new();
        for row in all().filter(|row| row.is_of(command)) {
            let short = row.short.map(String::from);
            let names = [Some(row.long), row.alias, row.variable];
            for name in names.into_iter().flatten().map(str::to_owned).chain(short) {
                assert!(seen.insert(name.clone()), "{name} stands twice in {command:?}");
            }
        }
    }
}

/// A variable may stand in several rows only if they are one flag of different commands.
#[test]
fn a_variable_belongs_to_one_long_name() {
    let mut names = BTreeMap::new();
    for row in all() {
        if let Some(variable) = row.variable {
            assert_eq!(*names.entry(variable).or_insert(row.long), row.long, "{variable}");
        }
    }
}

#[test]
fn every_flag_with_a_value_is_read_in_each_form() {
    let has_value = |row: &&Row| matches!(row.form, Form::Value | Form::List | Form::Repeated);
    for row in all().filter(has_value) {
        let (long, value) = (row.long, value(row));
        for name in [Some(long), row.alias].into_iter().flatten() {
            check(row, &[&format!("--{name}"), value], value);
            check(row, &[&format!("--{name}={value}")], value);
            // As in Go programs.
            check(row, &[&format!("-{name}"), value], value);
        }
        if let Some(short) = row.short {
            check(row, &[&format!("--{short}"), value], value);
            check(row, &[&format!("--{short}={value}")], value);
            check(row, &[&format!("-{short}"), value], value);
            check(row, &[&format!("-{short}{value}")], value);
            check(row, &[&format!("-{short}={value}")], value);
        }
        check_refused(row, &[&format!("--{long}")]);
    }
}

#[test]
fn every_boolean_is_read_in_each_form() {
    for row in all().filter(|row| row.form == Form::Boolean) {
        let short = row.short.into_iter();
        let short = short.flat_map(|short| [format!("-{short}"), format!("--{short}")]);
        let long = [Some(row.long), row.alias].into_iter().flatten();
        let names = long.flat_map(|name| [format!("--{name}"), format!("-{name}")]).chain(short);
        for name in names {
            check(row, &[&name], "true");
            for text in ["true", "false", "1", "0", "t", "F", "yes", "no", "on", "Off", ""] {
                check(row, &[&format!("{name}={text}")], text);
                assert!(parse::boolean(text).is_ok(), "{text}");
            }
            // A value needs an equals sign.
            check_refused(row, &[&name, "true"]);
        }
    }
    for row in all().filter(|row| row.form == Form::Switch) {
        let name = format!("--{}", row.long);
        check(row, &[&name], "true");
        check_refused(row, &[&format!("{name}=true")]);
    }
}

#[test]
fn the_last_of_a_flag_that_stands_twice_counts() {
    let is_list = |row: &Row| matches!(row.form, Form::Positional | Form::List | Form::Repeated);
    for row in all().filter(|row| !is_list(row)) {
        let once = match row.form {
            Form::Switch => format!("--{}", row.long),
            _ => format!("--{}={}", row.long, value(row)),
        };
        let text = if row.form == Form::Switch { "true" } else { value(row) };
        check(row, &[&once, &once], text);
    }
    check(&COLLECT_INTERVAL.row, &["-c", "100", "--collect-interval=200"], "200");
}

#[test]
fn a_list_may_stand_several_times() {
    let line = ["--nvidia-resource-names=a.com/gpu,", "--nvidia-resource-names", "b.com/gpu, c/d"];
    let args = parsed(Command::Serve, &line).unwrap();
    assert_eq!(args.get(&RESOURCE_NAMES).unwrap(), ["a.com/gpu", "b.com/gpu", "c/d"]);
}

#[test]
fn every_default_and_an_empty_text_have_a_meaning() {
    for CheckedRow { row, meaning } in checked() {
        for text in [None, Some(OsStr::new("")), Some(OsStr::new(row.default))] {
            assert!(meaning(text).is_ok(), "{row}");
        }
    }
}

/// The environment of a process cannot be changed safely, so the test runs itself with every variable
/// set.
#[test]
fn every_variable_is_read() {
    let variables = all().filter_map(|row| row.variable);
    if std::env::var_os(ALL_SET).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "flags::tests::every_variable_is_read"]).env(ALL_SET, "");
        child.envs(variables.map(|variable| (variable, format!("text of {variable}"))));
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    for row in all() {
        if let Some(variable) = row.variable {
            check(row, &[], &format!("text of {variable}"));
            let long = format!("--{}=other", row.long);
            check(row, &[&long], "other");
        }
    }
}

/// As [`every_variable_is_read`], with blanks in every variable.
#[test]
fn a_blank_variable_counts_as_not_set() {
    let variables = all().filter_map(|row| row.variable);
    if std::env::var_os(ALL_SET).is_none() {
        let mut child = std::process::Command::new(std::env::current_exe().unwrap());
        child.args(["--exact", "flags::tests::a_blank_variable_counts_as_not_set"]);
        child.env(ALL_SET, "").envs(variables.map(|variable| (variable, "  ")));
        let output = child.output().unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stdout));
        return;
    }
    for CheckedRow { row, meaning } in checked().filter(|checked| checked.row.variable.is_some()) {
        for command in row.commands {
            let args = parsed(*command, &[]).unwrap();
            let text = args.text(row);
            assert_eq!(text.as_deref().unwrap_or_default(), OsStr::new(row.default), "{row}");
            assert!(meaning(text.as_deref()).is_ok(), "{row}");
        }
    }
    let args = parsed(Command::Serve, &[]).unwrap();
    assert!(args.with_file().unwrap().file().is_none());
}

/// Set for the test that runs itself.
const ALL_SET: &str = "TEST_WITH_EVERY_VARIABLE_SET";

#[test]
fn unknown_flags_and_arguments_are_refused() {
    for line in [&["--no-such-flag"][..], &["-z"], &["-nx"], &["-no-such-flag"], &["srve"]] {
        assert!(parsed(Command::Serve, line).is_err(), "{line:?}");
    }
    assert!(parsed(Command::Check, &["--window", "60s"]).is_err());
    assert!(parsed(Command::Serve, &["-f", "all", "serve"]).is_err());
}

#[test]
fn a_flag_is_named_with_its_variable() {
    for (row, name) in [
        (&DEVICES.row, "-d, --devices (DCGM_EXPORTER_DEVICES_STR)"),
        (&WINDOW.row, "--window (HEATSINK_WINDOW)"),
        (&DEMO_ADDRESS.row, "-a, --address"),
    ] {
        assert_eq!(row.to_string(), name);
    }
}

#[test]
fn manifests_of_dcgm_exporter_start_heatsink() {
    let line = "-k -o=false -p f --kubernetes-gpu-id-type uid -x 300000 -r localhost:5555 -m none \
                -f x.csv -a :1 -c 100 -n -d g:0 --log-format json --debug=false -rbmn";
    let args = parsed(Command::Serve, &line.split(' ').collect::<Vec<_>>()).unwrap();
    assert!(args.get(&KUBERNETES).unwrap() && !args.asks_for(&CONFIGMAP_DATA.row));
    assert!(args.get(&NO_HOSTNAME).unwrap() && !args.get(&DEBUG).unwrap());
    assert!(args.get(&REPLACE_BLANKS_IN_MODEL_NAME).unwrap());
}

#[test]
fn a_boolean_that_says_no_asks_for_nothing() {
    for no in ["false", "F", "0", "no", "Off", ""] {
        let args = parsed(Command::Serve, &[&format!("--dump-enabled={no}")]).unwrap();
        assert!(ACCEPTED.iter().all(|row| !args.asks_for(row)), "{no}");
        assert_eq!(args.warnings().count(), 0, "{no}");
    }
}

#[test]
fn a_flag_without_effect_is_named_with_the_reason() {
    let line = ["--dump-enabled", "-enable-pprof=yes", "--disable-startup-validate", "-k"];
    let args = parsed(Command::Serve, &line).unwrap();
    let warnings: Vec<String> = args.warnings().collect();
    assert_eq!(
        warnings,
        [
            "--dump-enabled (DCGM_EXPORTER_DUMP_ENABLED) has no effect: heatsink writes no dumps; \
             `heatsink check --json` prints every reading",
            "--enable-pprof (DCGM_EXPORTER_ENABLE_PPROF) has no effect: heatsink is not a Go program",
        ]
    );
}
