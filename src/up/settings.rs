//! What `balsa up` was asked for, and what follows from it.

use std::net::{IpAddr, Ipv4Addr, UdpSocket};
use std::path::PathBuf;

use anyhow::{Context, Result};

use super::layout::Layout;

/// The tenth address of the service range, where every stock cluster has its DNS.
pub const CLUSTER_DNS: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 10);
/// The first address of the service range: the `kubernetes` Service.
pub const FIRST_SERVICE: Ipv4Addr = Ipv4Addr::new(10, 96, 0, 1);
pub const SERVICE_RANGE: &str = "10.96.0.0/16";
pub const POD_RANGE: &str = "10.244.0.0/16";
pub const CLUSTER_DOMAIN: &str = "cluster.local";
pub const KUBELET_PORT: u16 = 10250;

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// Where everything is kept: certificates, the store, containers, volumes.
    #[arg(long, default_value = "/var/lib/balsa")]
    pub data_dir: PathBuf,

    /// Name of this node; the machine's host name if not given.
    #[arg(long)]
    pub node_name: Option<String>,

    /// Address of this node that others reach it at; that of the default route if not given.
    #[arg(long)]
    pub node_ip: Option<IpAddr>,

    /// Port of the API server, on all addresses.
    #[arg(long, default_value_t = 6443)]
    pub secure_port: u16,

    /// An etcd to use in place of the store inside: http:// or https:// URLs with commas between.
    #[arg(long, value_name = "URLS")]
    pub etcd_servers: Option<String>,

    /// Loopback port of the store inside, for clients.
    #[arg(long, default_value_t = 2379)]
    pub store_client_port: u16,

    /// Loopback port of the store inside, for peers.
    #[arg(long, default_value_t = 2380)]
    pub store_peer_port: u16,

    /// A CRI v1 socket to use in place of a containerd of our own, such as unix:///run/containerd/containerd.sock.
    #[arg(long, value_name = "URL")]
    pub container_runtime_endpoint: Option<String>,

    /// What is logged: error, warn, info, debug, or a filter such as info,balsa_store=debug.
    #[arg(long, default_value = "warn")]
    pub log_level: String,
}

/// The arguments with nothing left open.
pub struct Settings {
    pub layout: Layout,
    pub node_name: String,
    pub node_ip: IpAddr,
    pub secure_port: u16,
    pub etcd_servers: Option<String>,
    pub store_client_port: u16,
    pub store_peer_port: u16,
    pub container_runtime_endpoint: Option<String>,
}

impl Settings {
    pub fn resolve(args: Args) -> Result<Self> {
        Ok(Self {
            layout: Layout::under(&args.data_dir)?,
            node_name: args.node_name.map_or_else(host_name, Ok)?.to_lowercase(),
            node_ip: args.node_ip.unwrap_or_else(default_route_address),
            secure_port: args.secure_port,
            etcd_servers: args.etcd_servers,
            store_client_port: args.store_client_port,
            store_peer_port: args.store_peer_port,
            container_runtime_endpoint: args.container_runtime_endpoint,
        })
    }

    /// Whether this machine's processes are the only ones of the cluster: its store is inside, and its data directory
    /// is locked. Leader election would then only delay a start after a crash.
    pub fn is_alone(&self) -> bool {
        self.etcd_servers.is_none()
    }

    /// The path of a runtime's socket that is not ours.
    pub fn runtime_socket(&self) -> Option<&str> {
        self.container_runtime_endpoint.as_deref().map(|endpoint| endpoint.trim_start_matches("unix://"))
    }

    pub fn server_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.secure_port)
    }

    pub fn store_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.store_client_port)
    }

    pub fn store_peer_url(&self) -> String {
        format!("https://127.0.0.1:{}", self.store_peer_port)
    }

    pub fn node_url(&self) -> String {
        format!("https://{}:{KUBELET_PORT}", self.node_ip)
    }
}

fn host_name() -> Result<String> {
    let name = nix::unistd::gethostname().context("read the machine's host name")?;
    name.into_string().map_err(|name| anyhow::anyhow!("the host name {name:?} is not text: give --node-name"))
}

/// The address that a packet to the world would carry; nothing is sent. Loopback on a machine without a route.
fn default_route_address() -> IpAddr {
    let probe = || {
        let socket = UdpSocket::bind("0.0.0.0:0")?;
        // TEST-NET-1: routed by the default route, answered by nobody.
        socket.connect("192.0.2.1:9")?;
        socket.local_addr().map(|address| address.ip())
    };
    probe().unwrap_or(IpAddr::V4(Ipv4Addr::LOCALHOST))
}
