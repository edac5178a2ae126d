//! The labels of GPUs, instances, links, switches and CPUs, in the order of dcgm-exporter.

use std::borrow::Cow;

use model::{Entity, GpuView, Identity, Instance, Reading, Value, WatchIndex};

use crate::layout::Layout;
use crate::settings::Settings;
use crate::text::{Labels, Number};

/// Makes the labels of one GPU, its instances and its links.
pub(crate) struct Naming<'a> {
    pub(crate) view: &'a GpuView,
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a Layout,
}

impl<'a> Naming<'a> {
    /// The labels of heatsink's own families: `gpu` and `UUID`. A GPU that the driver does not list has
    /// `pci_bus_id` instead of `gpu`.
    pub(crate) fn short(&self) -> Labels {
        let mut labels = Labels::default();
        if let Some(index) = self.view.gpu.index {
            labels.number("gpu", index);
        }
        if let Some(uuid) = uuid(self.view) {
            labels.text(if self.settings.old_namespace { "uuid" } else { "UUID" }, uuid);
        }
        if self.view.gpu.index.is_none() {
            add(&mut labels, "pci_bus_id", pci_bus_id(self.view));
        }
        labels
    }

    /// The labels of the GPU or of one of its instances in the families of the counters file. `reading`
    /// finds the values of label rows.
    pub(crate) fn device(
        &self,
        identity: &Identity,
        instance: Option<&Instance>,
        reading: impl Fn(WatchIndex) -> Option<&'a Reading>,
    ) -> Labels {
        let mut labels = self.short();
        if self.view.gpu.index.is_some() {
            add(&mut labels, "pci_bus_id", identity.pci_bus_id.as_deref());
        }
        add(&mut labels, "device", self.device_name().as_deref());
        add(&mut labels, "modelName", self.model_name(identity).as_deref());
        if let Some(instance) = instance {
            labels.text("GPU_I_PROFILE", &instance.profile);
            labels.number("GPU_I_ID", instance.gpu_instance);
            if let Some(compute_instance) = instance.compute_instance {
                labels.number("GPU_CI_ID", compute_instance);
            }
        }
        add_hostname(&mut labels, self.settings, self.settings.host_label);
        add_rows(&mut labels, self.layout, reading);
        labels
    }

    /// The labels of one of its NVLinks. dcgm-exporter uses other label names here, always writes
    /// `hostname`, and puts no dashes into the model name.
    pub(crate) fn link(&self, identity: &Identity, link: u32) -> Labels {
        let mut labels = Labels::default();
        labels.number("nvlink", link);
        if let Some(index) = self.view.gpu.index {
            labels.number("gpu", index);
        }
        add(&mut labels, "gpu_uuid", uuid(self.view));
        add(&mut labels, "pci_bus_id", identity.pci_bus_id.as_deref());
        add(&mut labels, "device", self.device_name().as_deref());
        add(&mut labels, "model_name", identity.model_name.as_deref());
        add_hostname(&mut labels, self.settings, HOST_LABEL_OF_LINKS);
        add_rows(&mut labels, self.layout, |index| self.view.reading(index));
        labels
    }

    fn device_name(&self) -> Option<String> {
        Some(format!("nvidia{}", self.view.gpu.index?))
    }

    fn model_name<'i>(&self, identity: &'i Identity) -> Option<Cow<'i, str>> {
        let name = identity.model_name.as_deref()?;
        if !self.settings.replace_blanks_in_model_name {
            return Some(Cow::Borrowed(name));
        }
        // Several blanks become one dash, those at the ends none: as dcgm-exporter does.
        let words: Vec<&str> = name.split_whitespace().collect();
        Some(Cow::Owned(words.join("-")))
    }
}

/// The labels of a part of the machine that belongs to no GPU. `reading` finds the values of label
/// rows.
pub(crate) fn part<'a>(
    entity: &Entity,
    settings: &Settings,
    layout: &Layout,
    reading: impl Fn(WatchIndex) -> Option<&'a Reading>,
) -> Labels {
    let mut labels = Labels::default();
    let mut host_label = settings.host_label;
    match *entity {
        Entity::Switch(switch) => labels.text("nvswitch", &switch_name(switch)),
        Entity::SwitchLink { switch, link } => {
            labels.number("nvlink", link);
            labels.text("nvswitch", &switch_name(switch));
            host_label = HOST_LABEL_OF_LINKS;
        }
        Entity::Cpu(cpu) => labels.number("cpu", cpu),
        Entity::CpuCore { cpu, core } => {
            labels.number("cpucore", core);
            labels.number("cpu", cpu);
        }
        // These are not such parts.
        Entity::Gpu | Entity::Link(_) | Entity::Peer(_) | Entity::Instance(_) => {}
    }
    add_hostname(&mut labels, settings, host_label);
    add_rows(&mut labels, layout, reading);
    labels
}

/// The label of the host name on links: dcgm-exporter never wrote `Hostname` there.
const HOST_LABEL_OF_LINKS: &str = "hostname";

fn switch_name(switch: u32) -> String {
    format!("nvswitch{switch}")
}

fn add_hostname(labels: &mut Labels, settings: &Settings, name: &str) {
    if let Some(hostname) = &settings.hostname {
        labels.text(name, hostname);
    }
}

/// Adds the label rows of the counters file.
fn add_rows<'a>(
    labels: &mut Labels,
    layout: &Layout,
    reading: impl Fn(WatchIndex) -> Option<&'a Reading>,
) {
    for (index, watch) in layout.labels() {
        match reading(index) {
            Some(Ok(Value::Text(text))) => labels.text(&watch.name, text),
            Some(Ok(value)) => {
                if let Some(number) = Number::of(value) {
                    labels.number(&watch.name, number);
                }
            }
            Some(Err(_)) | None => {}
        }
    }
}

/// The UUID, unless it is empty: to Prometheus, an empty label is no label.
pub(crate) fn uuid(view: &GpuView) -> Option<&str> {
    view.gpu.identity.as_deref()?.uuid.as_deref().filter(|uuid| !uuid.is_empty())
}

/// The PCI address, where it is known.
pub(crate) fn pci_bus_id(view: &GpuView) -> Option<&str> {
    view.gpu.identity.as_deref()?.pci_bus_id.as_deref()
}

fn add(labels: &mut Labels, name: &str, text: Option<&str>) {
    if let Some(text) = text {
        labels.text(name, text);
    }
}
