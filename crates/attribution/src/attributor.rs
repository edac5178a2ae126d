//! Starts the refreshers, and hands out what they have found.

use std::sync::Arc;

use model::{Attribution, Moment};

use crate::error::{ErrorReason, RefreshError};
use crate::parts::PartKind;
use crate::settings::{ApiServer, Settings};
use crate::shared::Shared;
use crate::{checkpoint, jobs, kubelet, node, pods, resource_slices};

/// Knows who uses the GPUs. The refreshers end when it is dropped.
pub struct Attributor {
    shared: Arc<Shared>,
}

/// A refresher has no thread.
#[derive(Debug, thiserror::Error)]
#[error("cannot start a thread that finds the holders of GPUs: {0}")]
pub struct StartError(#[from] std::io::Error);

impl Attributor {
    /// Starts the refreshers that the settings ask for. `None` if they ask for none.
    ///
    /// # Errors
    ///
    /// If a refresher cannot have a thread. What it looks at need not be there yet.
    pub fn start(settings: Settings) -> Result<Option<Self>, StartError> {
        let kinds = [
            (settings.kubelet.is_some(), PartKind::Kubelet),
            (settings.pods.is_some(), PartKind::Pods),
            (settings.dra.is_some(), PartKind::ResourceSlices),
            (settings.dra.is_some(), PartKind::Checkpoint),
            (settings.node.is_some(), PartKind::Node),
            (settings.jobs.is_some(), PartKind::Jobs),
        ];
        let kinds: Vec<PartKind> =
            kinds.into_iter().filter(|(is_on, _)| *is_on).map(|(_, kind)| kind).collect();
        if kinds.is_empty() {
            return Ok(None);
        }
        let shared = Arc::new(Shared::new(settings, kinds));
        let settings = &shared.settings;
        if let Some(kubelet) = &settings.kubelet {
            kubelet::start(&shared, kubelet)?;
        }
        if let Some(pods) = &settings.pods {
            match check(&pods.api) {
                Ok(()) => pods::start(&shared, pods)?,
                Err(error) => shared.end(PartKind::Pods, Err(error)),
            }
        }
        if let Some(dra) = &settings.dra {
            match check(&dra.api) {
                Ok(()) => resource_slices::start(&shared, dra)?,
                Err(error) => shared.end(PartKind::ResourceSlices, Err(error)),
            }
            checkpoint::start(&shared, dra)?;
        }
        if let Some(node) = &settings.node {
            node::start(&shared, node)?;
        }
        if let Some(jobs) = &settings.jobs {
            jobs::start(&shared, jobs)?;
        }
        Ok(Some(Self { shared }))
    }

    /// Who uses the GPUs at `now`. Waits for nothing.
    pub fn current(&self, now: Moment) -> Arc<Attribution> {
        self.shared.current(now)
    }
}

/// Whether the API server can be asked for the objects of this node. Without its name, the answer would be
/// those of the whole cluster.
fn check(api: &ApiServer) -> Result<(), RefreshError> {
    let missing = if api.node_name.is_empty() {
        "NODE_NAME is not set: set it to spec.nodeName, as the chart does"
    } else if api.url.is_empty() {
        "KUBERNETES_SERVICE_HOST is not set: this process is in no pod, so it has no API server"
    } else {
        return Ok(());
    };
    Err(RefreshError::new(ErrorReason::Absent, missing))
}

impl Drop for Attributor {
    fn drop(&mut self) {
        // Not waited for: one may be inside a read that does not return.
        self.shared.stop();
    }
}
