//! The endpoints that a service should have, grouped by address family and ports.

use std::collections::BTreeMap;

use k8s_openapi::api::core::v1::{Pod, Service};
use k8s_openapi::api::discovery::v1::{Endpoint, EndpointConditions, EndpointPort};

use crate::endpoint_ports::{
    ResolvedPort, addresses, hostname, publishes_not_ready, resolve, selected_pods, zone,
};
use crate::object::{is_deleting, reference_to};
use crate::pod::{is_ready, node_name};
use crate::world::World;

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Group {
    pub address_type: &'static str,
    pub ports: Vec<ResolvedPort>,
}

/// Endpoints by the uid of their pod.
pub type Members = BTreeMap<String, Endpoint>;

/// Every family of the service has a group, if only an empty one: an empty slice says that nobody serves.
pub fn groups(world: &World, service: &Service) -> BTreeMap<Group, Members> {
    let mut groups: BTreeMap<Group, Members> = BTreeMap::new();
    for address_type in families(service) {
        for pod in selected_pods(world, service) {
            let Some(address) = addresses(&pod).into_iter().find(|ip| family_of(ip) == address_type) else {
                continue;
            };
            let uid = pod.metadata.uid.clone().unwrap_or_default();
            let group = Group { address_type, ports: resolve(service, &pod) };
            let endpoint = endpoint(world, service, &pod, address);
            groups.entry(group).or_default().insert(uid, endpoint);
        }
        if !groups.keys().any(|group| group.address_type == address_type) {
            groups.insert(Group { address_type, ports: Vec::new() }, Members::new());
        }
    }
    groups
}

fn endpoint(world: &World, service: &Service, pod: &Pod, address: &str) -> Endpoint {
    let serving = is_ready(pod);
    let terminating = is_deleting(&pod.metadata);
    let ready = publishes_not_ready(service) || (serving && !terminating);
    let mut target = reference_to(pod);
    target.api_version = None;
    target.resource_version = None;
    Endpoint {
        addresses: vec![address.to_owned()],
        conditions: Some(EndpointConditions {
            ready: Some(ready),
            serving: Some(serving),
            terminating: Some(terminating),
        }),
        hostname: hostname(service, pod),
        node_name: Some(node_name(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(target),
        zone: zone(world, node_name(pod)),
        ..Endpoint::default()
    }
}

fn families(service: &Service) -> Vec<&'static str> {
    let families = service.spec.as_ref().and_then(|spec| spec.ip_families.clone()).unwrap_or_default();
    if families.is_empty() {
        return vec!["IPv4"];
    }
    families.iter().map(|family| if family == "IPv6" { "IPv6" } else { "IPv4" }).collect()
}

fn family_of(address: &str) -> &'static str {
    if address.contains(':') { "IPv6" } else { "IPv4" }
}

/// The ports as a slice lists them.
pub fn slice_ports(ports: &[ResolvedPort]) -> Vec<EndpointPort> {
    let port = |port: &ResolvedPort| EndpointPort {
        name: Some(port.name.clone()),
        port: Some(port.port),
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    ports.iter().map(port).collect()
}
