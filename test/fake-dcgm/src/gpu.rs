//! What an engine knows about a GPU beside its samples.

use std::collections::BTreeMap;

use model::{Entity, Part, Reason};

use crate::{
    entity::{self, EntityId, NumberedInstance, kind},
    faults::GpuFaults,
};

/// One GPU.
#[derive(Clone, Default, Debug)]
pub(crate) struct Gpu {
    pub index: u32,
    /// Why it does not answer.
    pub down: Option<Reason>,
    /// The texts that were read of it, by field.
    pub texts: BTreeMap<u16, String>,
    pub links: Vec<u32>,
    pub instances: Vec<NumberedInstance>,
    /// The P2P status to each other GPU.
    pub peers: BTreeMap<u32, i64>,
}

/// DCGM's numbers for the status of a GPU.
pub(crate) mod state {
    pub(crate) const OK: u32 = 1;
    pub(crate) const LOST: u32 = 4;
    pub(crate) const FAKE: u32 = 5;
    pub(crate) const DETACHED: u32 = 7;
}

impl Gpu {
    pub(crate) fn new(index: u32) -> Self {
        Self { index, ..Self::default() }
    }

    pub(crate) fn state(&self, faults: Option<&GpuFaults>) -> u32 {
        match faults {
            Some(faults) if faults.detached => state::DETACHED,
            Some(faults) if faults.fake => state::FAKE,
            _ if self.down == Some(Reason::Lost) => state::LOST,
            _ => state::OK,
        }
    }

    /// Updates its links and instances from what its readers found.
    pub(crate) fn update_parts<'a>(&mut self, parts: impl Iterator<Item = &'a Part> + Clone) {
        let entities = parts.map(|part| &part.entity);
        self.instances = entity::number_instances(self.index, entities.clone());
        self.links = entities
            .filter_map(|entity| match entity {
                Entity::Link(link) => Some(*link),
                _ => None,
            })
            .collect();
    }

    /// All its entities of one kind.
    pub(crate) fn entities(&self, of: u32) -> Vec<EntityId> {
        let gpu = EntityId::gpu(self.index);
        match of {
            kind::GPU => vec![gpu],
            kind::LINK => self.links.iter().map(|link| EntityId::link(gpu, *link)).collect(),
            _ => {
                let entities = self.instances.iter().map(|instance| instance.entity);
                entities.filter(|entity| entity.kind == of).collect()
            }
        }
    }

    /// Which part of the GPU this is; none if it is not one.
    pub(crate) fn part(&self, entity: EntityId) -> Option<GpuPart> {
        if entity == EntityId::gpu(self.index) {
            return Some(GpuPart::Gpu);
        }
        if let Some((owner, link)) = entity.as_link() {
            return (owner == EntityId::gpu(self.index)).then_some(GpuPart::Link(link));
        }
        self.instances.iter().position(|instance| instance.entity == entity).map(GpuPart::Instance)
    }

    /// Whether an entity of the model is that part.
    pub(crate) fn is(&self, part: GpuPart, entity: &Entity) -> bool {
        match (part, entity) {
            (GpuPart::Gpu, Entity::Gpu) => true,
            (GpuPart::Link(link), Entity::Link(of)) => link == *of,
            (GpuPart::Instance(at), Entity::Instance(of)) => self.instances[at].instance == **of,
            _ => false,
        }
    }
}

/// A part of a GPU; an instance by its place among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum GpuPart {
    Gpu,
    Link(u32),
    Instance(usize),
}
