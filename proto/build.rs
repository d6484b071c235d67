//! Compiles every `.proto` below `proto/` with protox: no protoc is needed to build Balsa.

use std::path::{Path, PathBuf};

/// Roots of the wires; what they import comes along.
const ROOTS: &[&str] = &[
    "etcd/etcdserverpb/rpc.proto",
    "etcd/v3lockpb/v3lock.proto",
    "etcd/v3electionpb/v3election.proto",
    "balsa/store/v1/command.proto",
    "balsa/store/v1/history.proto",
    "balsa/store/v1/peer.proto",
    "balsa/resources/v1/resources.proto",
    "cri/api.proto",
    "openapi_v2.proto",
];

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let include = Path::new("proto");
    println!("cargo:rerun-if-changed=proto");
    let roots: Vec<PathBuf> =
        ROOTS.iter().map(|root| include.join(root)).filter(|path| path.exists()).collect();
    let descriptors = protox::compile(roots, [include])?;
    tonic_prost_build::configure().bytes(".").compile_fds(descriptors)?;
    Ok(())
}
