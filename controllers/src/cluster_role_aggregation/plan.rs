//! Plans the rules of one aggregating role.

use balsa_proto::client::ObjectKey;
use jiff::Timestamp;
use k8s_openapi::api::rbac::v1::{ClusterRole, PolicyRule};
use serde_json::json;

use crate::action::Action;
use crate::object::is_deleting;
use crate::selector::matches;
use crate::world::World;

pub fn plan(world: &World, key: &ObjectKey, _: Timestamp) -> Vec<Action> {
    let Some(role) = world.cluster_roles.find(key) else { return Vec::new() };
    if role.aggregation_rule.is_none() || is_deleting(&role.metadata) {
        return Vec::new();
    }
    let mut rules: Vec<PolicyRule> = Vec::new();
    for part in world.cluster_roles.list() {
        if part.metadata.name == role.metadata.name || !selects(&role, &part) {
            continue;
        }
        for rule in part.rules.iter().flatten() {
            if !rules.contains(rule) {
                rules.push(rule.clone());
            }
        }
    }
    let present = role.rules.clone().unwrap_or_default();
    // The order means nothing, and is not worth a write.
    if present.len() == rules.len() && rules.iter().all(|rule| present.contains(rule)) {
        return Vec::new();
    }
    vec![Action::patch(&*role, json!({ "rules": rules }))]
}

pub fn selects(role: &ClusterRole, part: &ClusterRole) -> bool {
    let selectors = role.aggregation_rule.as_ref().and_then(|rule| rule.cluster_role_selectors.as_ref());
    selectors.into_iter().flatten().any(|selector| matches(selector, part.metadata.labels.as_ref()))
}
