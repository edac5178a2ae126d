//! Flags of dcgm-exporter that do nothing here yet: accepted, so that its manifests start heatsink too,
//! and named in the log if their effect is missing.

use crate::flag::Form::{Boolean, Value};
use crate::flag::Row;
use crate::flag::Support::{NoEffect, NotYet};

#[rustfmt::skip]
pub(crate) static ACCEPTED: &[Row] = &[
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
