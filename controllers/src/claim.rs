//! Claims: which objects belong to a controller by its selector.
//!
//! Adopts what matches and belongs to nobody, releases what it controls and no longer matches. An object with another controller
//! is left alone: two controllers with the same selector never fight. Source: ControllerRefManager's contract.

use std::sync::Arc;

use balsa_proto::client::Resource;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::json;

use crate::action::Action;
use crate::object::{controller_reference, is_deleting, namespace_of, uid_of};
use crate::selector::matches;
use crate::world::{OWNER, Table, orphans_of};

pub struct Claim<K> {
    /// What the owner controls, or will after `actions`.
    pub owned: Vec<Arc<K>>,
    pub actions: Vec<Action>,
}

pub fn claim<O: Resource, K: Resource>(owner: &O, selector: &LabelSelector, table: &Table<K>) -> Claim<K> {
    let meta = owner.metadata();
    let mut claim = Claim { owned: Vec::new(), actions: Vec::new() };
    for object in table.by_index(OWNER, uid_of(meta)) {
        if matches(selector, object.metadata().labels.as_ref()) || is_deleting(meta) {
            claim.owned.push(object);
        } else if !is_deleting(object.metadata()) {
            claim.actions.push(release(owner, &*object));
        }
    }
    if is_deleting(meta) {
        return claim;
    }
    for object in table.by_index(OWNER, &orphans_of(namespace_of(meta))) {
        if !is_deleting(object.metadata()) && matches(selector, object.metadata().labels.as_ref()) {
            claim.actions.push(adopt(owner, &*object));
            claim.owned.push(object);
        }
    }
    claim
}

fn adopt<O: Resource, K: Resource>(owner: &O, object: &K) -> Action {
    let mut owners = object.metadata().owner_references.clone().unwrap_or_default();
    owners.push(controller_reference(owner));
    Action::patch(object, json!({ "metadata": { "ownerReferences": owners } }))
}

fn release<O: Resource, K: Resource>(owner: &O, object: &K) -> Action {
    let uid = uid_of(owner.metadata());
    let mut owners = object.metadata().owner_references.clone().unwrap_or_default();
    owners.retain(|reference| reference.uid != uid);
    Action::patch(object, json!({ "metadata": { "ownerReferences": owners } }))
}
