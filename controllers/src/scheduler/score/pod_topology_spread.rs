//! PodTopologySpread: fewer selected pods in the node's domains, for constraints that are only wishes.

use super::{Normalize, Score};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;

pub const SCORE: Score =
    Score { name: "PodTopologySpread", weight: 2, of, normalize: Normalize::StretchLowerIsBetter };

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let constraints = cycle.facts.terms.spread.iter().zip(&cycle.spread);
    let wishes = constraints.filter(|(spread, _)| !spread.required);
    let crowds = wishes.map(|(spread, counts)| {
        let here = node.label(&spread.topology_key).and_then(|value| counts.get(value));
        // A node outside of all domains is the last choice.
        let crowd = here.copied().unwrap_or_else(|| counts.values().max().copied().unwrap_or(0) + 1);
        i64::from((crowd - (spread.max_skew - 1)).max(0))
    });
    crowds.sum()
}
