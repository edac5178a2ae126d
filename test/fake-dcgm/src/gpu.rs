//! What an engine knows of a GPU beside its samples.

use std::collections::BTreeMap;

use model::{Entity, Part, Reason};

use crate::{
    orders::GpuOrders,
    pair::{self, NumberedInstance, Pair, kind},
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
    /// The state of the way to each other GPU.
    pub peers: BTreeMap<u32, i64>,
}

/// How a GPU is, by its number in the interface.
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

    pub(crate) fn state(&self, orders: Option<&GpuOrders>) -> u32 {
        match orders {
            Some(orders) if orders.detached => state::DETACHED,
            Some(orders) if orders.fake => state::FAKE,
            _ if self.down == Some(Reason::Lost) => state::LOST,
            _ => state::OK,
        }
    }

    /// Takes in what its readers found it to have. What was found before a loss is kept.
    pub(crate) fn notice<'a>(&mut self, parts: impl Iterator<Item = &'a Part> + Clone) {
        let entities = parts.map(|part| &part.entity);
        self.instances = pair::number(self.index, entities.clone());
        self.links = entities
            .filter_map(|entity| match entity {
                Entity::Link(link) => Some(*link),
                _ => None,
            })
            .collect();
    }

    /// All its entities of one kind.
    pub(crate) fn entities(&self, of: u32) -> Vec<Pair> {
        let own = Pair::gpu(self.index);
        match of {
            kind::GPU => vec![own],
            kind::LINK => self.links.iter().map(|link| Pair::link(own, *link)).collect(),
            _ => {
                let pairs = self.instances.iter().map(|instance| instance.pair);
                pairs.filter(|pair| pair.kind == of).collect()
            }
        }
    }

    /// Which part of the GPU this is; none if it is not one.
    pub(crate) fn whose(&self, pair: Pair) -> Option<Whose> {
        if pair == Pair::gpu(self.index) {
            return Some(Whose::Gpu);
        }
        if let Some((owner, link)) = pair.as_link() {
            return (owner == Pair::gpu(self.index)).then_some(Whose::Link(link));
        }
        self.instances.iter().position(|instance| instance.pair == pair).map(Whose::Instance)
    }

    /// Whether an entity of the model is that part.
    pub(crate) fn is(&self, part: Whose, entity: &Entity) -> bool {
        match (part, entity) {
            (Whose::Gpu, Entity::Gpu) => true,
            (Whose::Link(link), Entity::Link(of)) => link == *of,
            (Whose::Instance(at), Entity::Instance(of)) => self.instances[at].instance == **of,
            _ => false,
        }
    }
}

/// A part of a GPU; an instance by its place among them.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Whose {
    Gpu,
    Link(u32),
    Instance(usize),
}
