//! An installed heatsink, started with the command of its unit or image, in the folder of the
//! installation, by an unprivileged user, with the fake driver library.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};
use testkit::exporter::Exporter;

use super::rootfs;
use crate::run::run;

/// A user who owns no files, from the range that systemd keeps for such users.
pub(crate) const NOBODY: u32 = 61_184;

/// Installs the fake library at the path of the driver's.
pub(crate) fn with_driver(root: &Path, folder: &Path) -> Result<()> {
    let library = root.join("target/debug/libfake_nvml.so");
    ensure!(library.exists(), "{} is not built: cargo build --workspace", library.display());
    let driver = folder.join("usr/lib/x86_64-linux-gnu/libnvidia-ml.so.1");
    run(Command::new("install").args(["-D", "--mode=644"]).arg(library).arg(driver))?;
    // The fake library is written in Rust, whose panics need this one.
    let unwinder = "usr/lib/x86_64-linux-gnu/libgcc_s.so.1";
    let base = rootfs::base(root)?.join(unwinder);
    if folder.join(unwinder).exists() {
        return Ok(());
    }
    run(Command::new("install").args(["-D", "--mode=644"]).arg(base).arg(folder.join(unwinder)))
}

/// Starts `line` inside `folder` as `user`, without privileges, and checks the page.
pub(crate) fn serves(
    folder: &Path,
    user: u32,
    environment: &[(String, String)],
    line: &[String],
) -> Result<()> {
    let (user, folder) = (user.to_string(), folder.display().to_string());
    let (ids, groups) = (format!("{user}:{user}"), "--groups=");
    let mut args = vec!["--no-new-privs", "--inh-caps=-all", "--ambient-caps=-all"];
    args.extend(["chroot", "--userspec", &ids, groups, &folder]);
    args.extend(line.iter().map(String::as_str));
    let environment: Vec<(&str, &str)> =
        environment.iter().map(|(name, value)| (name.as_str(), value.as_str())).collect();
    let exporter = Exporter::start("setpriv", &args, &environment);
    let status = std::fs::read_to_string(format!("/proc/{}/status", exporter.pid()))
        .context("cannot see the process")?;
    let field = |name: &str| {
        status.lines().find_map(|line| line.strip_prefix(name)).unwrap_or("").trim().to_owned()
    };
    ensure!(field("Uid:").split_whitespace().all(|id| id == user), "runs as {}", field("Uid:"));
    ensure!(field("CapEff:") == "0000000000000000", "has capabilities {}", field("CapEff:"));
    ensure!(field("NoNewPrivs:") == "1", "could get privileges");
    let (page, _) = exporter.wait_for("eight GPUs answer", TIMEOUT, |page| {
        page.samples("heatsink_gpu_up").iter().filter(|sample| sample.value == 1.0).count() == 8
    });
    let temperatures = page.samples("DCGM_FI_DEV_GPU_TEMP").len();
    ensure!(temperatures == 8, "{temperatures} temperatures");
    let source = page.samples("heatsink_source_info");
    ensure!(source.iter().any(|sample| sample.label("source") == Some("nvml")), "not from NVML");
    println!(
        "`{}` as user {user}: 8 GPUs, {} series, resident {} KiB",
        line.join(" "),
        page.all_samples().count(),
        field("VmRSS:").trim_end_matches(" kB")
    );
    let (status, _, log) = exporter.terminate();
    ensure!(status.success(), "ended with {status}:\n{log}");
    Ok(())
}

/// Long enough for a busy machine.
const TIMEOUT: std::time::Duration = std::time::Duration::from_secs(30);
