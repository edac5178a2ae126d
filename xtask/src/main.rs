//! `cargo xtask`: everything that a developer or a build machine does with this repository.
//!
//! There is one way to do each thing, and the build machines use it too: `.ci/run` is
//! `cargo xtask ci`.

#![forbid(unsafe_code)]

mod code;
mod generate;
mod setup;
mod steps;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::generate::RulesArgs;
use crate::steps::{Outcome, Step};

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

  test [-- ARGS]   set up what the tests need, build the workspace, run all tests;
                   ARGS go to `cargo test`: `-- hung_gpu`, `-- -- --nocapture`
  ci   [-- ARGS]   formatting, clippy, tidy, docs, then the same as `test`
  tidy             check the rules of this repository that no compiler checks
  generate         write all files that are generated: rules, dashboards
  rules [OPTIONS]  print the rules for Prometheus, checked: --metric-names 4.8|4.9,
                   --time-scale N (durations divided by N, for demonstrations), --from FILE
";

/// What was asked for.
#[derive(PartialEq, Debug)]
enum Command {
    Test(Vec<String>),
    Ci(Vec<String>),
    Tidy,
    Generate,
    Rules(RulesArgs),
    Help,
}

fn main() -> ExitCode {
    let command = match parse(std::env::args().skip(1).collect()) {
        Ok(command) => command,
        Err(message) => {
            eprint!("error: {message}\n\n{USAGE}");
            return ExitCode::from(2);
        }
    };
    let root = root();
    let outcome = match command {
        Command::Help => {
            print!("{USAGE}");
            return ExitCode::SUCCESS;
        }
        Command::Tidy => steps::run(&root, vec![TIDY]),
        Command::Generate => steps::run(&root, vec![Step::call("generate", generate::write)]),
        Command::Rules(args) => {
            return match generate::rules(&root, &args) {
                Ok(rules) => {
                    print!("{rules}");
                    ExitCode::SUCCESS
                }
                Err(error) => {
                    eprintln!("error: {error:#}");
                    ExitCode::from(2)
                }
            };
        }
        Command::Test(args) => steps::run(&root, test(args)),
        Command::Ci(args) => steps::run(&root, ci(args)),
    };
    match outcome {
        Outcome::AllPassed => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::FAILURE,
    }
}

fn parse(args: Vec<String>) -> Result<Command, String> {
    let Some((name, rest)) = args.split_first() else { return Ok(Command::Help) };
    if name == "rules" {
        return generate::parse(rest).map(Command::Rules);
    }
    let extra = match rest.split_first() {
        None => Vec::new(),
        Some((dashes, extra)) if dashes == "--" => extra.to_vec(),
        Some((other, _)) => {
            return Err(format!("`{other}`: arguments for the tests go after `--`"));
        }
    };
    match name.as_str() {
        "test" => Ok(Command::Test(extra)),
        "ci" => Ok(Command::Ci(extra)),
        "tidy" if extra.is_empty() => Ok(Command::Tidy),
        "generate" if extra.is_empty() => Ok(Command::Generate),
        "tidy" | "generate" => Err(format!("`{name}` takes no arguments")),
        "help" | "-h" | "--help" => Ok(Command::Help),
        other => Err(format!("there is no command `{other}`")),
    }
}

/// The folder of the workspace. Cargo says where this package is, and it is one below.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().unwrap_or(here).to_path_buf()
}

const TIDY: Step = Step::call("tidy", tidy::run);

fn test(extra: Vec<String>) -> Vec<Step> {
    // Cargo builds a library of C ABI only for its own package's tests, and it is the tests of
    // another package that open it: hence the build before the tests.
    vec![
        Step::call("test set-up", setup::run),
        Step::cargo("build", &["build", "--workspace", "--locked"]),
        Step::cargo("test", &["test", "--workspace", "--locked"]).with(extra),
    ]
}

fn ci(extra: Vec<String>) -> Vec<Step> {
    let clippy = &["clippy", "--workspace", "--all-targets", "--locked", "--", "-D", "warnings"];
    let docs = &["doc", "--workspace", "--no-deps", "--locked"];
    let mut steps = vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("clippy", clippy),
        TIDY,
        Step::cargo("docs", docs).env("RUSTDOCFLAGS", "-D warnings"),
    ];
    steps.extend(test(extra));
    steps
}

#[cfg(test)]
mod tests {
    use super::*;

    fn words(text: &str) -> Vec<String> {
        text.split_whitespace().map(str::to_owned).collect()
    }

    #[test]
    fn arguments_after_the_dashes_go_to_the_tests() {
        assert_eq!(parse(words("test")), Ok(Command::Test(vec![])));
        assert_eq!(parse(words("test -- hung -- --nocapture")), {
            Ok(Command::Test(words("hung -- --nocapture")))
        });
        assert_eq!(parse(words("ci")), Ok(Command::Ci(vec![])));
        assert_eq!(parse(words("tidy")), Ok(Command::Tidy));
        assert_eq!(parse(vec![]), Ok(Command::Help));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in ["tets", "test hung", "tidy -- x", "ci --fast"] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn ci_ends_with_all_that_test_does() {
        let names = |steps: Vec<Step>| steps.iter().map(|step| step.name).collect::<Vec<_>>();
        let test = names(test(vec![]));
        assert!(names(ci(vec![])).ends_with(&test));
    }
}
