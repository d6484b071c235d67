//! The roles and bindings that a new cluster starts with, and how they are kept.
//!
//! Out: [`objects`], to be created when absent, and [`reconciled`], what an object that exists must become:
//! missing rules and subjects are added again, extra ones are the operator's and stay. An object whose annotation
//! `rbac.authorization.kubernetes.io/autoupdate` is `"false"` is left alone. `admin`, `edit` and `view` are
//! aggregated here once; the aggregation controller keeps them so.

mod parse;

use std::sync::LazyLock;

use serde_json::{Map, Value, json};

use self::parse::{Binding, Policy, Role};
use super::rule::Rule;

const API_VERSION: &str = "rbac.authorization.k8s.io/v1";
const API_GROUP: &str = "rbac.authorization.k8s.io";
const AUTOUPDATE: &str = "rbac.authorization.kubernetes.io/autoupdate";

static POLICY: LazyLock<Policy> = LazyLock::new(|| parse::parse(include_str!("policy.txt")));

/// One object to create, with the words its path needs. Group and version are always RBAC's v1.
pub struct BootstrapObject {
    pub plural: &'static str,
    /// Empty for cluster-scoped kinds.
    pub namespace: String,
    pub name: String,
    pub object: Value,
}

/// Roles first, so that no binding ever refers to a missing one.
pub fn objects() -> Vec<BootstrapObject> {
    let roles = POLICY.roles.iter().map(role_object);
    roles.chain(POLICY.bindings.iter().map(binding_object)).collect()
}

/// The rules of a bootstrap ClusterRole, aggregation included; empty for an unknown name.
pub fn rules_of_cluster_role(name: &str) -> Vec<Rule> {
    let found = POLICY.roles.iter().find(|role| role.namespace.is_empty() && role.name == name);
    found.map(|role| role.rules.clone()).unwrap_or_default()
}

/// What `existing` must become to hold everything of `wanted`; None if it already does or must not be touched.
/// A binding whose `roleRef` differs cannot be repaired by an update and is left alone, too.
pub fn reconciled(existing: &Value, wanted: &Value) -> Option<Value> {
    if existing["metadata"]["annotations"][AUTOUPDATE] == "false" {
        return None;
    }
    if wanted.get("roleRef").is_some() {
        if existing["roleRef"] != wanted["roleRef"] {
            return None;
        }
        return with_missing_items(existing, wanted, "subjects");
    }
    if wanted.get("aggregationRule").is_some_and(|rule| existing.get("aggregationRule") == Some(rule)) {
        // The aggregation controller owns the rules.
        return None;
    }
    with_missing_rules(existing, wanted)
}

fn with_missing_items(existing: &Value, wanted: &Value, field: &str) -> Option<Value> {
    let mut items = existing[field].as_array().cloned().unwrap_or_default();
    let before = items.len();
    for item in wanted[field].as_array().into_iter().flatten() {
        if !items.contains(item) {
            items.push(item.clone());
        }
    }
    (items.len() > before).then(|| replaced(existing, field, items.into()))
}

fn with_missing_rules(existing: &Value, wanted: &Value) -> Option<Value> {
    let held = Rule::list(existing);
    let missing = Rule::list(wanted).into_iter().filter(|rule| {
        let mut parts = rule.split().into_iter();
        parts.any(|part| !held.iter().any(|have| have.covers(&part)))
    });
    let mut rules = existing["rules"].as_array().cloned().unwrap_or_default();
    let before = rules.len();
    rules.extend(missing.map(|rule| rule.to_value()));
    (rules.len() > before).then(|| replaced(existing, "rules", rules.into()))
}

fn replaced(existing: &Value, field: &str, value: Value) -> Value {
    let mut object = existing.clone();
    object[field] = value;
    object
}

fn role_object(role: &Role) -> BootstrapObject {
    let is_cluster = role.namespace.is_empty();
    let kind = if is_cluster { "ClusterRole" } else { "Role" };
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata(&role.namespace, &role.name),
        "rules": role.rules.iter().map(Rule::to_value).collect::<Vec<_>>(),
    });
    for (key, value) in &role.labels {
        object["metadata"]["labels"][key.as_str()] = value.as_str().into();
    }
    if let Some(label) = &role.aggregates {
        object["aggregationRule"] =
            json!({"clusterRoleSelectors": [{"matchLabels": {label.as_str(): "true"}}]});
    }
    let plural = if is_cluster { "clusterroles" } else { "roles" };
    BootstrapObject { plural, namespace: role.namespace.clone(), name: role.name.clone(), object }
}

fn binding_object(binding: &Binding) -> BootstrapObject {
    let is_cluster = binding.namespace.is_empty();
    let (kind, plural, role_kind) = if is_cluster {
        ("ClusterRoleBinding", "clusterrolebindings", "ClusterRole")
    } else {
        ("RoleBinding", "rolebindings", "Role")
    };
    let mut object = json!({
        "apiVersion": API_VERSION,
        "kind": kind,
        "metadata": metadata(&binding.namespace, &binding.name),
        "roleRef": {"apiGroup": API_GROUP, "kind": role_kind, "name": binding.role},
    });
    if !binding.subjects.is_empty() {
        object["subjects"] = binding.subjects.iter().map(subject_object).collect();
    }
    BootstrapObject { plural, namespace: binding.namespace.clone(), name: binding.name.clone(), object }
}

fn subject_object(subject: &parse::Subject) -> Value {
    let mut map = Map::new();
    if subject.kind != "ServiceAccount" {
        map.insert("apiGroup".into(), API_GROUP.into());
    }
    map.insert("kind".into(), subject.kind.into());
    map.insert("name".into(), subject.name.as_str().into());
    if !subject.namespace.is_empty() {
        map.insert("namespace".into(), subject.namespace.as_str().into());
    }
    Value::Object(map)
}

fn metadata(namespace: &str, name: &str) -> Value {
    let mut metadata = json!({
        "annotations": {AUTOUPDATE: "true"},
        "labels": {"kubernetes.io/bootstrapping": "rbac-defaults"},
        "name": name,
    });
    if !namespace.is_empty() {
        metadata["namespace"] = namespace.into();
    }
    metadata
}
