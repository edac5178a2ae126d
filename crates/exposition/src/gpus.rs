//! Each GPU with what of it is shown: itself, its instances, its links. Found once per page.

use std::collections::HashSet;

use model::{Entity, GpuView, Identity, Instance, PartView, Reading, Snapshot, WatchIndex};

use crate::Settings;
use crate::layout::Layout;
use crate::naming::{Naming, pci_bus_id, uuid};
use crate::parts::Part;
use crate::text::{Labels, Number};

/// A GPU, and what of it is shown.
pub(crate) struct Row<'a> {
    /// The GPU.
    pub(crate) view: &'a GpuView,
    /// The labels of heatsink's own families.
    pub(crate) short: Labels,
    /// What stands in the families asked for: the GPU, its instances, or nothing, as long as nobody
    /// knows which GPU it is or if nobody wants it.
    pub(crate) shown: Vec<Shown<'a>>,
    /// Its links, if it or any of its instances is shown.
    pub(crate) links: Vec<Part<'a>>,
    /// The ways to other GPUs, by their index.
    pub(crate) peers: Vec<(u32, &'a PartView)>,
}

/// A GPU as a whole, or an instance.
pub(crate) struct Shown<'a> {
    /// The instance; none if it is the GPU.
    pub(crate) instance: Option<&'a Instance>,
    /// The labels of its series.
    pub(crate) labels: Labels,
    found: Found<'a>,
}

/// Where readings are found: in the device itself, then in what it is a part of.
#[derive(Clone, Copy)]
struct Found<'a> {
    compute_instance: Option<&'a PartView>,
    gpu_instance: Option<&'a PartView>,
    gpu: &'a GpuView,
}

impl<'a> Shown<'a> {
    /// The number that was read; of a GPU that is down there is none, whatever its slots say.
    pub(crate) fn number(&self, index: WatchIndex) -> Option<Number> {
        let reading = self.found.gpu.up.is_ok().then(|| self.found.reading(index))??;
        Number::of(reading.as_ref().ok()?)
    }
}

impl<'a> Found<'a> {
    /// The reading of the smallest of them that has one of its own, be it only a reason.
    fn reading(&self, index: WatchIndex) -> Option<&'a Reading> {
        let parts = self.compute_instance.into_iter().chain(self.gpu_instance);
        let own = parts.filter_map(|part| part.reading(index)).next();
        own.or_else(|| self.gpu.reading(index))
    }
}

/// Every GPU of the snapshot, by index; last those that have none, by PCI address.
///
/// An index may occur twice: a GPU that was there before and is missing, and the one that has its
/// place now. Their UUIDs tell them apart; where they do not, the one that is up is shown.
pub(crate) fn rows<'a>(
    snapshot: &'a Snapshot,
    settings: &'a Settings,
    layout: &'a Layout,
) -> Vec<Row<'a>> {
    let mut views: Vec<&GpuView> = snapshot.gpus.iter().collect();
    let by_address = |view: &GpuView| match view.gpu.index {
        None => pci_bus_id(view).map(str::to_owned),
        Some(_) => None,
    };
    views.sort_by_key(|view| {
        let index = view.gpu.index;
        (index.is_none(), index, by_address(view), view.up.is_err())
    });
    let mut seen = HashSet::new();
    views.retain(|view| seen.insert((view.gpu.index, uuid(view), by_address(view))));
    views.into_iter().map(|view| row(view, settings, layout)).collect()
}

fn row<'a>(view: &'a GpuView, settings: &'a Settings, layout: &'a Layout) -> Row<'a> {
    let naming = Naming { view, settings, layout };
    let identity = view.gpu.identity.as_deref();
    let shown = identity.map(|identity| devices(identity, &naming)).unwrap_or_default();
    let wanted = identity.filter(|_| !shown.is_empty());
    let links = wanted.map(|identity| links(identity, &naming)).unwrap_or_default();
    let peers = numbered(view, |entity| match entity {
        Entity::Peer(number) => Some(*number),
        _ => None,
    });
    Row { view, short: naming.short(), shown, links, peers }
}

/// The GPU and its instances, as far as they are shown.
fn devices<'a>(identity: &Identity, naming: &Naming<'a>) -> Vec<Shown<'a>> {
    let (view, show) = (naming.view, &naming.settings.show);
    let index = view.gpu.index;
    let all = instances(view);
    let gpu = Found { compute_instance: None, gpu_instance: None, gpu: view };
    let mut shown = Vec::new();
    let mut add = |instance, found: Found<'a>| {
        let labels = naming.device(identity, instance, |index| found.reading(index));
        shown.push(Shown { instance, labels, found });
    };

    let chosen = all.iter().filter(|(instance, _)| show.has_instance(instance));
    if show.has_gpu(index, chosen.clone().next().is_some()) {
        add(None, gpu);
    }
    for &(instance, part) in chosen {
        let of_its_gpu_instance = |(other, _): &&(&Instance, _)| {
            other.gpu_instance == instance.gpu_instance && other.compute_instance.is_none()
        };
        let gpu_instance = all.iter().find(of_its_gpu_instance).map(|(_, part)| *part);
        let compute_instance = instance.compute_instance.map(|_| part);
        add(Some(instance), Found { compute_instance, gpu_instance, gpu: view });
    }
    shown
}

/// The instances of a GPU, each compute instance after its GPU instance, none twice.
fn instances(view: &GpuView) -> Vec<(&Instance, &PartView)> {
    let number = |instance: &Instance| (instance.gpu_instance, instance.compute_instance);
    let mut instances: Vec<_> = view.instances().collect();
    instances.sort_by_key(|(instance, _)| number(instance));
    instances.dedup_by_key(|(instance, _)| number(instance));
    instances
}

fn links<'a>(identity: &Identity, naming: &Naming<'a>) -> Vec<Part<'a>> {
    let links = numbered(naming.view, |entity| match entity {
        Entity::Link(number) => Some(*number),
        _ => None,
    });
    let link = |(number, view)| Part { view, labels: naming.link(identity, number) };
    links.into_iter().map(link).collect()
}

/// The numbered parts of one kind of a GPU that is up, by number, none twice.
fn numbered(view: &GpuView, number: impl Fn(&Entity) -> Option<u32>) -> Vec<(u32, &PartView)> {
    let parts = view.parts.iter().filter(|_| view.up.is_ok());
    let mut parts: Vec<_> = parts.filter_map(|part| Some((number(&part.entity)?, part))).collect();
    parts.sort_by_key(|(number, _)| *number);
    parts.dedup_by_key(|(number, _)| *number);
    parts
}
