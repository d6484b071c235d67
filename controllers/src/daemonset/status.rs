//! The status of a daemon set: counts over nodes.

use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, DaemonSetStatus};
use k8s_openapi::api::core::v1::Pod;

use super::nodes::Fit;
use super::plan::Post;
use super::revision::HASH;
use super::rollout::min_ready_seconds;
use crate::action::Action;
use crate::object::{label, time_until};
use crate::pod::{available_at, is_available, is_ready};
use crate::replicaset::nonzero;

pub fn plan(set: &DaemonSet, posts: &[Post], hash: &str, now: Timestamp) -> Vec<Action> {
    let status = status_of(set, posts, hash, now);
    let mut actions = Vec::new();
    if set.status.as_ref() != Some(&status) {
        actions.push(Action::update_status(DaemonSet { status: Some(status), ..set.clone() }));
    }
    actions.extend(next_available(set, posts, now).map(|after| Action::LookAgain { after }));
    actions
}

fn status_of(set: &DaemonSet, posts: &[Post], hash: &str, now: Timestamp) -> DaemonSetStatus {
    let wanted: Vec<_> = posts.iter().filter(|post| post.fit == Fit::Runs).collect();
    let count = |holds: &dyn Fn(&Pod) -> bool| {
        wanted.iter().filter(|post| post.pods.first().is_some_and(|pod| holds(pod))).count() as i32
    };
    let desired = wanted.len() as i32;
    let available = count(&|pod| is_available(pod, min_ready_seconds(set), now));
    let misplaced = posts.iter().filter(|post| post.fit != Fit::Runs && !post.pods.is_empty()).count();
    DaemonSetStatus {
        current_number_scheduled: count(&|_| true),
        desired_number_scheduled: desired,
        number_misscheduled: misplaced as i32,
        number_ready: count(&is_ready),
        number_available: nonzero(available),
        number_unavailable: nonzero(desired - available),
        updated_number_scheduled: nonzero(count(&|pod| label(&pod.metadata, HASH) == Some(hash))),
        observed_generation: set.metadata.generation,
        ..set.status.clone().unwrap_or_default()
    }
}

fn next_available(set: &DaemonSet, posts: &[Post], now: Timestamp) -> Option<Duration> {
    let pods = posts.iter().flat_map(|post| &post.pods);
    pods.filter_map(|pod| time_until(available_at(pod, min_ready_seconds(set))?, now)).min()
}
