//! The release binary, built against an old C library, so that it runs on old systems.

use std::collections::BTreeSet;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run::{python, quietly, run};

/// The C library of RHEL 8 and of Debian 10: the oldest that the release runs on.
const GLIBC: (u32, u32) = (2, 28);

/// The profile that is shipped, and the name of its folder below that of the target. cargo-deb takes it
/// from the manifest of heatsink.
const PROFILE: &str = "dist";

/// The only libraries that it may need at run time: those of an old C library.
const LIBRARIES: &[&str] = &[
    "libc.so.6",
    "libdl.so.2",
    "libm.so.6",
    "libpthread.so.0",
    "librt.so.1",
    "ld-linux-x86-64.so.2",
    "ld-linux-aarch64.so.1",
];

pub(crate) const X86_64: &str = "x86_64-unknown-linux-gnu";
const AARCH64: &str = "aarch64-unknown-linux-gnu";

/// Builds the release for x86-64.
pub(crate) fn build(root: &Path) -> Result<()> {
    build_for(root, X86_64, &[])
}

/// Builds it in half the time, without the optimisations of the linker: larger, otherwise the same.
pub(crate) fn build_quickly(root: &Path) -> Result<()> {
    let profile = [("CARGO_PROFILE_DIST_LTO", "off"), ("CARGO_PROFILE_DIST_CODEGEN_UNITS", "16")];
    build_for(root, X86_64, &profile)
}

/// Builds the release for 64-bit Arm (GH200, GB200) if Rust's library for it is installed; else returns
/// the command that installs it.
pub(crate) fn build_arm64(root: &Path) -> Result<Option<String>> {
    let sysroot = quietly(Command::new("rustc").args(["--print", "sysroot"]))?;
    let library = Path::new(sysroot.trim()).join("lib/rustlib").join(AARCH64);
    if !library.exists() {
        return Ok(Some(format!("no Rust library for it: rustup target add {AARCH64}")));
    }
    build_for(root, AARCH64, &[])?;
    Ok(None)
}

/// The path of the release for a target.
pub(crate) fn binary(root: &Path, target: &str) -> PathBuf {
    root.join("target").join(target).join(PROFILE).join("heatsink")
}

fn build_for(root: &Path, target: &str, profile: &[(&str, &str)]) -> Result<()> {
    let bin = python(root, "release")?;
    let (major, minor) = GLIBC;
    let path = std::env::var_os("PATH").unwrap_or_default();
    let path = std::iter::once(bin.clone()).chain(std::env::split_paths(&path));
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| OsString::from("cargo"));
    run(Command::new(bin.join("cargo-zigbuild"))
        .args(["zigbuild", "--profile", PROFILE, "--locked", "--package", "heatsink", "--target"])
        .arg(format!("{target}.{major}.{minor}"))
        .env("PATH", std::env::join_paths(path)?)
        .env("CARGO", cargo)
        .envs(profile.iter().copied())
        .current_dir(root))?;
    let binary = binary(root, target);
    let dynamic = quietly(Command::new("objdump").args(["-p"]).arg(&binary))?;
    check(&dynamic)?;
    let size = std::fs::metadata(&binary).context("the release is not there")?.len();
    println!("{target}: {size} bytes, needs no C library newer than {major}.{minor}");
    Ok(())
}

/// Checks that an old system has everything that a binary needs, from the output of `objdump -p`.
fn check(dynamic: &str) -> Result<()> {
    let needed = dynamic.lines().filter_map(|line| line.trim().strip_prefix("NEEDED"));
    let needed: BTreeSet<&str> = needed.map(str::trim).collect();
    ensure!(!needed.is_empty(), "no library found: objdump printed\n{dynamic}");
    let strange = needed.iter().find(|library| !LIBRARIES.contains(library));
    ensure!(strange.is_none(), "it needs {}", strange.unwrap_or(&""));
    let versions = dynamic.split_whitespace().filter_map(|word| word.strip_prefix("GLIBC_"));
    for version in versions {
        let parsed = version.split_once('.').and_then(|(major, rest)| {
            let minor = rest.split('.').next()?;
            Some((major.parse::<u32>().ok()?, minor.parse::<u32>().ok()?))
        });
        let parsed = parsed.with_context(|| format!("it needs GLIBC_{version}"))?;
        ensure!(parsed <= GLIBC, "it needs GLIBC_{version}: newer than {}.{}", GLIBC.0, GLIBC.1);
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = "  NEEDED   libc.so.6\n  NEEDED  libdl.so.2\n\
                        required from libc.so.6:\n 0x09691a75 0x00 02 GLIBC_2.2.5\n 0x0 GLIBC_2.28\n";

    #[test]
    fn old_libraries_and_symbols_are_accepted() {
        check(GOOD).unwrap();
    }

    #[test]
    fn newer_libraries_and_symbols_are_found() {
        for (more, expected) in [
            ("0x0 0x00 05 GLIBC_2.29", "it needs GLIBC_2.29: newer than 2.28"),
            ("0x0 0x00 05 GLIBC_ABI_DT_RELR", "it needs GLIBC_ABI_DT_RELR"),
            ("  NEEDED   libssl.so.3", "it needs libssl.so.3"),
        ] {
            let error = check(&format!("{GOOD}{more}\n")).unwrap_err().to_string();
            assert_eq!(error, expected);
        }
        assert!(check("not a dynamic executable").is_err());
    }
}
