//! Where `unsafe` may be, and that each use of it says why it is sound.

use super::Finding;
use crate::code::{only_code, words_at};
use crate::tree::File;

/// The crates that call C or are called by it.
const CRATES: &[&str] = &["nvml", "dcgm", "fake-clock", "fake-nvml", "fake-dcgm"];

fn may_be_unsafe(file: &File) -> bool {
    file.crate_name().is_some_and(|name| CRATES.contains(&name))
}

/// Every other crate that changes rustc's lint `unsafe_code`, which the workspace denies, tests and
/// benches included.
pub(super) fn forbidden(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && !may_be_unsafe(file)) {
        for (index, line) in only_code(&file.text).lines().enumerate() {
            let changed = words_at(line, "unsafe_code").next().is_some();
            if changed && line.trim() != "#![forbid(unsafe_code)]" {
                let message = format!("`unsafe` belongs in {} only", CRATES.join(", "));
                findings.push(Finding::at(file, index, message));
            }
        }
    }
    findings
}

/// How many lines of code may stand between a use and the comment on it: a statement that
/// rustfmt has broken, or the head of an expression that the block is part of.
const LINES_BETWEEN: usize = 3;

/// Every use that does not say why it is sound. clippy's `undocumented_unsafe_blocks` and
/// `missing_safety_doc` pass over blocks of foreign declarations, private functions, and a second
/// block in the statement of the first.
pub(super) fn explained(files: &[File]) -> Vec<Finding> {
    let mut findings = Vec::new();
    for file in files.iter().filter(|file| file.is_rust() && may_be_unsafe(file)) {
        let code = only_code(&file.text);
        let uses = uses(&code);
        let lines = file.text.lines().collect::<Vec<_>>();
        for (index, usage) in uses.iter().enumerate() {
            // A comment is about the use below it, not about the one after that.
            let floor = if index == 0 { 0 } else { uses[index - 1].line + 1 };
            if !is_explained(&lines, floor, usage) {
                findings.push(Finding::at(file, usage.line, usage.kind.demand()));
            }
        }
    }
    findings
}

struct Use {
    /// Counted from 0.
    line: usize,
    kind: Kind,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Kind {
    /// A block, an implementation or a block of foreign declarations: its comment says why it is sound.
    Vouched,
    /// A function or a trait: its docs say what callers have to make sure of.
    Demanding,
}

impl Kind {
    fn demand(self) -> &'static str {
        match self {
            Self::Vouched => "`unsafe` without a `// SAFETY:` above it",
            Self::Demanding => "`unsafe` without `# Safety` in its docs or a `// SAFETY:` above it",
        }
    }

    fn is_answered_by(self, comment: &str) -> bool {
        comment.contains("SAFETY:") || (self == Self::Demanding && comment.contains("# Safety"))
    }

    /// A function that C calls by name needs what its header says, and no Rust code calls it.
    fn is_excused_by(self, attribute: &str) -> bool {
        self == Self::Demanding && attribute.contains("(no_mangle)")
    }
}

/// Each `unsafe` that has to be explained. Attributes and types of function pointers have not.
fn uses(code: &str) -> Vec<Use> {
    let line_of = |at: usize| code[..at].matches('\n').count();
    let uses = words_at(code, "unsafe").filter_map(|at| {
        let rest = code[at + "unsafe".len()..].trim_start();
        kind(rest).map(|kind| Use { line: line_of(at), kind })
    });
    uses.collect()
}

fn kind(rest: &str) -> Option<Kind> {
    // The name of the ABI, a string, is blank by now.
    let foreign = rest.strip_prefix("extern").map(str::trim_start);
    let rest = foreign.unwrap_or(rest);
    if rest.starts_with('{') || rest.starts_with("impl") {
        return Some(Kind::Vouched);
    }
    if rest.starts_with("trait") {
        return Some(Kind::Demanding);
    }
    let name = rest.strip_prefix("fn")?;
    (!name.trim_start().starts_with('(')).then_some(Kind::Demanding)
}

fn is_explained(lines: &[&str], floor: usize, usage: &Use) -> bool {
    let own = lines.get(usage.line).copied().unwrap_or_default();
    if own.split_once("//").is_some_and(|(_, comment)| usage.kind.is_answered_by(comment)) {
        return true;
    }
    let mut between = 0;
    for line in lines[floor.min(usage.line)..usage.line].iter().rev().map(|line| line.trim()) {
        if line.starts_with("//") || line.starts_with("#[doc") {
            if usage.kind.is_answered_by(line) {
                return true;
            }
        } else if line.starts_with("#[") {
            if between == 0 && usage.kind.is_excused_by(line) {
                return true;
            }
        } else {
            between += 1;
            if between > LINES_BETWEEN {
                return false;
            }
        }
    }
    false
}

#[cfg(test)]
mod tests {
    use super::super::findings;
    use super::*;

    #[test]
    fn only_crates_that_speak_to_c_allow_it() {
        let files = [
            ("crates/nvml/src/lib.rs", "//! x\n#![allow(unsafe_code)]\n"),
            ("crates/model/src/lib.rs", "//! x\n#![forbid(unsafe_code)]\n"),
            ("crates/sim/src/lib.rs", "//! x\n// #![allow(unsafe_code)]\n"),
            ("crates/sim/tests/it.rs", "#[expect(dead_code, unsafe_code)]\nfn f() {}\n"),
        ];
        let message = "`unsafe` belongs in nvml, dcgm, fake-clock, fake-nvml, fake-dcgm only";
        assert_eq!(findings(forbidden, &files), [format!("crates/sim/tests/it.rs:1: {message}")]);
    }

    /// The lines, from 1, at which something is missing.
    #[track_caller]
    fn check(text: &str, lines: &[usize]) {
        let files = crate::tree::tree(&[("crates/nvml/src/lib.rs", text)]);
        let found = explained(&files).iter().filter_map(|found| found.line).collect::<Vec<_>>();
        assert_eq!(found, lines, "{text}");
    }

    #[test]
    fn blocks_say_why() {
        check("unsafe { f() }", &[1]);
        check("// SAFETY: f has no needs.\nunsafe { f() }", &[]);
        check("unsafe { f() } // SAFETY: f has no needs.", &[]);
        check("// SAFETY: f has no needs.\nlet x =\n    Some(\n    unsafe { f() });", &[]);
        check("// SAFETY: too far away.\na;\nb;\nc;\nd;\nunsafe { f() }", &[6]);
        check("// Safe, surely.\nunsafe { f() }", &[2]);
        check("let why = \"// SAFETY: a string\";\nunsafe { f() }", &[2]);
        check("unsafe\n{ f() }", &[1]);
    }

    #[test]
    fn one_comment_is_about_one_block() {
        check("// SAFETY: x.\nunsafe { f() }\nunsafe { g() }", &[3]);
        check("// SAFETY: x.\nunsafe { f() } + unsafe { g() }", &[2]);
        check("// SAFETY: x.\nunsafe { f() }\n// SAFETY: y.\nunsafe { g() }", &[]);
    }

    #[test]
    fn so_do_implementations_and_foreign_blocks() {
        check("unsafe impl Send for A {}", &[1]);
        check("// SAFETY: A is a number.\nunsafe impl Send for A {}", &[]);
        check("unsafe extern \"C\" {\n}", &[1]);
        check("// SAFETY: as in the header.\nunsafe extern \"C\" {\n}", &[]);
    }

    #[test]
    fn functions_say_what_they_need() {
        check("pub unsafe fn f() {}", &[1]);
        check(
            "/// Does it.\n///\n/// # Safety\n///\n/// `p` points.\n#[inline]\nunsafe fn f() {}",
            &[],
        );
        check("unsafe extern \"C\" fn f() {}", &[1]);
        check("// SAFETY: C's caller vouches.\nunsafe extern \"C\" fn f() {}", &[]);
        check("/// # Safety\nunsafe { f() }", &[2]);
        check("/// x\nunsafe trait T {}", &[2]);
    }

    #[test]
    fn what_only_c_calls_needs_what_its_header_says() {
        check("#[unsafe(no_mangle)]\npub unsafe extern \"C\" fn f() {}", &[]);
        check("#[unsafe(no_mangle)]\nextern \"C\" fn f() {\n    unsafe { g() }\n}", &[3]);
        check("#[unsafe(no_mangle)]\nextern \"C\" fn f() {}\nunsafe fn g() {}", &[3]);
    }

    #[test]
    fn types_and_attributes_are_no_uses() {
        check("type F = unsafe extern \"C\" fn(i32) -> i32;", &[]);
        check("struct S(unsafe fn());\n#[unsafe(no_mangle)]\npub extern \"C\" fn f() {}", &[]);
        check("// unsafe { }\nlet text = \"unsafe { }\";", &[]);
    }
}
