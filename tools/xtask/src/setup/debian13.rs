//! Programs of Debian 13 that its predecessor has too old: a Prometheus that knows created timestamps, and
//! a node_exporter that knows all of a web configuration. They run on Debian 12 as well.
//!
//! They are unpacked into target/debian-13 and not installed, so that neither replaces a package of this
//! machine. apt checks them against Debian's keys.

use std::fs;
use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, bail};

use super::has_program;
use crate::deploy::rootfs;
use crate::run::quietly;

const RELEASE: &str = "trixie";

/// Packages, and one program of each.
const PACKAGES: &[(&str, &str)] = &[
    ("prometheus", "usr/bin/prometheus"),
    ("prometheus-node-exporter", "usr/bin/prometheus-node-exporter"),
];

/// Gets them, unless they are there.
///
/// # Errors
///
/// Without apt, Debian's keys or the network.
pub(super) fn provide(root: &Path) -> Result<()> {
    let folder = root.join("target/debian-13");
    if PACKAGES.iter().all(|(_, program)| folder.join(program).is_file()) {
        return Ok(());
    }
    let names: Vec<&str> = PACKAGES.iter().map(|(package, _)| *package).collect();
    if !(has_program("apt-get") && has_program("dpkg-deb")) {
        bail!(
            "missing: {} of Debian 13 or newer. Put their programs into target/debian-13/usr/bin",
            names.join(" ")
        );
    }
    println!("Debian 13's {}: fetching them, 20 MB", names.join(" and "));
    fetch(&folder.join("apt"), &names)?;
    for package in fs::read_dir(folder.join("apt")).context("cannot read what apt fetched")? {
        let package = package.context("cannot read what apt fetched")?.path();
        if package.extension().is_some_and(|extension| extension == "deb") {
            quietly(Command::new("dpkg-deb").arg("-x").arg(&package).arg(&folder))?;
        }
    }
    fs::remove_dir_all(folder.join("apt")).context("cannot remove apt's files")
}

/// Downloads packages into a folder, with lists of packages of its own.
fn fetch(folder: &Path, packages: &[&str]) -> Result<()> {
    let made = |name: &str| -> Result<String> {
        let path = folder.join(name);
        fs::create_dir_all(&path).with_context(|| format!("cannot make {}", path.display()))?;
        Ok(path.display().to_string())
    };
    let (lists, cache) = (made("lists")?, made("cache")?);
    let file = |name: &str, text: &str| -> Result<String> {
        let path = folder.join(name);
        fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))?;
        Ok(path.display().to_string())
    };
    let sources = file(
        "debian.sources",
        &format!(
            "Types: deb\nURIs: {}\nSuites: {RELEASE}\nComponents: main\n\
             Signed-By: /usr/share/keyrings/debian-archive-keyring.gpg\n",
            rootfs::mirror()
        ),
    )?;
    // No package is installed, as far as this apt knows.
    let status = file("status", "")?;
    let options = [
        format!("Dir::Etc::SourceList={sources}"),
        "Dir::Etc::SourceParts=/nonexistent".to_owned(),
        format!("Dir::State::Lists={lists}"),
        format!("Dir::State::Status={status}"),
        format!("Dir::Cache={cache}"),
        // Root may read this folder, and apt's own user may not.
        "APT::Sandbox::User=root".to_owned(),
    ];
    let apt = |arguments: &[&str]| {
        let mut command = Command::new("apt-get");
        command.arg("-q").current_dir(folder);
        options.iter().for_each(|option| {
            command.args(["-o", option]);
        });
        quietly(command.args(arguments)).map(drop)
    };
    apt(&["update"])?;
    apt(&[&["download"], packages].concat())
}
