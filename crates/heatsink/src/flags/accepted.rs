//! Flags of dcgm-exporter that do nothing here yet: accepted, so that its manifests start heatsink too,
//! and named in the log if their effect is missing.

use crate::flag::Form::{Boolean, Value};
use crate::flag::Support::{NoEffect, NotYet, Refused};
use crate::flag::{Row, Support};

const PODS: Support = NotYet("pod labels");

#[rustfmt::skip]
pub(crate) static ACCEPTED: &[Row] = &[
    Row::accepted(Boolean, "kubernetes",                           Some('k'), "DCGM_EXPORTER_KUBERNETES",                           PODS),
    Row::accepted(Boolean, "kubernetes-enable-pod-labels",         None,      "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_LABELS",         PODS),
    Row::accepted(Boolean, "kubernetes-enable-pod-uid",            None,      "DCGM_EXPORTER_KUBERNETES_ENABLE_POD_UID",            PODS),
    Row::accepted(Value,   "kubernetes-gpu-id-type",               None,      "DCGM_EXPORTER_KUBERNETES_GPU_ID_TYPE",               NoEffect),
    Row::accepted(Value,   "kubernetes-pod-label-allowlist-regex", None,      "DCGM_EXPORTER_KUBERNETES_POD_LABEL_ALLOWLIST_REGEX", PODS),
    Row::accepted(Boolean, "kubernetes-virtual-gpus",              None,      "KUBERNETES_VIRTUAL_GPUS",                            PODS),
    Row::accepted(Boolean, "kubernetes-enable-dra",                None,      "KUBERNETES_ENABLE_DRA",                              PODS),
    Row::accepted(Value,   "pod-resources-kubelet-socket",         None,      "DCGM_POD_RESOURCES_KUBELET_SOCKET",                  NoEffect),
    Row::accepted(Value,   "nvidia-resource-names",                None,      "NVIDIA_RESOURCE_NAMES",                              NoEffect),
    Row::accepted(Value,   "configmap-data",                       Some('m'), "DCGM_EXPORTER_CONFIGMAP_DATA",                       NotYet("counters from a ConfigMap; mount it and name the file with -f")),
    Row::accepted(Value,   "web-config-file",                      None,      "DCGM_EXPORTER_WEB_CONFIG_FILE",                      Refused("TLS and passwords are not served yet; without them the page would be open to all")),
    Row::accepted(Value,   "hpc-job-mapping-dir",                  None,      "DCGM_HPC_JOB_MAPPING_DIR",                           NotYet("label hpc_job")),
    Row::accepted(Boolean, "dump-enabled",                         None,      "DCGM_EXPORTER_DUMP_ENABLED",                         NotYet("dumps")),
    Row::accepted(Value,   "dump-directory",                       None,      "DCGM_EXPORTER_DUMP_DIRECTORY",                       NoEffect),
    Row::accepted(Value,   "dump-retention",                       None,      "DCGM_EXPORTER_DUMP_RETENTION",                       NoEffect),
    Row::accepted(Boolean, "dump-compression",                     None,      "DCGM_EXPORTER_DUMP_COMPRESSION",                     NoEffect),
    Row::accepted(Boolean, "disable-startup-validate",             None,      "DISABLE_STARTUP_VALIDATE",                           NoEffect),
    Row::accepted(Boolean, "enable-gpu-bind-unbind-watch",         None,      "DCGM_EXPORTER_ENABLE_GPU_BIND_UNBIND_WATCH",         NoEffect),
    Row::accepted(Value,   "gpu-bind-unbind-poll-interval",        None,      "DCGM_EXPORTER_GPU_BIND_UNBIND_POLL_INTERVAL",        NoEffect),
    Row::accepted(Boolean, "health-require-gpus",                  None,      "DCGM_EXPORTER_HEALTH_REQUIRE_GPUS",                  NoEffect),
    Row::accepted(Boolean, "enable-pprof",                         None,      "DCGM_EXPORTER_ENABLE_PPROF",                         NoEffect),
];
