//! Tests of joined results.

use std::collections::HashMap;

use super::*;
use crate::device_id::DeviceId;
use crate::parts::{NodePod, PodFacts, SliceDevice, SliceFacts};

/// A use of an id of a device plugin; the id is a UUID, and a share if it says so.
fn plugin(pod: &str, id: &str) -> PodUse {
    let (uuid, share) = match id.split_once("::") {
        Some((uuid, share)) => (uuid, Some(share.into())),
        None => (id, None),
    };
    let id =
        DeviceId { text: id.into(), key: DeviceKey::uuid(uuid), compute_instance: None, share };
    PodUse {
        namespace: "ml".into(),
        pod: pod.into(),
        container: "main".into(),
        device: UsedDevice::Plugin(id),
        since: (0, 0),
    }
}

fn name(pod: &str) -> PodName {
    ("ml".into(), pod.into())
}

fn kubelet(uses: Vec<PodUse>) -> (PartKind, Part) {
    let part = KubeletPart { uses, ..KubeletPart::default() };
    (PartKind::Kubelet, Part::Kubelet(Arc::new(part)))
}

/// Pods of the API server, and whether each has ended.
fn pods(pods: &[(&str, bool)]) -> (PartKind, Part) {
    let fact = |(pod, has_ended): &(&str, bool)| {
        let uid = format!("uid-{pod}").into();
        let labels = [(Arc::from("app"), Arc::from(*pod))].into();
        (name(pod), PodFacts { uid, labels, has_ended: *has_ended })
    };
    let part = PodsPart { pods: pods.iter().map(fact).collect(), labels_cut: Some(3) };
    (PartKind::Pods, Part::Pods(Arc::new(part)))
}

/// Pods of the node's folders: name, UID, and whether it runs.
fn node(pods: &[(&str, &str, Option<bool>)]) -> (PartKind, Part) {
    let mut part = NodePart::default();
    for (pod, uid, is_alive) in pods {
        let pod_of_node = NodePod { uid: (*uid).into(), is_alive: *is_alive };
        part.pods.entry(name(pod)).or_default().push(pod_of_node);
    }
    (PartKind::Node, Part::Node(Arc::new(part)))
}

fn merged(parts: impl IntoIterator<Item = (PartKind, Part)>) -> Attribution {
    merge(&parts.into_iter().collect())
}

/// The holders of a device: pod, and UID if known.
fn holders(attribution: &Attribution, uuid: &str) -> Vec<String> {
    let uses = attribution.uses.get(&DeviceKey::uuid(uuid)).into_iter().flatten();
    uses.map(|one| match &*one.holder {
        Holder::Pod(pod) => match &pod.uid {
            Some(uid) => format!("{} {uid}", pod.name),
            None => pod.name.to_string(),
        },
        Holder::Job { id } => format!("job {id}"),
    })
    .collect()
}

#[test]
fn of_several_pods_with_one_id_the_one_that_lives_has_it() {
    let listed = || kubelet(vec![plugin("new", "GPU-a"), plugin("old", "GPU-a")]);
    // Without anything that says who lives, the last that the kubelet lists.
    assert_eq!(holders(&merged([listed()]), "GPU-a"), ["old"]);
    // Or the last that was new.
    let new = PodUse { since: (2, 0), ..plugin("new", "GPU-a") };
    let dated = kubelet(vec![new, PodUse { since: (1, 3), ..plugin("old", "GPU-a") }]);
    assert_eq!(holders(&merged([dated]), "GPU-a"), ["new"]);
    let ended = pods(&[("new", false), ("old", true)]);
    assert_eq!(holders(&merged([listed(), ended]), "GPU-a"), ["new uid-new"]);
    // The API server does not have the old one any more.
    assert_eq!(holders(&merged([listed(), pods(&[("new", false)])]), "GPU-a"), ["new uid-new"]);
    let folders = node(&[("new", "1", Some(true)), ("old", "2", Some(false))]);
    assert_eq!(holders(&merged([listed(), folders]), "GPU-a"), ["new 1"]);
}

#[test]
fn a_pod_that_has_ended_has_no_device() {
    let listed = || kubelet(vec![plugin("old", "GPU-a")]);
    assert_eq!(holders(&merged([listed(), pods(&[("old", true)])]), "GPU-a"), [""; 0]);
    let folders = node(&[("old", "2", Some(false))]);
    assert_eq!(holders(&merged([listed(), folders]), "GPU-a"), [""; 0]);
    // Cgroups that cannot be read say nothing.
    assert_eq!(holders(&merged([listed(), node(&[("old", "2", None)])]), "GPU-a"), ["old 2"]);
}

/// A watch of the API server may be late, or broken.
#[test]
fn the_folders_of_the_node_know_more_than_an_old_answer_of_the_api_server() {
    let listed = || kubelet(vec![plugin("db-0", "GPU-a")]);
    let api = || pods(&[("db-0", false)]);
    let with = |folders: &[(&str, &str, Option<bool>)]| {
        holders(&merged([listed(), api(), node(folders)]), "GPU-a")
    };
    assert_eq!(with(&[("db-0", "uid-db-0", Some(true))]), ["db-0 uid-db-0"]);
    assert_eq!(with(&[("db-0", "uid-db-0", Some(false))]), [""; 0], "it has ended");
    assert_eq!(with(&[("db-0", "uid-other", Some(true))]), ["db-0 uid-other"], "it came back");
    // The folder of a static pod has the hash of its file.
    assert_eq!(with(&[("db-0", "0123456789abcdef", Some(true))]), ["db-0 uid-db-0"]);
    assert_eq!(with(&[]), ["db-0 uid-db-0"]);
}

#[test]
fn a_use_of_an_unknown_device_makes_no_gpu_free() {
    assert!(merged([kubelet(vec![plugin("a", "GPU-a")])]).is_complete);
    let claimed = PodUse {
        device: UsedDevice::Claim(ClaimedDevice {
            claim: "gpus".into(),
            claim_namespace: "ml".into(),
            device: slice_device("gpu-3-mig-1g5gb-19-0"),
            share: None,
        }),
        ..plugin("a", "")
    };
    assert!(!merged([kubelet(vec![claimed])]).is_complete);
    let skipped = KubeletPart { is_incomplete: true, ..KubeletPart::default() };
    let skipped = (PartKind::Kubelet, Part::Kubelet(Arc::new(skipped)));
    assert!(!merged([skipped]).is_complete);
}

#[test]
fn shares_have_one_pod_each() {
    let listed = vec![plugin("a", "GPU-a::0"), plugin("b", "GPU-a::1"), plugin("c", "GPU-a::1")];
    let attribution = merged([kubelet(listed)]);
    assert_eq!(holders(&attribution, "GPU-a"), ["a", "c"]);
    let shares = attribution.uses[&DeviceKey::uuid("GPU-a")].iter().map(|one| one.share.as_deref());
    assert_eq!(shares.collect::<Vec<_>>(), [Some("0"), Some("1")]);
}

#[test]
fn containers_of_one_pod_may_have_one_id() {
    let sidecar = PodUse { container: "sidecar".into(), ..plugin("a", "GPU-a") };
    let attribution = merged([kubelet(vec![plugin("a", "GPU-a"), sidecar])]);
    assert_eq!(holders(&attribution, "GPU-a"), ["a", "a"]);
}

/// A pod of a StatefulSet comes back under its name, with another UID.
#[test]
fn a_name_that_two_pods_had_is_that_of_the_living_one() {
    let uids = |pods: &[(&str, &str, Option<bool>)]| {
        holders(&merged([kubelet(vec![plugin("db-0", "GPU-a")]), node(pods)]), "GPU-a")
    };
    assert_eq!(uids(&[("db-0", "1", Some(false)), ("db-0", "2", Some(true))]), ["db-0 2"]);
    assert_eq!(uids(&[("db-0", "1", None), ("db-0", "2", None)]), ["db-0"], "unknown which");
    assert_eq!(uids(&[("db-0", "1", Some(true)), ("db-0", "2", Some(true))]), ["db-0"]);
    assert_eq!(uids(&[("db-0", "1", Some(false)), ("db-0", "2", Some(false))]), [""; 0]);
}

#[test]
fn labels_and_uids_come_from_the_api_server() {
    let attribution = merged([kubelet(vec![plugin("a", "GPU-a")]), pods(&[("a", false)])]);
    let Holder::Pod(pod) = &*attribution.uses[&DeviceKey::uuid("GPU-a")][0].holder else {
        panic!("no pod")
    };
    assert_eq!(pod.uid.as_deref(), Some("uid-a"));
    assert_eq!(*pod.labels, [("app".into(), "a".into())]);
    assert_eq!(attribution.pod_labels_cut, Some(3));
}

#[test]
fn jobs_and_pods_stand_side_by_side() {
    let jobs =
        JobsPart { uses: vec![(DeviceKey::uuid("GPU-a"), "17".into())], ..JobsPart::default() };
    let jobs = (PartKind::Jobs, Part::Jobs(Arc::new(jobs)));
    let attribution = merged([kubelet(vec![plugin("a", "GPU-a")]), jobs]);
    assert_eq!(holders(&attribution, "GPU-a"), ["a", "job 17"]);
}

/// A claim that two pods share, of a device that only its name identifies.
#[test]
fn the_pods_of_a_claim_have_its_device_together() {
    let claimed = |pod: &str, share: &str| PodUse {
        device: UsedDevice::Claim(ClaimedDevice {
            claim: "gpus".into(),
            claim_namespace: "ml".into(),
            device: slice_device("gpu-3"),
            share: Some(share.into()),
        }),
        ..plugin(pod, "")
    };
    let facts =
        SliceFacts { key: Some(DeviceKey::uuid("GPU-a")), mig_profile: None, mig_uuid: None };
    let slices = SlicesPart { devices: HashMap::from([(slice_device("gpu-3"), facts)]) };
    let slices = (PartKind::ResourceSlices, Part::ResourceSlices(Arc::new(slices)));
    let attribution = merged([kubelet(vec![claimed("a", "x"), claimed("b", "y")]), slices]);
    assert_eq!(holders(&attribution, "GPU-a"), ["a", "b"]);
    let first = &attribution.uses[&DeviceKey::uuid("GPU-a")][0];
    let Holder::Pod(pod) = &*first.holder else { panic!("no pod") };
    let claim = pod.claim.as_ref().expect("a claim");
    assert_eq!((&*claim.name, &*claim.device), ("gpus", "gpu-3"));
    assert_eq!(first.share.as_deref(), Some("x"));
    let free = HashSet::from([DeviceKey::uuid("GPU-a")]);
    assert_eq!(attribution.allocatable, Some(free), "a slice says what can be allocated");
}

fn slice_device(device: &str) -> SliceDevice {
    SliceDevice { driver: "gpu.nvidia.com".into(), pool: "n1".into(), device: device.into() }
}

#[test]
fn what_no_device_plugin_and_no_slice_names_is_unknown() {
    assert_eq!(merged([kubelet(vec![])]).allocatable, None);
    let id = match plugin("", "GPU-a").device {
        UsedDevice::Plugin(id) => id,
        UsedDevice::Claim(_) => panic!("not of a plugin"),
    };
    let part = KubeletPart { allocatable: Some(vec![id]), ..KubeletPart::default() };
    let part = (PartKind::Kubelet, Part::Kubelet(Arc::new(part)));
    assert_eq!(merged([part]).allocatable, Some(HashSet::from([DeviceKey::uuid("GPU-a")])));
}
