//! InterPodAffinity: the weights of preferred terms, of this pod and of those that run, that hold on the node.

use super::{Normalize, Score};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;

pub const SCORE: Score = Score { name: "InterPodAffinity", weight: 2, of, normalize: Normalize::Stretch };

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let weights = cycle.preferred.iter();
    weights.filter(|((key, value), _)| node.label(key) == Some(value)).map(|(_, weight)| weight).sum()
}
