//! NodeResourcesFit: the requests of all pods stay within what the node can give.

use super::Filter;
use crate::scheduler::plan::Cycle;
use crate::scheduler::resources::PODS;
use crate::scheduler::snapshot::NodeInfo;

pub const FILTER: Filter = Filter { name: "NodeResourcesFit", reasons_against, helped_by_pods: false };

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let mut reasons = Vec::new();
    let room = node.allocatable.get(PODS) - node.pods.len() as i64;
    if room < 1 {
        reasons.push("Too many pods".to_owned());
    }
    for (name, wanted) in cycle.facts.requests.iter() {
        if wanted > 0 && wanted > node.allocatable.get(name) - node.requested.get(name) {
            reasons.push(format!("Insufficient {name}"));
        }
    }
    reasons
}
