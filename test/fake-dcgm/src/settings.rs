//! The environment, read by the first `dcgmInit`.

use std::{path::PathBuf, time::Duration};

use crate::warn;

/// The default version.
const VERSION: &str = "4.6.0";

/// How long a call on an engine that does not answer blocks.
const HANG: Duration = Duration::from_secs(60);

/// The settings of the library.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct Settings {
    /// The driver library that engines read through.
    pub nvml: Option<PathBuf>,
    pub control: Option<PathBuf>,
    pub equipment: Option<PathBuf>,
    pub version: String,
    pub hang: Duration,
}

impl Settings {
    pub(crate) fn from_environment() -> Self {
        Self::from_lookup(|name| std::env::var(name).ok().filter(|value| !value.is_empty()))
    }

    fn from_lookup(lookup: impl Fn(&str) -> Option<String>) -> Self {
        let path = |name| lookup(name).map(PathBuf::from);
        let hang = lookup("FAKE_DCGM_HANG_SECONDS").map(|text| {
            let seconds = text.parse().ok().and_then(|it| Duration::try_from_secs_f64(it).ok());
            seconds.unwrap_or_else(|| {
                warn(&format!("FAKE_DCGM_HANG_SECONDS={text}: not a number of seconds"));
                HANG
            })
        });
        Self {
            nvml: path("FAKE_DCGM_NVML"),
            control: path("FAKE_DCGM_CONTROL"),
            equipment: path("FAKE_DCGM_EQUIPMENT"),
            version: lookup("FAKE_DCGM_VERSION").unwrap_or_else(|| VERSION.to_owned()),
            hang: hang.unwrap_or(HANG),
        }
    }

    /// One past the last field number that this version has.
    pub(crate) fn field_limit(&self) -> u16 {
        let mut numbers = self.version.split('.').map(|part| part.parse::<u32>().unwrap_or(0));
        let version = (numbers.next().unwrap_or(0), numbers.next().unwrap_or(0));
        if version >= (4, 7) { 1651 } else { 1534 }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_later_version_has_more_fields() {
        let of = |version: &'static str| {
            let lookup = |name: &str| (name == "FAKE_DCGM_VERSION").then(|| version.to_owned());
            Settings::from_lookup(lookup).field_limit()
        };
        assert_eq!((of("4.6.0"), of("4.7.0"), of("5.0.0"), of("3.3.9")), (1534, 1651, 1651, 1534));
        let plain = Settings::from_lookup(|_| None);
        assert_eq!((plain.version.as_str(), plain.hang), ("4.6.0", HANG));
    }
}
