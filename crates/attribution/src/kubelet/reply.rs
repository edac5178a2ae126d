//! From the kubelet's replies to what they say of GPUs.

use std::sync::Arc;

use bytes::Bytes;
use prost::Message;

use super::api::{
    AllocatableResourcesResponse, ClaimResource, ContainerDevices, ContainerResources,
    DynamicResource, ListPodResourcesResponse, PodResources,
};
use crate::device_id::DeviceId;
use crate::error::{ErrorReason, RefreshError};
use crate::parts::{ClaimedDevice, PodUse, SliceDevice, UsedDevice};
use crate::skipped::Skipped;

/// The most GPUs and shares of GPUs of a reply, so that the memory is bounded. A node has a few hundred.
pub(crate) const MOST_DEVICES: usize = 16_384;

/// The most bytes of an id that the log has.
const MOST_LOGGED: usize = 64;

/// The DRA driver of GPUs.
const GPU_DRIVER: &[u8] = b"gpu.nvidia.com";

/// The use of each GPU. `resource_names` are the names of GPU resources besides NVIDIA's own.
///
/// # Errors
///
/// If the reply is not understood, or lists too many GPUs.
pub(crate) fn uses(
    reply: ListPodResourcesResponse,
    resource_names: &[String],
    skipped: &mut Skipped,
) -> Result<Vec<PodUse>, RefreshError> {
    let mut uses = Vec::new();
    for pod in reply.pod_resources {
        let pod: PodResources = decode(pod)?;
        for container in pod.containers {
            let container: ContainerResources = decode(container)?;
            let mut devices = Vec::new();
            for resource in container.devices {
                let ids = device_ids(resource, resource_names, skipped)?;
                devices.extend(ids.into_iter().map(UsedDevice::Plugin));
            }
            for claim in container.dynamic_resources {
                devices.extend(claimed_devices(claim)?.into_iter().map(UsedDevice::Claim));
            }
            if devices.is_empty() {
                continue;
            }
            check_count(uses.len() + devices.len())?;
            let (namespace, name) = (text(&pod.namespace), text(&pod.name));
            let container = text(&container.name);
            uses.extend(devices.into_iter().map(|device| PodUse {
                namespace: Arc::clone(&namespace),
                pod: Arc::clone(&name),
                container: Arc::clone(&container),
                device,
            }));
        }
    }
    Ok(uses)
}

/// The GPUs that can be allocated.
///
/// # Errors
///
/// If the reply is not understood, or lists too many GPUs.
pub(crate) fn allocatable(
    reply: AllocatableResourcesResponse,
    resource_names: &[String],
    skipped: &mut Skipped,
) -> Result<Vec<DeviceId>, RefreshError> {
    let mut devices = Vec::new();
    for resource in reply.devices {
        devices.extend(device_ids(resource, resource_names, skipped)?);
        check_count(devices.len())?;
    }
    Ok(devices)
}

/// The devices of a resource, if its devices are GPUs.
fn device_ids(
    resource: Bytes,
    resource_names: &[String],
    skipped: &mut Skipped,
) -> Result<Vec<DeviceId>, RefreshError> {
    let ContainerDevices { resource_name, device_ids } = decode(resource)?;
    if !is_gpu(&resource_name, resource_names) {
        return Ok(Vec::new());
    }
    let mut ids = Vec::new();
    for id in device_ids {
        match std::str::from_utf8(&id).ok().and_then(DeviceId::parse) {
            Some(id) => ids.push(id),
            None => skipped.add(RefreshError::new(
                ErrorReason::Malformed,
                format!(
                    "the device id {:?} of {:?} has no known form and is left out",
                    start_of(&id),
                    start_of(&resource_name)
                ),
            )),
        }
    }
    Ok(ids)
}

/// Whether the devices of a resource are GPUs.
fn is_gpu(resource: &[u8], resource_names: &[String]) -> bool {
    matches!(resource, b"nvidia.com/gpu" | b"nvidia.com/gpu.shared")
        || resource.starts_with(b"nvidia.com/mig-")
        || resource_names.iter().any(|name| name.as_bytes() == resource)
}

/// The GPUs of a resource claim.
fn claimed_devices(claim: Bytes) -> Result<Vec<ClaimedDevice>, RefreshError> {
    let claim: DynamicResource = decode(claim)?;
    let mut devices = Vec::new();
    for resource in claim.claim_resources {
        let resource: ClaimResource = decode(resource)?;
        if resource.driver_name != GPU_DRIVER {
            continue;
        }
        devices.push(ClaimedDevice {
            claim: text(&claim.claim_name),
            claim_namespace: text(&claim.claim_namespace),
            device: SliceDevice {
                driver: text(&resource.driver_name),
                pool: text(&resource.pool_name),
                device: text(&resource.device_name),
            },
            share: resource.share_id.filter(|share| !share.is_empty()).map(|share| text(&share)),
        });
    }
    Ok(devices)
}

/// A text of its own, that does not keep the memory of the reply.
fn text(bytes: &[u8]) -> Arc<str> {
    String::from_utf8_lossy(bytes).into()
}

/// The first characters of a text, for the log.
fn start_of(text: &[u8]) -> String {
    let start = text.get(..MOST_LOGGED).unwrap_or(text);
    String::from_utf8_lossy(start).into_owned()
}

fn decode<M: Message + Default>(message: Bytes) -> Result<M, RefreshError> {
    M::decode(message).map_err(|error| {
        let message = format!("the kubelet's reply is not understood: {error}");
        RefreshError::new(ErrorReason::Malformed, message)
    })
}

fn check_count(count: usize) -> Result<(), RefreshError> {
    if count <= MOST_DEVICES {
        return Ok(());
    }
    let message = format!("the kubelet lists more than {MOST_DEVICES} GPUs and shares of GPUs");
    Err(RefreshError::new(ErrorReason::TooLarge, message))
}
