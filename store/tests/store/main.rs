//! The store as its users meet it: whole members over loopback ports, stock programs beside them. One program, since each
//! would link the whole store again. Run a part by its name: `cargo test --test store -- conformance`.

#![allow(clippy::unwrap_used)]

mod auth;
mod cluster;
mod cluster_storage;
mod conformance;
mod etcd_bugs;
mod harness;
mod raft_log;
mod range_wire;
mod snapshot;
mod space;
mod unclean;
