//! Compiles the kubelet's interface, of which this is the other side.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let folder = "../../crates/attribution/proto";
    let files = protox::compile(["podresources.proto"], [folder])?;
    println!("cargo::rerun-if-changed={folder}");
    tonic_prost_build::configure().build_client(false).compile_fds(files)?;
    Ok(())
}
