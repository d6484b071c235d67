//! A pod's resolver: dnsPolicy and dnsConfig, over the cluster's DNS and the node's own.

use std::net::IpAddr;
use std::path::Path;

use balsa_proto::cri::DnsConfig;
use k8s_openapi::api::core::v1::Pod;

use super::facts;

/// glibc reads three nameservers; musl too.
const NAMESERVERS: usize = 3;
/// Kubernetes' own bounds of a search path.
const SEARCHES: usize = 32;

#[derive(Debug, Clone, Default)]
pub struct ClusterDns {
    pub servers: Vec<IpAddr>,
    pub domain: String,
    /// The node's `resolv.conf`.
    pub node: DnsConfig,
}

/// Reads the node's file; a node without one has no resolver to offer.
pub fn node_resolver(path: &Path) -> DnsConfig {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let mut config = DnsConfig::default();
    for line in text.lines() {
        let mut words = line.split_whitespace();
        match words.next() {
            Some("nameserver") => config.servers.extend(words.next().map(str::to_owned)),
            Some("search") => config.searches = words.map(str::to_owned).collect(),
            Some("options") => config.options = words.map(str::to_owned).collect(),
            Some(_) | None => {}
        }
    }
    config
}

pub fn config(pod: &Pod, cluster: &ClusterDns) -> DnsConfig {
    let spec = facts::spec(pod);
    let host_network = facts::uses_host_network(pod);
    let mut config = match spec.dns_policy.as_deref().unwrap_or("ClusterFirst") {
        "None" => DnsConfig::default(),
        "Default" => cluster.node.clone(),
        "ClusterFirst" if host_network => cluster.node.clone(),
        _cluster_first if cluster.servers.is_empty() => cluster.node.clone(),
        _cluster_first => cluster_first(facts::namespace(pod), cluster),
    };
    if let Some(own) = &spec.dns_config {
        config.servers.extend(own.nameservers.iter().flatten().cloned());
        config.searches.extend(own.searches.iter().flatten().cloned());
        for option in own.options.iter().flatten() {
            let name = option.name.clone().unwrap_or_default();
            // An option of the pod replaces the same option of the policy.
            config.options.retain(|have| have.split(':').next() != Some(name.as_str()));
            let value = option.value.as_ref().map(|value| format!(":{value}")).unwrap_or_default();
            config.options.push(format!("{name}{value}"));
        }
    }
    dedup(&mut config.servers);
    dedup(&mut config.searches);
    config.servers.truncate(NAMESERVERS);
    config.searches.truncate(SEARCHES);
    config
}

fn cluster_first(namespace: &str, cluster: &ClusterDns) -> DnsConfig {
    let domain = &cluster.domain;
    let mut searches = vec![format!("{namespace}.svc.{domain}"), format!("svc.{domain}"), domain.clone()];
    searches.extend(cluster.node.searches.iter().cloned());
    DnsConfig {
        servers: cluster.servers.iter().map(IpAddr::to_string).collect(),
        searches,
        options: vec!["ndots:5".to_owned()],
    }
}

fn dedup(list: &mut Vec<String>) {
    let mut seen = std::collections::HashSet::new();
    list.retain(|item| seen.insert(item.clone()));
}

/// Name and subdomain as the pod sees itself: `hostname`, or `hostname.subdomain.ns.svc.domain` as an FQDN.
pub fn hostname(pod: &Pod, domain: &str) -> (String, Option<String>) {
    // Linux takes 63 bytes.
    const HOSTNAME_BYTES: usize = 63;
    let spec = facts::spec(pod);
    let own = spec.hostname_override.as_deref().or(spec.hostname.as_deref()).unwrap_or(facts::name(pod));
    let name: String = own.chars().take(HOSTNAME_BYTES).collect();
    let name = name.trim_end_matches(['-', '.']).to_owned();
    let subdomain = spec.subdomain.as_deref().filter(|subdomain| !subdomain.is_empty());
    let full = subdomain.map(|sub| format!("{name}.{sub}.{}.svc.{domain}", facts::namespace(pod)));
    (name, full)
}
