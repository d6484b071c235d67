//! Nodes.

use serde_json::{Value, json};

use super::check::{Errors, one_of, required, value_named};
use super::walk::{child, flag, items, set_absent, text};
use super::{Hooks, names};
use crate::error::FieldError;

pub(super) const HOOKS: Hooks = Hooks {
    default,
    prepare_create: |node| {
        child(node, "status");
    },
    validate,
    validate_update,
    fields: |node| vec![("spec.unschedulable", flag(node, "/spec/unschedulable").to_string())],
    ..Hooks::NONE
};

/// What is not reserved can be allocated.
fn default(node: &mut Value) {
    child(node, "spec");
    let Some(capacity) = node.pointer("/status/capacity").cloned() else { return };
    set_absent(&mut node["status"], "allocatable", capacity);
}

fn validate(node: &Value) -> Errors {
    let mut errors = Vec::new();
    let taints = items(node, "/spec/taints");
    for (index, taint) in taints.iter().enumerate() {
        let path = format!("spec.taints[{index}]");
        value_named(text(taint, "/key"), &format!("{path}.key"), names::qualified, &mut errors);
        value_named(text(taint, "/value"), &format!("{path}.value"), names::label_value, &mut errors);
        if required(taint, &path, "effect", &mut errors) {
            one_of(taint, &path, "effect", &["NoSchedule", "PreferNoSchedule", "NoExecute"], &mut errors);
        }
        let same = |other: &&Value| other["key"] == taint["key"] && other["effect"] == taint["effect"];
        if taints[..index].iter().any(|other| same(&other)) {
            let mut error = FieldError::duplicate(path, taint.clone());
            error.detail = "taints must be unique by key and effect pair".to_owned();
            errors.push(error);
        }
    }
    errors
}

fn validate_update(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for (pointer, path) in [("/spec/podCIDRs", "spec.podCIDRs"), ("/spec/providerID", "spec.providerID")] {
        let before = old.pointer(pointer).filter(|value| **value != json!("") && **value != json!([]));
        if before.is_some() && new.pointer(pointer) != before {
            let detail = match path {
                "spec.providerID" => "node updates may not change providerID except from \"\" to valid",
                _ => "node updates may not change podCIDR except from \"\" to valid",
            };
            errors.push(FieldError::forbidden(path, detail));
        }
    }
    errors
}
