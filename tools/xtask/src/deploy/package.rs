//! Debian's package: built, installed into a fresh Debian, and started with the command of its unit.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use super::{release, rootfs, trial};
use crate::run::{quietly, run};

/// Which cargo-deb builds it.
const CARGO_DEB: &str = "3.8.0";

/// Files that the package has to install.
const FILES: &[&str] = &[
    "etc/default/heatsink",
    "usr/bin/heatsink",
    "usr/lib/systemd/system/heatsink.service",
    "usr/lib/systemd/system/heatsink.socket",
    "usr/lib/sysusers.d/heatsink.conf",
    "usr/share/bash-completion/completions/heatsink",
    "usr/share/doc/heatsink/copyright",
    "usr/share/doc/heatsink/runbooks/GpuTemperatureHigh.md",
    "usr/share/heatsink/counters/default.csv",
    "usr/share/heatsink/dashboards/heatsink-fleet.json",
    "usr/share/heatsink/rules/heatsink.rules.yml",
    "usr/share/man/man1/heatsink.1.gz",
    // deb-systemd-helper's record of the service.
    "var/lib/systemd/deb-systemd-helper-enabled/heatsink.service.dsh-also",
];

/// Builds the package, installs, upgrades, starts and purges it.
pub(crate) fn check(root: &Path) -> Result<()> {
    let package = build(root)?;
    let debian = rootfs::fresh(root, "installed")?;
    run(Command::new("cp").arg(&package).arg(debian.join("heatsink.deb")))?;
    // Twice: the second time is an upgrade.
    for _ in 0..2 {
        quietly(rootfs::inside(&debian).args(["dpkg", "--install", "/heatsink.deb"]))?;
    }
    // It prints missing and changed files, and exits with 0.
    let verified = quietly(rootfs::inside(&debian).args(["dpkg", "--verify", "heatsink"]))?;
    ensure!(verified.is_empty(), "dpkg --verify heatsink:\n{verified}");
    ensure!(is_there(&debian, ENABLED), "the package does not enable its service");
    ensure!(!is_there(&debian, "sockets.target.wants/heatsink.socket"), "it enables the socket");
    for file in FILES {
        ensure!(debian.join(file).exists(), "the package has not installed /{file}");
    }
    trial::with_driver(root, &debian)?;
    let unit = read(&debian.join("usr/lib/systemd/system/heatsink.service"))?;
    let mut environment = variables(&unit, &debian)?;
    environment.push(("NODE_NAME".to_owned(), "debian".to_owned()));
    trial::serves(&debian, trial::NOBODY, &environment, &start_line(&unit)?)?;
    quietly(rootfs::inside(&debian).args(["dpkg", "--purge", "heatsink"]))?;
    for file in FILES {
        ensure!(!debian.join(file).exists(), "the package has left /{file} behind");
    }
    ensure!(!is_there(&debian, ENABLED), "purged, and its service is still enabled");
    rootfs::remove(&debian)
}

/// The link by which the service is enabled, below systemd's folder.
const ENABLED: &str = "multi-user.target.wants/heatsink.service";

/// Whether there is such a link in systemd's folder, wherever it points.
fn is_there(debian: &Path, link: &str) -> bool {
    debian.join("etc/systemd/system").join(link).symlink_metadata().is_ok()
}

/// The path of the built package.
pub(crate) fn file(root: &Path) -> PathBuf {
    root.join("target/deploy/heatsink_amd64.deb")
}

fn build(root: &Path) -> Result<PathBuf> {
    let tools = root.join("target/tools");
    let cargo_deb = tools.join("bin/cargo-deb");
    let version = quietly(Command::new(&cargo_deb).arg("--version")).unwrap_or_default();
    if version.trim().rsplit(' ').next() != Some(CARGO_DEB) {
        println!("cargo-deb {CARGO_DEB}: building it, about a minute");
        let install = ["install", "--quiet", "--locked", "--force", "cargo-deb", "--version"];
        // It runs once or twice: it need not be fast.
        let profile = [("LTO", "off"), ("OPT_LEVEL", "1"), ("CODEGEN_UNITS", "16")];
        let profile = profile.map(|(name, value)| (format!("CARGO_PROFILE_RELEASE_{name}"), value));
        run(Command::new("cargo")
            .args(install)
            .args([CARGO_DEB, "--root"])
            .arg(&tools)
            .envs(profile))?;
    }
    // Writes the manual pages and completions, which the package takes from target/manual.
    let manual = ["test", "--package", "heatsink", "--locked", "--bin", "heatsink", "manual"];
    quietly(Command::new("cargo").args(manual).current_dir(root))?;
    let package = file(root);
    // The binary is stripped already.
    let built = ["--package", "heatsink", "--no-build", "--no-strip", "--target", release::X86_64];
    quietly(
        Command::new(&cargo_deb)
            .arg("deb")
            .args(built)
            .arg("--output")
            .arg(&package)
            .current_dir(root),
    )?;
    let size = std::fs::metadata(&package).context("there is no package")?.len();
    println!("{}: {size} bytes", package.display());
    Ok(package)
}

fn read(path: &Path) -> Result<String> {
    std::fs::read_to_string(path).with_context(|| format!("cannot read {}", path.display()))
}

/// The program and arguments of the unit's start line.
fn start_line(unit: &str) -> Result<Vec<String>> {
    let line = unit.lines().find_map(|line| line.strip_prefix("ExecStart="));
    let line = line.context("the unit starts nothing")?;
    Ok(line.split_whitespace().map(str::to_owned).collect())
}

/// The variables that the unit sets, also from its file.
fn variables(unit: &str, installed: &Path) -> Result<Vec<(String, String)>> {
    let mut variables = Vec::new();
    for line in unit.lines() {
        if let Some(assignments) = line.strip_prefix("Environment=") {
            variables.extend(assignments.split_whitespace().filter_map(assignment));
        }
        if let Some(path) = line.strip_prefix("EnvironmentFile=-/") {
            variables.extend(read(&installed.join(path))?.lines().filter_map(assignment));
        }
    }
    Ok(variables)
}

fn assignment(text: &str) -> Option<(String, String)> {
    let (name, value) = text.split_once('=').filter(|_| !text.starts_with('#'))?;
    Some((name.to_owned(), value.to_owned()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn start_line_and_variables_of_the_unit_are_read() {
        let unit = "[Service]\nExecStart=/usr/bin/heatsink serve\nEnvironment=A=1 B=x=y\n";
        assert_eq!(start_line(unit).unwrap(), ["/usr/bin/heatsink", "serve"]);
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        let variables = variables(unit, Path::new("/")).unwrap();
        assert_eq!(variables, [pair("A", "1"), pair("B", "x=y")]);
        assert_eq!(assignment("#A=1"), None);
        assert!(start_line("[Service]").is_err());
    }
}
