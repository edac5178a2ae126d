//! The refresher `pods`: labels and UIDs of this node's pods, from the API server.

use std::collections::{BTreeMap, HashMap};
use std::io;
use std::sync::Arc;

use kube::core::{ApiResource, GroupVersionKind};
use serde::Deserialize;
use serde::de::IgnoredAny;

use crate::api::{self, Kept, Object};
use crate::parts::{Part, PartKind, PodFacts, PodName, PodsPart};
use crate::pod_labels::PageLabels;
use crate::settings::{PodLabelSettings, PodSettings};
use crate::shared::Shared;

/// Starts the refresher.
///
/// # Errors
///
/// If there is no thread.
pub(crate) fn start(shared: &Arc<Shared>, settings: &PodSettings) -> io::Result<()> {
    api::start(shared, &settings.api, Pods::new(settings.labels.clone()))
}

/// A pod of the API server.
type Pod = Object<IgnoredAny, PodStatus>;

/// The part of a pod's status that is read.
#[derive(Clone, Deserialize, Debug)]
struct PodStatus {
    phase: Option<String>,
}

/// This node's pods.
struct Pods {
    settings: Option<PodLabelSettings>,
    pods: HashMap<PodName, KeptPod>,
    /// Of all pods since the start.
    labels_cut: u64,
}

struct KeptPod {
    facts: PodFacts,
    labels_cut: u64,
}

impl Pods {
    fn new(settings: Option<PodLabelSettings>) -> Self {
        Self { settings, pods: HashMap::new(), labels_cut: 0 }
    }

    /// The name and the facts of a pod; `None` if it has no name or UID, which every pod has.
    fn read(&self, pod: &Pod) -> Option<(PodName, KeptPod)> {
        let uid = pod.metadata.uid.as_deref()?.into();
        let none = BTreeMap::new();
        let labels = pod.metadata.labels.as_ref().unwrap_or(&none);
        let page = match &self.settings {
            Some(PodLabelSettings { allow, most }) => allow.page_labels(labels, *most),
            None => PageLabels::default(),
        };
        let phase = pod.status.as_ref().and_then(|status| status.phase.as_deref());
        let has_ended = matches!(phase, Some("Succeeded" | "Failed"));
        let facts = PodFacts { uid, labels: page.labels, has_ended };
        Some((name(pod)?, KeptPod { facts, labels_cut: page.cut }))
    }

    /// Counts the labels that were cut, each once: not again when the pod changes.
    fn count(&mut self, pod: &KeptPod, before: Option<&KeptPod>) {
        let before = before.filter(|before| before.facts.uid == pod.facts.uid);
        let counted = before.map_or(0, |before| before.labels_cut);
        self.labels_cut += pod.labels_cut.saturating_sub(counted);
    }
}

impl Kept for Pods {
    type Object = Pod;

    const KIND: PartKind = PartKind::Pods;

    const PERMISSION: &'static str = "list, watch on pods \
        (chart: kubernetes.enablePodLabels=true, kubernetes.rbac.create=true)";

    fn resources() -> Vec<ApiResource> {
        vec![ApiResource::from_gvk_with_plural(&GroupVersionKind::gvk("", "v1", "Pod"), "pods")]
    }

    fn replace(&mut self, pods: Vec<Pod>) {
        let before = std::mem::take(&mut self.pods);
        for pod in pods {
            if let Some((name, pod)) = self.read(&pod) {
                self.count(&pod, before.get(&name));
                self.pods.insert(name, pod);
            }
        }
    }

    fn put(&mut self, pod: Pod) {
        if let Some((name, pod)) = self.read(&pod) {
            let before = self.pods.remove(&name);
            self.count(&pod, before.as_ref());
            self.pods.insert(name, pod);
        }
    }

    fn remove(&mut self, pod: &Pod) {
        if let Some(name) = name(pod) {
            self.pods.remove(&name);
        }
    }

    fn part(&self) -> Part {
        let pods = self.pods.iter().map(|(name, pod)| (name.clone(), pod.facts.clone())).collect();
        let labels_cut = self.settings.as_ref().map(|_| self.labels_cut);
        Part::Pods(Arc::new(PodsPart { pods, labels_cut }))
    }
}

fn name(pod: &Pod) -> Option<PodName> {
    Some((pod.metadata.namespace.as_deref()?.into(), pod.metadata.name.as_deref()?.into()))
}
