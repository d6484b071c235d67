//! Rolling update: without surge old pods go first, within maxUnavailable; with surge new ones come first, within
//! maxSurge, and an old one goes when its successor is available. What does not serve is replaced at once: it costs
//! nothing. A pod on its way out is neither old nor new; its node counts as unavailable until it is gone.

use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::apps::v1::{DaemonSet, RollingUpdateDaemonSet};
use k8s_openapi::api::core::v1::Pod;

use super::nodes::Fit;
use super::plan::{Post, create};
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
    let wanted = posts.iter().filter(|post| post.fit == Fit::Runs).count();
    let bounds = Bounds::of(strategy.rolling_update.as_ref(), wanted);
    let concerned = posts.iter().filter(|post| post.fit == Fit::Runs || !post.pods.is_empty());
    let pairs: Vec<_> = concerned.map(|post| (post, Pair::on(post, hash))).collect();
    let serves = |pod: &Pod| is_available(pod, min_ready_seconds(set), now);
    if bounds.surge > 0 {
        surge(set, &pairs, hash, bounds.surge, &serves)
    } else {
        replace(set, &pairs, bounds.unavailable, &serves)
    }
}

/// The staying pod of the current template and the one of another on a node.
struct Pair<'p> {
    new: Option<&'p Arc<Pod>>,
    old: Option<&'p Arc<Pod>>,
}

impl<'p> Pair<'p> {
    /// None if there is more than one of a sort: that is put right first.
    fn on(post: &'p Post, hash: &str) -> Option<Self> {
        let mut pair = Self { new: None, old: None };
        for pod in post.staying() {
            let place = if is_current(pod, hash) { &mut pair.new } else { &mut pair.old };
            if place.replace(pod).is_some() {
                return None;
            }
        }
        Some(pair)
    }
}

type Pairs<'p> = [(&'p Post, Option<Pair<'p>>)];

fn replace(
    set: &DaemonSet,
    pairs: &Pairs<'_>,
    most_unavailable: usize,
    serves: &dyn Fn(&Pod) -> bool,
) -> Vec<Action> {
    let mut unavailable = 0;
    let (mut idle, mut serving) = (Vec::new(), Vec::new());
    for (_, pair) in pairs {
        match pair {
            Some(Pair { new: Some(new), old: None }) => unavailable += usize::from(!serves(new)),
            Some(Pair { new: None, old: Some(old) }) if serves(old) => serving.push(old),
            Some(Pair { new: None, old: Some(old) }) => {
                unavailable += 1;
                idle.push(old);
            }
            Some(Pair { new: None, old: None } | Pair { new: Some(_), old: Some(_) }) | None => {
                unavailable += 1;
            }
        }
    }
    let going =
        idle.into_iter().chain(serving.into_iter().take(most_unavailable.saturating_sub(unavailable)));
    going.map(|pod| delete_pod(set, pod)).collect()
}

fn surge(
    set: &DaemonSet,
    pairs: &Pairs<'_>,
    hash: &str,
    most_surging: usize,
    serves: &dyn Fn(&Pod) -> bool,
) -> Vec<Action> {
    let mut surging = 0;
    let (mut idle, mut serving, mut actions) = (Vec::new(), Vec::new(), Vec::new());
    for (post, pair) in pairs {
        match pair {
            None => surging += 1,
            Some(Pair { old: None, .. }) => {}
            Some(Pair { new: None, old: Some(old) }) if serves(old) => serving.push(*post),
            Some(Pair { new: None, old: Some(_) }) => idle.push(*post),
            Some(Pair { new: Some(new), old: Some(old) }) if serves(new) => {
                actions.push(delete_pod(set, old));
            }
            Some(Pair { new: Some(_), old: Some(_) }) => surging += 1,
        }
    }
    let getting = serving.into_iter().take(most_surging.saturating_sub(surging));
    // Nodes that refuse the set keep what they have and get nothing new.
    let getting = idle.into_iter().chain(getting).filter(|post| post.fit == Fit::Runs);
    actions.extend(getting.map(|post| create(set, &post.node, hash)));
    actions
}

pub fn is_current(pod: &Pod, hash: &str) -> bool {
    label(&pod.metadata, HASH) == Some(hash)
}

pub fn min_ready_seconds(set: &DaemonSet) -> i32 {
    set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).unwrap_or(0)
}

/// Whether old and new pods may be on a node at the same time.
pub fn allows_surge(set: &DaemonSet) -> bool {
    let strategy = set.spec.as_ref().and_then(|spec| spec.update_strategy.as_ref());
    Bounds::of(strategy.and_then(|strategy| strategy.rolling_update.as_ref()), 1).surge > 0
}

struct Bounds {
    surge: usize,
    unavailable: usize,
}

impl Bounds {
    /// Percentages are of the nodes that get a pod, rounded up. One of the two is at least one, or nothing could move.
    fn of(given: Option<&RollingUpdateDaemonSet>, nodes: usize) -> Self {
        let total = i32::try_from(nodes).unwrap_or(i32::MAX);
        let number = |value: Option<&_>| value.map_or(0, |value| scaled(Some(value), total, true));
        let surge = number(given.and_then(|bounds| bounds.max_surge.as_ref()));
        let unavailable = number(given.and_then(|bounds| bounds.max_unavailable.as_ref()));
        let surge = usize::try_from(surge).unwrap_or(0);
        let unavailable = usize::try_from(unavailable).unwrap_or(0);
        Self { surge, unavailable: if surge == 0 { unavailable.max(1) } else { unavailable } }
    }
}
