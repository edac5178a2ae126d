//! Other programs, run to their end.

use std::ffi::OsStr;
use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, ensure};

/// Runs a command; its output is shown.
pub(crate) fn run(command: &mut Command) -> Result<()> {
    let said = said(command);
    let status = command.stdin(Stdio::null()).status();
    let status = status.with_context(|| format!("`{said}` could not be started"))?;
    ensure!(status.success(), "`{said}`: {status}");
    Ok(())
}

/// Runs a command without a word; its output is shown if it fails.
pub(crate) fn quietly(command: &mut Command) -> Result<String> {
    let said = said(command);
    let output = command.stdin(Stdio::null()).output();
    let output = output.with_context(|| format!("`{said}` could not be started"))?;
    let errors = String::from_utf8_lossy(&output.stderr);
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    ensure!(output.status.success(), "`{said}`: {}\n{text}{errors}", output.status);
    Ok(text)
}

/// A Python environment of this repository's own, with exactly the packages that a file lists.
///
/// # Errors
///
/// When there is no Python that can make one, or no registry to get them from.
pub(crate) fn python(root: &Path, name: &str) -> Result<std::path::PathBuf> {
    let wanted = root.join(format!("tools/scripts/requirements-{name}.txt"));
    let folder = root.join("target/python").join(name);
    let bin = folder.join("bin");
    let stamp = folder.join("installed.txt");
    let text = std::fs::read_to_string(&wanted).context("cannot read the requirements")?;
    if std::fs::read_to_string(&stamp).is_ok_and(|installed| installed == text) {
        return Ok(bin);
    }
    run(Command::new("python3").args(["-m", "venv", "--clear"]).arg(&folder))
        .context("python3 cannot make an environment; on Debian, install python3-venv")?;
    let pip = ["-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--requirement"];
    run(Command::new(bin.join("python")).args(pip).arg(&wanted))?;
    std::fs::write(stamp, text).context("cannot write the stamp")?;
    Ok(bin)
}

fn said(command: &Command) -> String {
    let words = std::iter::once(command.get_program()).chain(command.get_args());
    words.map(OsStr::to_string_lossy).collect::<Vec<_>>().join(" ")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_failure_says_what_was_run_and_what_it_said() {
        let mut command = Command::new("sh");
        let error = quietly(command.args(["-c", "echo no; exit 3"])).unwrap_err().to_string();
        assert!(error.contains("sh -c") && error.contains("no\n"), "{error}");
        let error = run(&mut Command::new("no-such-program")).unwrap_err().to_string();
        assert_eq!(error, "`no-such-program` could not be started");
    }
}
