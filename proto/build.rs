//! Compiles every `.proto` below `proto/` with protox: no protoc is needed to build Balsa.

use std::path::{Path, PathBuf};

use prost::Message;

/// Roots of the wires; what they import comes along.
const ROOTS: &[&str] = &[
    "etcd/etcdserverpb/rpc.proto",
    "etcd/v3lockpb/v3lock.proto",
    "etcd/v3electionpb/v3election.proto",
    "grpc/health/v1/health.proto",
    "balsa/store/v1/command.proto",
    "balsa/store/v1/history.proto",
    "balsa/store/v1/peer.proto",
    "balsa/resources/v1/resources.proto",
    "cri/api.proto",
    "openapi_v2.proto",
];

/// What the services look like, for code that works on all messages alike. Comments and positions are left out.
fn write_descriptors(descriptors: &prost_types::FileDescriptorSet) -> std::io::Result<()> {
    let mut bare = descriptors.clone();
    for file in &mut bare.file {
        file.source_code_info = None;
    }
    let out = std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR");
    std::fs::write(Path::new(&out).join("descriptors.bin"), bare.encode_to_vec())
}

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let include = Path::new("proto");
    println!("cargo:rerun-if-changed=proto");
    let roots: Vec<PathBuf> =
        ROOTS.iter().map(|root| include.join(root)).filter(|path| path.exists()).collect();
    let descriptors = protox::compile(roots, [include])?;
    write_descriptors(&descriptors)?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
