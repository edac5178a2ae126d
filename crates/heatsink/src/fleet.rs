//! Many simulated nodes in one process, each with its own page: to measure what a large fleet costs
//! Prometheus.
//!
//! The first node is the demo's. All others are replicas: copies of one healthy node at one moment,
//! each with its own name and UUIDs, so that ten thousand of them cost no more to simulate than
//! two. Each scrape is rendered and compressed again.

use std::sync::Arc;

use bytes::Bytes;
use exposition::{Format, Layout, Settings};
use model::{Identity, Snapshot};
use sampler::Sampler;
use serde_json::json;

use crate::pages::{self, Content, Encoding};

/// The most nodes that one process can serve to one Prometheus about every half a minute.
pub(crate) const MAX_NODES: u16 = 10_000;

/// The nodes beside the demo's first one.
pub(crate) struct Fleet {
    replica: Sampler,
    /// How many nodes there are, including the first.
    nodes: u16,
    settings: Settings,
}

impl Fleet {
    /// A fleet of `nodes`: all but the first have the readings of `replica`.
    pub(crate) fn new(replica: Sampler, nodes: u16, settings: Settings) -> Self {
        Self { replica, nodes, settings }
    }

    /// The node of a path: `/nodes/gpu-node-00002/metrics`.
    pub(crate) fn node_of(&self, path: &str) -> Option<u16> {
        let name = path.strip_prefix("/nodes/")?.strip_suffix("/metrics")?;
        let number = name.strip_prefix(PREFIX)?.parse().ok()?;
        ((1..=self.nodes).contains(&number) && self::name(number) == name).then_some(number)
    }

    /// The page of a replica.
    pub(crate) fn page(&self, node: u16, format: Format, encoding: Encoding) -> Bytes {
        let settings = Settings { hostname: Some(name(node).into()), ..self.settings.clone() };
        let mut snapshot = Snapshot::clone(&self.replica.snapshot());
        for view in &mut snapshot.gpus {
            if let Some(identity) = &mut view.gpu.identity {
                let uuid = identity.uuid.as_ref().map(|uuid| self::uuid(node, uuid));
                *identity = Arc::new(Identity { uuid, ..(**identity).clone() });
            }
        }
        let layout = Layout::new(&snapshot.watches, format);
        let content = Content { snapshot: Arc::new(snapshot), attribution: None, history: None };
        pages::rendered(&content, &settings, &layout, encoding)
    }

    /// All nodes in the format of Prometheus' HTTP service discovery, at this host and port.
    pub(crate) fn targets(&self, host: &str) -> String {
        let targets = (1..=self.nodes).map(|node| {
            let name = name(node);
            let path = format!("/nodes/{name}/metrics");
            json!({ "targets": [host], "labels": { "__metrics_path__": path, "instance": name } })
        });
        serde_json::Value::from_iter(targets).to_string()
    }
}

const PREFIX: &str = "gpu-node-";

/// The name of a node: `gpu-node-00002`.
pub(crate) fn name(node: u16) -> String {
    format!("{PREFIX}{node:05}")
}

/// A GPU's UUID on another node: its first group is the node's number.
fn uuid(node: u16, uuid: &str) -> String {
    let rest = uuid.strip_prefix("GPU-").and_then(|uuid| uuid.split_once('-'));
    rest.map_or_else(|| uuid.to_owned(), |(_, rest)| format!("GPU-{node:08x}-{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_node_has_its_own_uuids() {
        assert_eq!(uuid(258, "GPU-5cd1-22"), "GPU-00000102-22");
        assert_eq!(uuid(258, "odd"), "odd");
    }
}
