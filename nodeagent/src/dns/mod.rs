//! Cluster DNS: names of services and pods from the reflectors, everything else from the host's servers.
//!
//! [`Zone`] answers from memory and is pure; [`server`] speaks UDP and TCP on the cluster DNS address and forwards
//! what is not ours. Every node answers for itself: a query never leaves the node unless it is for a foreign name.
//! Source: Kubernetes DNS-Based Service Discovery 1.1.0.

#[cfg(test)]
mod dns_test;
mod name;
mod records;
mod server;
mod upstream;
mod zone;

pub use self::server::{DnsConfig, Error, Server};
pub use self::upstream::Upstreams;
pub use self::zone::{Answer, Zone};

/// How long clients keep an answer, and (SOA minimum) a no. Short, since endpoints move.
const TTL_SECONDS: u32 = 5;
