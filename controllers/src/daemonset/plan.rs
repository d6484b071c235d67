//! Plans one daemon set.

use std::collections::BTreeMap;
use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::DaemonSet;
use k8s_openapi::api::core::v1::Pod;

use super::nodes::{Fit, Judge, node_of, pod_for};
use super::revision::{self, HASH};
use super::{rollout, status};
use crate::action::{Action, Severity};
use crate::claim::claim;
use crate::limits::BURST_REPLICAS;
use crate::object::{created_at, is_deleting, name_of};
use crate::pod::{is_available, is_ready, is_terminated, phase};
use crate::template::{create_pod, delete_pod};
use crate::world::World;

/// A node, how it fits, and the set's pods on it, oldest first. A pod that is on its way out still holds the place,
/// its ports among it: its successor comes when it is gone, or has ended.
pub struct Post {
    pub node: String,
    pub fit: Fit,
    pub pods: Vec<Arc<Pod>>,
}

impl Post {
    pub fn staying(&self) -> impl Iterator<Item = &Arc<Pod>> {
        self.pods.iter().filter(|pod| !is_deleting(&pod.metadata))
    }
}

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(set) = world.daemon_sets.find(key) else { return Vec::new() };
    let Some(spec) = &set.spec else { return Vec::new() };
    let claim = claim(&*set, &spec.selector, &world.pods);
    let mut actions = claim.actions;
    if is_deleting(&set.metadata) {
        return actions;
    }
    let hash = match revision::current(world, &set) {
        Ok(hash) => hash,
        Err(first) => {
            // Pods carry the revision's hash: it must be there before them.
            actions.push(*first);
            return actions;
        }
    };
    let posts = posts(world, &set, &claim.owned);
    actions.extend(status::plan(&set, &posts, &hash, now));
    let manning = man(&set, &posts, &hash, now);
    if manning.is_empty() {
        actions.extend(rollout::plan(&set, &posts, &hash, now));
        actions.extend(revision::prune(world, &set, &claim.owned, &hash));
    }
    actions.extend(manning);
    actions
}

fn posts(world: &World, set: &DaemonSet, pods: &[Arc<Pod>]) -> Vec<Post> {
    let mut by_node: BTreeMap<&str, Vec<Arc<Pod>>> = BTreeMap::new();
    let is_gone = |pod: &Pod| is_deleting(&pod.metadata) && is_terminated(pod);
    for pod in pods.iter().filter(|pod| !is_gone(pod)) {
        if let Some(node) = node_of(pod) {
            by_node.entry(node).or_default().push(pod.clone());
        }
    }
    let judge = Judge::new(set);
    let nodes = world.nodes.list();
    let post = |node: &Arc<k8s_openapi::api::core::v1::Node>| {
        let name = name_of(&node.metadata);
        let mut pods = by_node.remove(name).unwrap_or_default();
        pods.sort_by_key(|pod| created_at(&pod.metadata));
        Post { node: name.to_owned(), fit: judge.judge(node), pods }
    };
    nodes.iter().map(post).collect()
}

/// Creates what is missing, deletes what is too much or has ended.
fn man(set: &DaemonSet, posts: &[Post], hash: &str, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut creates = Vec::new();
    for post in posts {
        match post.fit {
            Fit::Runs if post.pods.is_empty() => creates.push(create(set, &post.node, hash)),
            Fit::Runs | Fit::Keeps => {
                let (ended, running): (Vec<_>, Vec<_>) = post.staying().partition(|pod| is_terminated(pod));
                actions.extend(ended.into_iter().flat_map(|pod| clear(set, pod, &post.node)));
                let surplus = surplus(set, &running, hash, now);
                actions.extend(surplus.into_iter().map(|pod| delete_pod(set, pod)));
            }
            Fit::Refuses => actions.extend(post.staying().map(|pod| delete_pod(set, pod))),
        }
    }
    actions.extend(creates.into_iter().take(BURST_REPLICAS));
    actions
}

/// Daemons never end: one that did makes way for another.
fn clear(set: &DaemonSet, pod: &Pod, node: &str) -> [Action; 2] {
    let (severity, reason, word, verb) = match phase(pod) {
        "Failed" => (Severity::Warning, "FailedDaemonPod", "failed", "kill"),
        _ => (Severity::Normal, "SucceededDaemonPod", "succeeded", "delete"),
    };
    let message = format!("Found {word} daemon pod {} on node {node}, will try to {verb} it", display(pod));
    [Action::note(set, severity, reason, message), delete_pod(set, pod)]
}

/// All but the oldest. With surge an old and a new pod may be there together while the old one is ready and the new
/// one not yet available.
fn surplus<'p>(set: &DaemonSet, pods: &[&'p Arc<Pod>], hash: &str, now: Timestamp) -> Vec<&'p Arc<Pod>> {
    if !rollout::allows_surge(set) {
        return pods.iter().skip(1).copied().collect();
    }
    let (new, old): (Vec<&Arc<Pod>>, Vec<_>) =
        pods.iter().copied().partition(|pod| rollout::is_current(pod, hash));
    let mut surplus: Vec<_> = new.iter().skip(1).chain(old.iter().skip(1)).copied().collect();
    if let (Some(new), Some(old)) = (new.first(), old.first())
        && (!is_ready(old) || is_available(new, rollout::min_ready_seconds(set), now))
    {
        surplus.push(old);
    }
    surplus
}

pub fn create(set: &DaemonSet, node: &str, hash: &str) -> Action {
    let mut pod = pod_for(set, Some(node));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    labels.insert("pod-template-generation".to_owned(), set.metadata.generation.unwrap_or(1).to_string());
    create_pod(set, pod)
}

fn display(pod: &Pod) -> String {
    crate::object::key_of(&pod.metadata).to_string()
}
