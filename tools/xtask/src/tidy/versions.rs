//! The version stands in Cargo.toml and that of the compiler in rust-toolchain.toml. Files that must
//! repeat one agree with it.

use toml::{Table, Value};

use super::Finding;
use crate::tree::File;

/// Where a version is set: the file, and the keys in it.
type Place = (&'static str, &'static [&'static str]);

/// Where the version of heatsink is set.
const VERSION: Place = ("Cargo.toml", &["workspace", "package", "version"]);

/// Where the version of the compiler is set.
const COMPILER: Place = ("rust-toolchain.toml", &["toolchain", "channel"]);

/// Files that repeat a version, and how the line begins. `1.95` agrees with `1.95.0`.
const REPEATED: &[(&str, &str, Place)] = &[
    ("deploy/docker/Dockerfile", "ARG VERSION=", VERSION),
    ("deploy/helm/heatsink/Chart.yaml", "version: ", VERSION),
    ("deploy/helm/heatsink/Chart.yaml", "appVersion: ", VERSION),
    ("deploy/docker/Dockerfile", "FROM rust:", COMPILER),
    (".github/workflows/ci.yml", "image: rust:", COMPILER),
    (".github/workflows/release.yml", "image: rust:", COMPILER),
];

/// What stands before the version in texts and names of images.
const NAMES: &[&str] = &["heatsink ", "heatsink:"];

/// Every version that is not the one that is set.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (path, beginning, source) in REPEATED {
        let Some(file) = files.iter().find(|file| file.path == *path) else { continue };
        let Some(right) = set(files, *source) else { continue };
        let lines = file.text.lines().enumerate();
        let found = lines.filter_map(|(at, line)| Some((at, line.trim().strip_prefix(beginning)?)));
        let found = found.map(|(at, rest)| (at, number(rest))).collect::<Vec<_>>();
        if found.is_empty() {
            findings.push(Finding::of(file, format!("no line begins with `{beginning}`")));
        }
        for (at, _) in
            found.iter().filter(|(_, found)| !format!("{right}.").starts_with(&format!("{found}.")))
        {
            findings.push(Finding::at(file, *at, format!("{} has version {right}", source.0)));
        }
    }
    findings.extend(named(files));
    findings
}

/// Every `heatsink 1.2.3` in a text, but for Rust's and the list of changes.
fn named(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let Some(right) = set(files, VERSION) else { return findings };
    for file in files.iter().filter(|file| !file.is_rust() && file.path != "CHANGELOG.md") {
        for (at, line) in file.text.lines().enumerate() {
            let after = NAMES.iter().flat_map(|name| line.split(name).skip(1));
            let wrong = after.map(|rest| (number(rest), rest)).any(|(found, rest)| {
                let of_another = rest[found.len()..].starts_with('-');
                found.split('.').count() == 3 && found != right && !of_another
            });
            if wrong {
                findings.push(Finding::at(file, at, format!("{} has version {right}", VERSION.0)));
            }
        }
    }
    findings
}

/// The version that a file sets.
fn set(files: &[File], (path, keys): (&str, &[&str])) -> Option<String> {
    let text = &files.iter().find(|file| file.path == path)?.text;
    let value = Value::Table(text.parse::<Table>().ok()?);
    keys.iter().try_fold(&value, |value, key| value.get(key))?.as_str().map(str::to_owned)
}

/// The digits and dots with which `text` begins, without a quote and without a last dot.
fn number(text: &str) -> &str {
    let text = text.trim_start_matches('"');
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.').unwrap_or(text.len());
    text[..end].trim_end_matches('.')
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[track_caller]
    fn check_files(files: &[(&str, &str)], expect: &[&str]) {
        let set = [
            ("Cargo.toml", "[workspace.package]\nversion = \"1.2.3\"\n"),
            ("rust-toolchain.toml", "[toolchain]\nchannel = \"1.95.0\"\n"),
        ];
        assert_eq!(findings(check, &[&set[..], files].concat()), expect);
    }

    #[test]
    fn what_repeats_the_version_agrees() {
        let chart = "deploy/helm/heatsink/Chart.yaml";
        let docker = "deploy/docker/Dockerfile";
        check_files(
            &[
                (chart, "version: 1.2.3\nappVersion: \"1.2.3\"\n"),
                (docker, "FROM rust:1.95-bookworm\nARG VERSION=1.2.3\n"),
                (".github/workflows/ci.yml", "    image: rust:1.95.0-bookworm\n"),
            ],
            &[],
        );
        check_files(
            &[
                (chart, "version: 1.2.4\n"),
                (docker, "FROM rust:1.9-bookworm\nARG VERSION=11.2.3\n"),
            ],
            &[
                "deploy/docker/Dockerfile:1: rust-toolchain.toml has version 1.95.0",
                "deploy/docker/Dockerfile:2: Cargo.toml has version 1.2.3",
                "deploy/helm/heatsink/Chart.yaml: no line begins with `appVersion: `",
                "deploy/helm/heatsink/Chart.yaml:1: Cargo.toml has version 1.2.3",
            ],
        );
    }

    #[test]
    fn texts_name_the_version_that_is_set() {
        check_files(
            &[
                ("docs/a.md", "heatsink 1.2.3 reads\nregistry.example.com/heatsink:1.2.3\n"),
                ("docs/b.md", "heatsink 1.2.2 reads\nimage: x/heatsink:1.2.4\n"),
                ("docs/c.md", "heatsink 4.9 names; heatsink:4.5.3-4.8.2-distroless\n"),
                ("CHANGELOG.md", "heatsink 1.2.2\n"),
                ("crates/sim/src/a.rs", "// heatsink 1.2.2\n"),
            ],
            &[
                "docs/b.md:1: Cargo.toml has version 1.2.3",
                "docs/b.md:2: Cargo.toml has version 1.2.3",
            ],
        );
    }
}
