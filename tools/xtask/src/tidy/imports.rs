//! Which crate may import which: the table of docs/architecture.md, checked in every manifest.

use toml::{Table, Value};

use super::{Finding, manifests};
use crate::tree::File;

/// The libraries that ship.
const PRODUCT: &[&str] = &[
    "model",
    "nvml",
    "dcgm",
    "sim",
    "sampler",
    "attribution",
    "exposition",
    "history",
    "web-config",
];

/// Each crate, and the crates it may import. Everything points towards `model`, and nothing imports
/// the binary. Tests may use more, so `[dev-dependencies]` may name any crate but xtask.
const CRATES: &[(&str, &[&str])] = &[
    ("model", &[]),
    ("nvml", &["model"]),
    ("dcgm", &["model"]),
    ("sim", &["model"]),
    ("sampler", &["model"]),
    ("attribution", &["model"]),
    ("exposition", &["model"]),
    ("history", &["model"]),
    ("web-config", &[]),
    ("heatsink", PRODUCT),
    ("fake-clock", &["fake-nvml"]),
    ("fake-kubernetes", &[]),
    ("fake-nvml", &["sim"]),
    ("fake-dcgm", &["model", "nvml", "fake-nvml"]),
    ("monitoring", &["model"]),
    ("testkit", &["model"]),
    ("xtask", &["monitoring", "testkit"]),
];

/// Every import of a crate by another that the table does not allow.
pub(super) fn check(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    let mut manifests = Vec::new();
    for file in manifests::of_crates(files) {
        match file.text.parse::<Table>() {
            Ok(manifest) => manifests.push((file, manifest)),
            Err(error) => findings.push(Finding::of(file, error.message())),
        }
    }
    let present =
        manifests.iter().filter_map(|(file, table)| name(file, table)).collect::<Vec<_>>();
    for (file, manifest) in &manifests {
        let Some(crate_name) = name(file, manifest) else { continue };
        let Some((_, allowed)) = CRATES.iter().find(|(known, _)| *known == crate_name) else {
            let message = format!(
                "`{crate_name}` is not in the table of crates (tools/xtask/src/tidy/imports.rs)"
            );
            findings.push(Finding::of(file, message));
            continue;
        };
        for import in imports(manifest).filter(|import| present.contains(&import.package)) {
            let fault = match import.kind {
                Kind::Test => import.package == "xtask",
                Kind::Product => !allowed.contains(&import.package),
            };
            if fault {
                let message = format!(
                    "`{crate_name}` may not import `{}`; it may import: {}",
                    import.package,
                    if allowed.is_empty() { "nothing".to_owned() } else { allowed.join(", ") }
                );
                findings.push(Finding::at(file, line_of(file, &import), message));
            }
        }
    }
    findings
}

fn name<'a>(file: &'a File, manifest: &'a Table) -> Option<&'a str> {
    let package = manifest.get("package").and_then(|package| package.get("name"));
    package.and_then(Value::as_str).or_else(|| file.crate_name())
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Kind {
    Product,
    Test,
}

struct Import<'a> {
    /// What the manifest calls it.
    key: &'a str,
    /// The package behind it, which a manifest may rename.
    package: &'a str,
    kind: Kind,
}

const SECTIONS: &[(&str, Kind)] = &[
    ("dependencies", Kind::Product),
    ("build-dependencies", Kind::Product),
    ("dev-dependencies", Kind::Test),
];

/// All imports of a manifest, those for one platform included.
fn imports(manifest: &Table) -> impl Iterator<Item = Import<'_>> {
    let targets = manifest.get("target").and_then(Value::as_table);
    let per_target = targets.into_iter().flat_map(Table::values).filter_map(Value::as_table);
    let tables = std::iter::once(manifest).chain(per_target);
    tables.flat_map(|table| {
        SECTIONS.iter().flat_map(|&(section, kind)| {
            let entries = table.get(section).and_then(Value::as_table);
            entries.into_iter().flatten().map(move |(key, value)| {
                let package = value.get("package").and_then(Value::as_str).unwrap_or(key);
                Import { key, package, kind }
            })
        })
    })
}

/// The line (from 0) that brings `import` in: of the same name there may be one among the
/// dependencies and another among those for tests.
fn line_of(file: &File, import: &Import<'_>) -> usize {
    let mut in_tests = false;
    for (index, line) in file.text.lines().enumerate() {
        let line = line.trim();
        if line.starts_with('[') {
            in_tests = line.contains("dev-dependencies");
        }
        let right_section = in_tests == (import.kind == Kind::Test);
        let key = line.trim_start_matches(|c: char| "[\"'".contains(c) || c.is_whitespace());
        let key = if line.starts_with('[') { line.rsplit('.').next().unwrap_or(key) } else { key };
        let after = key.strip_prefix(import.key);
        if right_section && after.is_some_and(|rest| rest.starts_with(['.', ' ', '=', ']', '"'])) {
            return index;
        }
    }
    0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn check_manifest(name: &str, manifest: &str, expect: &[&str]) {
        let path = if name == "xtask" { "tools/xtask/Cargo.toml" } else { "crates/x/Cargo.toml" };
        let text = format!("[package]\nname = \"{name}\"\n{manifest}");
        let crates = ["model", "nvml", "sim", "xtask", "heatsink", "testkit"];
        let others = crates.iter().filter(|other| **other != name).map(|other| {
            (format!("crates/{other}/Cargo.toml"), format!("[package]\nname = \"{other}\"\n"))
        });
        let others = others.collect::<Vec<_>>();
        let mut files = vec![(path, text.as_str())];
        files.extend(others.iter().map(|(path, text)| (path.as_str(), text.as_str())));
        assert_eq!(super::super::findings(super::check, &files), expect);
    }

    #[test]
    fn an_import_that_the_table_does_not_allow() {
        check_manifest(
            "exposition",
            "[dependencies]\nmodel.workspace = true\nsim = { workspace = true }\n",
            &["crates/x/Cargo.toml:5: `exposition` may not import `sim`; it may import: model"],
        );
        check_manifest(
            "model",
            "[dependencies]\nnvml.workspace = true\n",
            &["crates/x/Cargo.toml:4: `model` may not import `nvml`; it may import: nothing"],
        );
        check_manifest(
            "xtask",
            "[dependencies]\nmodel.workspace = true\n",
            &[
                "tools/xtask/Cargo.toml:4: `xtask` may not import `model`; it may import: monitoring, testkit",
            ],
        );
    }

    #[test]
    fn nothing_imports_the_binary_and_the_binary_no_test_crate() {
        check_manifest(
            "sampler",
            "[dependencies.heatsink]\nworkspace = true\n",
            &["crates/x/Cargo.toml:3: `sampler` may not import `heatsink`; it may import: model"],
        );
        let all = PRODUCT.join(", ");
        let expect = format!(
            "crates/x/Cargo.toml:4: `heatsink` may not import `testkit`; it may import: {all}"
        );
        check_manifest("heatsink", "[dependencies]\ntestkit.workspace = true\n", &[&expect]);
    }

    #[test]
    fn another_name_another_section_or_one_platform_hides_nothing() {
        let expect = "`sampler` may not import `sim`; it may import: model";
        for (line, manifest) in [
            (4, "[dependencies]\nphysics = { package = \"sim\", path = \"../sim\" }\n"),
            (4, "[build-dependencies]\nsim.workspace = true\n"),
            (4, "[target.'cfg(unix)'.dependencies]\nsim.workspace = true\n"),
            (6, "[dev-dependencies]\nsim.workspace = true\n[dependencies]\nsim.workspace = true\n"),
        ] {
            let expect = format!("crates/x/Cargo.toml:{line}: {expect}");
            check_manifest("sampler", manifest, &[&expect]);
        }
    }

    #[test]
    fn tests_may_use_any_crate_but_xtask() {
        check_manifest("model", "[dev-dependencies]\ntestkit.workspace = true\n", &[]);
        check_manifest(
            "model",
            "[dev-dependencies]\nxtask = { path = \"../../xtask\" }\n",
            &["crates/x/Cargo.toml:4: `model` may not import `xtask`; it may import: nothing"],
        );
    }

    #[test]
    fn a_crate_that_is_not_in_the_table() {
        check_manifest(
            "helpers",
            "",
            &["crates/x/Cargo.toml: `helpers` is not in the table of crates \
               (tools/xtask/src/tidy/imports.rs)"],
        );
    }

    #[test]
    fn what_is_allowed_and_what_is_from_outside_pass() {
        check_manifest("sim", "[dependencies]\nmodel.workspace = true\nserde = \"1\"\n", &[]);
    }

    #[test]
    fn the_table_has_each_crate_once_and_no_circle() {
        for (index, (name, allowed)) in CRATES.iter().enumerate() {
            assert!(CRATES[..index].iter().all(|(other, _)| other != name), "{name} twice");
            for import in *allowed {
                let (_, back) = CRATES.iter().find(|(other, _)| other == import).unwrap();
                assert!(!back.contains(name), "{name} and {import} import each other");
            }
        }
    }
}
