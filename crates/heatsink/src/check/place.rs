//! The names of devices and their parts: `GPU 0-7 NVLink 0-17`.

use std::collections::BTreeMap;

use model::{Entity, Gpu, Instance};

use crate::health::gpu_name;

/// A device, or one of its parts.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) struct Place {
    pub(super) device: (&'static str, Name),
    pub(super) part: Option<(&'static str, Name)>,
}

/// A number, or a text for devices without one, such as the PCI address of a GPU that is not listed.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Name {
    Number(u32),
    Text(String),
}

/// The kind of part that has a row of its own in the table of devices.
pub(super) const MIG: &str = "MIG";

impl Place {
    /// A GPU, or a part of it.
    pub(super) fn on(gpu: &Gpu, entity: &Entity) -> Self {
        let name = gpu.index.map_or_else(|| Name::Text(gpu_name(gpu)), Name::Number);
        let device = ("GPU", name);
        let part = match entity {
            Entity::Link(link) => Some(("NVLink", Name::Number(*link))),
            Entity::Peer(peer) => Some(("to GPU", Name::Number(*peer))),
            Entity::Instance(instance) => {
                let Instance { gpu_instance, compute_instance, .. } = &**instance;
                let name = match compute_instance {
                    None => Name::Number(*gpu_instance),
                    Some(inside) => Name::Text(format!("{gpu_instance}.{inside}")),
                };
                Some((MIG, name))
            }
            _ => None,
        };
        Self { device, part }
    }

    /// An NVSwitch, a CPU, or a part of one; none for a GPU and its parts.
    pub(super) fn outside_gpus(entity: &Entity) -> Option<Self> {
        let number = Name::Number;
        let (device, part) = match entity {
            Entity::Switch(switch) => (("NVSwitch", number(*switch)), None),
            Entity::SwitchLink { switch, link } => {
                (("NVSwitch", number(*switch)), Some(("NVLink", number(*link))))
            }
            Entity::Cpu(cpu) => (("CPU", number(*cpu)), None),
            Entity::CpuCore { cpu, core } => (("CPU", number(*cpu)), Some(("core", number(*core)))),
            Entity::Gpu | Entity::Link(_) | Entity::Peer(_) | Entity::Instance(_) => return None,
        };
        Some(Self { device, part })
    }

    /// The place whose row in the table of devices counts this one: for links and cores, their device.
    pub(super) fn row(&self) -> Self {
        let part = self.part.clone().filter(|(kind, _)| *kind == MIG);
        Self { device: self.device.clone(), part }
    }
}

/// All places in one text: ranges of numbers are folded, and devices with the same parts.
pub(super) fn fold(places: &[Place]) -> String {
    let mut devices: BTreeMap<&(&'static str, Name), Vec<&(&'static str, Name)>> = BTreeMap::new();
    for place in places {
        devices.entry(&place.device).or_default().extend(&place.part);
    }
    // By kind of device and its parts, in the order of the first of each.
    let mut groups: Vec<(&str, String, Vec<&Name>)> = Vec::new();
    for ((kind, name), mut parts) in devices {
        parts.sort();
        let runs = parts.chunk_by(|one, next| one.0 == next.0).filter_map(|run| {
            let (kind, _) = run.first()?;
            Some(format!(" {kind} {}", names(run.iter().map(|(_, name)| name))))
        });
        let parts: String = runs.collect();
        match groups.iter_mut().find(|(other, its, _)| other == kind && *its == parts) {
            Some((_, _, devices)) => devices.push(name),
            None => groups.push((*kind, parts, vec![name])),
        }
    }
    let texts = groups
        .into_iter()
        .map(|(kind, parts, devices)| format!("{kind} {}{parts}", names(devices.into_iter())));
    texts.collect::<Vec<_>>().join("; ")
}

fn names<'a>(names: impl Iterator<Item = &'a Name>) -> String {
    let (mut numbers, mut texts) = (Vec::new(), Vec::new());
    for name in names {
        match name {
            Name::Number(number) => numbers.push(*number),
            Name::Text(text) => texts.push(text.clone()),
        }
    }
    numbers.dedup();
    texts.dedup();
    let numbers = Some(model::catalog::ranges(&numbers)).filter(|numbers| !numbers.is_empty());
    numbers.into_iter().chain(texts).collect::<Vec<_>>().join(", ")
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn gpu(index: u32) -> Gpu {
        Gpu { index: Some(index), identity: None }
    }

    #[test]
    fn each_kind_of_part_has_a_name() {
        let instance = |compute_instance| {
            let profile = "1c.2g.20gb".to_owned();
            let instance = Instance {
                gpu_instance: 3,
                compute_instance,
                number: 0,
                profile,
                mig_devices: Vec::new(),
            };
            Place::on(&gpu(2), &Entity::Instance(Arc::new(instance)))
        };
        let outside = |entity| Place::outside_gpus(&entity).expect("it belongs to no GPU");
        for (place, expected) in [
            (Place::on(&gpu(0), &Entity::Gpu), "GPU 0"),
            (Place::on(&gpu(0), &Entity::Link(3)), "GPU 0 NVLink 3"),
            (Place::on(&gpu(0), &Entity::Peer(3)), "GPU 0 to GPU 3"),
            (instance(None), "GPU 2 MIG 3"),
            (instance(Some(1)), "GPU 2 MIG 3.1"),
            (outside(Entity::Switch(0)), "NVSwitch 0"),
            (outside(Entity::SwitchLink { switch: 0, link: 3 }), "NVSwitch 0 NVLink 3"),
            (outside(Entity::Cpu(0)), "CPU 0"),
            (outside(Entity::CpuCore { cpu: 0, core: 5 }), "CPU 0 core 5"),
        ] {
            assert_eq!(fold(&[place]), expected);
        }
        assert_eq!(Place::outside_gpus(&Entity::Link(0)), None);
    }

    #[test]
    fn ranges_and_devices_with_the_same_parts_are_folded() {
        let links = |gpus: &[u32], links: &[u32]| -> Vec<Place> {
            let on = |gpu: u32| {
                let part = move |link: &u32| Place::on(&self::gpu(gpu), &Entity::Link(*link));
                links.iter().map(part)
            };
            gpus.iter().flat_map(|gpu| on(*gpu)).collect()
        };
        assert_eq!(fold(&links(&[0, 1, 2], &[0, 1, 2, 5])), "GPU 0-2 NVLink 0-2, 5");
        let different = [links(&[0], &[1]), links(&[1], &[2]), links(&[3], &[1])].concat();
        assert_eq!(fold(&different), "GPU 0, 3 NVLink 1; GPU 1 NVLink 2");
        let unlisted =
            Place { device: ("GPU", Name::Text("00000000:1B:00.0".to_owned())), part: None };
        let whole = |index| Place::on(&gpu(index), &Entity::Gpu);
        assert_eq!(fold(&[unlisted, whole(0), whole(2)]), "GPU 0, 2, 00000000:1B:00.0");
        assert_eq!(fold(&[]), "");
    }
}
