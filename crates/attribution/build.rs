//! Compiles the kubelet's interface. `protox` is a compiler in Rust, so that no `protoc` is needed.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let files = protox::compile(["podresources.proto"], ["proto"])?;
    println!("cargo::rerun-if-changed=proto");
    let mut config = tonic_prost_build::Config::new();
    // Replies are read field by field.
    config.bytes(["."]);
    for reply in ["ListPodResourcesResponse", "AllocatableResourcesResponse"] {
        config.extern_path(format!(".v1.{reply}"), "crate::kubelet::message::Message");
    }
    tonic_prost_build::configure().build_server(false).compile_fds_with_config(files, config)?;
    Ok(())
}
