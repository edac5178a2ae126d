//! Checks pages with `promtool check metrics`.

use std::io::Write;
use std::process::{Command, Stdio};

/// Checks that `promtool check metrics` reads a page: it ends with 0, or with 3 for names that it
/// would have chosen otherwise.
///
/// # Panics
///
/// When it does not, with its output; or when there is no promtool.
pub fn assert_accepts(page: &str) {
    let mut promtool = Command::new("promtool")
        .args(["check", "metrics"])
        .stdin(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .expect("promtool, from Debian's package prometheus; `cargo xtask test` installs it");
    promtool.stdin.take().expect("a pipe").write_all(page.as_bytes()).expect("promtool reads");
    let output = promtool.wait_with_output().expect("promtool ends");
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(matches!(output.status.code(), Some(0 | 3)), "{errors}");
}
