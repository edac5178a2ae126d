//! Entities by DCGM's kind and number.

use model::{Entity, Instance};

/// Kinds of entities, by their numbers in the interface.
pub(crate) mod kind {
    pub(crate) const NONE: u32 = 0;
    pub(crate) const GPU: u32 = 1;
    pub(crate) const SWITCH: u32 = 3;
    pub(crate) const GPU_INSTANCE: u32 = 4;
    pub(crate) const COMPUTE_INSTANCE: u32 = 5;
    pub(crate) const LINK: u32 = 6;
    pub(crate) const CPU: u32 = 7;
    pub(crate) const CPU_CORE: u32 = 8;
}

/// One entity. Laid out as in the interface.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
#[repr(C)]
pub(crate) struct EntityId {
    pub kind: u32,
    pub id: u32,
}

const _: () = assert!(size_of::<EntityId>() == 8);

impl EntityId {
    /// The machine.
    pub(crate) const MACHINE: Self = Self { kind: kind::NONE, id: 0 };

    pub(crate) fn gpu(gpu: u32) -> Self {
        Self { kind: kind::GPU, id: gpu }
    }

    /// A link of a GPU or of a switch, `owner`.
    pub(crate) fn link(owner: Self, link: u32) -> Self {
        Self { kind: kind::LINK, id: owner.kind | link << 8 | owner.id << 24 }
    }

    /// The owner of a link, and the number of the link.
    pub(crate) fn as_link(self) -> Option<(Self, u32)> {
        let owner = Self { kind: self.id & 0xFF, id: self.id >> 24 };
        (self.kind == kind::LINK).then_some((owner, self.id >> 8 & 0xFFFF))
    }
}

/// An instance of a partitioned GPU, with the number that the engine gives it.
#[derive(Clone, PartialEq, Debug)]
pub(crate) struct NumberedInstance {
    pub entity: EntityId,
    pub instance: Instance,
}

/// How many compute instances a GPU has numbers for.
const MAX_COMPUTE_INSTANCES: u32 = 64;

/// The instances among the entities of a GPU: each GPU instance, then those inside it.
pub(crate) fn number_instances<'a>(
    gpu: u32,
    entities: impl Iterator<Item = &'a Entity>,
) -> Vec<NumberedInstance> {
    let mut instances: Vec<Instance> = entities
        .filter_map(|entity| match entity {
            Entity::Instance(instance) => Some(Instance::clone(instance)),
            _ => None,
        })
        .collect();
    instances.sort_by_key(|it| (it.gpu_instance, it.compute_instance));
    let mut compute = gpu * MAX_COMPUTE_INSTANCES..;
    let numbered = instances.into_iter().map(|instance| {
        let entity = match instance.compute_instance {
            None => EntityId { kind: kind::GPU_INSTANCE, id: instance.number },
            Some(_) => {
                EntityId { kind: kind::COMPUTE_INSTANCE, id: compute.next().unwrap_or_default() }
            }
        };
        NumberedInstance { entity, instance }
    });
    numbered.collect()
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    #[test]
    fn a_link_knows_its_owner() {
        let link = EntityId::link(EntityId::gpu(3), 17);
        assert_eq!(link.id, 0x0300_1101);
        assert_eq!(link.as_link(), Some((EntityId::gpu(3), 17)));
        assert_eq!(EntityId::gpu(3).as_link(), None);
    }

    #[test]
    fn instances_are_numbered_in_order() {
        let instance = |gpu_instance, compute_instance, number| {
            let profile = "1g.10gb".to_owned();
            let it = Instance {
                gpu_instance,
                compute_instance,
                number,
                profile,
                mig_devices: Vec::new(),
            };
            Entity::Instance(Arc::new(it))
        };
        let entities = [
            instance(9, Some(0), 15),
            instance(9, None, 15),
            instance(2, Some(1), 14),
            Entity::Gpu,
        ];
        let numbered = number_instances(2, entities.iter());
        let entities: Vec<_> = numbered.iter().map(|it| (it.entity.kind, it.entity.id)).collect();
        assert_eq!(entities, [(5, 128), (4, 15), (5, 129)]);
    }
}
