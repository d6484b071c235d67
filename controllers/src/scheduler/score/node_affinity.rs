//! NodeAffinity: the weights of the preferred terms that the node matches.

use super::{Normalize, Score};
use crate::scheduler::node_selector::matches;
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;

pub const SCORE: Score = Score { name: "NodeAffinity", weight: 2, of, normalize: Normalize::HigherIsBetter };

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let affinity = cycle.facts.spec().and_then(|spec| spec.affinity.as_ref()?.node_affinity.as_ref());
    let preferred =
        affinity.and_then(|all| all.preferred_during_scheduling_ignored_during_execution.as_ref());
    let matching = preferred.into_iter().flatten().filter(|term| matches(&term.preference, node));
    matching.map(|term| i64::from(term.weight)).sum()
}
