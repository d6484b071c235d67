//! The rule model: what the table holds that depends on services, as ordered data that can be compared.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt;
use std::net::Ipv4Addr;

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Protocol {
    Tcp,
    Udp,
    Sctp,
}

impl Protocol {
    /// As Services and EndpointSlices spell it; nothing means TCP.
    pub fn parse(text: Option<&str>) -> Option<Self> {
        match text {
            None | Some("" | "TCP") => Some(Self::Tcp),
            Some("UDP") => Some(Self::Udp),
            Some("SCTP") => Some(Self::Sctp),
            Some(_) => None,
        }
    }
}

impl fmt::Display for Protocol {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Tcp => "tcp",
            Self::Udp => "udp",
            Self::Sctp => "sctp",
        })
    }
}

/// An address and port that clients use. Prints as a key of `service-ips`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontIp {
    pub address: Ipv4Addr,
    pub protocol: Protocol,
    pub port: u16,
}

impl fmt::Display for FrontIp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} . {} . {}", self.address, self.protocol, self.port)
    }
}

/// A port on the node's own addresses. Prints as a key of `service-nodeports`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct FrontPort {
    pub protocol: Protocol,
    pub port: u16,
}

impl fmt::Display for FrontPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} . {}", self.protocol, self.port)
    }
}

/// What happens to traffic for a front that has no endpoint.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    Reject,
    /// Only this node has none (`externalTrafficPolicy: Local`): load balancers must not take it for a failure.
    Drop,
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Reject => "goto reject-chain",
            Self::Drop => "drop",
        })
    }
}

/// Everything of the table that services decide. Chain values are rules, one per line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Model {
    pub cluster_ips: BTreeSet<Ipv4Addr>,
    /// Front → chain.
    pub service_ips: BTreeMap<FrontIp, String>,
    pub service_node_ports: BTreeMap<FrontPort, String>,
    pub no_endpoint_ips: BTreeMap<FrontIp, Refusal>,
    pub no_endpoint_node_ports: BTreeMap<FrontPort, Refusal>,
    /// Load balancer front → chain that drops foreign sources.
    pub firewall_ips: BTreeMap<FrontIp, String>,
    pub chains: BTreeMap<String, Vec<String>>,
    /// Name of a dynamic set of client addresses → how long a client stays, in seconds.
    pub affinity_seconds: BTreeMap<String, u32>,
    /// Front → endpoint addresses of UDP services, whose conntrack entries must go when an endpoint does.
    pub udp_backs: BTreeMap<FrontIp, BTreeSet<Ipv4Addr>>,
    pub udp_node_port_backs: BTreeMap<FrontPort, BTreeSet<Ipv4Addr>>,
}

impl Model {
    /// Adds the model of another service. A front that two services claim stays with the first.
    pub fn merge(&mut self, other: &Model) {
        self.cluster_ips.extend(&other.cluster_ips);
        for (front, chain) in &other.service_ips {
            if !self.no_endpoint_ips.contains_key(front) {
                self.service_ips.entry(*front).or_insert_with(|| chain.clone());
            }
        }
        for (front, refusal) in &other.no_endpoint_ips {
            if !self.service_ips.contains_key(front) {
                self.no_endpoint_ips.entry(*front).or_insert(*refusal);
            }
        }
        for (front, chain) in &other.service_node_ports {
            if !self.no_endpoint_node_ports.contains_key(front) {
                self.service_node_ports.entry(*front).or_insert_with(|| chain.clone());
            }
        }
        for (front, refusal) in &other.no_endpoint_node_ports {
            if !self.service_node_ports.contains_key(front) {
                self.no_endpoint_node_ports.entry(*front).or_insert(*refusal);
            }
        }
        for (front, chain) in &other.firewall_ips {
            self.firewall_ips.entry(*front).or_insert_with(|| chain.clone());
        }
        // Chains and sets carry the service's name, so they never meet.
        self.chains.extend(other.chains.iter().map(|(name, rules)| (name.clone(), rules.clone())));
        self.affinity_seconds.extend(other.affinity_seconds.iter().map(|(name, secs)| (name.clone(), *secs)));
        for (front, backs) in &other.udp_backs {
            self.udp_backs.entry(*front).or_default().extend(backs);
        }
        for (front, backs) in &other.udp_node_port_backs {
            self.udp_node_port_backs.entry(*front).or_default().extend(backs);
        }
    }
}
