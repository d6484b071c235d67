//! Namespaces: born Active with the `kubernetes` finalizer, emptied by a controller, then gone.

use serde_json::{Value, json};

use super::check::Errors;
use super::fields::mirror;
use super::walk::{child, items, keep, set, text};
use super::{Hooks, lifecycle, names};
use crate::error::FieldError;

const NAME_LABEL: &str = "kubernetes.io/metadata.name";

pub(super) const HOOKS: Hooks = Hooks {
    default,
    prepare_create,
    // Finalizers of the spec change through the finalize subresource only.
    prepare_update: |new, old| keep(new, old, "spec"),
    validate,
    validate_status,
    fields: |namespace| vec![mirror(namespace, "status.phase", "/status/phase")],
    name: names::dns_label,
    ..Hooks::NONE
};

/// Selectors may rely on the name being a label.
fn default(namespace: &mut Value) {
    let name = text(namespace, "/metadata/name").to_owned();
    if !name.is_empty() {
        set(child(child(namespace, "metadata"), "labels"), NAME_LABEL, name);
    }
}

fn prepare_create(namespace: &mut Value) {
    set(namespace, "status", json!({"phase": "Active"}));
    let mut finalizers = items(namespace, "/spec/finalizers").to_vec();
    if !finalizers.contains(&json!("kubernetes")) {
        finalizers.push(json!("kubernetes"));
    }
    set(child(namespace, "spec"), "finalizers", finalizers);
    // A name that was generated was not known when defaults were set.
    default(namespace);
}

fn validate(namespace: &Value) -> Errors {
    let mut errors = Vec::new();
    for finalizer in items(namespace, "/spec/finalizers").iter().filter_map(Value::as_str) {
        lifecycle::validate_finalizer(finalizer, "spec.finalizers", &mut errors);
    }
    errors
}

fn validate_status(new: &Value, _old: &Value) -> Errors {
    let phase = text(new, "/status/phase");
    let deleting = new.pointer("/metadata/deletionTimestamp").is_some();
    let wanted = if deleting { "Terminating" } else { "Active" };
    if phase == wanted {
        return Vec::new();
    }
    let detail = if deleting {
        "may only be 'Terminating' if `deletionTimestamp` is not empty"
    } else {
        "may only be 'Active' if `deletionTimestamp` is empty"
    };
    vec![FieldError::invalid("status.Phase", phase, detail)]
}
