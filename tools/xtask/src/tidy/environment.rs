//! Only the binary reads the environment.

use super::Finding;
use crate::code::{only_code, words_at};
use crate::tree::File;

/// The binary, and crates that are not part of the product.
const READS_ENVIRONMENT: &[&str] = &["heatsink", "fake-nvml", "fake-dcgm", "testkit", "xtask"];

/// Every read of the environment by a crate that gets its settings from its caller.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && gets_settings(file)) {
        for (index, line) in only_code(&file.text).lines().enumerate() {
            if ["var", "var_os", "vars", "vars_os"].iter().any(|name| uses(line, "env", name)) {
                let message = "reads the environment: only `heatsink` does, and passes settings on";
                findings.push(Finding::at(file, index, message));
            }
        }
    }
    findings
}

/// Not tests, benches and build scripts: cargo passes them paths in the environment.
fn gets_settings(file: &File) -> bool {
    let in_product = file.crate_name().is_some_and(|name| !READS_ENVIRONMENT.contains(&name));
    in_product
        && file.path_in_crate().is_some_and(|path| path.starts_with("src/"))
        && file.name() != "tests.rs"
}

/// Whether `line` of code has `module::item`, or imports it from a list of names of that module.
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
    fn libraries_get_their_settings() {
        let read = "//! x\nfn f() { std::env::var(\"X\"); }\n";
        let files = [
            ("crates/nvml/src/a.rs", read),
            ("crates/nvml/src/b.rs", "//! x\nuse std::env::{self, var_os};\n"),
            ("crates/nvml/src/c.rs", "//! x\nfn f() { env::temp_dir(); env!(\"X\"); }\n"),
            ("crates/nvml/src/d.rs", "//! x\nfn f() { std::env::vars(); }\n"),
            ("crates/nvml/src/a/tests.rs", read),
            ("crates/nvml/tests/it.rs", read),
            ("crates/nvml/build.rs", read),
            ("crates/heatsink/src/main.rs", read),
            ("test/fake-nvml/src/lib.rs", read),
            ("test/testkit/src/lib.rs", read),
            ("tools/xtask/src/setup.rs", read),
        ];
        let message = "reads the environment: only `heatsink` does, and passes settings on";
        assert_eq!(
            findings(check, &files),
            ["a", "b", "d"].map(|name| format!("crates/nvml/src/{name}.rs:2: {message}"))
        );
    }
}
