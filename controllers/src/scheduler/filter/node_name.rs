//! NodeName: a pod that names a node runs there only.

use super::{Filter, reason};
use crate::pod::node_name;
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;

pub const FILTER: Filter = Filter { name: "NodeName", reasons_against, helped_by_pods: false };

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let wanted = node_name(&cycle.facts.pod);
    reason(!wanted.is_empty() && wanted != node.name, "node(s) didn't match the requested node name")
}
