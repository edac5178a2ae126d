//! The ids by which device plugins name GPUs.

use std::sync::Arc;

use model::DeviceKey;

/// An id, understood.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct DeviceId {
    /// As the device plugin writes it.
    pub(crate) text: Arc<str>,
    pub(crate) key: DeviceKey,
    pub(crate) compute_instance: Option<u32>,
    /// The share, if the id is of a share of the device.
    pub(crate) share: Option<Arc<str>>,
}

impl DeviceId {
    /// Reads an id; `None` if it has no known form.
    pub(crate) fn parse(text: &str) -> Option<Self> {
        let _ = text;
        None
    }
}
