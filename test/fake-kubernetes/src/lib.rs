//! A kubelet and a Kubernetes API server with faults on command, for tests.

#![forbid(unsafe_code)]

pub mod api_server;
pub mod kubelet;
