//! Scores: how good is this node for this pod? One per file, 0 to 100 after normalizing, weighted as in the stock default profile.

mod image_locality;
mod inter_pod_affinity;
mod node_affinity;
mod node_resources_balanced;
mod node_resources_fit;
mod pod_topology_spread;
mod taint_toleration;

use tracing::trace;

use super::plan::Cycle;
use super::snapshot::NodeInfo;

pub const BEST: i64 = 100;

pub struct Score {
    pub name: &'static str,
    pub weight: i64,
    pub of: fn(&Cycle<'_>, &NodeInfo) -> i64,
    pub normalize: Normalize,
}

/// How raw scores of all feasible nodes become 0 to 100.
pub enum Normalize {
    /// They are already.
    AsIs,
    /// The highest becomes 100.
    HigherIsBetter,
    /// The highest becomes 0, zero 100.
    LowerIsBetter,
    /// The span from lowest to highest is stretched over 0 to 100; scores may be negative.
    Stretch,
    /// As stretched, turned around.
    StretchLowerIsBetter,
}

pub static SCORES: [Score; 7] = [
    taint_toleration::SCORE,
    node_affinity::SCORE,
    node_resources_fit::SCORE,
    pod_topology_spread::SCORE,
    inter_pod_affinity::SCORE,
    node_resources_balanced::SCORE,
    image_locality::SCORE,
];

impl Score {
    /// Weighted scores, in the order of `nodes`.
    pub fn all(&self, cycle: &Cycle<'_>, nodes: &[&NodeInfo]) -> Vec<i64> {
        let raw: Vec<i64> = nodes.iter().map(|node| (self.of)(cycle, node)).collect();
        let highest = raw.iter().copied().max().unwrap_or(0);
        let lowest = raw.iter().copied().min().unwrap_or(0);
        let scores: Vec<i64> =
            raw.iter().map(|score| self.weight * self.normalize.apply(*score, lowest, highest)).collect();
        trace!(score = self.name, pod = %cycle.facts.key, ?scores);
        scores
    }
}

impl Normalize {
    fn apply(&self, score: i64, lowest: i64, highest: i64) -> i64 {
        let stretched =
            |distance: i64| if highest == lowest { 0 } else { BEST * distance / (highest - lowest) };
        match self {
            Normalize::AsIs => score,
            Normalize::HigherIsBetter if highest == 0 => 0,
            Normalize::HigherIsBetter => BEST * score / highest,
            Normalize::LowerIsBetter if highest == 0 => BEST,
            Normalize::LowerIsBetter => BEST - BEST * score / highest,
            Normalize::Stretch => stretched(score - lowest),
            Normalize::StretchLowerIsBetter if highest == lowest => BEST,
            Normalize::StretchLowerIsBetter => stretched(highest - score),
        }
    }
}
