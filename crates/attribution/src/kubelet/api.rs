//! The kubelet's pod resources API, from `proto/podresources.proto`.

tonic::include_proto!("v1");
