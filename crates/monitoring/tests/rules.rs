//! Every alert, tried by `promtool` under both generations of names: it fires, it does not just
//! below, and it does what is meant when its series end.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use monitoring::cases::{Cases, Tests};
use monitoring::expand::Names;
use monitoring::files;
use monitoring::rules::RuleFile;
use monitoring::source::Source;
use testkit::exporter::repository_file;

fn root() -> PathBuf {
    repository_file("")
}

fn cases(source: &Source) -> Cases {
    let path = root().join("monitoring/rules/cases.toml");
    let text = fs::read_to_string(path).expect("the cases are there");
    Cases::parse(&text, source).unwrap_or_else(|error| panic!("{error:#}"))
}

fn source() -> Source {
    files::source(&root()).unwrap_or_else(|error| panic!("{error:#}"))
}

fn promtool(folder: &Path, args: &[String]) -> (bool, String) {
    let output = Command::new("promtool")
        .args(args)
        .current_dir(folder)
        .output()
        .expect("promtool, from Debian's package prometheus; `cargo xtask test` installs it");
    let said = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8_lossy(&said).into_owned())
}

/// Lets promtool try `tests`, each over the rules that it is about.
fn test(source: &Source, names: Names, tests: &[Tests]) -> (bool, String) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).expect("a file can be written");
    };
    let rules = |source: &Source| {
        let rules = RuleFile::new(source, names, 1.0).and_then(|rules| rules.to_yaml(""));
        rules.unwrap_or_else(|error| panic!("{error:#}"))
    };
    write("all.yml", &rules(source));
    let checked = promtool(folder.path(), &["check", "rules", "all.yml"].map(str::to_owned));
    assert!(checked.0, "{}", checked.1);
    let mut args = vec!["test".to_owned(), "rules".to_owned()];
    for (number, file) in tests.iter().enumerate() {
        write(&file.rule_file, &rules(&source.only(&file.alert)));
        let name = format!("{number}.test.yml");
        write(&name, &file.text);
        args.push(name);
    }
    promtool(folder.path(), &args)
}

fn judge(names: Names) {
    let source = source();
    let tests = cases(&source).tests(names, &source);
    let tests = tests.unwrap_or_else(|error| panic!("{error:#}"));
    let (passed, said) = test(&source, names, &tests);
    assert!(passed, "{said}");
}

#[test]
fn under_the_names_of_4_8() {
    judge(Names::V4_8);
}

#[test]
fn under_the_names_of_4_9() {
    judge(Names::V4_9);
}

/// A test that cannot fail tests nothing.
#[test]
fn an_alert_that_is_wrong_is_found_out() {
    let text = fs::read_to_string(root().join(files::SOURCE)).unwrap();
    let wrong = text.replace("> [[temperature_high]]", ">= [[temperature_high]]");
    assert_ne!(text, wrong);
    let source = Source::parse(&wrong).unwrap();
    let tests = cases(&source).tests(Names::V4_8, &source).unwrap();
    let (passed, said) = test(&source, Names::V4_8, &tests);
    assert!(!passed && said.contains("GpuTemperatureHigh"), "{said}");
}

/// What each alert says, rendered by Prometheus itself: read it as who is woken by it.
#[test]
fn what_they_say() {
    let source = source();
    let tests = cases(&source).texts(Names::V4_8).unwrap();
    let (_, said) = test(&source, Names::V4_8, &tests);
    let mut texts = std::collections::BTreeMap::new();
    for (labels, annotations) in firing(&said) {
        let alert = value(labels, "alertname").expect("a name");
        let [severity, summary, description] = [
            value(labels, "severity"),
            value(annotations, "summary"),
            value(annotations, "description"),
        ]
        .map(|text| text.expect("every alert has it"));
        let text = format!("{alert} ({severity})\n  {summary}\n  {description}\n");
        assert!(!text.contains("error expanding") && !text.contains("no value"), "{text}");
        texts.entry(alert).or_insert(text);
    }
    let named = source.alerts().filter_map(|alert| texts.get(alert.name.as_str()).cloned());
    let all: Vec<String> = named.collect();
    assert_eq!(all.len(), source.alerts().count(), "each alert fires somewhere");
    testkit::golden::check_golden("alerts.txt", &all.join("\n"));
}

/// Labels and annotations of every alert that promtool found firing.
fn firing(said: &str) -> impl Iterator<Item = (&str, &str)> {
    let lines = said.lines().map(str::trim);
    let labels = lines.clone().filter(|line| line.starts_with("Labels:"));
    labels.zip(lines.filter(|line| line.starts_with("Annotations:")))
}

/// The value behind `name="`, as promtool writes it.
fn value(set: &str, name: &str) -> Option<String> {
    let quoted = set.split_once(&format!("{name}=\""))?.1;
    let mut end = quoted.match_indices('"').map(|(at, _)| at);
    let end = end.find(|&at| !quoted[..at].ends_with('\\'))?;
    Some(quoted[..end].replace("\\\"", "\""))
}
