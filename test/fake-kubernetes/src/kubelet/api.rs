//! The pod resources API, from `crates/attribution/proto`.

tonic::include_proto!("v1");
