//! What the command line means: checked, read, resolved.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use catalog::{Generation, counters, xid};
use model::{Source, Windows};
use nvml::NvmlSource;
use sampler::KernelLog;
use sim::{Options, Scenario, SimSource, World};

use crate::cli::{
    self, COUNT_WINDOW, KERNEL_LOG, LOG_FORMAT, LogArgs, SOURCE, ScenarioName, ServeArgs, SimArgs,
    SourceArgs, WINDOW, or_default,
};
use crate::logging::{Format, Log};

/// The interval, from milliseconds.
pub(crate) fn interval(text: &str) -> Result<Duration> {
    match text.trim().parse::<u64>() {
        Ok(millis @ 10..=3_600_000) => Ok(Duration::from_millis(millis)),
        _ => bail!("-c, --collect-interval: `{text}` is not between 10 and 3600000 milliseconds"),
    }
}

/// The rolling windows that were asked for.
pub(crate) fn windows(args: &ServeArgs) -> Result<Windows> {
    let extents = match or_default(&args.window, WINDOW).trim() {
        "0" | "0s" => Duration::ZERO,
        text => counters::duration(text)
            .filter(|window| (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(window))
            .with_context(|| {
                format!("--window: `{text}` is not between 1s and 1h, and not 0; write 60s or 5m")
            })?,
    };
    let millis = |flag, text| match or_default(text, COUNT_WINDOW).trim().parse::<u64>() {
        Ok(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
        _ => bail!("{flag}: `{text}` is not between 1 and 86400000 milliseconds"),
    };
    Ok(Windows {
        extents,
        xids: millis("-x, --xid-count-window-size", &args.xid_count_window_size)?,
        clock_events: millis(
            "--clock-events-count-window-size",
            &args.clock_events_count_window_size,
        )?,
    })
}

/// Whose names were asked for, if any.
pub(crate) fn generation(args: &ServeArgs) -> Result<Option<Generation>> {
    let text = args.metric_names.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let words = "4.8, 4.8.2, 4.9, both";
    Generation::parse(text).map(Some).ok_or_else(|| METRIC_NAMES.wrong(text, words))
}

/// Where XIDs are found beside the driver's events; not where they are made up.
pub(crate) fn kernel_log(args: &ServeArgs) -> Option<KernelLog> {
    let path = or_default(&args.kernel_log, KERNEL_LOG);
    let is_real = or_default(&args.source.source, SOURCE) != "sim";
    let wanted = is_real && path != "none";
    wanted.then(|| KernelLog { path: path.into(), meaning: xid::lookup })
}

/// Where a boolean or one of some words is written: what to name when it is wrong.
pub(crate) struct Written {
    flag: &'static str,
    variable: &'static str,
}

pub(crate) const NO_HOSTNAME: Written =
    Written { flag: "-n, --no-hostname", variable: "DCGM_EXPORTER_NO_HOSTNAME" };
pub(crate) const REPLACE_BLANKS: Written = Written {
    flag: "--replace-blanks-in-model-name",
    variable: "DCGM_EXPORTER_REPLACE_BLANKS_IN_MODEL_NAME",
};
pub(crate) const OLD_NAMESPACE: Written =
    Written { flag: "-o, --use-old-namespace", variable: "DCGM_EXPORTER_USE_OLD_NAMESPACE" };
pub(crate) const COMPUTE_INSTANCES: Written =
    Written { flag: "--compute-instances", variable: "HEATSINK_COMPUTE_INSTANCES" };
const METRIC_NAMES: Written = Written { flag: "--metric-names", variable: "HEATSINK_METRIC_NAMES" };
const DEBUG: Written = Written { flag: "--debug", variable: "DCGM_EXPORTER_DEBUG" };
const LOG: Written = Written { flag: "--log-format", variable: "DCGM_EXPORTER_LOG_FORMAT" };
const FROM: Written = Written { flag: "--source", variable: "HEATSINK_SOURCE" };

impl Written {
    fn wrong(&self, text: &str, allowed: &str) -> anyhow::Error {
        anyhow!("{} ({}): `{text}` is none of {allowed}", self.flag, self.variable)
    }
}

/// A boolean; nothing at all is no.
pub(crate) fn boolean(written: &Written, text: &str) -> Result<bool> {
    if text.is_empty() {
        return Ok(false);
    }
    truth(text).ok_or_else(|| written.wrong(text, "true, false"))
}

/// A boolean as Go programs take it, and as people write it.
pub(crate) fn truth(text: &str) -> Option<bool> {
    match text.to_ascii_lowercase().as_str() {
        "1" | "t" | "true" | "yes" | "on" => Some(true),
        "0" | "f" | "false" | "no" | "off" => Some(false),
        _ => None,
    }
}

/// The log that was asked for.
pub(crate) fn log(args: &LogArgs) -> Result<Log> {
    let format = match or_default(&args.log_format, LOG_FORMAT) {
        "text" => Format::Text,
        "json" => Format::Json,
        other => return Err(LOG.wrong(other, "text, json")),
    };
    Ok(Log { format, debug: boolean(&DEBUG, &args.debug)? })
}

/// The source that was asked for.
pub(crate) fn source(args: &SourceArgs, compute_instances: bool) -> Result<Box<dyn Source>> {
    match or_default(&args.source, SOURCE) {
        "auto" | "nvml" => {
            let library = cli::path(&args.nvml_library)
                .map(std::path::absolute)
                .transpose()
                .context("--nvml-library: the path cannot be resolved")?;
            Ok(Box::new(NvmlSource::new(library, nvml::Options { compute_instances })))
        }
        "sim" => simulation(&args.sim),
        other => Err(FROM.wrong(other, "auto, nvml, sim")),
    }
}

/// Simulated GPUs.
pub(crate) fn simulation(args: &SimArgs) -> Result<Box<dyn Source>> {
    let scenario = match args.sim_scenario {
        ScenarioName::Story => Scenario::story(),
        ScenarioName::Steady => Scenario::steady(args.sim_gpus.into()),
        ScenarioName::Idle => Scenario::idle(args.sim_gpus.into()),
    };
    let options = Options {
        speed: speed(args.speed)?,
        start: Duration::from_secs(args.sim_at.unwrap_or(0)),
        frozen: args.sim_at.is_some(),
    };
    let world = World::new(scenario, args.sim_seed);
    Ok(Box::new(SimSource::new(world, options)))
}

/// A simulation's speed.
pub(crate) fn speed(factor: f64) -> Result<f64> {
    if !(factor > 0.0 && factor <= 1000.0) {
        bail!("--speed: {factor} is not above 0 and at most 1000");
    }
    Ok(factor)
}

/// The label `hostname`: the node's name where Kubernetes gives it, else the system's.
pub(crate) fn hostname() -> Option<Arc<str>> {
    let node = std::env::var("NODE_NAME").ok().filter(|name| !name.is_empty());
    let name = node.or_else(|| std::fs::read_to_string("/proc/sys/kernel/hostname").ok())?;
    Some(Arc::from(name.trim()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn intervals_have_bounds() {
        assert_eq!(interval("1000").unwrap(), Duration::from_secs(1));
        for text in ["0", "-1", "", "1s", "99999999999"] {
            assert!(interval(text).is_err(), "{text} was accepted");
        }
    }

    #[test]
    fn booleans_are_those_of_go_and_of_people() {
        for (texts, value) in [
            ("1 t T TRUE true True yes Yes YES on ON", Some(true)),
            ("0 f F FALSE false False no No NO off oFF", Some(false)),
            ("maybe 2 -1 truely \u{fffd}", None),
        ] {
            for text in texts.split(' ') {
                assert_eq!(boolean(&DEBUG, text).ok(), value, "{text}");
            }
        }
        assert!(!boolean(&DEBUG, "").unwrap());
    }
}
