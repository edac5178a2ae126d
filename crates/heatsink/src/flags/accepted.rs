//! Flags of dcgm-exporter that are no setting here: accepted, so that its manifests start heatsink too.
//! A warning at the start says which have no effect, and why. Without one are those whose effect heatsink
//! always has.

use crate::flag::Form::{Boolean, Value};
use crate::flag::Row;
use crate::flag::Support::{NoEffect, Served};

const NO_DUMPS: &str = "heatsink writes no dumps; `heatsink check --json` prints every reading";

const NO_CONTAINERS: &str = "labels of containers outside Kubernetes are not implemented";

const NO_SAMPLES: &str = "heatsink decides what DCGM keeps, and no value depends on it";

const OWN_LIMITS: &str = "heatsink has its own limits for slow clients";

/// The default of each is dcgm-exporter's: a flag with its default value gives no warning.
#[rustfmt::skip]
pub(crate) static ACCEPTED: &[Row] = &[
    // heatsink starts without a driver and without GPUs, and tries again.
    Row::accepted(Boolean, "disable-startup-validate",      "DISABLE_STARTUP_VALIDATE",                    "", Served),
    // It always looks for GPUs that come or go.
    Row::accepted(Boolean, "enable-gpu-bind-unbind-watch",  "DCGM_EXPORTER_ENABLE_GPU_BIND_UNBIND_WATCH",  "", Served),
    Row::accepted(Value,   "gpu-bind-unbind-poll-interval", "DCGM_EXPORTER_GPU_BIND_UNBIND_POLL_INTERVAL", "1s", NoEffect("GPUs that come or go are always noticed within about a second")),
    Row::accepted(Boolean, "dump-enabled",                  "DCGM_EXPORTER_DUMP_ENABLED",                  "", NoEffect(NO_DUMPS)),
    Row::accepted(Value,   "dump-directory",                "DCGM_EXPORTER_DUMP_DIRECTORY",                "/tmp/dcgm-exporter-debug", NoEffect(NO_DUMPS)),
    Row::accepted(Value,   "dump-retention",                "DCGM_EXPORTER_DUMP_RETENTION",                "24", NoEffect(NO_DUMPS)),
    Row::accepted(Boolean, "dump-compression",              "DCGM_EXPORTER_DUMP_COMPRESSION",              "true", NoEffect(NO_DUMPS)),
    Row::accepted(Boolean, "enable-pprof",                  "DCGM_EXPORTER_ENABLE_PPROF",                  "", NoEffect("heatsink is not a Go program")),
    Row::accepted(Boolean, "enable-exporter-metrics",       "DCGM_EXPORTER_ENABLE_EXPORTER_METRICS",       "", NoEffect("`process_*` and `heatsink_*` are always on the page, `go_*` and `promhttp_*` never")),
    Row::accepted(Value,   "web-read-timeout",              "DCGM_EXPORTER_WEB_READ_TIMEOUT",              "10s", NoEffect(OWN_LIMITS)),
    Row::accepted(Value,   "web-write-timeout",             "DCGM_EXPORTER_WEB_WRITE_TIMEOUT",             "30s", NoEffect(OWN_LIMITS)),
    Row::accepted(Value,   "max-concurrent-scrapes",        "DCGM_EXPORTER_MAX_CONCURRENT_SCRAPES",        "16", NoEffect("no scrape waits for another; `--max-connections` limits connections")),
    Row::accepted(Value,   "watch-max-keep-age",            "DCGM_EXPORTER_WATCH_MAX_KEEP_AGE",            "10m", NoEffect(NO_SAMPLES)),
    Row::accepted(Value,   "watch-max-keep-samples",        "DCGM_EXPORTER_WATCH_MAX_KEEP_SAMPLES",        "0", NoEffect(NO_SAMPLES)),
    Row::accepted(Boolean, "container-labels",              "DCGM_EXPORTER_CONTAINER_LABELS",              "", NoEffect(NO_CONTAINERS)),
    Row::accepted(Value,   "container-runtime-socket",      "DCGM_CONTAINER_RUNTIME_SOCKET",               "", NoEffect(NO_CONTAINERS)),
];
