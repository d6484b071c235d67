//! The wires of Balsa: generated types, typed clients and the words of the Kubernetes API machinery.
//!
//! | module | wire | source |
//! |---|---|---|
//! | [`etcd`] | etcd v3 gRPC, as clients of the store speak it | `proto/etcd` |
//! | [`health`] | gRPC's own health service | `proto/grpc` |
//! | [`store`] | raft entries, the peer service between store members, and what our store tells beyond etcd | `proto/balsa/store` |
//! | [`resources`] | the apiserver's gRPC door for components | `proto/balsa/resources` |
//! | [`cri`] | the container runtime interface, v1 | `proto/cri` |
//! | [`meta`] | selectors, quantities, object metadata | Kubernetes API conventions |
//! | [`reloading_cert`] | the certificate that one shows in TLS, renewed without a restart | |
//! | [`unverified`] | a TLS client that takes any certificate | |
//! | [`client`] | the one client of the resources door: watch, reflector, work queue, lease lock | |

pub mod client;
pub mod meta;
pub mod reloading_cert;
pub mod unverified;

/// Generated code, in the module tree that its own paths expect: one module per segment of a package's name.
mod generated {
    #![allow(clippy::all, clippy::unwrap_used, missing_docs)]
    pub mod mvccpb {
        tonic::include_proto!("mvccpb");
    }
    pub mod authpb {
        tonic::include_proto!("authpb");
    }
    pub mod etcdserverpb {
        tonic::include_proto!("etcdserverpb");
    }
    pub mod v3lockpb {
        tonic::include_proto!("v3lockpb");
    }
    pub mod v3electionpb {
        tonic::include_proto!("v3electionpb");
    }
    pub mod grpc {
        pub mod health {
            pub mod v1 {
                tonic::include_proto!("grpc.health.v1");
            }
        }
    }
    pub mod balsa {
        pub mod store {
            pub mod v1 {
                tonic::include_proto!("balsa.store.v1");
            }
        }
        pub mod resources {
            pub mod v1 {
                tonic::include_proto!("balsa.resources.v1");
            }
        }
    }
    pub mod runtime {
        pub mod v1 {
            tonic::include_proto!("runtime.v1");
        }
    }
}

pub use generated::balsa::resources::v1 as resources;
pub use generated::balsa::store::v1 as store;
pub use generated::grpc::health::v1 as health;
pub use generated::runtime::v1 as cri;

/// Every message and service above as an encoded `google.protobuf.FileDescriptorSet`.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/descriptors.bin"));

/// etcd v3 on the wire.
pub mod etcd {
    pub use crate::generated::{authpb, etcdserverpb, mvccpb, v3electionpb, v3lockpb};
}
