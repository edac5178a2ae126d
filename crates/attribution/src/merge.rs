//! Joins the results of all refreshers to one attribution.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;

use model::{Attribution, Claim, DeviceKey, DeviceUse, Holder, Moment, Pod};

use crate::claims;
use crate::parts::{
    CheckpointPart, ClaimedDevice, JobsPart, KubeletPart, NodePart, NodePod, Part, PartKind,
    PodName, PodUse, PodsPart, SlicesPart, UsedDevice,
};

/// The results that are still good.
#[derive(Default)]
struct Known<'a> {
    kubelet: Option<&'a KubeletPart>,
    pods: Option<&'a PodsPart>,
    slices: Option<&'a SlicesPart>,
    checkpoint: Option<&'a CheckpointPart>,
    node: Option<&'a NodePart>,
    jobs: Option<&'a JobsPart>,
}

/// Joins what is known. Health is added by the caller, which also knows whether a result is missing.
pub(crate) fn merge(parts: &BTreeMap<PartKind, Part>) -> Attribution {
    let mut known = Known::default();
    for part in parts.values() {
        match part {
            Part::Kubelet(part) => known.kubelet = Some(part),
            Part::Pods(part) => known.pods = Some(part),
            Part::ResourceSlices(part) => known.slices = Some(part),
            Part::Checkpoint(part) => known.checkpoint = Some(part),
            Part::Node(part) => known.node = Some(part),
            Part::Jobs(part) => known.jobs = Some(part),
        }
    }
    let (uses, are_all_resolved) = known.uses();
    Attribution {
        uses,
        allocatable: known.allocatable(),
        is_complete: are_all_resolved && !known.kubelet.is_some_and(|part| part.is_incomplete),
        refreshers: Vec::new(),
        pod_labels_cut: known.pods.and_then(|pods| pods.labels_cut),
        good_until: Moment::BOOT,
    }
}

/// What is known of a pod besides its name.
#[derive(Clone, Default)]
struct PodDetails {
    uid: Option<Arc<str>>,
    labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// Whether it still runs, if anything says so.
    is_alive: Option<bool>,
}

/// What the folders of the node say of the pods that have one name: an ended pod and its successor can.
fn of_folders(pods: &[NodePod]) -> PodDetails {
    let living: Vec<&NodePod> = pods.iter().filter(|pod| pod.is_alive == Some(true)).collect();
    let one = match (&living[..], pods) {
        ([one], _) => Some(*one),
        ([], [one]) => Some(one),
        _ => None,
    };
    let have_ended = pods.iter().all(|pod| pod.is_alive == Some(false));
    let is_alive = if have_ended { Some(false) } else { (!living.is_empty()).then_some(true) };
    PodDetails { uid: one.map(|pod| Arc::clone(&pod.uid)), is_alive, ..PodDetails::default() }
}

/// Whether this is a UID. The folders of a static pod have the hash of its file instead.
fn is_uid(text: &str) -> bool {
    text.contains('-')
}

/// The device of a use.
struct Device {
    key: DeviceKey,
    compute_instance: Option<u32>,
    share: Option<Arc<str>>,
    claim: Option<Arc<Claim>>,
}

impl Known<'_> {
    /// The uses of each device, and whether it is known for every use which device it is of.
    fn uses(&self) -> (HashMap<DeviceKey, Vec<DeviceUse>>, bool) {
        let mut uses: HashMap<DeviceKey, Vec<DeviceUse>> = HashMap::new();
        let mut are_all_resolved = true;
        for one in self.pod_uses() {
            let details = self.details(&one.namespace, &one.pod);
            let Some(device) = self.device_of(one) else {
                are_all_resolved = false;
                continue;
            };
            let Device { key, compute_instance, share, claim } = device;
            let holder = Arc::new(Holder::Pod(Pod {
                namespace: Arc::clone(&one.namespace),
                name: Arc::clone(&one.pod),
                container: Arc::clone(&one.container),
                uid: details.uid,
                labels: details.labels,
                claim,
            }));
            uses.entry(key).or_default().push(DeviceUse { holder, compute_instance, share });
        }
        for (key, id) in self.jobs.iter().flat_map(|jobs| &jobs.uses) {
            let holder = Arc::new(Holder::Job { id: Arc::clone(id) });
            let one = DeviceUse { holder, compute_instance: None, share: None };
            uses.entry(key.clone()).or_default().push(one);
        }
        (uses, are_all_resolved)
    }

    /// The uses of pods without those of pods that have ended: kubelets before 1.34 still list them. A
    /// device plugin gives an id to one pod at a time, so of several the one that lives has it, else the
    /// one that was listed last: the last that was new, and of the first reply the last.
    fn pod_uses(&self) -> Vec<&PodUse> {
        let listed = self.kubelet.map(|kubelet| &*kubelet.uses).unwrap_or_default();
        let is_alive = |one: &PodUse| self.details(&one.namespace, &one.pod).is_alive;
        let mut living: Vec<&PodUse> =
            listed.iter().filter(|one| is_alive(one) != Some(false)).collect();
        let mut owners: HashMap<&str, &PodUse> = HashMap::new();
        for one in &living {
            if let UsedDevice::Plugin(id) = &one.device {
                let rank = |one: &PodUse| (is_alive(one) == Some(true), one.since);
                let owner = owners.entry(&id.text).or_insert(one);
                if rank(one) >= rank(owner) {
                    *owner = one;
                }
            }
        }
        living.retain(|one| match &one.device {
            UsedDevice::Plugin(id) => owners
                .get(&*id.text)
                .is_some_and(|owner| (&owner.namespace, &owner.pod) == (&one.namespace, &one.pod)),
            // The pods that share a claim have its devices together.
            UsedDevice::Claim(_) => true,
        });
        living
    }

    /// What the API server and the folders of the node say of a pod. It has ended if one of them says so.
    fn details(&self, namespace: &Arc<str>, name: &Arc<str>) -> PodDetails {
        let name: PodName = (Arc::clone(namespace), Arc::clone(name));
        let of_node = self.node.and_then(|node| node.pods.get(&name));
        let of_node = of_node.map(|pods| of_folders(pods)).unwrap_or_default();
        let Some(pod) = self.pods.and_then(|pods| pods.pods.get(&name)) else { return of_node };
        // A pod that came back under the name of an old one, of which the API server has not told yet.
        let is_another = |uid: &Arc<str>| is_uid(uid) && *uid != pod.uid;
        if of_node.is_alive == Some(true) && of_node.uid.as_ref().is_some_and(is_another) {
            return of_node;
        }
        PodDetails {
            uid: Some(Arc::clone(&pod.uid)),
            labels: Arc::clone(&pod.labels),
            is_alive: Some(!pod.has_ended && of_node.is_alive != Some(false)),
        }
    }

    /// The device of a use; `None` if nothing says which it is.
    fn device_of(&self, one: &PodUse) -> Option<Device> {
        match &one.device {
            UsedDevice::Plugin(id) => Some(Device {
                key: id.key.clone(),
                compute_instance: id.compute_instance,
                share: id.share.clone(),
                claim: None,
            }),
            UsedDevice::Claim(device) => {
                let found = claims::resolve(device, self.slices, self.checkpoint)?;
                Some(Device {
                    key: found.key,
                    compute_instance: found.compute_instance,
                    share: device.share.clone(),
                    claim: Some(Arc::new(claim(device, found.mig_profile, found.mig_uuid))),
                })
            }
        }
    }

    /// The GPUs that device plugins and resource slices offer; `None` if they name none, as where the
    /// kubelet does not say.
    fn allocatable(&self) -> Option<HashSet<DeviceKey>> {
        let of_plugins = self.kubelet.and_then(|kubelet| kubelet.allocatable.as_ref());
        let of_plugins = of_plugins.into_iter().flatten().map(|id| id.key.clone());
        // A MIG device that does not exist yet is a part of a GPU that can be allocated.
        let of_slices = self.slices.into_iter().flat_map(|slices| &slices.devices);
        let of_slices = of_slices
            .filter_map(|(name, facts)| facts.key.clone().or_else(|| claims::gpu_of(&name.device)));
        let devices: HashSet<DeviceKey> = of_plugins.chain(of_slices).collect();
        (!devices.is_empty()).then_some(devices)
    }
}

fn claim(
    device: &ClaimedDevice,
    mig_profile: Option<Arc<str>>,
    mig_uuid: Option<Arc<str>>,
) -> Claim {
    Claim {
        name: Arc::clone(&device.claim),
        namespace: Arc::clone(&device.claim_namespace),
        driver: Arc::clone(&device.device.driver),
        pool: Arc::clone(&device.device.pool),
        device: Arc::clone(&device.device.device),
        mig_profile,
        mig_uuid,
    }
}

#[cfg(test)]
mod tests;
