//! What only one room may do: read the environment. And what none may: end the process, since
//! `main` returns its exit code.

use super::Finding;
use crate::code::{only_code, words_at};
use crate::tree::File;

/// Every call that ends the process, and every import of one.
pub(super) fn exits(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust()) {
        for (index, line) in only_code(&file.text).lines().enumerate() {
            if uses(line, "process", "exit") {
                findings.push(Finding::at(file, index, "ends the process: return an `ExitCode`"));
            }
        }
    }
    findings
}

/// The binary, and what is no part of the product.
const READS_ENVIRONMENT: &[&str] = &["heatsink", "fake-nvml", "fake-dcgm", "testkit", "xtask"];

/// Every look at the environment by a room that is told its settings.
pub(super) fn environment(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && must_be_told(file)) {
        for (index, line) in only_code(&file.text).lines().enumerate() {
            if ["var", "var_os", "vars", "vars_os"].iter().any(|name| uses(line, "env", name)) {
                let message = "reads the environment: only `heatsink` does, and hands settings on";
                findings.push(Finding::at(file, index, message));
            }
        }
    }
    findings
}

/// Tests, benches and build scripts are run by cargo, which tells them things by the environment.
fn must_be_told(file: &File) -> bool {
    let in_product = file.room().is_some_and(|room| !READS_ENVIRONMENT.contains(&room));
    in_product && file.path_in_crate().is_some_and(|path| path.starts_with("src/"))
}

/// Whether `line` of code has `module::item`, or brings it in from a list of that module's.
fn uses(line: &str, module: &str, item: &str) -> bool {
    words_at(line, module).any(|at| {
        let Some(rest) = line[at + module.len()..].trim_start().strip_prefix("::") else {
            return false;
        };
        let rest = rest.trim_start();
        match rest.strip_prefix('{') {
            Some(list) => {
                let list = list.split('}').next().unwrap_or(list);
                words_at(list, item).next().is_some()
            }
            None => words_at(rest, item).next() == Some(0),
        }
    })
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[test]
    fn nothing_ends_the_process() {
        let files = [
            ("crates/sim/src/a.rs", "//! x\nfn f() { std::process::exit(1) }\n"),
            ("crates/heatsink/src/main.rs", "//! x\nuse std::process::{ExitCode, exit};\n"),
            ("crates/heatsink/tests/it.rs", "use std::process::exit;\n"),
            ("tools/xtask/src/b.rs", "//! process::exit\nuse std::process::{Command, ExitCode};\n"),
            ("tools/xtask/src/c.rs", "//! x\nlet s = \"process::exit\"; process::exit_code();\n"),
        ];
        let message = "ends the process: return an `ExitCode`";
        assert_eq!(
            findings(exits, &files),
            [
                format!("crates/heatsink/src/main.rs:2: {message}"),
                format!("crates/heatsink/tests/it.rs:1: {message}"),
                format!("crates/sim/src/a.rs:2: {message}"),
            ]
        );
    }

    #[test]
    fn rooms_are_told_their_settings() {
        let read = "//! x\nfn f() { std::env::var(\"X\"); }\n";
        let files = [
            ("crates/nvml/src/a.rs", read),
            ("crates/nvml/src/b.rs", "//! x\nuse std::env::{self, var_os};\n"),
            ("crates/nvml/src/c.rs", "//! x\nfn f() { env::temp_dir(); env!(\"X\"); }\n"),
            ("crates/nvml/src/d.rs", "//! x\nfn f() { std::env::vars(); }\n"),
            ("crates/nvml/tests/it.rs", read),
            ("crates/nvml/build.rs", read),
            ("crates/heatsink/src/main.rs", read),
            ("test/fake-nvml/src/lib.rs", read),
            ("test/testkit/src/lib.rs", read),
            ("tools/xtask/src/setup.rs", read),
        ];
        let message = "reads the environment: only `heatsink` does, and hands settings on";
        assert_eq!(
            findings(environment, &files),
            ["a", "b", "d"].map(|name| format!("crates/nvml/src/{name}.rs:2: {message}"))
        );
    }
}
