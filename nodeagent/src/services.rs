//! What a node does for services: the proxy, cluster DNS and the pod network, started together.
//!
//! They share three reflectors (services, endpoint slices, nodes) on the node's one client. What the host lacks
//! is said at once by [`start`]; after that each part is a task that ends with `shutdown` and leaves its kernel
//! state in place, so that services keep working while the agent restarts.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::path::PathBuf;

use balsa_proto::client::{Client, Reflector, Scope};
use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::Node;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::dns::{self, DnsConfig, Upstreams, Zone};
use crate::network::{self, Network, NetworkConfig};
use crate::proxy::{self, Feed, NodeView, Proxy, ProxyMode};

const DNS_PORT: u16 = 53;

#[derive(Clone, Debug)]
pub struct ServicesConfig {
    pub node_name: String,
    /// `--proxy-mode`
    pub proxy_mode: ProxyMode,
    /// `--cluster-cidr`: all pods of the cluster.
    pub cluster_cidr: Option<Ipv4Net>,
    /// Where DNS answers; without it this node runs none.
    pub cluster_dns: Option<Ipv4Addr>,
    pub cluster_domain: String,
    /// Whose name servers are asked for foreign names.
    pub resolv_conf: PathBuf,
    /// Where the container runtime looks for network configuration.
    pub cni_config_directory: PathBuf,
    /// Where the host-local plugin keeps its leases.
    pub cni_state_directory: PathBuf,
}

#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error("the service proxy cannot start")]
    Proxy(#[from] proxy::Error),
    #[error("cluster DNS cannot start")]
    Dns(#[from] dns::Error),
    #[error("the pod network cannot start")]
    Network(#[from] network::Error),
}

/// Returns when everything is running; the receiver turns true when pods can get addresses.
pub async fn start(
    config: ServicesConfig,
    client: &Client,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<watch::Receiver<bool>, Error> {
    let mut feed = Feed::new(client);
    let mut nodes = Reflector::<Node>::new(client.clone(), Scope::default());

    let proxy = match config.proxy_mode {
        ProxyMode::Nftables => Proxy::open(node_view(&config), &mut feed).await?,
    };
    let dns = match config.cluster_dns {
        Some(address) => Some(bind_dns(&config, address, &mut feed).await?),
        None => None,
    };
    let network = Network::open(network_config(&config), &mut nodes).await?;
    let network_ready = network.ready();

    tasks.spawn(feed.services.run(shutdown.clone()));
    tasks.spawn(feed.slices.run(shutdown.clone()));
    tasks.spawn(nodes.run(shutdown.clone()));
    tasks.spawn(proxy.run(shutdown.clone()));
    tasks.spawn(network.run(shutdown.clone()));
    if let Some(dns) = dns {
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            if let Err(stopped) = dns.run(shutdown).await {
                error!(error = &stopped as &dyn std::error::Error, "cluster DNS ended");
            }
        });
    }
    Ok(network_ready)
}

async fn bind_dns(config: &ServicesConfig, address: Ipv4Addr, feed: &mut Feed) -> Result<dns::Server, Error> {
    network::ensure_local_address(address).await?;
    let zone = Zone {
        domain: config.cluster_domain.clone(),
        address,
        services: feed.services.store(),
        slices: feed.slices.store(),
    };
    let upstreams = Upstreams::from_resolv_conf(config.resolv_conf.clone(), vec![IpAddr::V4(address)]);
    let listen = SocketAddr::from((address, DNS_PORT));
    Ok(dns::Server::bind(DnsConfig { listen }, zone, upstreams).await?)
}

fn node_view(config: &ServicesConfig) -> NodeView {
    NodeView {
        name: config.node_name.clone(),
        cluster_cidr: config.cluster_cidr,
        own_service_addresses: config.cluster_dns.into_iter().collect(),
    }
}

fn network_config(config: &ServicesConfig) -> NetworkConfig {
    NetworkConfig {
        node_name: config.node_name.clone(),
        cni_config_directory: config.cni_config_directory.clone(),
        cni_state_directory: config.cni_state_directory.clone(),
        cluster_cidr: config.cluster_cidr,
    }
}
