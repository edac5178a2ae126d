//! `cargo xtask`: everything that a developer or a build machine does with this repository.
//!
//! There is one way to do each thing, and the build machines use it too: `.ci/run` is
//! `cargo xtask ci`.

#![forbid(unsafe_code)]

mod code;
mod deploy;
mod generate;
mod policy;
mod run;
mod setup;
mod steps;
mod tidy;
mod tree;

use std::path::{Path, PathBuf};
use std::process::ExitCode;

use crate::generate::RulesArgs;
use crate::steps::{Lane, Outcome, Step};

const USAGE: &str = "\
Usage: cargo xtask <COMMAND>

  test [-- ARGS]   set up what the tests need, build the workspace, run all tests;
                   ARGS go to `cargo test`: `-- hung_gpu`, `-- -- --nocapture`
  ci   [-- ARGS]   formatting, clippy, tidy, docs, then the same as `test`, `monitoring`, `deploy`,
                   with a release that is not optimised by the linker
  step NAME        one step of `ci` alone
  nightly          what takes long by its nature, and what `ci` does a short form of: a random walk of
                   faults for ten minutes, a soak, pods that come and go, parsers against many
                   thousand mutated inputs, a history that is killed and cut off 500 times
  monitoring       everything about rules and dashboards, with real servers: nothing generated
                   has drifted, promtool's tests, Grafana's schema, every query, the whole chain
  deploy           everything that is installed, built and tried: chart, unit, release, package,
                   image; as root
  advisories       check the dependencies against RustSec's list of vulnerabilities, from the network
  tidy             check the rules of this repository that no compiler checks
  generate         write the files that are made from the rules: for Prometheus and Grafana, and, into
                   target/manifests, for kubectl
  generate chart   write those that are made from the chart: plain manifests, renderings
  rules [OPTIONS]  print the rules for Prometheus, checked: --metric-names 4.8|4.9,
                   --from FILE (another source), --time-scale N (every duration divided by N,
                   for demonstrations), --out FOLDER (write them there, with configurations of
                   Prometheus and Alertmanager whose waits are divided, too)
";

/// What was asked for.
#[derive(PartialEq, Debug)]
enum Command {
    Test(Vec<String>),
    Ci(Vec<String>),
    Step(String),
    Nightly,
    Advisories,
    Tidy,
    Monitoring,
    Generate,
    GenerateChart,
    Deploy,
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
        Command::Advisories => {
            steps::run(&root, vec![Step::call("advisories", policy::advisories)])
        }
        Command::Tidy => steps::run(&root, vec![TIDY]),
        Command::Monitoring => steps::run(&root, monitoring()),
        Command::Generate => steps::run(&root, vec![Step::call("generate", generate::write)]),
        Command::GenerateChart => {
            steps::run(&root, vec![Step::call("generate chart", deploy::write_chart)])
        }
        Command::Deploy => {
            let steps = deploy::steps(deploy::build_release);
            steps::run(&root, [vec![build()], steps].into_iter().flatten().collect())
        }
        Command::Rules(args) => return printed(generate::rules(&root, &args)),
        Command::Test(args) => steps::run(&root, test(args)),
        Command::Ci(args) => steps::run(&root, ci(args)),
        Command::Step(name) => match steps::run_named(&root, ci(Vec::new()), &name) {
            Some(outcome) => outcome,
            None => {
                eprintln!("error: `ci` has no step `{name}`");
                return ExitCode::from(2);
            }
        },
        Command::Nightly => steps::run(&root, nightly()),
    };
    match outcome {
        Outcome::AllPassed => ExitCode::SUCCESS,
        Outcome::Failed => ExitCode::FAILURE,
    }
}

/// Prints what was asked for, or why it cannot be had.
fn printed(text: anyhow::Result<String>) -> ExitCode {
    match text {
        Ok(text) => {
            print!("{text}");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::from(2)
        }
    }
}

fn parse(args: Vec<String>) -> Result<Command, String> {
    let Some((name, rest)) = args.split_first() else { return Ok(Command::Help) };
    if name == "rules" {
        return generate::parse(rest).map(Command::Rules);
    }
    if let ("step", [step]) = (name.as_str(), rest) {
        return Ok(Command::Step(step.clone()));
    }
    if (name.as_str(), rest) == ("generate", &["chart".to_owned()]) {
        return Ok(Command::GenerateChart);
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
        "nightly" if extra.is_empty() => Ok(Command::Nightly),
        "advisories" if extra.is_empty() => Ok(Command::Advisories),
        "tidy" if extra.is_empty() => Ok(Command::Tidy),
        "monitoring" if extra.is_empty() => Ok(Command::Monitoring),
        "deploy" if extra.is_empty() => Ok(Command::Deploy),
        "generate" if extra.is_empty() => Ok(Command::Generate),
        "tidy" | "generate" | "monitoring" | "deploy" | "nightly" | "advisories" => {
            Err(format!("`{name}` takes no arguments"))
        }
        "help" | "-h" | "--help" => Ok(Command::Help),
        other => Err(format!("there is no command `{other}`")),
    }
}

/// The folder of the workspace. Cargo says where this package is, and it is two below.
fn root() -> PathBuf {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.ancestors().nth(2).unwrap_or(here).to_path_buf()
}

/// The number of cores.
fn cores() -> usize {
    std::thread::available_parallelism().map_or(1, std::num::NonZero::get)
}

const TIDY: Step = Step::call("tidy", tidy::run);
const DRIFT: Step = Step::call("drift", generate::check);
const SCHEMA: Step = Step::call("schema", generate::schema);
const CONFIGS: Step = Step::call("configs", generate::configs);

fn test(extra: Vec<String>) -> Vec<Step> {
    // Cargo builds a library of C ABI only for its own package's tests, and it is the tests of
    // another package that open it: hence the build before the tests.
    let mut steps = vec![Step::call("test set-up", setup::run), DRIFT, SCHEMA, CONFIGS, build()];
    let all = ["test", "--workspace", "--locked"];
    // Most tests wait most of the time.
    let at_once = |step: Step| step.env("RUST_TEST_THREADS", cores().max(4));
    if !extra.is_empty() {
        steps.push(at_once(Step::cargo("test", &all).with(extra)));
        return steps;
    }
    // What measures times under load, by itself.
    let but_timed = [&all[..], &["--", "--skip", TIMED]].concat();
    let timed = [&all[..], &["--test", "nvml", "--", TIMED, "--test-threads=1"]].concat();
    steps.push(at_once(Step::cargo("test", &but_timed)));
    steps.push(Step::cargo("timed", &timed));
    steps
}

/// Begins the names of the tests that measure times under load.
const TIMED: &str = "timed::";

/// What takes servers or minutes, of all that is about rules and dashboards.
const SERVERS: [&str; 3] = ["dashboards", "chain", "newcomer"];

/// One of [`SERVERS`].
fn server(test: &'static str) -> Step {
    // With the workspace, since other dependencies' features would be built again.
    let of_workspace = ["test", "--workspace", "--features", "monitoring/servers", "--locked"];
    // They wait most of the time, so all of a file run at once, however few cores there are.
    let all_at_once = ["--test", test, "--", "--test-threads=8"];
    Step::cargo(test, &[&of_workspace[..], &all_at_once].concat())
}

fn monitoring() -> Vec<Step> {
    let rules = ["test", "--package", "monitoring", "--locked"];
    let mut steps = vec![
        Step::call("test set-up", setup::run),
        DRIFT,
        SCHEMA,
        CONFIGS,
        build(),
        Step::cargo("rules", &rules),
    ];
    steps.extend(SERVERS.map(server));
    steps
}

fn build() -> Step {
    Step::cargo("build", &["build", "--workspace", "--locked"])
}

fn ci(extra: Vec<String>) -> Vec<Step> {
    let clippy = &["clippy", "--workspace", "--all-targets", "--all-features", "--locked"];
    let docs = &["doc", "--workspace", "--no-deps", "--locked"];
    let mut steps = vec![
        Step::cargo("format", &["fmt", "--all", "--check"]),
        Step::cargo("clippy", clippy).with(["--", "-D", "warnings"].map(str::to_owned).to_vec()),
        TIDY,
        Step::call("dependencies", policy::dependencies),
        Step::optional("advisories", |_| Ok(Some("see `cargo xtask advisories`".to_owned()))),
        Step::call("workflows", policy::workflows),
        Step::cargo("docs", docs).env("RUSTDOCFLAGS", "-D warnings"),
    ];
    for step in test(extra) {
        if step.name == "test" {
            steps.push(step.beside(Lane::Tests));
            steps.extend(beside_tests());
        } else {
            steps.push(step);
        }
    }
    // A step without a lane comes before: the chain's scrapes have a deadline, and the tests are busy.
    let mut deploy = deploy::steps(deploy::build_quickly).into_iter();
    steps.extend(deploy.next());
    steps.push(server("chain").beside(Lane::Servers));
    steps.extend(deploy.map(|step| step.beside(Lane::Builds)));
    steps
}

/// What does not disturb the tests.
fn beside_tests() -> Vec<Step> {
    // The watches of the API server against a mock that is not ours, which pip installs.
    let kmock = ["test", "--workspace", "--locked", "--lib", "--", "--ignored", "kmock"];
    // The formats of a page by parsers that are not ours.
    let parsers = ["test", "--workspace", "--locked", "--test", "exposition", "--"];
    let parsers = [&parsers[..], &["--ignored", "parsers"]].concat();
    vec![
        Step::cargo("kmock", &kmock).beside(Lane::Tests),
        Step::cargo("parsers", &parsers).beside(Lane::Tests),
        server("dashboards").beside(Lane::Servers),
        server("newcomer").beside(Lane::Servers),
    ]
}

/// What takes long by its nature. Each prints its figures.
fn nightly() -> Vec<Step> {
    let long = |module| {
        let args = ["test", "--package", "heatsink", "--locked", "--test", "nvml", "--"];
        Step::cargo(module, &[&args[..], &[module, "--nocapture"]].concat())
    };
    let parsers = ["test", "--package", "sampler", "--locked", "--lib", "kernel_log"];
    let attribution = ["test", "--package", "attribution", "--locked", "--lib"];
    let history = ["test", "--package", "history", "--locked", "--lib", "crashes::"];
    vec![
        Step::call("test set-up", setup::run),
        build(),
        long("random_walk").env("HEATSINK_WALK_SECONDS", "600"),
        long("soak").env("HEATSINK_SOAK_SECONDS", "600"),
        long("reload").env("HEATSINK_RELOADS", "1000"),
        long("pod_churn").env("HEATSINK_CHURN_SECONDS", "600"),
        long("web_load").env("HEATSINK_WEB_LOAD_SECONDS", "300"),
        long("web_rotation").env("HEATSINK_ROTATION_SECONDS", "600"),
        long("history_stories").env("HEATSINK_STORIES", "1000"),
        Step::cargo("parsers", &parsers).env("PROPTEST_CASES", "20000"),
        Step::cargo("attribution", &attribution).env("PROPTEST_CASES", "20000"),
        Step::cargo("history", &history).env("HEATSINK_HISTORY_CRASHES", "500"),
    ]
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
        assert_eq!(parse(words("nightly")), Ok(Command::Nightly));
        assert_eq!(parse(vec![]), Ok(Command::Help));
    }

    #[test]
    fn what_is_not_understood_is_refused() {
        for bad in ["tets", "test hung", "tidy -- x", "ci --fast"] {
            assert!(parse(words(bad)).is_err(), "{bad}");
        }
    }

    #[test]
    fn ci_does_all_that_test_monitoring_and_deploy_do() {
        let names = |steps: Vec<Step>| steps.iter().map(|step| step.name).collect::<Vec<_>>();
        let ci = names(ci(vec![]));
        let test = names(test(vec![]));
        let in_order = |names: &[&str]| ci.iter().filter(|name| names.contains(name)).eq(names);
        assert!(in_order(&test));
        assert!(in_order(&["dashboards", "newcomer", "chain"]));
        assert!(SERVERS.iter().all(|name| ci.contains(name)));
        let deploy = names(deploy::steps(deploy::build_release));
        assert!(in_order(&deploy) && ci.last() == deploy.last());
        // Which it tests with all the others.
        let is_done = |name: &&str| *name == "rules" || ci.contains(name);
        assert!(names(monitoring()).iter().all(is_done));
    }
}
