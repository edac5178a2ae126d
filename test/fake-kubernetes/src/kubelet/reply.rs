//! What a kubelet replies, built in a test.

use prost::Message;

use super::api;

/// The devices of all containers, and those that can be allocated.
#[derive(Clone, Default, Debug)]
pub struct Reply {
    pub(crate) list: api::ListPodResourcesResponse,
    pub(crate) allocatable: api::AllocatableResourcesResponse,
}

/// A pod.
#[derive(Clone, Debug)]
pub struct Pod(api::PodResources);

/// A container.
#[derive(Clone, Debug)]
pub struct Container(api::ContainerResources);

/// A device of a resource claim.
#[derive(Clone, Copy, Debug)]
pub struct Claim<'a> {
    /// The name of the claim.
    pub name: &'a str,
    /// The namespace of the claim.
    pub namespace: &'a str,
    /// The DRA driver.
    pub driver: &'a str,
    /// The pool.
    pub pool: &'a str,
    /// The device.
    pub device: &'a str,
    /// The share, if the device is shared.
    pub share: Option<&'a str>,
}

impl Default for Claim<'_> {
    fn default() -> Self {
        Self {
            name: "claim",
            namespace: "default",
            driver: "gpu.nvidia.com",
            pool: "node",
            device: "gpu-0",
            share: None,
        }
    }
}

impl Reply {
    /// No pods, and nothing that can be allocated.
    pub fn new() -> Self {
        Self::default()
    }

    /// So many pods. Each has a share of one of eight GPUs.
    pub fn of_pods(count: usize) -> Self {
        (0..count).fold(Self::new(), |reply, number| reply.pod(pod_with_share(number)))
    }

    /// At least so many bytes, and not many more. Each pod has a share of one of eight GPUs, and 100 devices
    /// that are none.
    pub fn of_bytes(count: usize) -> Self {
        let mut reply = Self::new();
        let mut bytes = 0;
        for number in 0.. {
            if bytes >= count {
                break;
            }
            let nics = (0..100).fold(Container::new("network"), |container, device| {
                container.device("example.com/nic", format!("nic-{number}-{device}"))
            });
            let pod = pod_with_share(number).container(nics).0.encode_to_vec();
            // The message, and the number and length before it.
            bytes += pod.len() + 1 + prost::length_delimiter_len(pod.len());
            reply = reply.raw_pod(pod);
        }
        reply
    }

    /// With this pod.
    #[must_use]
    pub fn pod(self, pod: Pod) -> Self {
        self.raw_pod(pod.0.encode_to_vec())
    }

    /// With these bytes in place of a pod.
    #[must_use]
    pub fn raw_pod(mut self, bytes: Vec<u8>) -> Self {
        self.list.pod_resources.push(bytes);
        self
    }

    /// With a device that can be allocated.
    #[must_use]
    pub fn allocatable(mut self, resource: impl AsRef<[u8]>, id: impl AsRef<[u8]>) -> Self {
        self.allocatable.devices.push(device(resource.as_ref(), id.as_ref()));
        self
    }
}

impl Pod {
    /// A pod without containers.
    pub fn new(namespace: impl AsRef<[u8]>, name: impl AsRef<[u8]>) -> Self {
        let (name, namespace) = (name.as_ref().to_vec(), namespace.as_ref().to_vec());
        Self(api::PodResources { name, namespace, containers: Vec::new() })
    }

    /// With this container.
    #[must_use]
    pub fn container(mut self, container: Container) -> Self {
        self.0.containers.push(container.0.encode_to_vec());
        self
    }
}

impl Container {
    /// A container without devices.
    pub fn new(name: impl AsRef<[u8]>) -> Self {
        let name = name.as_ref().to_vec();
        Self(api::ContainerResources { name, ..Default::default() })
    }

    /// With a device of a device plugin.
    #[must_use]
    pub fn device(mut self, resource: impl AsRef<[u8]>, id: impl AsRef<[u8]>) -> Self {
        self.0.devices.push(device(resource.as_ref(), id.as_ref()));
        self
    }

    /// With a device of a resource claim.
    #[must_use]
    pub fn claim(mut self, claim: Claim<'_>) -> Self {
        let device = api::ClaimResource {
            driver_name: claim.driver.into(),
            pool_name: claim.pool.into(),
            device_name: claim.device.into(),
            share_id: claim.share.map(Into::into),
        };
        let claim = api::DynamicResource {
            claim_name: claim.name.into(),
            claim_namespace: claim.namespace.into(),
            claim_resources: vec![device.encode_to_vec()],
        };
        self.0.dynamic_resources.push(claim.encode_to_vec());
        self
    }
}

/// The UUID of a GPU, by a number of its own.
pub fn gpu_uuid(number: usize) -> String {
    format!("GPU-{number:08x}-0000-4000-8000-000000000000")
}

fn pod_with_share(number: usize) -> Pod {
    let id = format!("{}::{number}", gpu_uuid(number % 8));
    let container = Container::new("main").device("nvidia.com/gpu", id);
    Pod::new("load", format!("pod-{number}")).container(container)
}

/// A device, as the kubelet lists it: one entry for each, with its NUMA node.
fn device(resource: &[u8], id: &[u8]) -> Vec<u8> {
    // Field 3 (topology), in it field 1 (nodes), in it field 1 (ID): 1.
    const NUMA_NODE: [u8; 6] = [3 << 3 | 2, 4, 1 << 3 | 2, 2, 1 << 3, 1];
    let device =
        api::ContainerDevices { resource_name: resource.to_vec(), device_ids: vec![id.to_vec()] };
    let mut bytes = device.encode_to_vec();
    bytes.extend(NUMA_NODE);
    bytes
}
