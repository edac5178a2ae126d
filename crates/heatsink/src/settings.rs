//! What the command line means: checked, read, resolved.

use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail};
use clap::{Args, Command};
use model::Windows;
use model::catalog::{Generation, counters};

use crate::cli::{
    COUNT_WINDOW, FORGET_MISSING, LOG_FORMAT, LogArgs, ServeArgs, WINDOW, or_default,
};
use crate::logging::{Format, Log};

/// Names the setting that an error is about.
pub(crate) trait Named<T> {
    /// With the flag and the variable in front of the error, as `A` defines them.
    fn named<A: Args>(self, long: &str) -> Result<T>;
}

impl<T> Named<T> for Result<T> {
    fn named<A: Args>(self, long: &str) -> Self {
        self.with_context(|| name::<A>(long))
    }
}

/// A setting as messages name it: `-d, --devices (DCGM_EXPORTER_DEVICES_STR)`.
pub(crate) fn name<A: Args>(long: &str) -> String {
    let command = A::augment_args(Command::new(""));
    let defined = command.get_arguments().find(|arg| arg.get_long() == Some(long));
    let short = defined.and_then(|arg| arg.get_short());
    let variable = defined.and_then(|arg| arg.get_env());
    let short = short.map(|short| format!("-{short}, ")).unwrap_or_default();
    let variable = variable.map(|name| format!(" ({})", name.display())).unwrap_or_default();
    format!("{short}--{long}{variable}")
}

/// The interval, from milliseconds.
pub(crate) fn interval(text: &str) -> Result<Duration> {
    match text.trim().parse::<u64>() {
        Ok(millis @ 10..=3_600_000) => Ok(Duration::from_millis(millis)),
        _ => bail!("`{text}` is not between 10 and 3600000 milliseconds; write 1000 for a second"),
    }
}

/// The rolling windows that were asked for.
pub(crate) fn windows(args: &ServeArgs) -> Result<Windows> {
    Ok(Windows {
        extents: window(&args.window).named::<ServeArgs>("window")?,
        xids: count_window(&args.xid_count_window_size)
            .named::<ServeArgs>("xid-count-window-size")?,
        clock_events: count_window(&args.clock_events_count_window_size)
            .named::<ServeArgs>("clock-events-count-window-size")?,
    })
}

fn window(text: &str) -> Result<Duration> {
    let text = or_default(text, WINDOW).trim();
    if matches!(text, "0" | "0s") {
        return Ok(Duration::ZERO);
    }
    counters::duration(text)
        .filter(|window| (Duration::from_secs(1)..=Duration::from_secs(3600)).contains(window))
        .with_context(|| format!("`{text}` is not between 1s and 1h, and not 0; write 60s or 5m"))
}

fn count_window(text: &str) -> Result<Duration> {
    match or_default(text, COUNT_WINDOW).trim().parse::<u64>() {
        Ok(millis @ 1..=86_400_000) => Ok(Duration::from_millis(millis)),
        _ => bail!("`{text}` is not between 1 and 86400000 milliseconds"),
    }
}

/// How many GPUs there should be, if that was said.
pub(crate) fn expected_gpus(text: &str) -> Result<Option<u32>> {
    match text.trim() {
        "" => Ok(None),
        text => match text.parse::<u32>() {
            Ok(count @ 0..=1024) => Ok(Some(count)),
            _ => bail!("`{text}` is not between 0 and 1024"),
        },
    }
}

/// How long a GPU that is missing is remembered; none for ever.
pub(crate) fn forget_missing(text: &str) -> Result<Option<Duration>> {
    let text = or_default(text, FORGET_MISSING).trim();
    let after = if text == "0" { Some(Duration::ZERO) } else { counters::duration(text) };
    let after = after.with_context(|| format!("`{text}` is not a duration; write 24h, or 0"))?;
    Ok(Some(after).filter(|after| !after.is_zero()))
}

/// Whose names were asked for, if any.
pub(crate) fn generation(text: &str) -> Result<Option<Generation>> {
    let text = text.trim();
    if text.is_empty() {
        return Ok(None);
    }
    Generation::parse(text).map(Some).ok_or_else(|| not_among(text, "4.8, 4.8.2, 4.9, both"))
}

/// The error for a word that is not one of those that a setting takes.
pub(crate) fn not_among(text: &str, allowed: &str) -> anyhow::Error {
    anyhow!("`{text}` is none of {allowed}")
}

/// A boolean; nothing at all is no.
pub(crate) fn boolean(text: &str) -> Result<bool> {
    if text.is_empty() {
        return Ok(false);
    }
    truth(text).ok_or_else(|| not_among(text, "true, false"))
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
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        other => Err(not_among(other, "text, json")),
    };
    Ok(Log {
        format: format.named::<LogArgs>("log-format")?,
        debug: boolean(&args.debug).named::<LogArgs>("debug")?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_named_by_its_flag_and_its_variable() {
        assert_eq!(name::<ServeArgs>("devices"), "-d, --devices (DCGM_EXPORTER_DEVICES_STR)");
        assert_eq!(name::<ServeArgs>("window"), "--window (HEATSINK_WINDOW)");
        assert_eq!(name::<crate::cli::DemoArgs>("address"), "-a, --address");
    }

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
                assert_eq!(boolean(text).ok(), value, "{text}");
            }
        }
        assert!(!boolean("").unwrap());
    }
}
