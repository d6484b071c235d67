//! kubelet's flags. What is accepted acts; clap refuses the rest.

use std::net::{IpAddr, SocketAddr};
use std::path::{Path, PathBuf};

use balsa_proto::client::ClientConfig;
use k8s_openapi::api::core::v1::Taint;

use crate::config::{Config, RuntimeChoice};
use crate::error::Error;
use crate::node::thresholds::Thresholds;
use crate::{kubelet_config, services};

const USER_AGENT: &str = concat!("kubelet/balsa-", env!("CARGO_PKG_VERSION"));

#[derive(Debug, Clone, clap::Args)]
pub struct Args {
    /// KubeletConfiguration file; flags win over it
    #[arg(long, value_name = "FILE")]
    pub config: Option<PathBuf>,
    /// How to reach the API server; without it only static pods run
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Name of this node instead of the host's
    #[arg(long)]
    pub hostname_override: Option<String>,
    /// Addresses of this node, at most one per family
    #[arg(long, value_delimiter = ',')]
    pub node_ip: Vec<IpAddr>,
    /// Labels of this node when it registers, key=value
    #[arg(long, value_delimiter = ',')]
    pub node_labels: Vec<String>,
    /// Taints of this node when it registers, key=value:effect
    #[arg(long, value_delimiter = ',')]
    pub register_with_taints: Vec<String>,
    /// Whether to create the Node object
    #[arg(long, default_value_t = true, action = clap::ArgAction::Set, num_args = 0..=1, default_missing_value = "true")]
    pub register_node: bool,
    /// Folder of volumes and pod files
    #[arg(long, default_value = "/var/lib/kubelet")]
    pub root_dir: PathBuf,
    /// CRI socket; without it containerd is started as a child with its data below <root-dir>/runtime
    #[arg(long, value_name = "SOCKET")]
    pub container_runtime_endpoint: Option<PathBuf>,
    /// Addresses of the cluster's DNS
    #[arg(long, value_delimiter = ',')]
    pub cluster_dns: Vec<IpAddr>,
    /// Domain of the cluster
    #[arg(long)]
    pub cluster_domain: Option<String>,
    /// The node's resolver configuration
    #[arg(long, value_name = "FILE")]
    pub resolv_conf: Option<PathBuf>,
    /// Folder of static pods
    #[arg(long, value_name = "DIR")]
    pub pod_manifest_path: Option<PathBuf>,
    /// Address that the agent's own API listens on
    #[arg(long)]
    pub address: Option<IpAddr>,
    /// Port of the agent's own API
    #[arg(long)]
    pub port: Option<u16>,
    /// Clients of the agent's own API must have a certificate of this CA
    #[arg(long, value_name = "FILE")]
    pub client_ca_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "tls_private_key_file")]
    pub tls_cert_file: Option<PathBuf>,
    #[arg(long, value_name = "FILE", requires = "tls_cert_file")]
    pub tls_private_key_file: Option<PathBuf>,
    /// Most pods on this node
    #[arg(long)]
    pub max_pods: Option<u32>,
    /// Below which the node is under pressure, such as memory.available<100Mi,nodefs.available<10%
    #[arg(long, value_name = "THRESHOLDS", value_parser = Thresholds::parse)]
    pub eviction_hard: Option<Thresholds>,
    /// Enforce CPU limits by CFS quota
    #[arg(long)]
    pub cpu_cfs_quota: Option<bool>,
    #[command(flatten)]
    pub services: services::Args,
}

impl Args {
    pub fn into_config(self) -> Result<Config, Error> {
        let mut config = Config::in_data_dir(&self.root_dir.join("runtime"));
        config.root_dir.clone_from(&self.root_dir);
        config.services = self.services.clone();
        config.pod_logs_dir = PathBuf::from(crate::config::POD_LOGS_DIR);
        if let Some(path) = &self.config {
            kubelet_config::apply(path, &mut config)?;
        }
        self.apply_identity(&mut config)?;
        self.apply_paths(&mut config)?;
        if let Some(path) = &self.kubeconfig {
            config.client = Some(ClientConfig::from_kubeconfig(path, USER_AGENT)?);
        }
        if config.client.is_none() && config.static_pod_dir.is_none() {
            let sentence =
                "nothing to run: give --kubeconfig to join a cluster, or --pod-manifest-path for static pods";
            return Err(Error::Flag(sentence.to_owned()));
        }
        Ok(config)
    }

    fn apply_identity(&self, config: &mut Config) -> Result<(), Error> {
        if let Some(name) = &self.hostname_override {
            config.node_name.clone_from(name);
            config.hostname.clone_from(name);
        }
        if !self.node_ip.is_empty() {
            config.node_ips.clone_from(&self.node_ip);
        }
        for label in &self.node_labels {
            let (key, value) = label.split_once('=').unwrap_or((label, ""));
            config.labels.insert(key.to_owned(), value.to_owned());
        }
        for taint in &self.register_with_taints {
            config.taints.push(parse_taint(taint)?);
        }
        config.register_node &= self.register_node;
        config.max_pods = self.max_pods.unwrap_or(config.max_pods);
        config.thresholds = self.eviction_hard.unwrap_or(config.thresholds);
        config.enforces_cpu_quota = self.cpu_cfs_quota.unwrap_or(config.enforces_cpu_quota);
        Ok(())
    }

    fn apply_paths(&self, config: &mut Config) -> Result<(), Error> {
        if let Some(socket) = &self.container_runtime_endpoint {
            config.runtime = RuntimeChoice::Endpoint(socket.clone());
        }
        if !self.cluster_dns.is_empty() {
            config.cluster_dns.clone_from(&self.cluster_dns);
        }
        if let Some(domain) = &self.cluster_domain {
            config.cluster_domain.clone_from(domain);
        }
        if let Some(path) = &self.resolv_conf {
            config.resolv_conf.clone_from(path);
        }
        if let Some(path) = &self.pod_manifest_path {
            config.static_pod_dir = Some(path.clone());
        }
        let address = self.address.unwrap_or(config.listen.ip());
        config.listen = SocketAddr::new(address, self.port.unwrap_or(config.listen.port()));
        if let Some(path) = &self.client_ca_file {
            config.client_ca_pem = Some(read(path)?);
        }
        if let (Some(cert), Some(key)) = (&self.tls_cert_file, &self.tls_private_key_file) {
            config.serving_pem = Some((read(cert)?, read(key)?));
        }
        Ok(())
    }
}

/// `key=value:effect` or `key:effect`.
fn parse_taint(text: &str) -> Result<Taint, Error> {
    let bad = || Error::Flag(format!("--register-with-taints: {text:?} is not key=value:effect"));
    let (key, effect) = text.rsplit_once(':').ok_or_else(bad)?;
    let (key, value) = key.split_once('=').map_or((key, None), |(key, value)| (key, Some(value.to_owned())));
    if key.is_empty() || !matches!(effect, "NoSchedule" | "PreferNoSchedule" | "NoExecute") {
        return Err(bad());
    }
    Ok(Taint { key: key.to_owned(), value, effect: effect.to_owned(), time_added: None })
}

pub(crate) fn read(path: &Path) -> Result<Vec<u8>, Error> {
    std::fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn taints_need_a_known_effect() {
        let taint = parse_taint("dedicated=gpu:NoSchedule").unwrap();
        assert_eq!((taint.key.as_str(), taint.value.as_deref()), ("dedicated", Some("gpu")));
        assert!(parse_taint("k:Sometimes").is_err() && parse_taint("novalue").is_err());
    }
}
