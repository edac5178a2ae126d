//! What every crate's manifest must say.

use toml::{Table, Value};

use super::Finding;
use crate::tree::File;

/// The manifests of the crates of this workspace, but not its own.
pub(super) fn of_crates(files: &[File]) -> impl Iterator<Item = &File> {
    files.iter().filter(|file| file.path_in_crate() == Some("Cargo.toml"))
}

/// Every crate that does not take its lints from the workspace. Stable cargo has no lint for it.
pub(super) fn inherit_lints(files: &[File]) -> Vec<Finding> {
    let without = of_crates(files).filter(|file| {
        let manifest = file.text.parse::<Table>().unwrap_or_default();
        let inherited = manifest.get("lints").and_then(|lints| lints.get("workspace"));
        inherited.and_then(Value::as_bool) != Some(true)
    });
    without.map(|file| Finding::of(file, "lacks `[lints]` with `workspace = true`")).collect()
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[test]
    fn lints_come_from_the_workspace() {
        let files = [
            ("crates/a/Cargo.toml", "[lints]\nworkspace = true\n"),
            ("crates/b/Cargo.toml", "[lints.clippy]\nall = \"warn\"\n"),
            ("crates/c/Cargo.toml", "[lints]\nworkspace = false\n"),
            ("tools/xtask/Cargo.toml", "[package]\nname = \"xtask\"\n"),
            ("Cargo.toml", "[workspace]\n"),
        ];
        assert_eq!(
            findings(inherit_lints, &files),
            [
                "crates/b/Cargo.toml: lacks `[lints]` with `workspace = true`",
                "crates/c/Cargo.toml: lacks `[lints]` with `workspace = true`",
                "tools/xtask/Cargo.toml: lacks `[lints]` with `workspace = true`",
            ]
        );
    }
}
