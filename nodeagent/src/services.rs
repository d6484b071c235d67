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
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;
use tracing::error;

use crate::config::{Config, RuntimeChoice};
use crate::dns::{self, DnsConfig, Upstreams, Zone};
use crate::network::{self, Network, NetworkConfig};
use crate::proxy::{self, Feed, NodeView, Proxy, ProxyMode};

const DNS_PORT: u16 = 53;
const STOCK_CNI_DIRECTORY: &str = "/etc/cni/net.d";

#[derive(Clone, Debug, clap::Args)]
pub struct Args {
    /// nftables, or none where another proxy runs
    #[arg(long, default_value = "nftables", value_name = "MODE")]
    pub proxy_mode: ProxyMode,
    /// Range of all pods of the cluster; sources outside of it are masqueraded on their way to a ClusterIP
    #[arg(long, value_name = "CIDR")]
    pub cluster_cidr: Option<Ipv4Net>,
    /// Answer DNS on the first IPv4 address of --cluster-dns
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub serve_dns: bool,
    /// Write the CNI configuration and the routes of the pod network
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub pod_network: bool,
    /// Where the container runtime looks for network configuration; by default where ours looks, or /etc/cni/net.d
    #[arg(long, value_name = "DIR")]
    pub cni_conf_dir: Option<PathBuf>,
}

impl Default for Args {
    fn default() -> Self {
        Self {
            proxy_mode: ProxyMode::Nftables,
            cluster_cidr: None,
            serve_dns: true,
            pod_network: true,
            cni_conf_dir: None,
        }
    }
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

/// Returns when everything that is asked for is running.
pub async fn start(
    config: &Config,
    client: &Client,
    tasks: &TaskTracker,
    shutdown: &CancellationToken,
) -> Result<(), Error> {
    let mut feed = Feed::new(client);
    let proxy = match config.services.proxy_mode {
        ProxyMode::Nftables => Some(Proxy::open(node_view(config), &mut feed).await?),
        ProxyMode::None => None,
    };
    let dns = match dns_address(config) {
        Some(address) => Some(bind_dns(config, address, &mut feed).await?),
        None => None,
    };
    if config.services.pod_network {
        let mut nodes = Reflector::<Node>::new(client.clone(), Scope::default());
        let network = Network::open(network_config(config), &mut nodes)?;
        tasks.spawn(nodes.run(shutdown.clone()));
        tasks.spawn(network.run(shutdown.clone()));
    }
    if proxy.is_some() || dns.is_some() {
        tasks.spawn(feed.services.run(shutdown.clone()));
        tasks.spawn(feed.slices.run(shutdown.clone()));
    }
    if let Some(proxy) = proxy {
        tasks.spawn(proxy.run(shutdown.clone()));
    }
    if let Some(dns) = dns {
        let shutdown = shutdown.clone();
        tasks.spawn(async move {
            if let Err(stopped) = dns.run(shutdown).await {
                error!(error = &stopped as &dyn std::error::Error, "cluster DNS ended");
            }
        });
    }
    Ok(())
}

/// Where this node answers DNS, if it does.
fn dns_address(config: &Config) -> Option<Ipv4Addr> {
    let addresses = config.cluster_dns.iter().filter_map(|address| match address {
        IpAddr::V4(address) => Some(*address),
        IpAddr::V6(_) => None,
    });
    addresses.take(usize::from(config.services.serve_dns)).next()
}

async fn bind_dns(config: &Config, address: Ipv4Addr, feed: &mut Feed) -> Result<dns::Server, Error> {
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

fn node_view(config: &Config) -> NodeView {
    NodeView {
        name: config.node_name.clone(),
        cluster_cidr: config.services.cluster_cidr,
        own_service_addresses: dns_address(config).into_iter().collect(),
    }
}

pub(crate) fn network_config(config: &Config) -> NetworkConfig {
    let runtime_directory = match &config.runtime {
        RuntimeChoice::Endpoint(_) => PathBuf::from(STOCK_CNI_DIRECTORY),
        RuntimeChoice::Supervised(containerd) => containerd.cni_conf_dir.clone(),
    };
    NetworkConfig {
        node_name: config.node_name.clone(),
        cni_config_directory: config.services.cni_conf_dir.clone().unwrap_or(runtime_directory),
        cni_state_directory: config.root_dir.join("pod-addresses"),
        cluster_cidr: config.services.cluster_cidr,
        dns_address: dns_address(config),
    }
}
