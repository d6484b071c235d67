//! The service proxy: ClusterIPs, NodePorts, external and load balancer addresses in nftables.
//!
//! ```text
//!  Service, EndpointSlice events ──► dirty services ──► plan (pure) ──► Model ──diff──► text ──► nft -f -
//! ```
//! We own the table `ip kube-proxy` and keep its whole content in memory: the kernel is written, never listed.
//! At the start, and after a transaction that failed, the table is rewritten in one transaction; everything else is
//! a transaction of differences. Promised: the table is at every moment the complete answer to some recent state.
//! Not promised: that established connections move when an endpoint goes, except for UDP flows, which are flushed.
//! Not yet: healthCheckNodePort, topology hints, IPv6.

mod conntrack;
mod diff;
mod feed;
mod model;
mod nft;
mod plan;
#[cfg(test)]
mod proxy_test;
mod run;
#[cfg(test)]
mod traffic_test;

pub use self::feed::{BY_ADDRESS, BY_SERVICE, Feed, service_of};
pub use self::model::{Model, Protocol};
pub use self::nft::apply as apply_rules;
pub use self::plan::{NodeView, plan};
pub use self::run::Proxy;

use std::str::FromStr;

/// `--proxy-mode`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ProxyMode {
    #[default]
    Nftables,
    /// Somebody else's proxy runs on this node.
    None,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("proxy mode {0:?} is not available: this node agent programs services with nftables only")]
    Mode(String),
    #[error("nft is not installed: the service proxy needs the nftables package")]
    NftMissing,
    #[error("cannot run nft")]
    NftRun(#[source] std::io::Error),
    #[error("nft refused a transaction: {0}")]
    NftRefused(String),
}

impl FromStr for ProxyMode {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        match text {
            "" | "nftables" => Ok(Self::Nftables),
            "none" => Ok(Self::None),
            other => Err(Error::Mode(other.to_owned())),
        }
    }
}

/// Takes the table away: services stop working on this node.
pub async fn remove() -> Result<(), Error> {
    apply_rules(&nft::removal()).await
}
