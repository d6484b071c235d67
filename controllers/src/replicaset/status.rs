//! The status of a replica set: counts of its active pods.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{ReplicaSet, ReplicaSetCondition, ReplicaSetStatus};
use k8s_openapi::api::core::v1::Pod;

use crate::action::Action;
use crate::object::{api_time, time_until};
use crate::pod::{available_at, is_available, is_ready};
use crate::selector::includes;

pub const REPLICA_FAILURE: &str = "ReplicaFailure";

/// `failure` is why the last pod could not be created.
pub fn plan(set: &ReplicaSet, pods: &[Arc<Pod>], failure: Option<String>, now: Timestamp) -> Vec<Action> {
    let mut actions = Vec::new();
    let mut status = status_of(set, pods, now);
    set_failure(&mut status, failure, now);
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

fn set_failure(status: &mut ReplicaSetStatus, failure: Option<String>, now: Timestamp) {
    let mut conditions = status.conditions.take().unwrap_or_default();
    let position = conditions.iter().position(|condition| condition.type_ == REPLICA_FAILURE);
    match (failure, position) {
        (Some(message), None) => conditions.push(ReplicaSetCondition {
            type_: REPLICA_FAILURE.to_owned(),
            status: "True".to_owned(),
            reason: Some("FailedCreate".to_owned()),
            message: Some(message),
            last_transition_time: Some(api_time(now)),
        }),
        (None, Some(position)) => drop(conditions.remove(position)),
        // The first message stays: a new one for each attempt would be a write for each.
        (Some(_), Some(_)) | (None, None) => {}
    }
    status.conditions = Some(conditions).filter(|conditions| !conditions.is_empty());
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
