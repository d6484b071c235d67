//! TaintToleration: every NoSchedule and NoExecute taint must be tolerated.

use k8s_openapi::api::core::v1::Taint;

use super::Filter;
use crate::scheduler::plan::Cycle;
use crate::scheduler::snapshot::{NodeInfo, PodFacts};
use crate::taint::{PREFER_NO_SCHEDULE, is_tolerated};

pub const FILTER: Filter = Filter { name: "TaintToleration", reasons_against, helped_by_pods: false };

fn reasons_against(cycle: &Cycle<'_>, node: &NodeInfo) -> Vec<String> {
    let text = untolerated(cycle.facts, node).map(|taint| {
        let value = taint.value.as_deref().unwrap_or_default();
        format!("node(s) had untolerated taint {{{}: {value}}}", taint.key)
    });
    text.into_iter().collect()
}

pub fn admits(facts: &PodFacts, node: &NodeInfo) -> bool {
    untolerated(facts, node).is_none()
}

fn untolerated<'a>(facts: &PodFacts, node: &'a NodeInfo) -> Option<&'a Taint> {
    let spec = node.node.as_ref().and_then(|node| node.spec.as_ref());
    let taints = spec.and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
    let mut binding = taints.iter().filter(|taint| taint.effect != PREFER_NO_SCHEDULE);
    binding.find(|taint| !is_tolerated(taint, facts.tolerations()))
}
