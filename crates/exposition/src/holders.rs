//! The labels that holders add to the series of a device.

use std::collections::{BTreeMap, HashSet};

use model::{Attribution, DeviceUse, Holder, Identity, Instance, Pod};

use crate::layout::Layout;
use crate::settings::Settings;
use crate::text::Labels;

/// The labels of holders for one set of a device's series.
#[derive(Default)]
pub(crate) struct Variant<'a> {
    labels: BTreeMap<&'a str, &'a str>,
    /// Whether it stands for one of several holders, so that a value of the device is not its own.
    pub(crate) is_share: bool,
}

impl Variant<'_> {
    /// Adds its labels, sorted by name, as in dcgm-exporter.
    pub(crate) fn add_to(&self, labels: &mut Labels) {
        for (name, value) in &self.labels {
            labels.text(name, value);
        }
    }
}

/// Finds the labels of holders. `attribution` is `None` if nothing looks for holders.
pub(crate) struct Holders<'a> {
    pub(crate) attribution: Option<&'a Attribution>,
    pub(crate) settings: &'a Settings,
    pub(crate) layout: &'a Layout,
}

impl<'a> Holders<'a> {
    /// The sets of series that a device has: at least one, which is the device's own.
    pub(crate) fn variants(&self, gpu: &Identity, instance: Option<&Instance>) -> Vec<Variant<'a>> {
        let attribution = self.attribution.filter(|_| !self.settings.holders.only_info);
        let uses = attribution.map(|known| known.uses_of(gpu, instance)).unwrap_or_default();
        if uses.is_empty() {
            return vec![Variant::default()];
        }
        let pods: Vec<(&DeviceUse, &Pod)> = uses
            .iter()
            .filter_map(|one| match &*one.holder {
                Holder::Pod(pod) => Some((*one, pod)),
                Holder::Job { .. } => None,
            })
            .collect();
        let mut variants = self.of_pods(&pods);
        let mut jobs = uses.iter().filter_map(|one| match &*one.holder {
            Holder::Job { id } => Some(&**id),
            Holder::Pod(_) => None,
        });
        // Several jobs give several series, as in dcgm-exporter.
        if let Some(first) = jobs.next() {
            let own = variants.remove(0).labels;
            let of_job = |id| {
                let mut labels = own.clone();
                labels.insert("hpc_job", id);
                Variant { labels, is_share: false }
            };
            let of_jobs: Vec<Variant> = std::iter::once(first).chain(jobs).map(of_job).collect();
            variants.splice(0..0, of_jobs);
        }
        for variant in &mut variants {
            // To Prometheus, an empty label is no label.
            variant.labels.retain(|_, value| !value.is_empty());
        }
        // A container with two MIG devices of one GPU instance has that instance once.
        let mut seen: HashSet<BTreeMap<&str, &str>> = HashSet::new();
        variants.retain(|variant| seen.insert(variant.labels.clone()));
        variants
    }

    /// The device's own series, with the labels of the pod that has it; without any if it is shared by
    /// several pods, each of which has series of its own if that is asked for.
    fn of_pods(&self, pods: &[(&'a DeviceUse, &'a Pod)]) -> Vec<Variant<'a>> {
        let name = |pod: &'a Pod| (&*pod.namespace, &*pod.name);
        let Some((_, first)) = pods.first() else { return vec![Variant::default()] };
        let are_several = pods.iter().any(|(_, pod)| name(pod) != name(first));
        let is_shared = are_several || pods.iter().any(|(one, _)| one.share.is_some());
        if self.settings.holders.per_share && is_shared {
            let of_share = |(one, pod): &(&'a DeviceUse, &'a Pod)| {
                let mut labels = self.labels_of(pod);
                labels.extend(one.share.as_deref().map(|share| ("vgpu", share)));
                Variant { labels, is_share: true }
            };
            return std::iter::once(Variant::default()).chain(pods.iter().map(of_share)).collect();
        }
        if are_several {
            return vec![Variant::default()];
        }
        // What all containers of the pod have in common.
        let mut labels = self.labels_of(first);
        for (_, pod) in &pods[1..] {
            let others = self.labels_of(pod);
            labels.retain(|name, value| others.get(name) == Some(value));
        }
        vec![Variant { labels, is_share: false }]
    }

    fn labels_of(&self, pod: &'a Pod) -> BTreeMap<&'a str, &'a str> {
        let [name, namespace, container] = match self.settings.old_namespace {
            true => ["pod_name", "pod_namespace", "container_name"],
            false => ["pod", "namespace", "container"],
        };
        let is_taken = |name: &str| self.layout.labels().any(|(_, row)| &*row.name == name);
        let mut labels: BTreeMap<&str, &str> = pod
            .labels
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .filter(|(name, _)| !is_taken(name))
            .collect();
        labels.extend([
            (name, &*pod.name),
            (namespace, &*pod.namespace),
            (container, &*pod.container),
        ]);
        if self.settings.holders.pod_uid {
            labels.extend(pod.uid.as_deref().map(|uid| ("pod_uid", uid)));
        }
        if let Some(claim) = &pod.claim {
            labels.extend([
                ("dra_claim_name", &*claim.name),
                ("dra_claim_namespace", &*claim.namespace),
                ("dra_driver_name", &*claim.driver),
                ("dra_pool_name", &*claim.pool),
                ("dra_device_name", &*claim.device),
            ]);
            labels.extend(claim.mig_profile.as_deref().map(|profile| ("dra_mig_profile", profile)));
            labels.extend(claim.mig_uuid.as_deref().map(|uuid| ("dra_mig_device_uuid", uuid)));
        }
        labels
    }
}
