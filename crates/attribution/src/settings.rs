//! Settings of the refreshers.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use crate::pod_labels::AllowList;

/// What is looked at, and how often.
#[derive(Clone, Debug)]
pub struct Settings {
    /// From one look to the next.
    pub interval: Duration,
    /// How long the last result of a refresher is used while it fails.
    pub max_age: Duration,
    /// The kubelet; `None` outside Kubernetes.
    pub kubelet: Option<KubeletSettings>,
    /// Labels and UIDs of pods from the API server.
    pub pods: Option<PodSettings>,
    /// Dynamic resource allocation.
    pub dra: Option<DraSettings>,
    /// Pod UIDs from files of this node.
    pub node: Option<NodeSettings>,
    /// Job files.
    pub jobs: Option<JobSettings>,
}

/// How the kubelet is asked.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KubeletSettings {
    /// Its socket for pod resources.
    pub socket: PathBuf,
    /// Whether resource claims are read.
    pub reads_claims: bool,
    /// Resource names of GPUs besides `nvidia.com/gpu`, `nvidia.com/gpu.shared` and `nvidia.com/mig-*`.
    pub resource_names: Vec<String>,
}

/// The API server, and this node's name.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ApiServer {
    /// `https://host:port`.
    pub url: String,
    /// The folder with the service account's `token` and `ca.crt`.
    pub service_account: PathBuf,
    /// The name of this node, as Kubernetes has it.
    pub node_name: String,
}

/// What is wanted of this node's pods from the API server.
#[derive(Clone, Debug)]
pub struct PodSettings {
    /// The API server.
    pub api: ApiServer,
    /// The pod labels to serve; `None` for none of them, only UIDs.
    pub labels: Option<PodLabelSettings>,
}

/// Which labels of a pod become labels of its series.
#[derive(Clone, Debug)]
pub struct PodLabelSettings {
    /// The names that are allowed.
    pub allow: Arc<AllowList>,
    /// The most labels of a pod.
    pub most: usize,
}

/// Where the devices of resource claims are described.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DraSettings {
    /// The API server with the resource slices.
    pub api: ApiServer,
    /// The checkpoint file of NVIDIA's DRA driver on this node.
    pub checkpoint: PathBuf,
}

/// Folders of this node.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct NodeSettings {
    /// `/var/log/pods`.
    pub pod_logs: PathBuf,
    /// `/sys/fs/cgroup`.
    pub cgroups: PathBuf,
}

/// Job files.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct JobSettings {
    /// The folder with a file for each GPU.
    pub folder: PathBuf,
}
