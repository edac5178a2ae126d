//! The systemd unit, checked by `systemd-analyze verify` and `security`.

use std::path::Path;
use std::process::Command;

use anyhow::{Context as _, Result, ensure};

use crate::run::quietly;

/// The highest exposure level of `systemd-analyze security`, in tenths: from 0 to 100.
const MOST_EXPOSURE: u32 = 25;

/// Checks the unit alone and with each of its drop-ins.
pub(crate) fn check(root: &Path) -> Result<()> {
    let folder = root.join("deploy/systemd");
    let read = |name: &str| {
        let path = folder.join(name);
        std::fs::read_to_string(&path).with_context(|| format!("cannot read {}", path.display()))
    };
    let unit = read("heatsink.service")?;
    let no_kernel_log = format!("{unit}\n{}", read("options/no-kernel-log.conf")?);
    let tls = format!("{unit}\n{}", read("options/tls.conf")?);
    let socket = read("options/heatsink.socket")?;
    // systemd looks for the program, which is not installed.
    let scratch = root.join("target/deploy/unit");
    let stand_in = scratch.join("heatsink");
    for (name, unit) in [("plain", &unit), ("no-kernel-log", &no_kernel_log), ("tls", &tls)] {
        let folder = scratch.join(name);
        std::fs::create_dir_all(&folder).context("cannot make a folder")?;
        std::fs::copy("/bin/true", &stand_in).context("cannot copy /bin/true")?;
        let here = unit.replace("/usr/bin/heatsink", &stand_in.display().to_string());
        ensure!(here != **unit, "heatsink.service does not start /usr/bin/heatsink");
        let service = folder.join("heatsink.service");
        std::fs::write(&service, here).context("cannot write")?;
        std::fs::write(folder.join("heatsink.socket"), &socket).context("cannot write")?;
        let faults = faults(&service)? + &self::faults(&folder.join("heatsink.socket"))?;
        ensure!(faults.is_empty(), "systemd-analyze verify:\n{faults}");
        let misspelt = folder.join("misspelt.service");
        std::fs::write(&misspelt, "[Service]\nExecStart=/bin/true\nProtectSystm=yes\n")?;
        ensure!(!self::faults(&misspelt)?.is_empty(), "a misspelt setting was not found");
        let threshold = format!("--threshold={MOST_EXPOSURE}");
        let security = ["security", "--no-pager", "--offline=true", &threshold];
        let output = quietly(Command::new("systemd-analyze").args(security).arg(&service))?;
        let exposure = output.lines().rfind(|line| line.contains("exposure level"));
        println!(
            "{name}: {}",
            exposure.context("systemd-analyze prints no exposure level")?.trim()
        );
    }
    Ok(())
}

/// The mistakes that systemd prints about a unit. Its exit status is mostly 0 in spite of them.
fn faults(unit: &Path) -> Result<String> {
    let mut analyze = Command::new("systemd-analyze");
    analyze.args(["verify", "--man=no", "--recursive-errors=no"]).arg(unit);
    let output = analyze.output().context("systemd-analyze could not be started")?;
    let errors = String::from_utf8_lossy(&output.stderr).into_owned();
    Ok(if output.status.success() { errors } else { format!("{errors}{}\n", output.status) })
}
