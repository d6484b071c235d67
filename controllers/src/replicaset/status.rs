//! The status of a replica set: counts of its active pods.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::action::Action;
use crate::object::time_until;
use crate::pod::{available_at, is_available, is_ready};
use crate::selector::includes;

pub fn plan(set: &ReplicaSet, pods: &[Arc<Pod>], now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    let status = status_of(set, pods, now);
    if set.status.as_ref() != Some(&status) {
        actions.push(Action::update_status(ReplicaSet { status: Some(status), ..set.clone() }));
    }
    if let Some(after) = next_available(set, pods, now) {
        actions.push(Action::LookAgain { after });
    }
    actions
}

fn status_of(set: &ReplicaSet, pods: &[Arc<Pod>], now: Timestamp) -> ReplicaSetStatus {
    let template = set.spec.as_ref().and_then(|spec| spec.template.as_ref()?.metadata.as_ref());
    let labels = template.and_then(|template| template.labels.as_ref());
    let count = |wanted: &dyn Fn(&Pod) -> bool| pods.iter().filter(|pod| wanted(pod)).count() as i32;
    let old = set.status.clone().unwrap_or_default();
    ReplicaSetStatus {
        replicas: pods.len() as i32,
        fully_labeled_replicas: nonzero(count(&|pod| includes(labels, pod.metadata.labels.as_ref()))),
        ready_replicas: nonzero(count(&is_ready)),
        available_replicas: nonzero(count(&|pod| is_available(pod, min_ready_seconds(set), now))),
        observed_generation: set.metadata.generation,
        ..old
    }
}

/// When the first pod that is ready now will count as available.
fn next_available(set: &ReplicaSet, pods: &[Arc<Pod>], now: Timestamp) -> Option<std::time::Duration> {
    let seconds = min_ready_seconds(set);
    pods.iter().filter_map(|pod| time_until(available_at(pod, seconds)?, now)).min()
}

fn min_ready_seconds(set: &ReplicaSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// The wire leaves zero counts out.
pub fn nonzero(count: i32) -> Option<i32> {
    (count != 0).then_some(count)
}
