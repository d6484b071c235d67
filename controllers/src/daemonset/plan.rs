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
use crate::pod::phase;
use crate::template::{create_pod, delete_pod};
use crate::world::World;

/// A node, how it fits, and the set's pods on it that are not on their way out, oldest first.
pub struct Post {
    pub node: String,
    pub fit: Fit,
    pub pods: Vec<Arc<Pod>>,
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
    let manning = man(&set, &posts, &hash);
    if manning.is_empty() {
        actions.extend(rollout::plan(&set, &posts, &hash, now));
        actions.extend(revision::prune(world, &set, &claim.owned, &hash));
    }
    actions.extend(manning);
    actions
}

fn posts(world: &World, set: &DaemonSet, pods: &[Arc<Pod>]) -> Vec<Post> {
    let mut by_node: BTreeMap<&str, Vec<Arc<Pod>>> = BTreeMap::new();
    for pod in pods.iter().filter(|pod| !is_deleting(&pod.metadata)) {
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

/// Creates what is missing, deletes what is too much or has failed.
fn man(set: &DaemonSet, posts: &[Post], hash: &str) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut creates = Vec::new();
    for post in posts {
        let (failed, alive): (Vec<_>, Vec<_>) = post.pods.iter().partition(|pod| phase(pod) == "Failed");
        for pod in failed {
            let message = format!(
                "Found failed daemon pod {} on node {}, will try to kill it",
                display(pod),
                post.node
            );
            actions.push(Action::note(set, Severity::Warning, "FailedDaemonPod", message));
            actions.push(delete_pod(set, pod));
        }
        match post.fit {
            Fit::Runs if post.pods.is_empty() => creates.push(create(set, &post.node, hash)),
            Fit::Runs | Fit::Keeps => actions.extend(alive.iter().skip(1).map(|pod| delete_pod(set, pod))),
            Fit::Refuses => actions.extend(alive.iter().map(|pod| delete_pod(set, pod))),
        }
    }
    actions.extend(creates.into_iter().take(BURST_REPLICAS));
    actions
}

fn create(set: &DaemonSet, node: &str, hash: &str) -> Action {
    let mut pod = pod_for(set, Some(node));
    let labels = pod.metadata.labels.get_or_insert_default();
    labels.insert(HASH.to_owned(), hash.to_owned());
    labels.insert("pod-template-generation".to_owned(), set.metadata.generation.unwrap_or(1).to_string());
    create_pod(set, pod)
}

fn display(pod: &Pod) -> String {
    crate::object::key_of(&pod.metadata).to_string()
}
