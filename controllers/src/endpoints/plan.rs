//! Plans the Endpoints of one service.

use std::collections::BTreeMap;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{EndpointAddress, EndpointPort, EndpointSubset, Endpoints, Pod, Service};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::action::Action;
use crate::endpoint_ports::{
    ResolvedPort, addresses, hostname, is_headless, is_selecting, publishes_not_ready, resolve, selected_pods,
};
use crate::object::{is_deleting, label, reference_to};
use crate::pod::{is_ready, node_name};
use crate::world::World;

const MANAGED_BY: &str = "endpoints.kubernetes.io/managed-by";
const MANAGER: &str = "endpoint-controller";
const HEADLESS: &str = "service.kubernetes.io/headless";

pub fn plan(world: &World, key: &ObjectKey, _: Timestamp) -> Vec<Action> {
    let present = world.endpoints.find(key);
    let Some(service) = world.services.find(key) else {
        // Without an owner reference nobody else would take them away.
        let ours = present.filter(|endpoints| label(&endpoints.metadata, MANAGED_BY) == Some(MANAGER));
        return ours.iter().map(|endpoints| Action::delete(&**endpoints)).collect();
    };
    if is_deleting(&service.metadata) || !is_selecting(&service) {
        return Vec::new();
    }
    let labels = labels(&service);
    let subsets = subsets(world, &service);
    let Some(present) = present else { return vec![Action::create(endpoints(key, labels, subsets))] };
    if present.subsets.clone().unwrap_or_default() == subsets
        && present.metadata.labels.as_ref() == Some(&labels)
    {
        return Vec::new();
    }
    let mut changed = (*present).clone();
    changed.metadata.labels = Some(labels);
    changed.subsets = Some(subsets).filter(|subsets| !subsets.is_empty());
    vec![Action::update(changed)]
}

fn endpoints(key: &ObjectKey, labels: BTreeMap<String, String>, subsets: Vec<EndpointSubset>) -> Endpoints {
    Endpoints {
        metadata: ObjectMeta {
            namespace: Some(key.namespace.clone()),
            name: Some(key.name.clone()),
            labels: Some(labels),
            ..ObjectMeta::default()
        },
        subsets: Some(subsets).filter(|subsets| !subsets.is_empty()),
    }
}

fn labels(service: &Service) -> BTreeMap<String, String> {
    let mut labels = service.metadata.labels.clone().unwrap_or_default();
    labels.remove(HEADLESS);
    if is_headless(service) {
        labels.insert(HEADLESS.to_owned(), String::new());
    }
    labels.insert(MANAGED_BY.to_owned(), MANAGER.to_owned());
    labels
}

/// One subset for each set of ports; addresses in the order of their text, as stock sorts them.
fn subsets(world: &World, service: &Service) -> Vec<EndpointSubset> {
    let mut groups: BTreeMap<Vec<ResolvedPort>, EndpointSubset> = BTreeMap::new();
    for pod in selected_pods(world, service) {
        let everyone = publishes_not_ready(service);
        if is_deleting(&pod.metadata) && !everyone {
            continue;
        }
        let ports = resolve(service, &pod);
        if ports.is_empty() && !is_headless(service) {
            continue;
        }
        let subset = groups.entry(ports).or_default();
        let list =
            if everyone || is_ready(&pod) { &mut subset.addresses } else { &mut subset.not_ready_addresses };
        list.get_or_insert_default().push(address(service, &pod));
    }
    groups.into_iter().map(|(ports, subset)| finished(&ports, subset)).collect()
}

fn finished(ports: &[ResolvedPort], mut subset: EndpointSubset) -> EndpointSubset {
    for list in [&mut subset.addresses, &mut subset.not_ready_addresses].into_iter().flatten() {
        list.sort_by(|one, other| one.ip.cmp(&other.ip));
    }
    EndpointSubset { ports: listed(ports), ..subset }
}

fn address(service: &Service, pod: &Pod) -> EndpointAddress {
    let mut target = reference_to(pod);
    target.api_version = None;
    target.resource_version = None;
    EndpointAddress {
        ip: addresses(pod).first().copied().unwrap_or_default().to_owned(),
        hostname: hostname(service, pod),
        node_name: Some(node_name(pod).to_owned()).filter(|node| !node.is_empty()),
        target_ref: Some(target),
    }
}

fn listed(ports: &[ResolvedPort]) -> Option<Vec<EndpointPort>> {
    let port = |port: &ResolvedPort| EndpointPort {
        name: Some(port.name.clone()).filter(|name| !name.is_empty()),
        port: port.port,
        protocol: Some(port.protocol.clone()),
        app_protocol: port.app_protocol.clone(),
    };
    (!ports.is_empty()).then(|| ports.iter().map(port).collect())
}
