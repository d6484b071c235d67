//! Which nodes a daemon set is for, and which node a pod of it is for.

use std::sync::Arc;

use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::{
    Affinity, Node, NodeAffinity, NodeSelector, NodeSelectorRequirement, NodeSelectorTerm, Pod, PodSpec,
    Toleration,
};

use crate::pod::node_name;
use crate::scheduler::filter::{node_affinity, taint_toleration};
use crate::scheduler::snapshot::{NodeInfo, PodFacts};
use crate::taint::{NO_EXECUTE, NO_SCHEDULE, is_tolerated};
use crate::template::pod_from;

/// Daemons stay through trouble of their node; they may be what repairs it.
const TOLERATED: [(&str, &str); 6] = [
    ("node.kubernetes.io/not-ready", NO_EXECUTE),
    ("node.kubernetes.io/unreachable", NO_EXECUTE),
    ("node.kubernetes.io/disk-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/memory-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/pid-pressure", NO_SCHEDULE),
    ("node.kubernetes.io/unschedulable", NO_SCHEDULE),
];

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fit {
    /// Gets a pod.
    Runs,
    /// Gets none, but keeps the one it has.
    Keeps,
    Refuses,
}

/// Judges nodes for one daemon set.
pub struct Judge {
    facts: PodFacts,
}

impl Judge {
    pub fn new(set: &DaemonSet) -> Self {
        Self { facts: PodFacts::new(Arc::new(pod_for(set, None))) }
    }

    pub fn judge(&self, node: &Arc<Node>) -> Fit {
        let info = NodeInfo::of(node.clone());
        if !node_affinity::admits(&self.facts, &info) {
            return Fit::Refuses;
        }
        if taint_toleration::admits(&self.facts, &info) {
            return Fit::Runs;
        }
        let taints = node.spec.as_ref().and_then(|spec| spec.taints.as_deref()).unwrap_or_default();
        let mut driving_away = taints.iter().filter(|taint| taint.effect == NO_EXECUTE);
        let driven_away = driving_away.any(|taint| !is_tolerated(taint, self.facts.tolerations()));
        if driven_away { Fit::Refuses } else { Fit::Keeps }
    }
}

/// A pod of the set; with a node, one that only this node can take.
pub fn pod_for(set: &DaemonSet, node: Option<&str>) -> Pod {
    let template = set.spec.as_ref().map(|spec| spec.template.clone()).unwrap_or_default();
    let mut pod = pod_from(set, &template);
    let spec = pod.spec.get_or_insert_default();
    tolerate_trouble(spec);
    if let Some(node) = node {
        let affinity = spec.affinity.get_or_insert_default();
        pin(affinity, node);
    }
    pod
}

fn tolerate_trouble(spec: &mut PodSpec) {
    let on_host = spec.host_network == Some(true);
    let network = on_host.then_some(("node.kubernetes.io/network-unavailable", NO_SCHEDULE));
    let tolerations = spec.tolerations.get_or_insert_default();
    for (key, effect) in TOLERATED.into_iter().chain(network) {
        let toleration = Toleration {
            key: Some(key.to_owned()),
            operator: Some("Exists".to_owned()),
            effect: Some(effect.to_owned()),
            ..Toleration::default()
        };
        if !tolerations.contains(&toleration) {
            tolerations.push(toleration);
        }
    }
}

/// The node was judged already, so its name replaces what the template requires of nodes.
fn pin(affinity: &mut Affinity, node: &str) {
    let name = NodeSelectorRequirement {
        key: "metadata.name".to_owned(),
        operator: "In".to_owned(),
        values: Some(vec![node.to_owned()]),
    };
    let term = NodeSelectorTerm { match_fields: Some(vec![name]), match_expressions: None };
    let node_affinity: &mut NodeAffinity = affinity.node_affinity.get_or_insert_default();
    node_affinity.required_during_scheduling_ignored_during_execution =
        Some(NodeSelector { node_selector_terms: vec![term] });
}

/// The node that a pod is on, or pinned to.
pub fn node_of(pod: &Pod) -> Option<&str> {
    if !node_name(pod).is_empty() {
        return Some(node_name(pod));
    }
    let affinity = pod.spec.as_ref()?.affinity.as_ref()?.node_affinity.as_ref()?;
    let required = affinity.required_during_scheduling_ignored_during_execution.as_ref()?;
    let fields = required.node_selector_terms.iter().flat_map(|term| term.match_fields.iter().flatten());
    let mut names = fields.filter(|field| field.key == "metadata.name");
    names.next()?.values.as_ref()?.first().map(String::as_str)
}
