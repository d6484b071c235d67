//! What the operator decided and the planners obey. Part of the World, so that a plan stays a function of it.

use std::time::Duration;

use ipnet::IpNet;

#[derive(Clone, Debug)]
pub struct Settings {
    /// How long a node may be silent before it counts as gone (`--node-monitor-grace-period`).
    pub node_monitor_grace_period: Duration,
    /// Range that pod networks are cut from; nodes get none when empty (`--cluster-cidr`, `--allocate-node-cidrs`).
    pub cluster_cidrs: Vec<IpNet>,
    /// Prefix length of a node's IPv4 and IPv6 pod network (`--node-cidr-mask-size-ipv4`, `-ipv6`).
    pub node_cidr_mask_size_ipv4: u8,
    pub node_cidr_mask_size_ipv6: u8,
    /// PEM that is published as `kube-root-ca.crt` in every namespace (`--root-ca-file`).
    pub root_ca_pem: Option<String>,
    /// Finished pods above this number are deleted; 0 keeps all (`--terminated-pod-gc-threshold`).
    pub terminated_pod_gc_threshold: usize,
    /// Endpoints in one slice (`--max-endpoints-per-slice`).
    pub max_endpoints_per_slice: usize,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            node_monitor_grace_period: Duration::from_secs(40),
            cluster_cidrs: Vec::new(),
            node_cidr_mask_size_ipv4: 24,
            node_cidr_mask_size_ipv6: 64,
            root_ca_pem: None,
            terminated_pod_gc_threshold: 12_500,
            max_endpoints_per_slice: 100,
        }
    }
}
