//! Plans the deletion of garbage pods, all at once.

use std::collections::BTreeSet;
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Pod;

use crate::action::{Action, Deletion, LookUp, Target};
use crate::object::{created_at, is_deleting, name_of, plus_seconds, time_until};
use crate::pod::{disrupted, is_terminated, node_name};
use crate::world::World;

/// A node that is missed may only be late, or come back: its pods wait this long (stock: quarantineTime).
const NODE_MISSED_SECONDS: i64 = 40;

pub fn plan(world: &World, _: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let pods = world.pods.list();
    let mut doomed: Vec<Arc<Pod>> = terminated_surplus(&pods, world.settings.terminated_pod_gc_threshold);
    doomed.extend(pods.iter().filter(|pod| is_deleting(&pod.metadata) && node_name(pod).is_empty()).cloned());
    let mut actions = Vec::new();
    for node in missed_nodes(world, &pods) {
        match world.findings.node(&node) {
            None => actions.push(Action::LookUp(LookUp::Node { name: node })),
            Some(finding) => match time_until(plus_seconds(finding.at, NODE_MISSED_SECONDS), now) {
                Some(after) => actions.push(Action::LookAgain { after }),
                None if finding.exists => actions.push(Action::LookUp(LookUp::Node { name: node })),
                None => {
                    let orphans = pods.iter().filter(|pod| node_name(pod) == node);
                    actions.extend(orphans.clone().map(|pod| lost(pod, now)));
                    doomed.extend(orphans.cloned());
                }
            },
        }
    }
    let mut seen = BTreeSet::new();
    doomed.retain(|pod| seen.insert(crate::object::key_of(&pod.metadata)));
    actions.extend(doomed.iter().map(|pod| force_delete(pod)));
    actions
}

/// The oldest finished pods above the threshold; 0 keeps all.
fn terminated_surplus(pods: &[Arc<Pod>], threshold: usize) -> Vec<Arc<Pod>> {
    if threshold == 0 {
        return Vec::new();
    }
    let terminated = pods.iter().filter(|pod| is_terminated(pod) && !is_deleting(&pod.metadata));
    let mut terminated: Vec<_> = terminated.cloned().collect();
    let surplus = terminated.len().saturating_sub(threshold);
    terminated.sort_by_cached_key(|pod| (created_at(&pod.metadata), name_of(&pod.metadata).to_owned()));
    terminated.truncate(surplus);
    terminated
}

fn missed_nodes(world: &World, pods: &[Arc<Pod>]) -> BTreeSet<String> {
    let nodes = pods.iter().map(|pod| node_name(pod)).filter(|node| !node.is_empty());
    nodes.filter(|node| world.nodes.get("", node).is_none()).map(str::to_owned).collect()
}

/// Told apart from pods that failed by themselves, for whoever made it.
fn lost(pod: &Pod, now: Timestamp) -> Action {
    let why = "PodGC: node no longer exists";
    Action::update_status(disrupted(pod, "DeletionByPodGC", why, true, now))
}

/// Nobody is left who could stop it gracefully.
fn force_delete(pod: &Pod) -> Action {
    let options = Deletion { grace_seconds: Some(0), propagation: None };
    Action::Delete { target: Target::of(pod), options, announce: None }
}
