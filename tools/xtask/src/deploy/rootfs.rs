//! A Debian with only its base system and systemd, to install into.

use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, Result};

use crate::run::{quietly, run};

/// Debian's release that packages are tried on.
const RELEASE: &str = "bookworm";

/// debootstrap's options.
const MAKE: [&str; 3] = ["--variant=minbase", "--include=systemd,dbus", "--force-check-gpg"];

/// The base system, made once. Copy or read it, but do not change it.
pub(crate) fn base(root: &Path) -> Result<PathBuf> {
    let base = root.join("target/deploy").join(RELEASE);
    let recipe = format!("{RELEASE} {}\n", MAKE.join(" "));
    let whole = base.join("etc/heatsink-base");
    if std::fs::read_to_string(&whole).is_ok_and(|text| text == recipe) {
        return Ok(base);
    }
    remove(&base)?;
    println!("debootstrap: Debian {RELEASE}, about half a minute");
    quietly(Command::new("debootstrap").args(MAKE).arg(RELEASE).arg(&base).arg(mirror()))?;
    // Written last: a base system without it is incomplete and made again.
    std::fs::write(&whole, recipe).context("cannot write into the base system")?;
    Ok(base)
}

/// A fresh copy of the base system.
pub(crate) fn fresh(root: &Path, name: &str) -> Result<PathBuf> {
    let base = base(root)?;
    let copy = root.join("target/deploy").join(name);
    remove(&copy)?;
    run(Command::new("cp").args(["--archive", "--reflink=auto"]).arg(&base).arg(&copy))?;
    Ok(copy)
}

/// Removes a folder whose files are root's.
pub(crate) fn remove(folder: &Path) -> Result<()> {
    run(Command::new("rm").args(["--recursive", "--force", "--one-file-system"]).arg(folder))
}

/// Runs a command inside, as root.
pub(crate) fn inside(folder: &Path) -> Command {
    let mut command = Command::new("chroot");
    command.arg(folder).args(["env", "-i", "DEBIAN_FRONTEND=noninteractive", "LC_ALL=C.UTF-8"]);
    command.arg("PATH=/usr/sbin:/usr/bin:/sbin:/bin");
    command
}

/// The mirror of this machine's apt; Debian's address on other distributions.
pub(crate) fn mirror() -> String {
    let sources = ["/etc/apt/sources.list", "/etc/apt/sources.list.d/debian.sources"];
    let texts = sources.iter().filter_map(|path| std::fs::read_to_string(path).ok());
    let address = texts.into_iter().find_map(|text| {
        let words = text.split_whitespace();
        words
            .filter(|word| {
                word.starts_with("http") && word.trim_end_matches('/').ends_with("/debian")
            })
            .map(str::to_owned)
            .next()
    });
    address.unwrap_or_else(|| "http://deb.debian.org/debian".to_owned())
}

/// Downloads a Debian package with the base system's apt, and unpacks it.
pub(crate) fn unpacked(root: &Path, package: &str, into: &Path) -> Result<()> {
    let copy = fresh(root, "fetch")?;
    // Without the sandbox user, who may not write into the folder of downloads.
    let options = ["-q", "-o", "APT::Sandbox::User=root"];
    quietly(inside(&copy).args(["apt-get"]).args(options).arg("update"))?;
    quietly(
        inside(&copy)
            .args(["sh", "-c", "cd /root && apt-get -q -o APT::Sandbox::User=root download \"$0\""])
            .arg(package),
    )?;
    let folder = copy.join("root");
    let found = quietly(Command::new("find").arg(&folder).args(["-name", "*.deb"]))?;
    let deb = found.lines().next().with_context(|| format!("no {package}.deb"))?;
    std::fs::create_dir_all(into).context("cannot make a folder")?;
    run(Command::new("dpkg-deb").arg("--extract").arg(deb).arg(into))?;
    remove(&copy)
}
