//! Plans one node's pod networks.

use std::collections::BTreeSet;

use balsa_proto::client::ObjectKey;
use ipnet::IpNet;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Node;
use serde_json::json;

use crate::action::{Action, Severity};
use crate::object::{is_deleting, name_of};
use crate::settings::Settings;
use crate::world::World;

pub fn plan(world: &World, key: &ObjectKey, _: Timestamp) -> Vec<Action> {
    let Some(node) = world.nodes.find(key) else { return Vec::new() };
    if world.settings.cluster_cidrs.is_empty() || !networks(&node).is_empty() || is_deleting(&node.metadata) {
        return Vec::new();
    }
    let taken: BTreeSet<IpNet> = world.nodes.list().iter().flat_map(|node| networks(node)).collect();
    let cut = |cluster: &IpNet| first_free(cluster, mask_of(&world.settings, cluster), &taken);
    let networks: Option<Vec<IpNet>> = world.settings.cluster_cidrs.iter().map(cut).collect();
    match networks {
        Some(networks) => {
            let texts: Vec<_> = networks.iter().map(IpNet::to_string).collect();
            vec![Action::patch(&*node, json!({ "spec": { "podCIDR": texts[0], "podCIDRs": texts } }))]
        }
        None => {
            let message = format!("Node {} status is now: CIDRNotAvailable", name_of(&node.metadata));
            vec![Action::note(&*node, Severity::Normal, "CIDRNotAvailable", message)]
        }
    }
}

/// The pod networks that a node has.
pub fn networks(node: &Node) -> Vec<IpNet> {
    let Some(spec) = &node.spec else { return Vec::new() };
    let texts = spec.pod_cidrs.iter().flatten().chain(&spec.pod_cidr);
    texts.filter_map(|text| text.parse().ok()).collect()
}

fn mask_of(settings: &Settings, cluster: &IpNet) -> u8 {
    match cluster {
        IpNet::V4(_) => settings.node_cidr_mask_size_ipv4,
        IpNet::V6(_) => settings.node_cidr_mask_size_ipv6,
    }
}

fn first_free(cluster: &IpNet, mask: u8, taken: &BTreeSet<IpNet>) -> Option<IpNet> {
    let overlaps =
        |network: &IpNet| taken.iter().any(|other| other.contains(network) || network.contains(other));
    cluster.subnets(mask).ok()?.find(|network| !overlaps(network))
}
