//! Each GPU with the devices and links that appear on a page. Found once per page.

use std::collections::HashSet;

use model::{Entity, GpuView, Identity, Instance, PartView, Reading, Snapshot, WatchIndex};

use crate::holders::{Holders, Variant};
use crate::naming::{Naming, pci_bus_id, uuid};
use crate::parts::Part;
use crate::text::{Labels, Number};

/// A GPU with its devices and links on the page.
pub(crate) struct GpuRow<'a> {
    pub(crate) view: &'a GpuView,
    /// The labels of heatsink's own families.
    pub(crate) labels: Labels,
    /// The GPU or its instances, as selected. Empty while the identity of the GPU is not known.
    pub(crate) devices: Vec<Device<'a>>,
    /// Its NVLinks, if it or any of its instances appears.
    pub(crate) links: Vec<Part<'a>>,
    /// The states of its paths to other GPUs, by their index.
    pub(crate) peers: Vec<(u32, &'a PartView)>,
}

/// A GPU as a whole, or an instance, with the labels of one set of its series: its own, or those of one
/// of its holders.
pub(crate) struct Device<'a> {
    /// `None` for the whole GPU.
    pub(crate) instance: Option<&'a Instance>,
    /// The labels of its series.
    pub(crate) labels: Labels,
    /// Whether these are the series of one of its holders, beside the device's own.
    pub(crate) is_share: bool,
    lookup: Lookup<'a>,
}

/// The readings of a device: its own, then those of the entities that contain it.
#[derive(Clone, Copy)]
struct Lookup<'a> {
    compute_instance: Option<&'a PartView>,
    gpu_instance: Option<&'a PartView>,
    gpu: &'a GpuView,
}

impl<'a> Device<'a> {
    /// The value of a watch; `None` if it is not a number, or if the GPU is down.
    pub(crate) fn number(&self, index: WatchIndex) -> Option<Number> {
        let reading = self.lookup.gpu.up.is_ok().then(|| self.lookup.reading(index))??;
        Number::of(reading.as_ref().ok()?)
    }
}

impl<'a> Lookup<'a> {
    /// The reading of the smallest entity that has one, even if it is only a reason.
    fn reading(&self, index: WatchIndex) -> Option<&'a Reading> {
        let parts = self.compute_instance.into_iter().chain(self.gpu_instance);
        let of_part = parts.filter_map(|part| part.reading(index)).next();
        of_part.or_else(|| self.gpu.reading(index))
    }
}

/// The GPUs of the snapshot, by index. GPUs without an index come last, by PCI address.
///
/// An index can occur twice: a GPU that is missing now, and the GPU that has its index now. If their
/// UUIDs are equal, only the one that is up appears.
pub(crate) fn rows<'a>(snapshot: &'a Snapshot, holders: &Holders<'a>) -> Vec<GpuRow<'a>> {
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
    views.into_iter().map(|view| row(view, holders)).collect()
}

fn row<'a>(view: &'a GpuView, holders: &Holders<'a>) -> GpuRow<'a> {
    let naming = Naming { view, settings: holders.settings, layout: holders.layout };
    let identity = view.gpu.identity.as_deref();
    let devices = identity.map(|identity| devices(identity, &naming, holders)).unwrap_or_default();
    let appears = identity.filter(|_| !devices.is_empty());
    let links = appears.map(|identity| links(identity, &naming, holders)).unwrap_or_default();
    let peers = numbered(view, |entity| match entity {
        Entity::Peer(number) => Some(*number),
        _ => None,
    });
    GpuRow { view, labels: naming.short(), devices, links, peers }
}

/// The GPU and its instances, as selected.
fn devices<'a>(identity: &Identity, naming: &Naming<'a>, holders: &Holders<'a>) -> Vec<Device<'a>> {
    let (view, show) = (naming.view, &naming.settings.show);
    let index = view.gpu.index;
    let all = instances(view);
    let gpu = Lookup { compute_instance: None, gpu_instance: None, gpu: view };
    let mut devices = Vec::new();
    let mut add = |instance, lookup: Lookup<'a>| {
        let labels = naming.device(identity, instance, |index| lookup.reading(index));
        for variant in holders.variants(identity, instance) {
            let labels = with(labels.clone(), &variant);
            devices.push(Device { instance, labels, is_share: variant.is_share, lookup });
        }
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
        add(Some(instance), Lookup { compute_instance, gpu_instance, gpu: view });
    }
    devices
}

/// The instances of a GPU without duplicates, each compute instance after its GPU instance.
pub(crate) fn instances(view: &GpuView) -> Vec<(&Instance, &PartView)> {
    let number = |instance: &Instance| (instance.gpu_instance, instance.compute_instance);
    let mut instances: Vec<_> = view.instances().collect();
    instances.sort_by_key(|(instance, _)| number(instance));
    instances.dedup_by_key(|(instance, _)| number(instance));
    instances
}

fn with(mut labels: Labels, variant: &Variant<'_>) -> Labels {
    variant.add_to(&mut labels);
    labels
}

/// The links, with the labels of the GPU's holder if it has exactly one.
fn links<'a>(identity: &Identity, naming: &Naming<'a>, holders: &Holders<'a>) -> Vec<Part<'a>> {
    let links = numbered(naming.view, |entity| match entity {
        Entity::Link(number) => Some(*number),
        _ => None,
    });
    let variants = holders.variants(identity, None);
    let holder = variants.first().filter(|_| variants.len() == 1);
    let link = |(number, view)| {
        let labels = naming.link(identity, number);
        let labels = match holder {
            Some(holder) => with(labels, holder),
            None => labels,
        };
        Part { view, labels }
    };
    links.into_iter().map(link).collect()
}

/// The numbered parts of one kind of a GPU that is up, by number, without duplicates.
fn numbered(view: &GpuView, number: impl Fn(&Entity) -> Option<u32>) -> Vec<(u32, &PartView)> {
    let parts = view.parts.iter().filter(|_| view.up.is_ok());
    let mut parts: Vec<_> = parts.filter_map(|part| Some((number(&part.entity)?, part))).collect();
    parts.sort_by_key(|(number, _)| *number);
    parts.dedup_by_key(|(number, _)| *number);
    parts
}
