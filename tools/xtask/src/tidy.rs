//! The rules of this repository that no compiler, linter or formatter checks.
//!
//! Each check is a function from the files to what is wrong with them: adding one is a row in
//! [`CHECKS`] and a test in which it fails.

mod circles;
mod environment;
mod files;
mod imports;
mod links;
mod manifests;
mod paths;
mod unsafety;
mod versions;

use std::fmt;
use std::path::Path;

use anyhow::{Result, bail};

use crate::tree::{self, File};

/// One rule.
struct Check {
    name: &'static str,
    run: fn(&[File]) -> Vec<Finding>,
}

const CHECKS: &[Check] = &[
    Check { name: "imports", run: imports::check },
    Check { name: "import-circles", run: circles::check },
    Check { name: "unsafe-crates", run: unsafety::forbidden },
    Check { name: "safety-comments", run: unsafety::explained },
    Check { name: "lints", run: manifests::inherit_lints },
    Check { name: "module-docs", run: files::module_docs },
    Check { name: "file-names", run: files::names },
    Check { name: "environment", run: environment::check },
    Check { name: "links", run: links::check },
    Check { name: "whitespace", run: files::whitespace },
    Check { name: "placeholders", run: files::placeholders },
    Check { name: "versions", run: versions::check },
];

/// Something that breaks a rule.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
struct Finding {
    path: String,
    /// Counted from 1; `None` where it is about the whole file.
    line: Option<usize>,
    message: String,
}

impl Finding {
    /// About the line at `index`, counted from 0.
    fn at(file: &File, index: usize, message: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line: Some(index + 1), message: message.into() }
    }

    /// About a file as a whole.
    fn of(file: &File, message: impl Into<String>) -> Self {
        Self { path: file.path.clone(), line: None, message: message.into() }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}:{line}: {}", self.path, self.message),
            None => write!(f, "{}: {}", self.path, self.message),
        }
    }
}

/// Runs every check over the repository at `root`, and prints a line for each finding.
pub(crate) fn run(root: &Path) -> Result<()> {
    let files = tree::read(root)?;
    let mut count = 0;
    for check in CHECKS {
        let mut findings = (check.run)(&files);
        findings.sort();
        count += findings.len();
        for finding in findings {
            println!("{finding} [{}]", check.name);
        }
    }
    if count > 0 {
        bail!("{count} findings");
    }
    println!("tidy: {} checks over {} files", CHECKS.len(), files.len());
    Ok(())
}

/// What a check finds in `files`, a line each: the form in which tests compare.
#[cfg(test)]
fn findings(run: fn(&[File]) -> Vec<Finding>, files: &[(&str, &str)]) -> Vec<String> {
    let mut found = run(&tree::tree(files));
    found.sort();
    found.iter().map(Finding::to_string).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_check_has_a_name_of_its_own() {
        let mut names = CHECKS.iter().map(|check| check.name).collect::<Vec<_>>();
        names.sort_unstable();
        names.dedup();
        assert_eq!(names.len(), CHECKS.len());
    }

    #[test]
    fn every_check_can_fail() {
        let bad = tree::tree(&[
            ("crates/model/Cargo.toml", "[package]\nname = \"model\"\n[dependencies]\nsim = {}\n"),
            ("crates/sim/Cargo.toml", "[package]\nname = \"sim\"\n[lints]\nworkspace = true\n"),
            ("crates/model/src/lib.rs", "#![allow(unsafe_code)]\nmod utils;\n"),
            ("crates/model/src/utils.rs", "fn f() { env::var(\"X\") }"),
            ("crates/nvml/src/lib.rs", "//! x\nfn f() { unsafe { g() } }\n"),
            ("crates/sim/src/lib.rs", "//! x\nuse crate::a::A;\npub struct L;\n"),
            ("crates/sim/src/a.rs", "//! x\nuse crate::L;\n"),
            ("README.md", "[gone](docs/gone.md)\t\n"),
            ("Cargo.toml", "[workspace.package]\nversion = \"1.0.0\"\n"),
            ("deploy/docker/Dockerfile", "ARG VERSION=0.9.0\n"),
            ("docs/install.md", concat!("docker pull ghcr.io/", "heatsink/heatsink\n")),
        ]);
        for check in CHECKS {
            assert!(!(check.run)(&bad).is_empty(), "{} found nothing", check.name);
        }
    }

    #[test]
    fn no_check_finds_anything_in_good_files() {
        let manifest = "[package]\nname = \"model\"\n[lints]\nworkspace = true\n";
        let good = tree::tree(&[
            ("crates/model/Cargo.toml", manifest),
            ("crates/model/src/lib.rs", "//! Words.\n\n#![forbid(unsafe_code)]\n\nmod field;\n"),
            ("crates/model/src/field.rs", "//! Fields.\n"),
            ("README.md", "[the words](crates/model/src/lib.rs)\n"),
        ]);
        for check in CHECKS {
            assert_eq!((check.run)(&good), [], "{}", check.name);
        }
    }
}
