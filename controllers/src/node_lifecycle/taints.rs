//! The taints that a node's conditions call for.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Taint};

use super::conditions::{condition, ready};
use crate::object::api_time;
use crate::taint::{NO_EXECUTE, NO_SCHEDULE, NOT_READY, UNREACHABLE, UNSCHEDULABLE};

/// Condition that must be True, and the taint it brings.
const PRESSURES: [(&str, &str); 4] = [
    ("MemoryPressure", "node.kubernetes.io/memory-pressure"),
    ("DiskPressure", "node.kubernetes.io/disk-pressure"),
    ("NetworkUnavailable", "node.kubernetes.io/network-unavailable"),
    ("PIDPressure", "node.kubernetes.io/pid-pressure"),
];

/// The node's taints as they should be; nothing when they are.
pub fn corrected(node: &Node, now: Timestamp) -> Option<Vec<Taint>> {
    let wanted = wanted(node)?;
    let present = node.spec.as_ref().and_then(|spec| spec.taints.clone()).unwrap_or_default();
    let is_wanted =
        |taint: &Taint| wanted.iter().any(|(key, effect)| taint.key == *key && taint.effect == *effect);
    let mut taints: Vec<_> =
        present.iter().filter(|taint| !is_ours(taint) || is_wanted(taint)).cloned().collect();
    for (key, effect) in &wanted {
        if !taints.iter().any(|taint| taint.key == *key && taint.effect == *effect) {
            let time_added = Some(api_time(now));
            taints.push(Taint {
                key: (*key).to_owned(),
                effect: (*effect).to_owned(),
                value: None,
                time_added,
            });
        }
    }
    (taints != present).then_some(taints)
}

/// Key and effect of every taint the node's state calls for; nothing before the node has told its state.
fn wanted(node: &Node) -> Option<Vec<(&'static str, &'static str)>> {
    let mut wanted = Vec::new();
    match ready(node)?.status.as_str() {
        "True" => {}
        "False" => wanted.extend([(NOT_READY, NO_SCHEDULE), (NOT_READY, NO_EXECUTE)]),
        _ => wanted.extend([(UNREACHABLE, NO_SCHEDULE), (UNREACHABLE, NO_EXECUTE)]),
    }
    for (type_, taint) in PRESSURES {
        if condition(node, type_).is_some_and(|condition| condition.status == "True") {
            wanted.push((taint, NO_SCHEDULE));
        }
    }
    if node.spec.as_ref().is_some_and(|spec| spec.unschedulable == Some(true)) {
        wanted.push((UNSCHEDULABLE, NO_SCHEDULE));
    }
    Some(wanted)
}

fn is_ours(taint: &Taint) -> bool {
    let by_condition = PRESSURES.iter().map(|(_, key)| *key).chain([NOT_READY, UNREACHABLE, UNSCHEDULABLE]);
    let effects = [NO_SCHEDULE, NO_EXECUTE];
    effects.contains(&taint.effect.as_str()) && by_condition.into_iter().any(|key| key == taint.key)
}
