//! Old sets above `revisionHistoryLimit` are deleted, lowest revision first; only those that are empty and say so.

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};

use super::fleet::{Fleet, spec_replicas};
use super::revision::revision_of;
use super::strategy::history_limit;
use crate::action::Action;
use crate::object::is_deleting;

pub fn plan(deployment: &Deployment, fleet: &Fleet) -> Vec<Action> {
    let Some(limit) = history_limit(deployment) else { return Vec::new() };
    let mut old: Vec<_> = fleet.old.iter().filter(|ship| !is_deleting(&ship.set.metadata)).collect();
    let surplus = old.len().saturating_sub(limit);
    old.sort_by_key(|ship| revision_of(&ship.set));
    old.truncate(surplus);
    old.retain(|ship| is_idle(&ship.set));
    old.iter().map(|ship| Action::delete(&*ship.set)).collect()
}

fn is_idle(set: &ReplicaSet) -> bool {
    let status = set.status.clone().unwrap_or_default();
    spec_replicas(set) == 0
        && status.replicas == 0
        && status.observed_generation.unwrap_or(0) >= set.metadata.generation.unwrap_or(0)
}
