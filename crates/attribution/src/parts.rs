//! The results of the refreshers: plain data, before they are joined.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

use model::DeviceKey;

use crate::device_id::DeviceId;
use crate::error::ErrorReason;

/// How long a watch of the API server may be silent: its requests end after this time.
pub(crate) const WATCH_LIFETIME: Duration = Duration::from_secs(290);

/// The refreshers, in the order in which they are shown.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(crate) enum PartKind {
    /// The kubelet's pod resources.
    Kubelet,
    /// This node's pods from the API server.
    Pods,
    /// This node's resource slices from the API server.
    ResourceSlices,
    /// The checkpoint of NVIDIA's DRA driver.
    Checkpoint,
    /// Folders of this node.
    Node,
    /// Job files.
    Jobs,
}

impl PartKind {
    /// As in the label `refresher`.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Kubelet => "kubelet",
            Self::Pods => "pods",
            Self::ResourceSlices => "resourceslices",
            Self::Checkpoint => "checkpoint",
            Self::Node => "node",
            Self::Jobs => "jobs",
        }
    }

    /// How long its result is good by itself: that of a watch, until the watch ends.
    pub(crate) fn lifetime(self) -> Duration {
        match self {
            Self::Pods | Self::ResourceSlices => WATCH_LIFETIME,
            Self::Kubelet | Self::Checkpoint | Self::Node | Self::Jobs => Duration::ZERO,
        }
    }
}

/// The result of a refresher.
#[derive(Clone, Debug)]
pub(crate) enum Part {
    Kubelet(Arc<KubeletPart>),
    Pods(Arc<PodsPart>),
    ResourceSlices(Arc<SlicesPart>),
    Checkpoint(Arc<CheckpointPart>),
    Node(Arc<NodePart>),
    Jobs(Arc<JobsPart>),
}

impl Part {
    /// How many entries it has, for the metric.
    pub(crate) fn entries(&self) -> usize {
        match self {
            Self::Kubelet(part) => part.uses.len(),
            Self::Pods(part) => part.pods.len(),
            Self::ResourceSlices(part) => part.devices.len(),
            Self::Checkpoint(part) => part.devices.len(),
            Self::Node(part) => part.pods.len(),
            Self::Jobs(part) => part.uses.len(),
        }
    }

    /// What was skipped although the look succeeded.
    pub(crate) fn skipped(&self) -> Option<&SkipCounts> {
        match self {
            Self::Kubelet(part) => Some(&part.skipped),
            Self::Checkpoint(part) => Some(&part.skipped),
            Self::Node(part) => Some(&part.skipped),
            Self::Jobs(part) => Some(&part.skipped),
            Self::Pods(_) | Self::ResourceSlices(_) => None,
        }
    }
}

/// How many entries were skipped, by reason, since the start of this process.
pub(crate) type SkipCounts = BTreeMap<ErrorReason, u64>;

/// A pod by namespace and name.
pub(crate) type PodName = (Arc<str>, Arc<str>);

/// What the kubelet says.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct KubeletPart {
    /// In the order of the reply.
    pub(crate) uses: Vec<PodUse>,
    /// The GPUs that the kubelet can allocate; `None` if it does not say.
    pub(crate) allocatable: Option<Vec<DeviceId>>,
    /// Whether something of a GPU was skipped, so that a GPU may have a holder that is not known.
    pub(crate) is_incomplete: bool,
    pub(crate) skipped: SkipCounts,
}

/// The look at which a use was first seen, and its place in that look's reply.
pub(crate) type Since = (u64, usize);

/// What tells uses apart: namespace, pod, container, and the id that the device plugin gave.
pub(crate) type UseKey = (Arc<str>, Arc<str>, Arc<str>, UsedDevice);

/// A device of a container.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PodUse {
    pub(crate) namespace: Arc<str>,
    pub(crate) pod: Arc<str>,
    pub(crate) container: Arc<str>,
    pub(crate) device: UsedDevice,
    pub(crate) since: Since,
}

impl PodUse {
    pub(crate) fn key(&self) -> UseKey {
        let Self { namespace, pod, container, device, .. } = self;
        (namespace.clone(), pod.clone(), container.clone(), device.clone())
    }
}

/// How a container got a device.
#[derive(Clone, PartialEq, Eq, Hash, Debug)]
pub(crate) enum UsedDevice {
    /// From a device plugin.
    Plugin(DeviceId),
    /// By a resource claim.
    Claim(ClaimedDevice),
}

/// A device of a resource claim, as the kubelet names it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct ClaimedDevice {
    pub(crate) claim: Arc<str>,
    pub(crate) claim_namespace: Arc<str>,
    pub(crate) device: SliceDevice,
    pub(crate) share: Option<Arc<str>>,
}

/// A device of a resource slice, by its names.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub(crate) struct SliceDevice {
    pub(crate) driver: Arc<str>,
    pub(crate) pool: Arc<str>,
    pub(crate) device: Arc<str>,
}

/// What the API server says of this node's pods.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct PodsPart {
    pub(crate) pods: HashMap<PodName, PodFacts>,
    /// Labels that were left out because of the limit, since the start of this process; `None` if no
    /// labels are asked for.
    pub(crate) labels_cut: Option<u64>,
}

/// A pod of the API server.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PodFacts {
    pub(crate) uid: Arc<str>,
    /// As they appear on the page, sorted by name.
    pub(crate) labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// Whether it has succeeded or failed, so that it uses nothing.
    pub(crate) has_ended: bool,
}

/// What the resource slices of this node say.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct SlicesPart {
    pub(crate) devices: HashMap<SliceDevice, SliceFacts>,
}

/// A device of a resource slice.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct SliceFacts {
    /// What it is, by UUID, minor number or PCI address; `None` if the slice does not say, as of a
    /// dynamic MIG device.
    pub(crate) key: Option<DeviceKey>,
    /// The MIG profile, if it is a MIG device.
    pub(crate) mig_profile: Option<Arc<str>>,
    /// The UUID of the MIG device, if it is one and exists.
    pub(crate) mig_uuid: Option<Arc<str>>,
}

/// A device of a claim: namespace and name of the claim, and name of the device. Those of the claim
/// are empty if the DRA driver has kept only its UID.
pub(crate) type PreparedName = (Arc<str>, Arc<str>, Arc<str>);

/// What the checkpoint of the DRA driver says.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct CheckpointPart {
    pub(crate) devices: HashMap<PreparedName, PreparedDevice>,
    pub(crate) skipped: SkipCounts,
}

/// A device that the DRA driver has prepared.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct PreparedDevice {
    pub(crate) key: DeviceKey,
    pub(crate) compute_instance: Option<u32>,
    pub(crate) mig_uuid: Option<Arc<str>>,
}

/// What the folders of this node say of pods.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct NodePart {
    pub(crate) pods: HashMap<PodName, Vec<NodePod>>,
    pub(crate) skipped: SkipCounts,
}

/// A pod in the folders of this node. A name can have several: an ended one and its successor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct NodePod {
    pub(crate) uid: Arc<str>,
    /// Whether it has a cgroup; `None` if cgroups cannot be read.
    pub(crate) is_alive: Option<bool>,
}

/// What the job files say.
#[derive(Clone, PartialEq, Default, Debug)]
pub(crate) struct JobsPart {
    pub(crate) uses: Vec<(DeviceKey, Arc<str>)>,
    pub(crate) skipped: SkipCounts,
}
