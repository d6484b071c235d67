//! PodTopologySpread: domains may differ by at most maxSkew in the pods that a constraint selects.

use std::collections::BTreeMap;

use super::{Filter, node_affinity, reason, taint_toleration};
use crate::object::is_deleting;
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::{NodeInfo, PodFacts, Snapshot};
use crate::scheduler::topology::Spread;

pub const FILTER: Filter = Filter { name: "PodTopologySpread", reasons_against, helped_by_pods: true };

/// By constraint: selected pods in each domain.
pub type Counts = Vec<BTreeMap<String, i32>>;

pub fn prepare(facts: &PodFacts, snapshot: &Snapshot) -> Counts {
    facts.terms.spread.iter().map(|spread| count(spread, facts, snapshot)).collect()
}

/// Domains are those of nodes that have every constraint's label and could take the pod.
fn count(spread: &Spread, facts: &PodFacts, snapshot: &Snapshot) -> BTreeMap<String, i32> {
    let mut counts = BTreeMap::new();
    let all_keys: Vec<_> =
        facts.terms.spread.iter().filter(|other| other.required == spread.required).collect();
    for node in snapshot.nodes() {
        if all_keys.iter().any(|other| node.label(&other.topology_key).is_none())
            || !counts_here(spread, facts, node)
        {
            continue;
        }
        let Some(value) = node.label(&spread.topology_key) else { continue };
        let selected = node.pods.values().filter(|pod| {
            pod.namespace() == facts.namespace() && !is_deleting(&pod.pod.metadata) && spread.selects(pod)
        });
        *counts.entry(value.to_owned()).or_default() += selected.count() as i32;
    }
    counts
}

fn counts_here(spread: &Spread, facts: &PodFacts, node: &NodeInfo) -> bool {
    (!spread.honours_node_affinity || node_affinity::admits(facts, node))
        && (!spread.honours_taints || taint_toleration::admits(facts, node))
}

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let constraints = cycle.facts.terms.spread.iter().zip(&cycle.spread);
    for (spread, counts) in constraints.filter(|(spread, _)| spread.required) {
        let Some(value) = node.label(&spread.topology_key) else {
            let text = "node(s) didn't match pod topology spread constraints (missing required label)";
            return reason(true, text);
        };
        let least =
            if counts.len() < spread.min_domains { 0 } else { counts.values().min().copied().unwrap_or(0) };
        let itself = i32::from(spread.selects(cycle.facts));
        let here = counts.get(value).copied().unwrap_or(0);
        if here + itself - least > spread.max_skew {
            return reason(true, "node(s) didn't match pod topology spread constraints");
        }
    }
    Vec::new()
}
