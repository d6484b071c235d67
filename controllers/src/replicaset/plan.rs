//! Plans one replica set: status first, since it tells what the plan was made on, then pods.

use std::sync::Arc;

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetSpec};
use k8s_openapi::api::core::v1::Pod;

use super::{rank, status};
use crate::action::Action;
use crate::claim::claim;
use crate::limits::BURST_REPLICAS;
use crate::object::{controller_of, is_deleting, uid_of};
use crate::pod::is_active;
use crate::template::{create_pod, delete_pod, pod_from};
use crate::world::{OWNER, World};

pub fn plan(world: &World, key: &ObjectKey, now: Timestamp) -> Vec<Action> {
    let Some(set) = world.replica_sets.find(key) else { return Vec::new() };
    let Some(spec) = &set.spec else { return Vec::new() };
    let claim = claim(&*set, &spec.selector, &world.pods);
    let pods: Vec<_> = claim.owned.into_iter().filter(|pod| is_active(pod)).collect();
    let mut actions = claim.actions;
    let failure = world.findings.create_failure(uid_of(&set.metadata));
    actions.extend(status::plan(&set, &pods, failure, now));
    if !is_deleting(&set.metadata) {
        actions.extend(scale(world, &set, spec, &pods));
    }
    actions
}

fn scale(world: &World, set: &ReplicaSet, spec: &ReplicaSetSpec, pods: &[Arc<Pod>]) -> Vec<Action> {
    let wanted = usize::try_from(spec.replicas.unwrap_or(1)).unwrap_or(0);
    if pods.len() < wanted {
        let missing = (wanted - pods.len()).min(BURST_REPLICAS);
        let template = spec.template.clone().unwrap_or_default();
        return (0..missing).map(|_| create_pod(set, pod_from(set, &template))).collect();
    }
    let surplus = (pods.len() - wanted).min(BURST_REPLICAS);
    let doomed = rank::worst(pods, &related_pods(world, set, pods), surplus);
    doomed.iter().map(|pod| delete_pod(set, pod)).collect()
}

/// Active pods of all sets with the same owner: during a rollout, old and new pods share nodes.
fn related_pods(world: &World, set: &ReplicaSet, own: &[Arc<Pod>]) -> Vec<Arc<Pod>> {
    let Some(owner) = controller_of(&set.metadata) else { return own.to_vec() };
    let siblings = world.replica_sets.by_index(OWNER, &owner.uid);
    let uids = siblings.iter().filter_map(|sibling| sibling.metadata.uid.clone());
    uids.flat_map(|uid| world.pods.by_index(OWNER, &uid)).filter(|pod| is_active(pod)).collect()
}
