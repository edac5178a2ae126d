//! Which instances a partitioned GPU has, and how big they are.

use std::collections::BTreeMap;

use model::Reason;

use crate::{Code, Device};

/// The kinds of GPU instances that NVML tells apart; drivers know fewer, or a few more.
const PROFILES: u32 = 32;

/// A MIG device, which is a compute instance.
pub(crate) struct Found {
    pub(crate) gpu_instance: u32,
    pub(crate) compute_instance: u32,
    /// As in `1c.3g.20gb`.
    pub(crate) profile: String,
    pub(crate) device: Device,
}

impl PartialEq for Found {
    fn eq(&self, other: &Self) -> bool {
        let key = |found: &Self| (found.gpu_instance, found.compute_instance, found.device.handle);
        key(self) == key(other) && self.profile == other.profile
    }
}

/// How many MIG devices there can be, and those that there are.
pub(crate) fn scan(gpu: &Device) -> Result<(u32, Vec<Found>), Code> {
    let most = match gpu.max_mig_devices() {
        Ok(most) => most,
        Err(code) if code.is_about_the_gpu() => return Err(code),
        Err(_) => 0,
    };
    let mut found = Vec::new();
    for number in 0..most {
        match gpu.mig_device(number).and_then(|device| device.map(describe).transpose()) {
            Ok(Some(device)) => found.push(device),
            Ok(None) => {}
            Err(code) if code.is_about_the_gpu() => return Err(code),
            // Made or destroyed at this moment.
            Err(_) => {}
        }
    }
    Ok((most, found))
}

/// The place of a GPU instance's profile in the order in which NVML numbers the kinds of them: by
/// size as they were invented, the special ones after the plain.
pub(crate) fn rank(profile: &str) -> usize {
    let slices = profile.split("g.").next().unwrap_or_default();
    let order = ["1", "2", "3", "4", "7", "8", "6"];
    let place = order.iter().position(|known| *known == slices).unwrap_or(order.len());
    if profile.contains('+') { place + order.len() + 1 } else { place }
}

/// GPU instances without compute instances, number and profile; `None` if this process may not know.
pub(crate) fn scan_empty(
    gpu: &Device,
    found: &[Found],
) -> Result<Option<Vec<(u32, String)>>, Code> {
    let mut empty = BTreeMap::new();
    for number in 0..PROFILES {
        let Ok(profile) = gpu.instance_profile(number) else { continue };
        match gpu.instances_of(profile.id) {
            Ok(ids) => {
                let name = parse_profile(&profile.name).unwrap_or(&profile.name);
                let is_used = |id| found.iter().any(|found| found.gpu_instance == id);
                let unused = ids.into_iter().filter(|id| !is_used(*id));
                empty.extend(unused.map(|id| (id, name.to_owned())));
            }
            Err(code) if code.is_about_the_gpu() => return Err(code),
            Err(code) if code.reason() == Reason::NotPermitted => return Ok(None),
            Err(_) => {}
        }
    }
    Ok(Some(empty.into_iter().collect()))
}

fn describe(device: Device) -> Result<Found, Code> {
    let name = device.name()?;
    let profile = match parse_profile(&name) {
        Some(profile) => profile.to_owned(),
        // A name without profile: its size is what profiles are named after.
        None => device.mig_size().map_or("unknown".to_owned(), |(slices, mebibytes)| {
            format!("{slices}g.{}gb", mebibytes.div_ceil(1024))
        }),
    };
    Ok(Found {
        gpu_instance: device.gpu_instance_id()?,
        compute_instance: device.compute_instance_id()?,
        profile,
        device,
    })
}

/// The profile in a name such as `NVIDIA A100-SXM4-40GB MIG 1g.5gb`.
fn parse_profile(name: &str) -> Option<&str> {
    let (_, profile) = name.rsplit_once("MIG ")?;
    let profile = profile.split_whitespace().next()?;
    profile.contains("g.").then_some(profile)
}

/// Of a compute instance's profile, the GPU instance's: `3g.20gb` of `1c.3g.20gb`.
pub(crate) fn gpu_profile(profile: &str) -> &str {
    match profile.split_once("c.") {
        Some((slices, rest)) if slices.bytes().all(|byte| byte.is_ascii_digit()) => rest,
        _ => profile,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn profiles_are_in_nvmls_order() {
        let mut profiles = ["1g.10gb+me", "7g.80gb", "3g.40gb", "1g.10gb", "what", "2g.20gb"];
        profiles.sort_by_key(|profile| rank(profile));
        assert_eq!(profiles, ["1g.10gb", "2g.20gb", "3g.40gb", "7g.80gb", "what", "1g.10gb+me"]);
    }

    #[test]
    fn a_profile_is_the_last_word_of_a_mig_devices_name() {
        let check = |name, profile| assert_eq!(parse_profile(name), profile);
        check("NVIDIA A100-SXM4-40GB MIG 1g.5gb", Some("1g.5gb"));
        check("NVIDIA H100 80GB HBM3 MIG 1g.10gb+me", Some("1g.10gb+me"));
        check("NVIDIA H100 80GB HBM3 MIG 1c.3g.40gb", Some("1c.3g.40gb"));
        check("MIG 7g.80gb", Some("7g.80gb"));
        check("MIG 1g.12gb+gfx ", Some("1g.12gb+gfx"));
        check("NVIDIA H100 80GB HBM3", None);
        check("NVIDIA H100 MIG ", None);
        check("MIG nonsense", None);
        check("", None);
    }

    #[test]
    fn the_profile_of_a_gpu_instance_has_no_compute_slices() {
        assert_eq!(gpu_profile("1c.3g.40gb"), "3g.40gb");
        assert_eq!(gpu_profile("10c.7g.80gb+me"), "7g.80gb+me");
        assert_eq!(gpu_profile("1g.10gb"), "1g.10gb");
        assert_eq!(gpu_profile("unknown"), "unknown");
    }
}
