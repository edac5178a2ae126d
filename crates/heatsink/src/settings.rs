//! What the command line means: checked, read, resolved.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use catalog::{Generation, counters};
use model::Windows;

use crate::cli::{
    COUNT_WINDOW, FORGET_MISSING, LOG_FORMAT, LogArgs, ServeArgs, WINDOW, or_default,
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

/// How many GPUs there should be, if that was said.
pub(crate) fn expected_gpus(text: &str) -> Result<Option<u32>> {
    match text.trim() {
        "" => Ok(None),
        text => match text.parse::<u32>() {
            Ok(count @ 0..=1024) => Ok(Some(count)),
            _ => bail!(
                "--expected-gpus (HEATSINK_EXPECTED_GPUS): `{text}` is not between 0 and 1024"
            ),
        },
    }
}

/// How long a GPU that is missing is remembered; none for ever.
pub(crate) fn forget_missing(text: &str) -> Result<Option<Duration>> {
    let text = or_default(text, FORGET_MISSING).trim();
    let after = if text == "0" { Some(Duration::ZERO) } else { counters::duration(text) };
    let after = after.with_context(|| {
        format!("--forget-missing (HEATSINK_FORGET_MISSING): `{text}` is no time; write 24h, or 0")
    })?;
    Ok(Some(after).filter(|after| !after.is_zero()))
}

/// Whose names were asked for, if any.
pub(crate) fn generation(text: &str) -> Result<Option<Generation>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    let words = "4.8, 4.8.2, 4.9, both";
    Generation::parse(text).map(Some).ok_or_else(|| METRIC_NAMES.wrong(text, words))
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
pub(crate) const SYSTEMD_SOCKET: Written =
    Written { flag: "--web-systemd-socket", variable: "DCGM_EXPORTER_SYSTEMD_SOCKET" };
const METRIC_NAMES: Written = Written { flag: "--metric-names", variable: "HEATSINK_METRIC_NAMES" };
pub(crate) const FAIL_HEALTH: Written = Written {
    flag: "--fail-health-after-driver-upgrade",
    variable: "HEATSINK_FAIL_HEALTH_AFTER_DRIVER_UPGRADE",
};
const DEBUG: Written = Written { flag: "--debug", variable: "DCGM_EXPORTER_DEBUG" };
const LOG: Written = Written { flag: "--log-format", variable: "DCGM_EXPORTER_LOG_FORMAT" };
pub(crate) const FROM: Written = Written { flag: "--source", variable: "HEATSINK_SOURCE" };
pub(crate) const FAKE_GPUS: Written =
    Written { flag: "--fake-gpus", variable: "DCGM_EXPORTER_USE_FAKE_GPUS" };
pub(crate) const DCGM_LOG: Written =
    Written { flag: "--enable-dcgm-log", variable: "DCGM_EXPORTER_ENABLE_DCGM_LOG" };
pub(crate) const DCGM_LOG_LEVELS: Written =
    Written { flag: "--dcgm-log-level", variable: "DCGM_EXPORTER_DCGM_LOG_LEVEL" };

impl Written {
    pub(crate) fn wrong(&self, text: &str, allowed: &str) -> anyhow::Error {
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
