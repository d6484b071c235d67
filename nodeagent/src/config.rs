//! What one node agent is started with.

use std::collections::BTreeMap;
use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use balsa_proto::client::ClientConfig;
use k8s_openapi::api::core::v1::Taint;

use crate::node::capacity::Reserved;
use crate::node::info;
use crate::node::thresholds::Thresholds;
use crate::runtime::containerd;
use crate::serve::rotate;
use crate::services;

/// Which runtime is used.
#[derive(Debug, Clone)]
pub enum RuntimeChoice {
    /// A CRI v1 socket of somebody else.
    Endpoint(PathBuf),
    /// containerd as our child.
    Supervised(containerd::Config),
}

#[derive(Clone)]
pub struct Config {
    pub node_name: String,
    pub hostname: String,
    pub node_ips: Vec<IpAddr>,
    pub labels: BTreeMap<String, String>,
    pub taints: Vec<Taint>,
    pub register_node: bool,
    /// Volumes, certificates and pod files.
    pub root_dir: PathBuf,
    pub pod_logs_dir: PathBuf,
    /// `None`: no control plane, static pods alone.
    pub client: Option<ClientConfig>,
    pub runtime: RuntimeChoice,
    pub cluster_dns: Vec<IpAddr>,
    pub cluster_domain: String,
    pub resolv_conf: PathBuf,
    pub static_pod_dir: Option<PathBuf>,
    pub listen: SocketAddr,
    /// PEM; clients of our own API must be signed by it.
    pub client_ca_pem: Option<Vec<u8>>,
    /// PEM certificate and key; `None`: self-signed, kept in `root_dir/pki`.
    pub serving_pem: Option<(Vec<u8>, Vec<u8>)>,
    pub max_pods: u32,
    pub reserved: Reserved,
    /// Below which the node is under pressure.
    pub thresholds: Thresholds,
    pub enforces_cpu_quota: bool,
    pub log_rotation: rotate::Policy,
    /// Service proxy, cluster DNS and pod network.
    pub services: services::Args,
}

/// Where stock has the logs of pods, and where collectors look for them.
pub const POD_LOGS_DIR: &str = "/var/log/pods";
/// The stock port of the agent's own API.
pub const PORT: u16 = 10250;

impl Config {
    /// Stock defaults, with everything of this node below `data_dir` and containerd as a child.
    pub fn in_data_dir(data_dir: &Path) -> Self {
        let hostname = info::hostname();
        Self {
            node_name: hostname.clone(),
            hostname,
            node_ips: vec![info::default_address()],
            labels: BTreeMap::new(),
            taints: Vec::new(),
            register_node: true,
            root_dir: data_dir.join("kubelet"),
            pod_logs_dir: data_dir.join("pod-logs"),
            client: None,
            runtime: RuntimeChoice::Supervised(containerd::Config::under(data_dir)),
            cluster_dns: Vec::new(),
            cluster_domain: "cluster.local".to_owned(),
            resolv_conf: PathBuf::from("/etc/resolv.conf"),
            static_pod_dir: None,
            listen: SocketAddr::from(([0, 0, 0, 0], PORT)),
            client_ca_pem: None,
            serving_pem: None,
            max_pods: 110,
            reserved: Reserved::default(),
            thresholds: Thresholds::default(),
            enforces_cpu_quota: true,
            log_rotation: rotate::Policy { max_bytes: 10 << 20, max_files: 5 },
            services: services::Args::default(),
        }
    }
}
