//! Plans one node.

use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::{Node, Pod};
use serde_json::json;

use super::{conditions, taints};
use crate::action::{Action, Severity};
use crate::object::{api_time, is_deleting, time_until};
use crate::pod::is_ready;
use crate::world::{NODE, World};

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(node) = world.nodes.find(key) else { return Vec::new() };
    if is_deleting(&node.metadata) {
        return Vec::new();
    }
    let mut actions = Vec::new();
    match time_until(silent_at(world, key, now), now) {
        Some(after) => actions.push(Action::LookAgain { after }),
        None => actions.extend(silence(&node, key, now)),
    }
    if actions.iter().any(Action::writes) {
        // The taints follow from the conditions just written, and are guarded by the same resourceVersion.
        return actions;
    }
    if let Some(taints) = taints::corrected(&node, now) {
        actions.push(Action::patch(&*node, json!({ "spec": { "taints": taints } })));
    }
    if conditions::ready(&node).is_some_and(|ready| ready.status == "Unknown") {
        let pods = world.pods.by_index(NODE, &key.name);
        actions.extend(pods.iter().filter(|pod| is_ready(pod)).map(|pod| not_ready(pod, now)));
    }
    actions
}

/// When the node counts as silent if nothing more is heard. A node without a lease speaks by its status.
fn silent_at(world: &World, key: &ObjectKey, now: Timestamp) -> Timestamp {
    let lease = world.leases.changed_at("kube-node-lease", &key.name);
    let heard_at = lease.or_else(|| world.nodes.changed_at("", &key.name)).unwrap_or(now);
    heard_at.saturating_add(world.settings.node_monitor_grace_period).unwrap_or(Timestamp::MAX)
}

fn silence(node: &Node, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(status) = conditions::silenced(node, now) else { return Vec::new() };
    let was_ready = conditions::ready(node).is_some_and(|ready| ready.status == "True");
    let mut actions = vec![Action::update_status(Node { status: Some(status), ..node.clone() })];
    if was_ready {
        let message = format!("Node {} status is now: NodeNotReady", key.name);
        actions.push(Action::note(node, Severity::Normal, "NodeNotReady", message));
    }
    actions
}

/// Nobody can say that a pod of a silent node serves.
fn not_ready(pod: &Arc<Pod>, now: Timestamp) -> Action {
    let mut pod = (**pod).clone();
    let conditions = pod.status.iter_mut().flat_map(|status| status.conditions.iter_mut().flatten());
    for condition in conditions.filter(|condition| condition.type_ == "Ready") {
        condition.status = "False".to_owned();
        condition.last_transition_time = Some(api_time(now));
    }
    Action::update_status(pod)
}
