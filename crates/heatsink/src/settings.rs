//! What the command line means: checked, read, resolved.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use catalog::counters::Counters;
use catalog::{builtin, counters};
use model::Source;
use nvml::NvmlSource;
use sim::{Options, Scenario, SimSource, World};

use crate::cli::{
    self, LOG_FORMAT, LogArgs, SOURCE, ScenarioName, SimArgs, SourceArgs, or_default,
};
use crate::logging::{Format, Log};

/// The largest counters file that is read. The full catalogue takes a tenth of it.
const MOST_COUNTERS_BYTES: u64 = 1024 * 1024;

/// The watches of a counters file, or of the built-in set.
pub(crate) fn watches(file: Option<&Path>) -> Result<Counters> {
    let Some(file) = file else { return Ok(counters::parse(builtin::DEFAULT.as_bytes())) };
    let opened = match File::open(file) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {
            let builtin = file.to_str().and_then(builtin::builtin_for);
            let builtin = builtin.ok_or(error).with_context(|| unreadable(file))?;
            tracing::info!("{} is not there; serving its built-in equivalent", file.display());
            return Ok(counters::parse(builtin.as_bytes()));
        }
        opened => opened.with_context(|| unreadable(file))?,
    };
    let mut text = Vec::new();
    opened
        .take(MOST_COUNTERS_BYTES + 1)
        .read_to_end(&mut text)
        .with_context(|| unreadable(file))?;
    if text.len() as u64 > MOST_COUNTERS_BYTES {
        bail!("{}: larger than 1 MiB; is this a counters file?", unreadable(file));
    }
    let counters = counters::parse(&text);
    for row in &counters.skipped {
        tracing::warn!("{} line {}: skipped `{}`: {}", file.display(), row.line, row.row, row.why);
    }
    Ok(counters)
}

fn unreadable(file: &Path) -> String {
    format!("cannot read the counters file {} (-f, --collectors)", file.display())
}

/// The interval, from milliseconds.
pub(crate) fn interval(text: &str) -> Result<Duration> {
    match text.trim().parse::<u64>() {
        Ok(millis @ 10..=3_600_000) => Ok(Duration::from_millis(millis)),
        _ => bail!("-c, --collect-interval: `{text}` is not between 10 and 3600000 milliseconds"),
    }
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
pub(crate) fn source(args: &SourceArgs) -> Result<Box<dyn Source>> {
    match or_default(&args.source, SOURCE) {
        "auto" | "nvml" => {
            let library = cli::path(&args.nvml_library)
                .map(std::path::absolute)
                .transpose()
                .context("--nvml-library: the path cannot be resolved")?;
            Ok(Box::new(NvmlSource::new(library)))
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

    #[test]
    fn a_well_known_path_that_is_not_there_has_a_built_in_set() {
        let known = Path::new("/etc/dcgm-exporter/dcp-metrics-included.csv");
        assert!(watches(Some(known)).unwrap().skipped.is_empty());
        assert!(watches(Some(Path::new("/nowhere/counters.csv"))).is_err());
    }
}
