//! What a service's ports mean for one pod. Shared by endpoint slices and endpoints.

use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use k8s_openapi::api::core::v1::{Container, Pod, Service, ServicePort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::object::{key_of, label, namespace_of};
use crate::pod::is_terminated;
use crate::selector::includes;
use crate::world::{Delta, World};

/// A port that clients reach the pod by, after resolving names.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ResolvedPort {
    pub name: String,
    pub port: i32,
    pub protocol: String,
    pub app_protocol: Option<String>,
}

/// The ports of `service` on `pod`; a named target port that the pod lacks is left out.
pub fn resolve(service: &Service, pod: &Pod) -> Vec<ResolvedPort> {
    let ports = service.spec.as_ref().and_then(|spec| spec.ports.as_ref());
    ports.into_iter().flatten().filter_map(|port| resolve_one(port, pod)).collect()
}

fn resolve_one(port: &ServicePort, pod: &Pod) -> Option<ResolvedPort> {
    let protocol = port.protocol.as_deref().unwrap_or("TCP");
    let number = match &port.target_port {
        None | Some(IntOrString::Int(0)) => port.port,
        Some(IntOrString::Int(number)) => *number,
        Some(IntOrString::String(name)) => named(pod, name, protocol)?,
    };
    Some(ResolvedPort {
        name: port.name.clone().unwrap_or_default(),
        port: number,
        protocol: protocol.to_owned(),
        app_protocol: port.app_protocol.clone(),
    })
}

fn named(pod: &Pod, name: &str, protocol: &str) -> Option<i32> {
    let spec = pod.spec.as_ref()?;
    let sidecars = spec.init_containers.iter().flatten().filter(|init| is_sidecar(init));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut matching = ports.filter(|port| {
        port.name.as_deref() == Some(name) && port.protocol.as_deref().unwrap_or("TCP") == protocol
    });
    matching.next().map(|port| port.container_port)
}

fn is_sidecar(init: &Container) -> bool {
    init.restart_policy.as_deref() == Some("Always")
}

/// Whether the controllers make endpoints for this service: it has a selector and is no mere name.
pub fn is_selecting(service: &Service) -> bool {
    let Some(spec) = &service.spec else { return false };
    spec.selector.as_ref().is_some_and(|selector| !selector.is_empty())
        && spec.type_.as_deref() != Some("ExternalName")
}

pub fn is_headless(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.cluster_ip.as_deref()) == Some("None")
}

pub fn publishes_not_ready(service: &Service) -> bool {
    service.spec.as_ref().and_then(|spec| spec.publish_not_ready_addresses).unwrap_or(false)
}

/// The pods that the service selects and that have an address, ordered by name.
pub fn selected_pods(world: &World, service: &Service) -> Vec<Arc<Pod>> {
    let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
    let pods = world.pods.in_namespace(namespace_of(&service.metadata));
    let selected = pods.into_iter().filter(|pod| includes(selector, pod.metadata.labels.as_ref()));
    selected.filter(|pod| !is_terminated(pod) && !addresses(pod).is_empty()).collect()
}

/// All addresses of a pod, the primary one first.
pub fn addresses(pod: &Pod) -> Vec<&str> {
    let Some(status) = &pod.status else { return Vec::new() };
    match &status.pod_ips {
        Some(ips) if !ips.is_empty() => ips.iter().map(|ip| ip.ip.as_str()).collect(),
        _ => status.pod_ip.iter().map(String::as_str).filter(|ip| !ip.is_empty()).collect(),
    }
}

/// The pod's hostname, when the service is its subdomain and so names it.
pub fn hostname(service: &Service, pod: &Pod) -> Option<String> {
    let spec = pod.spec.as_ref()?;
    let hostname = spec.hostname.clone().filter(|hostname| !hostname.is_empty())?;
    (spec.subdomain == service.metadata.name).then_some(hostname)
}

/// Services that select the pod as it was or is.
pub fn services_of(world: &World, delta: &Delta<Pod>) -> Vec<ObjectKey> {
    let services = world.services.in_namespace(namespace_of(&delta.latest().metadata));
    let selects = |service: &&Arc<Service>| {
        let selector = service.spec.as_ref().and_then(|spec| spec.selector.as_ref());
        is_selecting(service) && delta.states().any(|pod| includes(selector, pod.metadata.labels.as_ref()))
    };
    services.iter().filter(selects).map(|service| key_of(&service.metadata)).collect()
}

/// The zone of the pod's node.
pub fn zone(world: &World, node: &str) -> Option<String> {
    let node = world.nodes.get("", node)?;
    label(&node.metadata, "topology.kubernetes.io/zone").map(str::to_owned)
}
