//! Lowers the power limits of all GPUs, and restores them.

use anyhow::{Context, Result, bail, ensure};

use super::nvidia_smi::{first_line, query, run};
use super::values::number;

/// UUIDs, and their limits in watts before they were lowered. Dropping it restores them.
#[derive(Default)]
pub(super) struct PowerLimits(Vec<(String, String)>);

impl PowerLimits {
    /// Sets each limit to the lowest that the GPU takes, and describes the change. If one cannot be
    /// lowered, the error is the reason.
    pub(super) fn lower(&mut self) -> Result<String> {
        let mut changes = Vec::new();
        for gpu in query(&["--query-gpu=uuid,power.limit,power.min_limit"])? {
            let [uuid, limit, lowest] = &gpu[..] else { bail!("nvidia-smi prints no power limit") };
            let is_known = number(limit).is_some() && number(lowest).is_some();
            ensure!(is_known, "nvidia-smi has no power limit that can be lowered for {uuid}");
            self.0.push((uuid.clone(), limit.clone()));
            set(uuid, lowest).with_context(|| format!("nvidia-smi -pl {lowest}"))?;
            changes.push(format!("from {limit} W to {lowest} W"));
        }
        changes.dedup();
        Ok(format!("power limit {}", changes.join(", ")))
    }

    /// Sets the limits as before. Whether it worked for all; if not, it prints what to do.
    pub(super) fn restore(&mut self) -> bool {
        self.0.retain(|(uuid, limit)| {
            let result = set(uuid, limit);
            if let Err(reason) = &result {
                eprintln!(
                    "heatsink: the power limit is NOT restored ({reason:#}); try: nvidia-smi -i {uuid} -pl {limit}"
                );
            }
            result.is_err()
        });
        self.0.is_empty()
    }
}

impl Drop for PowerLimits {
    fn drop(&mut self) {
        self.restore();
    }
}

/// Sets a limit. What counts is the limit afterwards, not the exit status.
fn set(uuid: &str, limit: &str) -> Result<()> {
    let (status, text) = run(&["-i", uuid, "-pl", limit])?;
    let now = query(&["-i", uuid, "--query-gpu=power.limit"])?.concat().concat();
    match (number(&now), number(limit)) {
        (Some(now), Some(limit)) if (now - limit).abs() < 1.0 => Ok(()),
        _ if status.success() => bail!("it stayed at {now} W"),
        _ => bail!("{}", first_line(&text)),
    }
}
