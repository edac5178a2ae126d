//! How a file is named, how it begins, and that its text is clean.

use super::Finding;
use crate::tree::File;

/// Every source file whose first line does not say what the module is for. rustc's `missing_docs`
/// covers public modules only.
pub(super) fn module_docs(files: &[File]) -> Vec<Finding> {
    let sources = files.iter().filter(|file| {
        file.is_rust() && file.path_in_crate().is_some_and(|path| path.starts_with("src/"))
    });
    let silent = sources.filter(|file| !file.text.starts_with("//! "));
    silent.map(|file| Finding::at(file, 0, "the first line is not a `//!` sentence")).collect()
}

/// Names that hide what is in a file.
const HIDING: &[&str] = &["utils.rs", "types.rs", "helpers.rs", "common.rs"];

/// Every file whose name hides what is in it.
pub(super) fn names(files: &[File]) -> Vec<Finding> {
    let hiding = files.iter().filter(|file| {
        let folder = file.path.strip_suffix("/mod.rs").and_then(|path| path.rsplit('/').next());
        let name = folder.map_or_else(|| file.name().to_owned(), |folder| format!("{folder}.rs"));
        HIDING.contains(&name.as_str())
    });
    hiding.map(|file| Finding::of(file, "this name hides what is inside: name the idea")).collect()
}

/// Every blank at the end of a line, every tab, and every last line that is not ended, in Markdown.
/// rustfmt does this for Rust.
pub(super) fn whitespace(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_markdown()) {
        for (index, line) in file.text.split('\n').enumerate() {
            if line.contains('\t') {
                findings.push(Finding::at(file, index, "a tab"));
            }
            if line.ends_with(char::is_whitespace) {
                findings.push(Finding::at(file, index, "blanks at the end of the line"));
            }
        }
        if !file.text.is_empty() && !file.text.ends_with('\n') {
            findings.push(Finding::of(file, "no newline at the end"));
        } else if file.text.ends_with("\n\n") {
            findings.push(Finding::of(file, "empty lines at the end"));
        }
    }
    findings
}

/// Hosts on which the name of this project is not registered by it.
const PUBLIC_HOSTS: &[&str] =
    &["codeberg.org", "docker.io", "ghcr.io", "github.com", "github.io", "gitlab.com", "quay.io"];

/// Every address that looks like this project's and may belong to others. A placeholder is a name
/// below example.com, which is reserved for examples.
pub(super) fn placeholders(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files {
        for (index, line) in file.text.lines().enumerate() {
            let ours = |host: &&&str| line.contains(&format!("{host}/heatsink"));
            if let Some(host) = PUBLIC_HOSTS.iter().find(ours) {
                let message = format!("{host}/heatsink is not ours: use example.com");
                findings.push(Finding::at(file, index, message));
            }
        }
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[test]
    fn sources_begin_with_a_doc_sentence() {
        let files = [
            ("crates/model/src/field.rs", "//! What can be asked for.\n"),
            ("crates/model/src/bare.rs", "use std::fmt;\n"),
            ("crates/model/src/late.rs", "\n//! Too late.\n"),
            ("crates/model/tests/page.rs", "use model::Field;\n"),
            ("tools/xtask/src/empty.rs", ""),
        ];
        let message = "the first line is not a `//!` sentence";
        assert_eq!(
            findings(module_docs, &files),
            ["crates/model/src/bare.rs", "crates/model/src/late.rs", "tools/xtask/src/empty.rs"]
                .map(|path| format!("{path}:1: {message}"))
        );
    }

    #[test]
    fn names_say_the_idea() {
        let files = [
            ("crates/sim/src/utils.rs", ""),
            ("crates/sim/src/types.rs", ""),
            ("crates/sim/tests/common/mod.rs", ""),
            ("crates/sim/tests/helpers.rs", ""),
            ("crates/sim/src/uncommon.rs", ""),
            ("docs/types.md", ""),
        ];
        let message = "this name hides what is inside: name the idea";
        assert_eq!(
            findings(names, &files),
            [
                "crates/sim/src/types.rs",
                "crates/sim/src/utils.rs",
                "crates/sim/tests/common/mod.rs",
                "crates/sim/tests/helpers.rs",
            ]
            .map(|path| format!("{path}: {message}"))
        );
    }

    #[test]
    fn placeholders_are_reserved_names() {
        let files = [
            ("docs/a.md", "see\n"),
            ("values.yaml", concat!("image:\n  repository: ghcr.io/", "heatsink/heatsink\n")),
            ("Chart.yaml", concat!("home: https://github.com/", "heatsink\n")),
            (
                "b.yaml",
                "image: registry.example.com/heatsink\nhome: https://github.com/prometheus\n",
            ),
        ];
        assert_eq!(
            findings(placeholders, &files),
            [
                concat!("Chart.yaml:1: github.com/", "heatsink is not ours: use example.com"),
                concat!("values.yaml:2: ghcr.io/", "heatsink is not ours: use example.com"),
            ]
        );
    }

    #[test]
    fn text_is_clean() {
        let files = [
            ("a.md", "fine\n"),
            ("b.md", "words \n"),
            ("c.md", "a\tb\n"),
            ("d.md", "words"),
            ("e.md", "a\n\n"),
            ("f.md", "windows\r\n"),
            ("g.txt", "not checked \t"),
        ];
        assert_eq!(
            findings(whitespace, &files),
            [
                "b.md:1: blanks at the end of the line",
                "c.md:1: a tab",
                "d.md: no newline at the end",
                "e.md: empty lines at the end",
                "f.md:1: blanks at the end of the line",
            ]
        );
    }
}
