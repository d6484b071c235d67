//! One decision: filters, then scores. Free of I/O; chance comes in as a number.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use super::filter::{FILTERS, Filter, inter_pod_affinity, pod_topology_spread};
use super::score::SCORES;
use super::snapshot::{NodeInfo, PodFacts, Snapshot};

/// What one decision is made on; worked out once for all nodes.
pub struct Cycle<'a> {
    pub facts: &'a PodFacts,
    pub snapshot: &'a Snapshot,
    pub affinity: inter_pod_affinity::State,
    pub spread: pod_topology_spread::Counts,
    /// Weights of preferred pod affinity by label and value of the node.
    pub preferred: HashMap<(String, String), i64>,
}

/// Why a pod fits nowhere.
#[derive(Clone, Debug, PartialEq)]
pub struct Unfit {
    pub nodes: usize,
    /// Nodes by reason.
    pub reasons: BTreeMap<String, usize>,
    /// More pods on nodes may help.
    pub helped_by_pods: bool,
    /// The filters that spoke.
    pub filters: BTreeSet<&'static str>,
}

/// Chooses a node for the pod. `chance` breaks ties and rotates the nodes that are looked at first.
pub fn plan(facts: &PodFacts, snapshot: &Snapshot, chance: usize) -> Result<String, Unfit> {
    let cycle = Cycle::new(facts, snapshot);
    let feasible = feasible(&cycle, chance)?;
    let mut totals = vec![0; feasible.len()];
    if feasible.len() > 1 {
        for score in &SCORES {
            for (total, part) in totals.iter_mut().zip(score.all(&cycle, &feasible)) {
                *total += part;
            }
        }
    }
    let highest = totals.iter().max().copied().unwrap_or(0);
    let best: Vec<_> = feasible.iter().zip(&totals).filter(|(_, total)| **total == highest).collect();
    let (chosen, _) = best[chance % best.len()];
    Ok(chosen.name.clone())
}

impl<'a> Cycle<'a> {
    pub fn new(facts: &'a PodFacts, snapshot: &'a Snapshot) -> Self {
        Self {
            facts,
            snapshot,
            affinity: inter_pod_affinity::prepare(facts, snapshot),
            spread: pod_topology_spread::prepare(facts, snapshot),
            preferred: preferred(facts, snapshot),
        }
    }
}

fn feasible<'a>(cycle: &Cycle<'a>, chance: usize) -> Result<Vec<&'a NodeInfo>, Unfit> {
    let nodes: Vec<&NodeInfo> = cycle.snapshot.nodes().collect();
    let enough = enough_nodes(nodes.len());
    let mut unfit = Unfit {
        nodes: nodes.len(),
        reasons: BTreeMap::new(),
        helped_by_pods: false,
        filters: BTreeSet::new(),
    };
    let mut feasible = Vec::new();
    let start = if nodes.is_empty() { 0 } else { chance % nodes.len() };
    for node in nodes[start..].iter().chain(&nodes[..start]) {
        match against(cycle, node) {
            None => feasible.push(*node),
            Some((filter, reasons)) => {
                unfit.helped_by_pods |= filter.helped_by_pods;
                unfit.filters.insert(filter.name);
                reasons.into_iter().for_each(|reason| *unfit.reasons.entry(reason).or_default() += 1);
            }
        }
        if feasible.len() >= enough {
            break;
        }
    }
    if feasible.is_empty() { Err(unfit) } else { Ok(feasible) }
}

/// The first filter's word against the node.
fn against(cycle: &Cycle<'_>, node: &NodeInfo) -> Option<(&'static Filter, Vec<String>)> {
    FILTERS.iter().find_map(|filter| {
        let reasons = (filter.reasons_against)(cycle, node);
        (!reasons.is_empty()).then_some((filter, reasons))
    })
}

/// In large clusters not all nodes are compared: 50 % of 100, falling to 5 %, at least 100 (stock: percentageOfNodesToScore).
fn enough_nodes(nodes: usize) -> usize {
    const COMPARED_AT_LEAST: usize = 100;
    if nodes < COMPARED_AT_LEAST {
        return nodes.max(1);
    }
    let percent = 50_usize.saturating_sub(nodes / 125).max(5);
    (nodes * percent / 100).max(COMPARED_AT_LEAST)
}

fn preferred(facts: &PodFacts, snapshot: &Snapshot) -> HashMap<(String, String), i64> {
    let mut weights = HashMap::new();
    for node in snapshot.nodes() {
        for pod in node.pods.values() {
            let wished = facts.terms.preferred.iter().filter(|(_, term)| term.selects(pod, snapshot));
            let wishing = pod.terms.preferred.iter().filter(|(_, term)| term.selects(facts, snapshot));
            for (weight, term) in wished.chain(wishing) {
                if let Some(value) = node.label(&term.topology_key) {
                    *weights.entry((term.topology_key.clone(), value.to_owned())).or_default() += weight;
                }
            }
        }
    }
    weights
}

impl std::fmt::Display for Unfit {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if self.nodes == 0 {
            return write!(out, "no nodes available to schedule pods");
        }
        let mut reasons: Vec<_> =
            self.reasons.iter().map(|(reason, count)| format!("{count} {reason}")).collect();
        reasons.sort();
        write!(out, "0/{} nodes are available: {}.", self.nodes, reasons.join(", "))
    }
}
