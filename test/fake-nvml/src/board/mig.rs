//! MIG: the instances that a GPU is cut into.

use serde::Deserialize;

use super::{Bar1, Board, Memory};
use crate::gpm::Gpm;

const AMPERE: u32 = 7;

/// MIG mode, 0 or 1, and how many MIG devices there can be.
#[derive(Deserialize, Clone, Copy, Debug)]
#[serde(deny_unknown_fields)]
pub(crate) struct Mig {
    pub current: u32,
    pub pending: u32,
    #[serde(default = "most_devices")]
    pub max_devices: u32,
}

impl Mig {
    pub(crate) fn new(on: bool) -> Self {
        Self { current: on.into(), pending: on.into(), max_devices: most_devices() }
    }
}

fn most_devices() -> u32 {
    7
}

/// A GPU instance: memory and multiprocessors of its own.
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

/// A change of the instances while the program runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) enum MigOrder {
    /// A GPU instance, with one compute instance over the whole of it unless it is bare.
    Create {
        id: u32,
        profile: String,
        bare: bool,
    },
    Destroy(u32),
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

impl Board {
    /// The instances after these changes, each compute instance with its index.
    pub(crate) fn instances_after(&self, orders: &[MigOrder]) -> Vec<Instance> {
        let mut instances = self.instances.clone();
        give_indexes(&mut instances);
        for order in orders {
            match order {
                MigOrder::Create { id, profile, bare } => {
                    if instances.iter().all(|known| known.id != *id) {
                        instances.push(self.created(*id, profile, *bare));
                        give_indexes(&mut instances);
                    }
                }
                MigOrder::Destroy(id) => instances.retain(|known| known.id != *id),
            }
        }
        instances
    }

    /// An instance that nobody has described: sizes follow from its profile, and it is as busy as
    /// the whole GPU.
    fn created(&self, id: u32, profile: &str, bare: bool) -> Instance {
        let (slices, gigabytes) = size_of_profile(profile).unwrap_or_default();
        let each = if self.architecture == Some(AMPERE) { 14 } else { 16 };
        let total = u64::from(gigabytes) * 1_033_379_841;
        let (reserved, used) = (total / 997, 13_631_489 + u64::from(id));
        let compute = ComputeInstance {
            id: 0,
            uuid: self.mig_uuid(id),
            index: None,
            profile: None,
            multiprocessors: None,
            gpm: None,
        };
        Instance {
            id,
            profile: profile.to_owned(),
            profile_id: None,
            placement: None,
            multiprocessors: Some(slices * each),
            copy_engines: slices,
            decoders: slices / 2,
            encoders: 0,
            jpeg_engines: 0,
            ofa_engines: 0,
            memory: Some(Memory {
                total,
                reserved,
                used,
                free: total.saturating_sub(reserved + used),
            }),
            bar1: self.bar1.map(|whole| Bar1 {
                total: whole.total / 8,
                free: whole.total / 8 - 1_048_577,
                used: 1_048_577,
            }),
            gpm: self.gpm.clone(),
            compute_instances: if bare { Vec::new() } else { vec![compute] },
        }
    }

    /// A UUID that follows from the GPU's, so that the same instance has it again.
    fn mig_uuid(&self, instance: u32) -> String {
        let digits: String = self.uuid.chars().filter(char::is_ascii_hexdigit).take(31).collect();
        let whole = u128::from_str_radix(&digits, 16).unwrap_or(1);
        let own =
            (whole + u128::from(instance)).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
        let text = format!("{own:032x}");
        let parts = [&text[..8], &text[8..12], &text[12..16], &text[16..20], &text[20..]];
        format!("MIG-{}", parts.join("-"))
    }
}

fn give_indexes(instances: &mut [Instance]) {
    let compute = |instances: &[Instance]| -> Vec<u32> {
        let all = instances.iter().flat_map(|instance| &instance.compute_instances);
        all.filter_map(|compute| compute.index).collect()
    };
    let mut taken = compute(instances);
    for compute in instances.iter_mut().flat_map(|instance| &mut instance.compute_instances) {
        if compute.index.is_none() {
            let free = (0..).find(|index| !taken.contains(index));
            taken.extend(free);
            compute.index = free;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn indexes(orders: &[MigOrder]) -> Vec<(u32, Option<u32>)> {
        let instances = Board::default().instances_after(orders);
        let index = |instance: &Instance| instance.compute_instances.first()?.index;
        instances.iter().map(|instance| (instance.id, index(instance))).collect()
    }

    #[test]
    fn an_index_is_kept_and_a_freed_one_is_taken_again() {
        let create = |id| MigOrder::Create { id, profile: "1g.10gb".into(), bare: false };
        let mut orders = vec![create(7), create(3), create(9), MigOrder::Destroy(3)];
        assert_eq!(indexes(&orders), [(7, Some(0)), (9, Some(2))]);
        orders.push(create(4));
        assert_eq!(indexes(&orders), [(7, Some(0)), (9, Some(2)), (4, Some(1))]);
        orders.push(create(4));
        assert_eq!(indexes(&orders).len(), 3, "it is there already");
    }

    #[test]
    fn profiles_have_a_size() {
        assert_eq!(size_of_profile("1g.5gb+me"), Some((1, 5)));
        assert_eq!(size_of_profile("3g.40gb"), Some((3, 40)));
        assert_eq!(size_of_profile("1c.3g.20gb"), None);
        assert_eq!(size_of_profile("all"), None);
    }
}
