//! The pod network of one node: CNI configuration, masquerading, sysctls, and routes to the other nodes.
//!
//! In: Node objects. Out: files and kernel state, all recognisable as ours (file `10-balsa.conflist`, bridge
//! `balsa0`, table `ip balsa-network`, routes of protocol 98), so that a restart replaces and [`remove`] removes
//! exactly that. Pods of one node share a bridge; between nodes each pod range is routed through its node's
//! InternalIP, which needs the nodes to be on one link.

mod address;
mod cni;
mod masquerade;
#[cfg(test)]
mod network_test;
mod routes;
mod run;
mod sysctl;

use std::net::Ipv4Addr;
use std::path::PathBuf;

use ipnet::Ipv4Net;

pub use self::address::ensure_local_address;
pub use self::cni::BRIDGE;
pub use self::run::{Network, remove};

#[derive(Clone, Debug)]
pub struct NetworkConfig {
    pub node_name: String,
    /// Where the container runtime looks for network configuration, usually `/etc/cni/net.d`.
    pub cni_config_directory: PathBuf,
    /// Where the host-local plugin keeps its leases.
    pub cni_state_directory: PathBuf,
    /// `--cluster-cidr`: traffic inside of it is never masqueraded. None: the node's own pod range.
    pub cluster_cidr: Option<Ipv4Net>,
    /// The address on `lo` that cluster DNS answers on, for [`remove`].
    pub dns_address: Option<Ipv4Addr>,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("cannot write {}", path.display())]
    Write {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot set {}", path.display())]
    Sysctl {
        path: PathBuf,
        #[source]
        source: std::io::Error,
    },
    #[error("cannot open a netlink socket")]
    Netlink(#[source] std::io::Error),
    #[error("cannot list routes")]
    ListRoutes(#[source] rtnetlink::Error),
    #[error("cannot route {destination} through {gateway}")]
    AddRoute {
        destination: Ipv4Net,
        gateway: Ipv4Addr,
        #[source]
        source: rtnetlink::Error,
    },
    #[error("cannot remove the route to {destination}")]
    RemoveRoute {
        destination: Ipv4Net,
        #[source]
        source: rtnetlink::Error,
    },
    #[error("cannot add the address {0} to the loopback interface")]
    AddAddress(Ipv4Addr, #[source] rtnetlink::Error),
    #[error("cannot remove the address {0} from the loopback interface")]
    RemoveAddress(Ipv4Addr, #[source] rtnetlink::Error),
    #[error("cannot remove the bridge of the pod network")]
    RemoveBridge(#[source] rtnetlink::Error),
    #[error("cannot set the rules of the pod network")]
    Rules(#[source] crate::proxy::Error),
}
