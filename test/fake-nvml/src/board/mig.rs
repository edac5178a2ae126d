//! MIG: the instances that a GPU is cut into.

use serde::Deserialize;

use super::memory::{Bar1, Memory};
use crate::gpm::Gpm;

/// MIG mode, 0 or 1, and how many MIG devices there can be.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mig {
    pub current: u32,
    pub pending: u32,
    #[serde(default = "max_devices_by_default")]
    pub max_devices: u32,
}

impl Mig {
    pub(crate) fn new(on: bool) -> Self {
        Self { current: on.into(), pending: on.into(), max_devices: max_devices_by_default() }
    }
}

fn max_devices_by_default() -> u32 {
    7
}

/// A GPU instance, with its memory and multiprocessors.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Instance {
    pub id: u32,
    /// Such as `1g.10gb`.
    pub profile: String,
    pub profile_id: Option<u32>,
    pub placement: Option<Placement>,
    pub multiprocessors: Option<u32>,
    #[serde(default)]
    pub copy_engines: u32,
    #[serde(default)]
    pub decoders: u32,
    #[serde(default)]
    pub encoders: u32,
    #[serde(default)]
    pub jpeg_engines: u32,
    #[serde(default)]
    pub ofa_engines: u32,
    pub memory: Option<Memory>,
    pub bar1: Option<Bar1>,
    pub gpm: Option<Gpm>,
    #[serde(default)]
    pub compute_instances: Vec<ComputeInstance>,
}

/// A compute instance: what a program runs on, and a MIG device.
#[derive(Deserialize, Clone, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct ComputeInstance {
    pub id: u32,
    pub uuid: String,
    /// Of `nvmlDeviceGetMigDeviceHandleByIndex`; left out, the lowest that is free.
    pub index: Option<u32>,
    /// Where it is not the whole GPU instance, such as `1c.3g.20gb`.
    pub profile: Option<String>,
    pub multiprocessors: Option<u32>,
    /// What differs from that of the GPU instance.
    pub gpm: Option<Gpm>,
}

/// Where a GPU instance lies among the slices.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Placement {
    pub start: u32,
    pub size: u32,
}

/// The slices and the gigabytes of a profile such as `1g.10gb` or `1g.5gb+me`.
pub(crate) fn size_of_profile(profile: &str) -> Option<(u32, u32)> {
    let (slices, memory) = profile.split_once("g.")?;
    let (gigabytes, _extras) = memory.split_once("gb")?;
    Some((slices.parse().ok()?, gigabytes.parse().ok()?))
}

/// How many slices of the multiprocessors a profile has, such as `3g.20gb` or `1c.3g.20gb`.
pub(crate) fn slices(profile: &str) -> u32 {
    let digits: String = profile.chars().take_while(char::is_ascii_digit).collect();
    digits.parse().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_have_a_size() {
        assert_eq!(size_of_profile("1g.5gb+me"), Some((1, 5)));
        assert_eq!(size_of_profile("3g.40gb"), Some((3, 40)));
        assert_eq!(size_of_profile("1c.3g.20gb"), None);
        assert_eq!(size_of_profile("all"), None);
    }
}
