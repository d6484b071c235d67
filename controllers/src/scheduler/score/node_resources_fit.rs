//! NodeResourcesFit, LeastAllocated: the larger the free share of CPU and memory, the better.

use super::{BEST, Normalize, Score};
use crate::scheduler::plan::Cycle;
use crate::scheduler::resources::{CPU, MEMORY};
use crate::scheduler::snapshot::NodeInfo;

pub const SCORE: Score = Score { name: "NodeResourcesFit", weight: 1, of, normalize: Normalize::AsIs };

fn of(cycle: &Cycle<'_>, node: &NodeInfo) -> i64 {
    let offered = [CPU, MEMORY].into_iter().filter(|name| node.allocatable.get(name) > 0);
    let shares: Vec<i64> = offered.map(|name| free_share(cycle, node, name)).collect();
    if shares.is_empty() { 0 } else { shares.iter().sum::<i64>() / shares.len() as i64 }
}

fn free_share(cycle: &Cycle<'_>, node: &NodeInfo, name: &str) -> i64 {
    let total = node.allocatable.get(name);
    let used = node.compared.get(name) + cycle.facts.compared.get(name);
    if used > total { 0 } else { (i128::from(total - used) * i128::from(BEST) / i128::from(total)) as i64 }
}
