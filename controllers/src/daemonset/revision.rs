//! Revisions: every template that a daemon set had, for `kubectl rollout history` and `undo`.

use std::collections::BTreeSet;
use std::sync::Arc;

use k8s_openapi::api::apps::v1::{ControllerRevision, DaemonSet};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::runtime::RawExtension;
use serde_json::{Value, json};

use crate::action::Action;
use crate::deployment::template_hash;
use crate::object::{controller_reference, label, name_of, uid_of};
use crate::world::{OWNER, World};

pub const HASH: &str = "controller-revision-hash";

/// The hash of the current template's revision; or the action that makes it so, when there is none or it is not the newest.
pub fn current(world: &World, set: &DaemonSet) -> Result<String, Box<Action>> {
    let revisions = revisions(world, set);
    let newest = revisions.iter().map(|revision| revision.revision).max().unwrap_or(0);
    let data = data(set);
    let same = |revision: &&Arc<ControllerRevision>| {
        revision.data.as_ref().is_some_and(|have| have.0 == data) || hash_of(revision) == Some(&hash(set))
    };
    let Some(present) = revisions.iter().find(same) else {
        return Err(Box::new(Action::create(revision(set, data, newest + 1))));
    };
    if present.revision < newest {
        return Err(Box::new(Action::patch(&**present, json!({ "revision": newest + 1 }))));
    }
    Ok(hash_of(present).unwrap_or_default().to_owned())
}

/// Deletes the oldest revisions above the limit that no pod has any more.
pub fn prune(world: &World, set: &DaemonSet, pods: &[Arc<Pod>], current: &str) -> Vec<Action> {
    let limit = set.spec.as_ref().and_then(|spec| spec.revision_history_limit).unwrap_or(10);
    let used: BTreeSet<_> =
        pods.iter().filter_map(|pod| label(&pod.metadata, HASH)).chain([current]).collect();
    let mut idle = revisions(world, set);
    idle.retain(|revision| hash_of(revision).is_none_or(|hash| !used.contains(hash)));
    idle.sort_by_key(|revision| revision.revision);
    let surplus = idle.len().saturating_sub(usize::try_from(limit).unwrap_or(0));
    idle.iter().take(surplus).map(|revision| Action::delete(&**revision)).collect()
}

fn revisions(world: &World, set: &DaemonSet) -> Vec<Arc<ControllerRevision>> {
    world.controller_revisions.by_index(OWNER, uid_of(&set.metadata))
}

fn hash(set: &DaemonSet) -> String {
    let collisions = set.status.as_ref().and_then(|status| status.collision_count).unwrap_or(0);
    set.spec.as_ref().map(|spec| template_hash(&spec.template, collisions)).unwrap_or_default()
}

fn hash_of(revision: &ControllerRevision) -> Option<&str> {
    label(&revision.metadata, HASH)
}

/// A patch that brings the template back, which is what a rollback applies.
fn data(set: &DaemonSet) -> Value {
    let template = set.spec.as_ref().map(|spec| &spec.template);
    let mut template = serde_json::to_value(template).expect("a template is plain data");
    template["$patch"] = json!("replace");
    json!({ "spec": { "template": template } })
}

fn revision(set: &DaemonSet, data: Value, number: i64) -> ControllerRevision {
    let hash = hash(set);
    let template = set.spec.as_ref().and_then(|spec| spec.template.metadata.as_ref());
    let mut labels = template.and_then(|template| template.labels.clone()).unwrap_or_default();
    labels.insert(HASH.to_owned(), hash.clone());
    ControllerRevision {
        metadata: ObjectMeta {
            name: Some(format!("{}-{hash}", name_of(&set.metadata))),
            namespace: set.metadata.namespace.clone(),
            labels: Some(labels),
            annotations: set.metadata.annotations.clone(),
            owner_references: Some(vec![controller_reference(set)]),
            ..ObjectMeta::default()
        },
        data: Some(RawExtension(data)),
        revision: number,
    }
}
