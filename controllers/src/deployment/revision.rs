//! Revisions: the newest template has the highest number, also after a rollback.

use std::collections::BTreeMap;

use k8s_openapi::api::apps::v1::{Deployment, ReplicaSet};
use serde_json::{Value, json};

use super::fleet::{Fleet, Ship};
use super::new_set::{REVISION, REVISION_HISTORY, copied_annotations};
use super::strategy::min_ready_seconds;
use crate::action::Action;
use crate::object::annotation;

pub fn revision_of(set: &ReplicaSet) -> i64 {
    annotation(&set.metadata, REVISION).and_then(|text| text.parse().ok()).unwrap_or(0)
}

/// The number that the new set must have: one more than any old set.
pub fn next(fleet: &Fleet) -> i64 {
    fleet.old.iter().map(|ship| revision_of(&ship.set)).max().unwrap_or(0) + 1
}

/// Brings the new set's annotations and minReadySeconds up to date, then the deployment's own revision.
pub fn plan(deployment: &Deployment, new: &Ship, wanted: i64) -> Vec<Action> {
    if let Some(patch) = set_patch(deployment, &new.set, wanted) {
        return vec![Action::patch(&*new.set, patch)];
    }
    let revision = annotation(&new.set.metadata, REVISION).unwrap_or_default();
    if annotation(&deployment.metadata, REVISION) == Some(revision) {
        return Vec::new();
    }
    vec![Action::patch(deployment, json!({ "metadata": { "annotations": { REVISION: revision } } }))]
}

fn set_patch(deployment: &Deployment, set: &ReplicaSet, wanted: i64) -> Option<Value> {
    let mut annotations = BTreeMap::new();
    for (name, value) in copied_annotations(deployment) {
        if annotation(&set.metadata, &name) != Some(&value) {
            annotations.insert(name, value);
        }
    }
    let have = revision_of(set);
    if have < wanted {
        annotations.insert(REVISION.to_owned(), wanted.to_string());
        if have > 0 {
            annotations.insert(REVISION_HISTORY.to_owned(), history(set, have));
        }
    }
    let mut patch = json!({});
    if !annotations.is_empty() {
        patch["metadata"] = json!({ "annotations": annotations });
    }
    let seconds = set.spec.as_ref().and_then(|spec| spec.min_ready_seconds).filter(|seconds| *seconds != 0);
    if seconds != min_ready_seconds(deployment) {
        patch["spec"] = json!({ "minReadySeconds": min_ready_seconds(deployment) });
    }
    patch.as_object().is_some_and(|patch| !patch.is_empty()).then_some(patch)
}

/// The revisions that a set had before, oldest first.
fn history(set: &ReplicaSet, have: i64) -> String {
    match annotation(&set.metadata, REVISION_HISTORY) {
        Some(earlier) if !earlier.is_empty() => format!("{earlier},{have}"),
        _ => have.to_string(),
    }
}
