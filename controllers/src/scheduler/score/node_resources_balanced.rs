//! NodeResourcesBalancedAllocation: CPU and memory used in like shares.

use super::{BEST, Normalize, Score};
use crate::scheduler::plan::Cycle;
use crate::scheduler::resources::{CPU, MEMORY};
use crate::scheduler::snapshot::NodeInfo;

pub const SCORE: Score =
    Score { name: "NodeResourcesBalancedAllocation", weight: 1, of, normalize: Normalize::AsIs };

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let share = |name: &str| {
        let total = node.allocatable.get(name);
        let used = node.requested.get(name) + cycle.facts.requests.get(name);
        (total > 0).then(|| (used as f64 / total as f64).min(1.0))
    };
    let (Some(cpu), Some(memory)) = (share(CPU), share(MEMORY)) else { return BEST };
    // The standard deviation of two numbers is half their distance.
    let deviation = (cpu - memory).abs() / 2.0;
    ((1.0 - deviation) * BEST as f64) as i64
}
