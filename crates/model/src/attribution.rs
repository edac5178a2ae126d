//! Who uses the GPUs: pods and jobs, by device. Immutable data that refreshers publish and pages show.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use crate::{Identity, Instance, Moment};

/// Who uses the GPUs at one moment.
#[derive(Clone, PartialEq, Debug)]
pub struct Attribution {
    /// The uses of each device. The same GPU can occur under several keys; [`Self::uses_of`] looks
    /// under all of them.
    pub uses: HashMap<DeviceKey, Vec<DeviceUse>>,
    /// The devices that can be allocated; `None` if unknown.
    pub allocatable: Option<HashSet<DeviceKey>>,
    /// Whether the holders of all devices are known: each refresher of holders has a result that is not
    /// too old, and it is known of each use which device it is of. Only then is a device without
    /// holders a free one.
    pub is_complete: bool,
    /// The health of each refresher, in a fixed order.
    pub refreshers: Vec<RefresherView>,
    /// Pod labels that were left out because of the limit, since the start of this process; `None` if
    /// pod labels are off.
    pub pod_labels_cut: Option<u64>,
    /// The moment at which something in it becomes too old.
    pub good_until: Moment,
}

/// A device as a holder names it: by what it calls the GPU, and which part of it.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct DeviceKey {
    /// The GPU, or a MIG device by its UUID.
    pub gpu: GpuKey,
    /// The part of the GPU; `None` for the whole.
    pub part: Option<PartKey>,
}

/// The ways to name a GPU.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum GpuKey {
    /// The UUID of a GPU or MIG device in lower case: `gpu-5cd1…`, `mig-…`.
    Uuid(Box<str>),
    /// The driver's index.
    Index(u32),
    /// The number of the device node, as in `/dev/nvidia0`.
    Minor(u32),
    /// The PCI address in upper case, with an eight-digit domain.
    PciBusId(Box<str>),
}

/// The ways to name a part of a GPU.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum PartKey {
    /// The driver's number of the GPU instance.
    GpuInstance(u32),
    /// The driver's number of the MIG device on its GPU.
    MigDevice(u32),
}

impl DeviceKey {
    /// A whole GPU, or a MIG device by its UUID.
    pub fn whole(gpu: GpuKey) -> Self {
        Self { gpu, part: None }
    }

    /// A GPU or MIG device by its UUID, in any letter case.
    pub fn uuid(uuid: &str) -> Self {
        Self::whole(GpuKey::Uuid(uuid.to_ascii_lowercase().into()))
    }

    /// A part of a GPU.
    pub fn part(gpu: GpuKey, part: PartKey) -> Self {
        Self { gpu, part: Some(part) }
    }
}

/// One use of a device.
#[derive(Clone, PartialEq, Debug)]
pub struct DeviceUse {
    /// Who uses it.
    pub holder: Arc<Holder>,
    /// The number of the compute instance that is used, if not the whole device.
    pub compute_instance: Option<u32>,
    /// Which share of the device it is: the number of a replica (`3` in `GPU-…::3`), the vGPU of GKE, the
    /// share of a DRA device. `None` if the holder has the device for itself.
    pub share: Option<Arc<str>>,
}

/// Who uses a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Holder {
    /// A container of a Kubernetes pod.
    Pod(Pod),
    /// A job of a batch system.
    Job {
        /// Its identifier, as the batch system writes it.
        id: Arc<str>,
    },
}

/// A container of a Kubernetes pod.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Pod {
    /// The namespace.
    pub namespace: Arc<str>,
    /// The name.
    pub name: Arc<str>,
    /// The name of the container.
    pub container: Arc<str>,
    /// The UID, if it is known.
    pub uid: Option<Arc<str>>,
    /// Its labels that were asked for, under the label names that they have on the page, sorted by name.
    pub labels: Arc<[(Arc<str>, Arc<str>)]>,
    /// The claim by which it has the device (dynamic resource allocation).
    pub claim: Option<Arc<Claim>>,
}

/// A device that a resource claim allocates.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Default, Debug)]
pub struct Claim {
    /// The name of the claim.
    pub name: Arc<str>,
    /// The namespace of the claim.
    pub namespace: Arc<str>,
    /// The DRA driver: `gpu.nvidia.com`.
    pub driver: Arc<str>,
    /// The pool, which is named after the node.
    pub pool: Arc<str>,
    /// The device: `gpu-0`, `gpu-0-mig-1g.5gb-19-0`.
    pub device: Arc<str>,
    /// The MIG profile, if the device is a MIG device.
    pub mig_profile: Option<Arc<str>>,
    /// The UUID of the MIG device, if it is one.
    pub mig_uuid: Option<Arc<str>>,
}

/// The health of a refresher.
#[derive(Clone, PartialEq, Debug)]
pub struct RefresherView {
    /// Its name: `kubelet`, `pods`, `resourceslices`, `checkpoint`, `node`, `jobs`.
    pub name: &'static str,
    /// Whether its last attempt succeeded, and none has taken too long since.
    pub up: bool,
    /// When it last succeeded.
    pub last_success: Option<SystemTime>,
    /// How long its last attempt took.
    pub duration: Option<Duration>,
    /// The number of entries of its last result; `None` if there is none that is still used.
    pub entries: Option<u64>,
    /// Its errors by reason, since the start of this process.
    pub errors: BTreeMap<&'static str, u64>,
}

impl Attribution {
    /// The uses of a GPU as a whole, or of one of its instances.
    pub fn uses_of(&self, gpu: &Identity, instance: Option<&Instance>) -> Vec<&DeviceUse> {
        let mut found: Vec<&DeviceUse> = Vec::new();
        if self.uses.is_empty() {
            return found;
        }
        for (key, compute) in keys(gpu, instance) {
            for one in self.uses.get(&key).into_iter().flatten() {
                let compute_instance = compute.or(one.compute_instance);
                let is_inside = match instance.and_then(|instance| instance.compute_instance) {
                    Some(number) => compute_instance.is_none_or(|used| used == number),
                    None => true,
                };
                if is_inside {
                    found.push(one);
                }
            }
        }
        found
    }

    /// The UUIDs of the MIG devices that are used, in lower case.
    pub fn mig_uuids(&self) -> impl Iterator<Item = &str> {
        self.uses.keys().filter_map(|key| match &key.gpu {
            GpuKey::Uuid(uuid) if uuid.starts_with("mig-") => Some(&**uuid),
            _ => None,
        })
    }

    /// Whether a GPU can be allocated, as a whole or in parts; `None` if unknown.
    pub fn is_allocatable(&self, gpu: &Identity, instances: &[&Instance]) -> Option<bool> {
        let devices = self.allocatable.as_ref()?;
        let parts = instances.iter().map(|instance| Some(*instance));
        let mut keys = std::iter::once(None).chain(parts).flat_map(|part| keys(gpu, part));
        Some(keys.any(|(key, _)| devices.contains(&key)))
    }
}

/// All keys of a device, and for the key of a MIG device the number of its compute instance.
fn keys(gpu: &Identity, instance: Option<&Instance>) -> Vec<(DeviceKey, Option<u32>)> {
    let uuid = gpu.uuid.as_deref().filter(|uuid| !uuid.is_empty());
    let gpu_keys = [
        uuid.map(|uuid| GpuKey::Uuid(uuid.to_ascii_lowercase().into())),
        gpu.index.map(GpuKey::Index),
        gpu.minor.map(GpuKey::Minor),
        gpu.pci_bus_id
            .as_deref()
            .map(|address| GpuKey::PciBusId(address.to_ascii_uppercase().into())),
    ];
    let gpu_keys = gpu_keys.into_iter().flatten();
    let Some(instance) = instance else {
        return gpu_keys.map(|gpu| (DeviceKey::whole(gpu), None)).collect();
    };
    let mut keys = Vec::new();
    for device in &instance.mig_devices {
        keys.push((DeviceKey::uuid(&device.uuid), Some(device.compute_instance)));
    }
    for gpu in gpu_keys {
        let part = PartKey::GpuInstance(instance.gpu_instance);
        keys.push((DeviceKey::part(gpu.clone(), part), None));
        for device in &instance.mig_devices {
            let part = PartKey::MigDevice(device.number);
            keys.push((DeviceKey::part(gpu.clone(), part), Some(device.compute_instance)));
        }
    }
    keys
}
