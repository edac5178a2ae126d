//! Many simulated nodes behind one process, each with a page of its own: what it takes to find out
//! what a large fleet costs a Prometheus.
//!
//! The first node is the demo's. All others are twins: copies of one healthy node at one moment,
//! under names and UUIDs of their own, so that ten thousand of them cost no more to simulate than
//! two. Each scrape is rendered and compressed anew.

use std::sync::Arc;

use bytes::Bytes;
use exposition::{Layout, Settings};
use model::{Identity, Snapshot};
use sampler::Sampler;
use serde_json::json;

use crate::pages::{self, Encoding};

/// As many as one process can serve to one Prometheus every half a minute or so.
pub(crate) const MOST_NODES: u16 = 10_000;

/// The nodes beside the demo's own.
pub(crate) struct Fleet {
    twin: Sampler,
    /// Of all nodes, the first included.
    nodes: u16,
    settings: Settings,
}

impl Fleet {
    /// A fleet of `nodes`: all but the first are what `twin` reads.
    pub(crate) fn new(twin: Sampler, nodes: u16, settings: Settings) -> Self {
        Self { twin, nodes, settings }
    }

    /// Which node is meant by a path, if it is the path of one.
    pub(crate) fn node_of(&self, path: &str) -> Option<u16> {
        let name = path.strip_prefix("/nodes/")?.strip_suffix("/metrics")?;
        let number = name.strip_prefix(PREFIX)?.parse().ok()?;
        ((1..=self.nodes).contains(&number) && self::name(number) == name).then_some(number)
    }

    /// The page of a twin.
    pub(crate) fn page(&self, node: u16, encoding: Encoding) -> Bytes {
        let settings = Settings { hostname: Some(name(node).into()), ..self.settings.clone() };
        let mut snapshot = Snapshot::clone(&self.twin.snapshot());
        for view in &mut snapshot.gpus {
            if let Some(identity) = &mut view.gpu.identity {
                let uuid = identity.uuid.as_ref().map(|twin| uuid(node, twin));
                *identity = Arc::new(Identity { uuid, ..(**identity).clone() });
            }
        }
        pages::rendered(&snapshot, &settings, &Layout::new(&snapshot.watches), encoding)
    }

    /// Every node as Prometheus' HTTP service discovery wants it, at this host and port.
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

/// What a node is called.
pub(crate) fn name(node: u16) -> String {
    format!("{PREFIX}{node:05}")
}

/// A GPU's UUID on another node: its first group is the node's number.
fn uuid(node: u16, twin: &str) -> String {
    let rest = twin.strip_prefix("GPU-").and_then(|uuid| uuid.split_once('-'));
    rest.map_or_else(|| twin.to_owned(), |(_, rest)| format!("GPU-{node:08x}-{rest}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_are_a_nodes_own() {
        assert_eq!(uuid(258, "GPU-5cd1-22"), "GPU-00000102-22");
        assert_eq!(uuid(258, "odd"), "odd");
    }
}
