//! Rolling update: old pods go within maxUnavailable; those that do not serve go at once, since they cost nothing.

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::Pod;

use super::nodes::Fit;
use super::plan::Post;
use super::revision::HASH;
use crate::action::Action;
use crate::deployment::scaled;
use crate::object::label;
use crate::pod::is_available;
use crate::template::delete_pod;

pub fn plan(set: &DaemonSet, posts: &[Post], hash: &str, now: Timestamp) -> Vec<Action> {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.clone()).unwrap_or_default();
    if strategy.type_.as_deref() == Some("OnDelete") {
        return Vec::new();
    }
    let wanted: Vec<_> = posts.iter().filter(|post| post.fit == Fit::Runs).collect();
    let serves = |pod: &Pod| is_available(pod, min_ready_seconds(set), now);
    let unavailable = wanted.iter().filter(|post| !post.pods.iter().any(|pod| serves(pod))).count();
    let allowed = max_unavailable(strategy.rolling_update, wanted.len());
    let old = posts.iter().flat_map(|post| &post.pods).filter(|pod| label(&pod.metadata, HASH) != Some(hash));
    let (serving, idle): (Vec<_>, Vec<_>) = old.partition(|pod| serves(pod));
    let going = idle.into_iter().chain(serving.into_iter().take(allowed.saturating_sub(unavailable)));
    going.map(|pod| delete_pod(set, pod)).collect()
}

pub fn min_ready_seconds(set: &DaemonSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// At least one, or the update could never move.
fn max_unavailable(bounds: Option<RollingUpdateDaemonSet>, wanted: usize) -> usize {
    let bounds = bounds.unwrap_or_default();
    let total = i32::try_from(wanted).unwrap_or(i32::MAX);
    let number = |value: Option<_>| value.map_or(0, |value| scaled(Some(&value), total, true));
    let allowed = number(bounds.max_unavailable).max(number(bounds.max_surge));
    usize::try_from(allowed).unwrap_or(0).max(1)
}
