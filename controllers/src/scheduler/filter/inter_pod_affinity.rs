//! InterPodAffinity: required affinity and anti-affinity, of this pod and of those that run.

use std::collections::HashSet;

use super::{Filter, reason};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::{NodeInfo, PodFacts, Snapshot};
use crate::scheduler::topology::Term;

pub const FILTER: Filter = Filter { name: "InterPodAffinity", reasons_against, helped_by_pods: true };

/// Label and value: the nodes that share it.
type Domain = (String, String);

/// What the running pods mean for the waiting one; worked out once for all nodes.
#[derive(Debug, Default)]
pub struct State {
    /// By term of required affinity: where a selected pod runs.
    near: Vec<HashSet<String>>,
    /// By term of required anti-affinity: where a selected pod runs.
    far: Vec<HashSet<String>>,
    /// Where running pods do not want this one.
    refused: HashSet<Domain>,
    /// No pod is selected anywhere and the pod selects itself: the first of its kind may run.
    first_of_its_kind: bool,
}

pub fn prepare(facts: &PodFacts, snapshot: &Snapshot) -> State {
    let domains = |terms: &[Term]| terms.iter().map(|term| domains_of(term, snapshot)).collect::<Vec<_>>();
    let near = domains(&facts.terms.affinity);
    let selects_itself = facts.terms.affinity.iter().all(|term| term.selects(facts, snapshot));
    State {
        first_of_its_kind: near.iter().all(HashSet::is_empty) && selects_itself,
        near,
        far: domains(&facts.terms.anti_affinity),
        refused: refused(facts, snapshot),
    }
}

fn domains_of(term: &Term, snapshot: &Snapshot) -> HashSet<String> {
    let mut domains = HashSet::new();
    for node in snapshot.nodes() {
        let Some(value) = node.label(&term.topology_key) else { continue };
        if !domains.contains(value) && node.pods.values().any(|pod| term.selects(pod, snapshot)) {
            domains.insert(value.to_owned());
        }
    }
    domains
}

fn refused(facts: &PodFacts, snapshot: &Snapshot) -> HashSet<Domain> {
    let mut refused = HashSet::new();
    for node in snapshot.nodes() {
        for term in node.pods.values().flat_map(|pod| &pod.terms.anti_affinity) {
            if let Some(value) = node.label(&term.topology_key)
                && term.selects(facts, snapshot)
            {
                refused.insert((term.topology_key.clone(), value.to_owned()));
            }
        }
    }
    refused
}

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let (terms, state) = (&cycle.facts.terms, &cycle.affinity);
    if !is_near(&terms.affinity, state, node) {
        return reason(true, "node(s) didn't match pod affinity rules");
    }
    let too_near =
        terms.anti_affinity.iter().zip(&state.far).any(|(term, domains)| {
            node.label(&term.topology_key).is_some_and(|value| domains.contains(value))
        });
    if too_near {
        return reason(true, "node(s) didn't match pod anti-affinity rules");
    }
    let refused = state.refused.iter().any(|(key, value)| node.label(key) == Some(value));
    reason(refused, "node(s) didn't satisfy existing pods anti-affinity rules")
}

fn is_near(terms: &[Term], state: &State, node: &NodeInfo) -> bool {
    terms.iter().zip(&state.near).all(|(term, domains)| {
        let value = node.label(&term.topology_key);
        value.is_some_and(|value| state.first_of_its_kind || domains.contains(value))
    })
}
