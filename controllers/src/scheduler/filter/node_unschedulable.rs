//! NodeUnschedulable: no new pods on a cordoned node, unless they tolerate its taint.

use k8s_openapi::api::core::v1::Taint;

use super::{Filter, reason};
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::NodeInfo;
use crate::taint::{NO_SCHEDULE, UNSCHEDULABLE, is_tolerated};

pub const FILTER: Filter = Filter { name: "NodeUnschedulable", reasons_against, helped_by_pods: false };

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let spec = node.node.as_ref().and_then(|node| node.spec.as_ref());
    if spec.and_then(|spec| spec.unschedulable) != Some(true) {
        return Vec::new();
    }
    let taint = Taint { key: UNSCHEDULABLE.to_owned(), effect: NO_SCHEDULE.to_owned(), ..Taint::default() };
    reason(!is_tolerated(&taint, cycle.facts.tolerations()), "node(s) were unschedulable")
}
