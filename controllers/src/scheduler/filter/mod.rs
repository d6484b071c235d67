//! Filters: may this pod run on this node? One per file, in the order of the stock default profile.
//!
//! A filter answers with the reasons against the node, in the words of the stock scheduler; none means that it fits.

pub mod inter_pod_affinity;
pub mod node_affinity;
pub mod node_name;
pub mod node_ports;
pub mod node_resources_fit;
pub mod node_unschedulable;
pub mod pod_topology_spread;
pub mod taint_toleration;

use super::plan::Cycle;
use super::snapshot::NodeInfo;

pub struct Filter {
    pub name: &'static str,
    pub reasons_against: fn(&Cycle<'_>, &NodeInfo) -> Vec<String>,
    /// Whether more pods on nodes may make the pod fit.
    pub helped_by_pods: bool,
}

pub static FILTERS: [Filter; 8] = [
    node_unschedulable::FILTER,
    node_name::FILTER,
    taint_toleration::FILTER,
    node_affinity::FILTER,
    node_ports::FILTER,
    node_resources_fit::FILTER,
    pod_topology_spread::FILTER,
    inter_pod_affinity::FILTER,
];

/// One reason, if `against`.
fn reason(against: bool, text: &str) -> Vec<String> {
    if against { vec![text.to_owned()] } else { Vec::new() }
}
