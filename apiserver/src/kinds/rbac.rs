//! RBAC objects: roles, bindings.

use serde_json::Value;

use super::check::{self, Check, Errors, one_of, required};
use super::default_rules::{Constant::*, Rule, fill};
use super::walk::{each, each_mut, items, join, set_absent, text};
use super::{Hooks, names};
use crate::error::FieldError;

const GROUP: &str = "rbac.authorization.k8s.io";

const ROLES: Hooks = Hooks { name: names::path_segment, ..Hooks::NONE };
pub(super) const ROLE: Hooks = Hooks { validate: |role| rules(role, true), ..ROLES };
pub(super) const CLUSTER_ROLE: Hooks = Hooks { validate: |role| rules(role, false), ..ROLES };
pub(super) const ROLE_BINDING: Hooks = Hooks {
    default: default_binding,
    validate: |binding| validate_binding(binding, true),
    validate_update: same_role,
    ..ROLES
};
pub(super) const CLUSTER_ROLE_BINDING: Hooks = Hooks {
    default: default_binding,
    validate: |binding| validate_binding(binding, false),
    validate_update: same_role,
    ..ROLES
};

fn rules(role: &Value, namespaced: bool) -> Errors {
    let mut errors = Vec::new();
    each(role, "rules[]", &mut |path, rule| rule_errors(rule, path, namespaced, &mut errors));
    errors
}

fn rule_errors(rule: &Value, path: &str, namespaced: bool, errors: &mut Errors) {
    if items(rule, "/verbs").is_empty() {
        errors.push(FieldError::required(join(path, "verbs"), "verbs must contain at least one value"));
    }
    let urls = items(rule, "/nonResourceURLs");
    if !urls.is_empty() {
        if namespaced {
            let detail = "namespaced rules cannot apply to non-resource URLs";
            errors.push(FieldError::invalid(
                join(path, "nonResourceURLs"),
                rule["nonResourceURLs"].clone(),
                detail,
            ));
        }
        let resources = ["apiGroups", "resources", "resourceNames"];
        if resources.iter().any(|field| !items(rule, &format!("/{field}")).is_empty()) {
            let detail = "rules cannot apply to both regular resources and non-resource URLs";
            errors.push(FieldError::invalid(
                join(path, "nonResourceURLs"),
                rule["nonResourceURLs"].clone(),
                detail,
            ));
        }
        return;
    }
    if items(rule, "/apiGroups").is_empty() {
        let detail = "resource rules must supply at least one api group";
        errors.push(FieldError::required(join(path, "apiGroups"), detail));
    }
    if items(rule, "/resources").is_empty() {
        let detail = "resource rules must supply at least one resource";
        errors.push(FieldError::required(join(path, "resources"), detail));
    }
}

fn default_binding(binding: &mut Value) {
    fill(binding, &[Rule("roleRef", "apiGroup", Text(GROUP))]);
    each_mut(binding, "subjects[]", &mut |subject| {
        if matches!(text(subject, "/kind"), "User" | "Group") {
            set_absent(subject, "apiGroup", GROUP);
        }
    });
}

fn validate_binding(binding: &Value, namespaced: bool) -> Errors {
    let mut errors = Vec::new();
    let role = binding.get("roleRef").unwrap_or(&Value::Null);
    let group = text(role, "/apiGroup");
    if group != GROUP {
        errors.push(FieldError::not_supported("roleRef.apiGroup", group, &[GROUP]));
    }
    let kinds: &[&str] = if namespaced { &["Role", "ClusterRole"] } else { &["ClusterRole"] };
    if text(role, "/kind").is_empty() {
        errors.push(FieldError::not_supported("roleRef.kind", "", kinds));
    }
    one_of(role, "roleRef", "kind", kinds, &mut errors);
    if required(role, "roleRef", "name", &mut errors) {
        check::run(binding, &[Check::Named("roleRef", "name", names::path_segment)], &mut errors);
    }
    each(binding, "subjects[]", &mut |path, subject| subject_errors(subject, path, namespaced, &mut errors));
    errors
}

fn subject_errors(subject: &Value, path: &str, namespaced: bool, errors: &mut Errors) {
    let group = text(subject, "/apiGroup");
    required(subject, path, "name", errors);
    match text(subject, "/kind") {
        "ServiceAccount" => {
            check::named(subject, path, "name", names::dns_subdomain, errors);
            if !group.is_empty() {
                errors.push(FieldError::not_supported(join(path, "apiGroup"), group, &[""]));
            }
            if !namespaced && text(subject, "/namespace").is_empty() {
                errors.push(FieldError::required(join(path, "namespace"), ""));
            }
        }
        "User" | "Group" => {
            if group != GROUP {
                errors.push(FieldError::not_supported(join(path, "apiGroup"), group, &[GROUP]));
            }
        }
        other => {
            let kinds = &["ServiceAccount", "User", "Group"];
            errors.push(FieldError::not_supported(join(path, "kind"), other, kinds));
        }
    }
}

fn same_role(new: &Value, old: &Value) -> Errors {
    if new.get("roleRef") == old.get("roleRef") {
        return Vec::new();
    }
    let bad = new.get("roleRef").cloned().unwrap_or(Value::Null);
    vec![FieldError::invalid("roleRef", bad, "cannot change roleRef")]
}
