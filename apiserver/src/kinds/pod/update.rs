//! What may change in a pod once it exists: images, a shorter deadline, more tolerations, fewer gates.

use std::collections::BTreeSet;

use serde_json::{Value, json};

use super::super::check::Errors;
use super::super::walk::{each_mut, entries, int, items, keep, remove, set, text};
use crate::error::FieldError;

const MUTABLE: &str = "pod updates may not change fields other than \
    `spec.containers[*].image`,`spec.initContainers[*].image`,`spec.activeDeadlineSeconds`,\
    `spec.tolerations` (only additions to existing tolerations),`spec.terminationGracePeriodSeconds` \
    (allow it to be set to 1 if it was previously negative)";

pub(super) fn validate(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for (list, path) in [("containers", "spec.containers"), ("initContainers", "spec.initContainers")] {
        let count = |pod: &Value| items(pod, &format!("/spec/{list}")).len();
        if count(new) != count(old) {
            errors.push(FieldError::forbidden(path, "pod updates may not add or remove containers"));
            return errors;
        }
    }
    deadline(new, old, &mut errors);
    tolerations(new, old, &mut errors);
    gates(new, old, &mut errors);
    rest(new, old, &mut errors);
    errors
}

fn deadline(new: &Value, old: &Value, errors: &mut Errors) {
    let path = "spec.activeDeadlineSeconds";
    let (now, before) = (int(new, "/spec/activeDeadlineSeconds"), int(old, "/spec/activeDeadlineSeconds"));
    match (now, before) {
        (None, Some(_)) => {
            errors.push(FieldError::invalid(
                path,
                Value::Null,
                "must not update from a positive integer to nil value",
            ));
        }
        (Some(now), Some(before)) if now > before => {
            let detail = "must be less than or equal to previous value";
            errors.push(FieldError::invalid(path, now, detail));
        }
        _ => {}
    }
}

fn tolerations(new: &Value, old: &Value, errors: &mut Errors) {
    let (now, before) = (items(new, "/spec/tolerations"), items(old, "/spec/tolerations"));
    let same_but_time = |a: &Value, b: &Value| {
        let strip = |toleration: &Value| {
            let mut toleration = toleration.clone();
            remove(&mut toleration, "tolerationSeconds");
            toleration
        };
        strip(a) == strip(b)
    };
    if before.iter().any(|kept| !now.iter().any(|toleration| same_but_time(toleration, kept))) {
        let detail = "existing toleration can not be modified except its tolerationSeconds";
        errors.push(FieldError::forbidden("spec.tolerations", detail));
    }
}

/// Gates can be taken away, never added.
fn gates(new: &Value, old: &Value, errors: &mut Errors) {
    let before = items(old, "/spec/schedulingGates");
    for (index, gate) in items(new, "/spec/schedulingGates").iter().enumerate() {
        if !before.contains(gate) {
            let path = format!("spec.schedulingGates[{index}]");
            errors
                .push(FieldError::forbidden(path, "only deletion is allowed, but found new scheduling gate"));
        }
    }
}

/// Everything else must be equal once the mutable parts are set aside.
fn rest(new: &Value, old: &Value, errors: &mut Errors) {
    let mut masked = new.get("spec").cloned().unwrap_or_else(|| json!({}));
    let before = old.get("spec").cloned().unwrap_or_else(|| json!({}));
    for list in ["containers", "initContainers"] {
        let images: Vec<Value> = items(&before, &format!("/{list}"))
            .iter()
            .map(|c| c.get("image").cloned().unwrap_or_default())
            .collect();
        let mut images = images.into_iter();
        each_mut(&mut masked, &format!("{list}[]"), &mut |container| {
            set(container, "image", images.next().unwrap_or_default());
        });
    }
    for field in ["activeDeadlineSeconds", "tolerations", "schedulingGates"] {
        keep(&mut masked, &before, field);
    }
    grace(&mut masked, &before);
    gated_placement(&mut masked, &before);
    if masked != before {
        let detail = format!("{MUTABLE}\n{}", changed(&masked, &before));
        errors.push(FieldError::forbidden("spec", detail));
    }
}

fn grace(masked: &mut Value, before: &Value) {
    let negative = int(before, "/terminationGracePeriodSeconds").is_some_and(|seconds| seconds < 0);
    if negative && int(masked, "/terminationGracePeriodSeconds") == Some(1) {
        keep(masked, before, "terminationGracePeriodSeconds");
    }
}

/// A pod that is still gated may narrow where it runs.
fn gated_placement(masked: &mut Value, before: &Value) {
    if !items(before, "/schedulingGates").is_empty() {
        keep(masked, before, "nodeSelector");
        keep(masked, before, "affinity");
    }
}

/// The names of the fields of spec that differ, one per line.
fn changed(now: &Value, before: &Value) -> String {
    let keys =
        |value: &Value| -> BTreeSet<String> { entries(value, "").map(|(key, _)| key.clone()).collect() };
    let mut all = keys(now);
    all.extend(keys(before));
    let differing = all.iter().filter(|key| now.get(key) != before.get(key));
    differing.map(|key| format!("  spec.{key}")).collect::<Vec<_>>().join("\n")
}

/// `(new, old)` through the status subresource.
pub(super) fn validate_status(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    if text(new, "/spec/nodeName") != text(old, "/spec/nodeName") {
        let detail = "may not be changed directly";
        errors.push(FieldError::forbidden("status.nodeName", detail));
    }
    let (now, before) = (text(new, "/status/qosClass"), text(old, "/status/qosClass"));
    if !before.is_empty() && now != before {
        errors.push(FieldError::invalid("status.qosClass", now, "field is immutable"));
    }
    errors
}
