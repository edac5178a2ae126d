//! From the kubelet's replies to what they say of GPUs.

use std::sync::Arc;

use bytes::Bytes;

use super::message::{MalformedMessage, Message};
use crate::claims::DRIVER;
use crate::device_id::DeviceId;
use crate::error::{ErrorReason, RefreshError};
use crate::parts::{ClaimedDevice, PodUse, SliceDevice, UsedDevice};
use crate::settings::KubeletSettings;
use crate::skipped::Skipped;

/// The most GPUs and shares of GPUs of a reply, so that the memory is bounded. A node has a few hundred.
pub(crate) const MOST_DEVICES: usize = 16_384;

/// The longest name in bytes: that of Kubernetes' objects.
const MAX_NAME: usize = 253;

/// The most bytes of an id that the log has.
const MOST_LOGGED: usize = 64;

/// The numbers of fields, as in `proto/podresources.proto`.
mod number {
    pub(super) const PODS: usize = 1;
    pub(super) const POD_NAME: usize = 1;
    pub(super) const POD_NAMESPACE: usize = 2;
    pub(super) const CONTAINERS: usize = 3;
    pub(super) const CONTAINER_NAME: usize = 1;
    pub(super) const DEVICES: usize = 2;
    pub(super) const DYNAMIC_RESOURCES: usize = 5;
    pub(super) const RESOURCE_NAME: usize = 1;
    pub(super) const DEVICE_IDS: usize = 2;
    pub(super) const CLAIM_NAME: usize = 2;
    pub(super) const CLAIM_NAMESPACE: usize = 3;
    pub(super) const CLAIM_RESOURCES: usize = 4;
    pub(super) const DRIVER_NAME: usize = 2;
    pub(super) const POOL_NAME: usize = 3;
    pub(super) const DEVICE_NAME: usize = 4;
    pub(super) const SHARE_ID: usize = 5;
    pub(super) const ALLOCATABLE: usize = 1;
}

/// Reads replies. What is of no use is skipped.
pub(crate) struct ReplyReader<'a> {
    pub(crate) settings: &'a KubeletSettings,
    pub(crate) skipped: &'a mut Skipped,
    /// Whether something of a GPU was skipped, so that a GPU may have a holder that is not known.
    pub(crate) is_incomplete: bool,
}

impl ReplyReader<'_> {
    /// The use of each GPU.
    ///
    /// # Errors
    ///
    /// If the reply is not understood, or lists too many GPUs. A pod that is not understood is skipped.
    pub(crate) fn uses(&mut self, reply: &Message) -> Result<Vec<PodUse>, RefreshError> {
        let mut uses = Vec::new();
        for pod in reply.messages(number::PODS) {
            let before = uses.len();
            match self.pod(&pod.map_err(not_understood)?, &mut uses) {
                Err(error) if error.reason == ErrorReason::Malformed => {
                    uses.truncate(before);
                    self.skip(error);
                }
                result => result?,
            }
        }
        Ok(uses)
    }

    /// The GPUs that can be allocated.
    ///
    /// # Errors
    ///
    /// If the reply is not understood, or lists too many GPUs.
    pub(crate) fn allocatable(&mut self, reply: &Message) -> Result<Vec<DeviceId>, RefreshError> {
        let mut devices = Vec::new();
        for resource in reply.messages(number::ALLOCATABLE) {
            let resource = resource.map_err(not_understood)?;
            self.device_ids(&resource, |id| {
                devices.push(id);
                check_count(devices.len())
            })?;
        }
        Ok(devices)
    }

    fn pod(&mut self, pod: &Message, uses: &mut Vec<PodUse>) -> Result<(), RefreshError> {
        let mut names: Option<(Arc<str>, Arc<str>)> = None;
        for container in pod.messages(number::CONTAINERS) {
            let container = container.map_err(not_understood)?;
            let mut name: Option<Arc<str>> = None;
            let mut add = |device| {
                // Read for the first GPU only: most pods have none.
                let (namespace, pod) = match &mut names {
                    Some(names) => names,
                    none => none
                        .insert((text(pod, number::POD_NAMESPACE)?, text(pod, number::POD_NAME)?)),
                };
                let container = match &mut name {
                    Some(name) => name,
                    none => none.insert(text(&container, number::CONTAINER_NAME)?),
                };
                let (namespace, pod) = (Arc::clone(namespace), Arc::clone(pod));
                uses.push(PodUse {
                    namespace,
                    pod,
                    container: Arc::clone(container),
                    device,
                    since: (0, 0),
                });
                check_count(uses.len())
            };
            for resource in container.messages(number::DEVICES) {
                let resource = resource.map_err(not_understood)?;
                self.device_ids(&resource, |id| add(UsedDevice::Plugin(id)))?;
            }
            for claim in container.messages(number::DYNAMIC_RESOURCES) {
                self.claim(&claim.map_err(not_understood)?, &mut add)?;
            }
        }
        Ok(())
    }

    /// The devices of a resource, if its devices are GPUs.
    fn device_ids(
        &mut self,
        resource: &Message,
        mut take: impl FnMut(DeviceId) -> Result<(), RefreshError>,
    ) -> Result<(), RefreshError> {
        let name = resource.field(number::RESOURCE_NAME).map_err(not_understood)?;
        if !self.is_gpu(&name) {
            return Ok(());
        }
        for id in resource.fields(number::DEVICE_IDS) {
            let id = id.map_err(not_understood)?;
            match std::str::from_utf8(&id).ok().and_then(DeviceId::parse) {
                Some(id) => take(id)?,
                None => self.skip(RefreshError::new(
                    ErrorReason::Malformed,
                    format!(
                        "the device id {:?} of {:?} has no known form and is left out",
                        start_of(&id),
                        start_of(&name)
                    ),
                )),
            }
        }
        Ok(())
    }

    /// Whether the devices of a resource are GPUs.
    fn is_gpu(&self, resource: &[u8]) -> bool {
        matches!(resource, b"nvidia.com/gpu" | b"nvidia.com/gpu.shared")
            || resource.starts_with(b"nvidia.com/mig-")
            || self.settings.resource_names.iter().any(|name| name.as_bytes() == resource)
    }

    /// The GPUs of a resource claim. Without dynamic resource allocation they are not served, and it is
    /// not known which GPUs they are.
    fn claim(
        &mut self,
        claim: &Message,
        take: &mut impl FnMut(UsedDevice) -> Result<(), RefreshError>,
    ) -> Result<(), RefreshError> {
        for resource in claim.messages(number::CLAIM_RESOURCES) {
            let resource = resource.map_err(not_understood)?;
            let driver = resource.field(number::DRIVER_NAME).map_err(not_understood)?;
            if driver != DRIVER.as_bytes() {
                continue;
            }
            if !self.settings.reads_claims {
                self.is_incomplete = true;
                continue;
            }
            let share = Some(text(&resource, number::SHARE_ID)?);
            take(UsedDevice::Claim(ClaimedDevice {
                claim: text(claim, number::CLAIM_NAME)?,
                claim_namespace: text(claim, number::CLAIM_NAMESPACE)?,
                device: SliceDevice {
                    driver: DRIVER.into(),
                    pool: text(&resource, number::POOL_NAME)?,
                    device: text(&resource, number::DEVICE_NAME)?,
                },
                share: share.filter(|share| !share.is_empty()),
            }))?;
        }
        Ok(())
    }

    fn skip(&mut self, error: RefreshError) {
        self.is_incomplete = true;
        self.skipped.add(error);
    }
}

/// A name, which does not keep the memory of the reply.
fn text(message: &Message, number: usize) -> Result<Arc<str>, RefreshError> {
    let bytes: Bytes = message.field(number).map_err(not_understood)?;
    if bytes.len() > MAX_NAME {
        let message = format!("a name is longer than {MAX_NAME} bytes; its pod is left out");
        return Err(RefreshError::new(ErrorReason::Malformed, message));
    }
    Ok(String::from_utf8_lossy(&bytes).into())
}

/// The first characters of a text, for the log.
fn start_of(text: &[u8]) -> String {
    let start = text.get(..MOST_LOGGED).unwrap_or(text);
    String::from_utf8_lossy(start).into_owned()
}

fn not_understood(error: MalformedMessage) -> RefreshError {
    let message = format!("a part of the kubelet's reply is not understood: {error}");
    RefreshError::new(ErrorReason::Malformed, message)
}

fn check_count(count: usize) -> Result<(), RefreshError> {
    if count <= MOST_DEVICES {
        return Ok(());
    }
    let message = format!(
        "the kubelet lists more than {MOST_DEVICES} GPUs and shares of GPUs: too many to follow"
    );
    Err(RefreshError::new(ErrorReason::TooLarge, message))
}
