//! NodeAffinity: `nodeSelector` and required node affinity.

use super::{Filter, reason};
use crate::scheduler::node_selector::matches;
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::{NodeInfo, PodFacts};
use crate::selector::includes;

pub const FILTER: Filter = Filter { name: "NodeAffinity", reasons_against, helped_by_pods: false };

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    reason(!admits(cycle.facts, node), "node(s) didn't match Pod's node affinity/selector")
}

pub fn admits(facts: &PodFacts, node: &NodeInfo) -> bool {
    let Some(spec) = facts.spec() else { return true };
    if !includes(spec.node_selector.as_ref(), node.labels()) {
        return false;
    }
    let affinity = spec.affinity.as_ref().and_then(|affinity| affinity.node_affinity.as_ref());
    let required =
        affinity.and_then(|affinity| affinity.required_during_scheduling_ignored_during_execution.as_ref());
    required.is_none_or(|required| required.node_selector_terms.iter().any(|term| matches(term, node)))
}
