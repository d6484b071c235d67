//! One service and its endpoint slices → its part of the rule model. Pure.
//!
//! ```text
//!  ClusterIP ──────────────► service-… ─┬─ affinity ─► endpoint-…   mark hairpin, remember client, DNAT
//!  NodePort, external, LB ─► external-… ┘─ random ───► endpoint-…
//! ```
//! Endpoints of a front: the ready ones; if there are none, those that terminate but still serve. With a traffic
//! policy `Local` only those on this node count. Source: KEP-1669, KEP-2086, KEP-3866 (behaviour).

use std::collections::BTreeSet;
use std::net::{IpAddr, Ipv4Addr};

use ipnet::Ipv4Net;
use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointSlice};
use sha2::{Digest, Sha256};

use super::model::{FrontIp, FrontPort, Model, Protocol, Refusal};

const DEFAULT_AFFINITY_SECONDS: u32 = 10_800;
/// RFC 4648 base32, as stock chain names have it.
const BASE32: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
const HASH_CHARS: usize = 8;

/// What the plan must know of the node.
#[derive(Clone, Debug)]
pub struct NodeView {
    pub name: String,
    /// `--cluster-cidr`: sources outside of it are masqueraded on their way to a ClusterIP.
    pub cluster_cidr: Option<Ipv4Net>,
    /// ClusterIPs that this node answers itself (cluster DNS): they get no rules.
    pub own_service_addresses: Vec<Ipv4Addr>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Back {
    address: Ipv4Addr,
    port: u16,
}

/// Where the traffic of one port may go.
struct Backs {
    cluster: Vec<Back>,
    local: Vec<Back>,
}

/// One port of a service with the words that all its names share.
struct Port<'a> {
    node: &'a NodeView,
    spec: &'a ServiceSpec,
    protocol: Protocol,
    port: u16,
    node_port: Option<u16>,
    load_balancer_addresses: Vec<Ipv4Addr>,
    /// `namespace/name/protocol/port name`
    path: String,
    backs: Backs,
}

/// Services without a ClusterIP (headless, ExternalName) give an empty model.
pub fn plan<'a>(
    service: &Service,
    slices: impl Iterator<Item = &'a EndpointSlice> + Clone,
    node: &NodeView,
) -> Model {
    let mut model = Model::default();
    let Some(spec) = &service.spec else { return model };
    let Some(cluster_ip) = cluster_ip(spec) else { return model };
    if node.own_service_addresses.contains(&cluster_ip) {
        return model;
    }
    model.cluster_ips.insert(cluster_ip);
    for service_port in spec.ports.iter().flatten() {
        if let Some(port) = Port::new(service, spec, service_port, slices.clone(), node) {
            port.plan(cluster_ip, &mut model);
        }
    }
    model
}

impl<'a> Port<'a> {
    fn new<'s>(
        service: &Service,
        spec: &'a ServiceSpec,
        port: &ServicePort,
        slices: impl Iterator<Item = &'s EndpointSlice>,
        node: &'a NodeView,
    ) -> Option<Self> {
        let protocol = Protocol::parse(port.protocol.as_deref())?;
        let port_name = port.name.as_deref().unwrap_or_default();
        let namespace = service.metadata.namespace.as_deref()?;
        let name = service.metadata.name.as_deref()?;
        Some(Self {
            node,
            spec,
            protocol,
            port: u16::try_from(port.port).ok()?,
            node_port: port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port != 0),
            load_balancer_addresses: load_balancer_addresses(service),
            path: format!("{namespace}/{name}/{protocol}/{port_name}"),
            backs: backs(slices, port_name, protocol, &node.name),
        })
    }

    fn plan(&self, cluster_ip: Ipv4Addr, model: &mut Model) {
        let is_internal_local = self.spec.internal_traffic_policy.as_deref() == Some("Local");
        let is_external_local = self.spec.external_traffic_policy.as_deref() == Some("Local");
        let external = self.external_addresses();
        let has_external = self.node_port.is_some() || !external.is_empty();

        let cluster_chain = self.name("service");
        let local_chain = self.name("service-local");
        // External traffic with policy Local still sends the cluster's own clients to all endpoints.
        if !self.backs.cluster.is_empty() && (!is_internal_local || has_external) {
            self.add_balancing(&cluster_chain, &self.backs.cluster, cluster_ip, model);
        }
        let needs_local = is_internal_local || (has_external && is_external_local);
        if needs_local && !self.backs.local.is_empty() {
            self.add_balancing(&local_chain, &self.backs.local, cluster_ip, model);
        }

        let internal_backs = if is_internal_local { &self.backs.local } else { &self.backs.cluster };
        let front = self.front(cluster_ip);
        if internal_backs.is_empty() {
            let refusal = if self.backs.cluster.is_empty() { Refusal::Reject } else { Refusal::Drop };
            model.no_endpoint_ips.insert(front, refusal);
        } else {
            let chain = if is_internal_local { &local_chain } else { &cluster_chain };
            model.service_ips.insert(front, chain.clone());
        }
        self.note_udp(front, internal_backs, model);
        if has_external {
            self.plan_external(&external, is_external_local, model);
        }
    }

    fn plan_external(&self, addresses: &BTreeSet<Ipv4Addr>, is_local: bool, model: &mut Model) {
        let fronts: Vec<FrontIp> = addresses.iter().map(|address| self.front(*address)).collect();
        let node_port = self.node_port.map(|port| FrontPort { protocol: self.protocol, port });
        for front in &fronts {
            self.note_udp(*front, &self.backs.cluster, model);
        }
        if let Some(front) = node_port
            && self.protocol == Protocol::Udp
        {
            model.udp_node_port_backs.insert(front, addresses_of(&self.backs.cluster));
        }
        self.plan_firewall(model);
        if self.backs.cluster.is_empty() {
            model.no_endpoint_ips.extend(fronts.into_iter().map(|front| (front, Refusal::Reject)));
            model.no_endpoint_node_ports.extend(node_port.map(|front| (front, Refusal::Reject)));
            return;
        }
        let chain = self.name("external");
        model.chains.insert(chain.clone(), self.external_rules(is_local));
        model.service_ips.extend(fronts.into_iter().map(|front| (front, chain.clone())));
        model.service_node_ports.extend(node_port.map(|front| (front, chain)));
    }

    fn external_addresses(&self) -> BTreeSet<Ipv4Addr> {
        let external = self.spec.external_ips.iter().flatten().filter_map(|text| v4(text));
        external.chain(self.load_balancer_addresses.iter().copied()).collect()
    }

    fn external_rules(&self, is_local: bool) -> Vec<String> {
        let to_all = format!("goto {}", self.name("service"));
        if !is_local {
            return vec!["jump mark-for-masquerade".into(), to_all];
        }
        let mut rules = Vec::new();
        if let Some(cidr) = self.node.cluster_cidr {
            // Pods reach the service as if by its ClusterIP: any endpoint will do.
            rules.push(format!("ip saddr {cidr} {to_all}"));
        }
        rules.push("fib saddr type local jump mark-for-masquerade".into());
        rules.push(format!("fib saddr type local {to_all}"));
        rules.push(if self.backs.local.is_empty() {
            "drop".into()
        } else {
            format!("goto {}", self.name("service-local"))
        });
        rules
    }

    fn plan_firewall(&self, model: &mut Model) {
        let ranges: Vec<&str> = self
            .spec
            .load_balancer_source_ranges
            .iter()
            .flatten()
            .map(|range| range.trim())
            .filter(|range| range.parse::<Ipv4Net>().is_ok())
            .collect();
        if ranges.is_empty() || self.load_balancer_addresses.is_empty() {
            return;
        }
        let chain = self.name("firewall");
        model.chains.insert(chain.clone(), vec![format!("ip saddr != {{ {} }} drop", ranges.join(", "))]);
        for address in &self.load_balancer_addresses {
            model.firewall_ips.insert(self.front(*address), chain.clone());
        }
    }

    /// A chain that spreads over `backs`, and the chains and sets of those.
    fn add_balancing(&self, chain: &str, backs: &[Back], cluster_ip: Ipv4Addr, model: &mut Model) {
        let affinity_seconds = affinity_seconds(self.spec);
        let mut rules = Vec::new();
        if let Some(cidr) = self.node.cluster_cidr {
            rules.push(format!(
                "ip daddr {cluster_ip} {} dport {} ip saddr != {cidr} jump mark-for-masquerade",
                self.protocol, self.port
            ));
        }
        let mut targets = Vec::with_capacity(backs.len());
        for (index, back) in backs.iter().enumerate() {
            let endpoint = self.endpoint_name("endpoint", back);
            let mut endpoint_rules = vec![format!("ip saddr {} jump mark-for-masquerade", back.address)];
            if let Some(seconds) = affinity_seconds {
                let set = self.endpoint_name("affinity", back);
                rules.push(format!("ip saddr @{set} goto {endpoint}"));
                endpoint_rules.push(format!("update @{set} {{ ip saddr }}"));
                model.affinity_seconds.insert(set, seconds);
            }
            endpoint_rules
                .push(format!("meta l4proto {} dnat to {}:{}", self.protocol, back.address, back.port));
            targets.push(format!("{index} : goto {endpoint}"));
            model.chains.insert(endpoint, endpoint_rules);
        }
        rules.push(format!("numgen random mod {} vmap {{ {} }}", backs.len(), targets.join(", ")));
        model.chains.insert(chain.to_owned(), rules);
    }

    fn note_udp(&self, front: FrontIp, backs: &[Back], model: &mut Model) {
        if self.protocol == Protocol::Udp {
            model.udp_backs.insert(front, addresses_of(backs));
        }
    }

    fn front(&self, address: Ipv4Addr) -> FrontIp {
        FrontIp { address, protocol: self.protocol, port: self.port }
    }

    fn name(&self, prefix: &str) -> String {
        format!("{prefix}-{}-{}", hash(&self.path), self.path)
    }

    fn endpoint_name(&self, prefix: &str, back: &Back) -> String {
        let path = format!("{}__{}/{}", self.path, back.address, back.port);
        format!("{prefix}-{}-{path}", hash(&path))
    }
}

fn cluster_ip(spec: &ServiceSpec) -> Option<Ipv4Addr> {
    let all = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip);
    all.filter_map(|text| v4(text)).next()
}

/// Addresses whose packets arrive here as they are; with mode `Proxy` they arrive on the NodePort.
fn load_balancer_addresses(service: &Service) -> Vec<Ipv4Addr> {
    let status = service.status.as_ref().and_then(|status| status.load_balancer.as_ref());
    let ingress = status.and_then(|balancer| balancer.ingress.as_ref()).into_iter().flatten();
    ingress
        .filter(|point| point.ip_mode.as_deref() != Some("Proxy"))
        .filter_map(|point| v4(point.ip.as_deref()?))
        .collect()
}

fn affinity_seconds(spec: &ServiceSpec) -> Option<u32> {
    if spec.session_affinity.as_deref() != Some("ClientIP") {
        return None;
    }
    let configured =
        spec.session_affinity_config.as_ref().and_then(|config| config.client_ip.as_ref()?.timeout_seconds);
    Some(configured.and_then(|seconds| u32::try_from(seconds).ok()).unwrap_or(DEFAULT_AFFINITY_SECONDS))
}

fn backs<'s>(
    slices: impl Iterator<Item = &'s EndpointSlice>,
    port_name: &str,
    protocol: Protocol,
    node_name: &str,
) -> Backs {
    let mut found: Vec<(Back, &Endpoint)> = Vec::new();
    for slice in slices.filter(|slice| slice.address_type == "IPv4") {
        let ports = slice.ports.iter().flatten().filter(|port| {
            port.name.as_deref().unwrap_or_default() == port_name
                && Protocol::parse(port.protocol.as_deref()) == Some(protocol)
        });
        for port in ports.filter_map(|port| u16::try_from(port.port?).ok()) {
            for endpoint in slice.endpoints.iter().flatten() {
                // All addresses of one endpoint are the same pod: the first stands for it.
                let first = endpoint.addresses.first().and_then(|text| v4(text));
                found.extend(first.map(|address| (Back { address, port }, endpoint)));
            }
        }
    }
    let local: Vec<(Back, &Endpoint)> = found
        .iter()
        .filter(|(_, endpoint)| endpoint.node_name.as_deref() == Some(node_name))
        .cloned()
        .collect();
    Backs { cluster: usable(&found), local: usable(&local) }
}

fn usable(found: &[(Back, &Endpoint)]) -> Vec<Back> {
    let pick = |is_usable: fn(&Endpoint) -> bool| {
        let mut backs: Vec<Back> =
            found.iter().filter(|(_, endpoint)| is_usable(endpoint)).map(|(back, _)| back.clone()).collect();
        backs.sort();
        backs.dedup();
        backs
    };
    let ready = pick(is_ready);
    if ready.is_empty() { pick(is_draining) } else { ready }
}

fn is_ready(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true)
}

fn is_draining(endpoint: &Endpoint) -> bool {
    endpoint.conditions.as_ref().is_some_and(|conditions| {
        conditions.serving.unwrap_or(false) && conditions.terminating.unwrap_or(false)
    })
}

fn addresses_of(backs: &[Back]) -> BTreeSet<Ipv4Addr> {
    backs.iter().map(|back| back.address).collect()
}

/// Eight characters that keep cut-off and similar names apart.
fn hash(text: &str) -> String {
    let digest = Sha256::digest(text);
    let bits = digest[..5].iter().fold(0_u64, |bits, byte| bits << 8 | u64::from(*byte));
    (0..HASH_CHARS).map(|index| char::from(BASE32[(bits >> (35 - 5 * index) & 31) as usize])).collect()
}

/// A v4 address out of text that may hold a v6 one.
fn v4(text: &str) -> Option<Ipv4Addr> {
    match text.parse().ok()? {
        IpAddr::V4(address) => Some(address),
        IpAddr::V6(_) => None,
    }
}
