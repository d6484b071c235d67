//! Storage: claims, volumes, classes, drivers.

use serde_json::{Value, json};

use super::Hooks;
use super::amounts::to_thousandths;
use super::check::{self, Check, Errors, immutable, one_of};
use super::default_rules::{Constant::*, Rule, fill};
use super::walk::{each_mut, items, keep, set, text};
use crate::error::FieldError;

const MODES: &[&str] = &["ReadOnlyMany", "ReadWriteMany", "ReadWriteOnce", "ReadWriteOncePod"];

pub(super) const CLAIM: Hooks = Hooks {
    default: |claim| {
        fill(claim, &[Rule("spec", "volumeMode", Text("Filesystem"))]);
        to_thousandths(claim, &["spec.resources.requests", "spec.resources.limits", "status.capacity"]);
    },
    prepare_create: |claim| set(claim, "status", json!({"phase": "Pending"})),
    validate: validate_claim,
    validate_update: update_claim,
    ..Hooks::NONE
};
pub(super) const VOLUME: Hooks = Hooks {
    default: |volume| {
        to_thousandths(volume, &["spec.capacity"]);
        fill(
            volume,
            &[
                Rule("spec", "persistentVolumeReclaimPolicy", Text("Retain")),
                Rule("spec", "volumeMode", Text("Filesystem")),
                Rule("spec.hostPath", "type", Text("")),
            ],
        );
    },
    prepare_create: |volume| set(volume, "status", json!({"phase": "Pending"})),
    validate: validate_volume,
    ..Hooks::NONE
};
pub(super) const CLASS: Hooks = Hooks {
    default: |class| {
        fill(
            class,
            &[Rule("", "reclaimPolicy", Text("Delete")), Rule("", "volumeBindingMode", Text("Immediate"))],
        );
    },
    validate: validate_class,
    validate_update: update_class,
    ..Hooks::NONE
};
pub(super) const CSI_DRIVER: Hooks = Hooks {
    default: |driver| {
        fill(
            driver,
            &[
                Rule("spec", "attachRequired", Flag(true)),
                Rule("spec", "podInfoOnMount", Flag(false)),
                Rule("spec", "storageCapacity", Flag(false)),
                Rule("spec", "fsGroupPolicy", Text("ReadWriteOnceWithFSType")),
                Rule("spec", "volumeLifecycleModes", Texts(&["Persistent"])),
                Rule("spec", "requiresRepublish", Flag(false)),
                Rule("spec", "seLinuxMount", Flag(false)),
            ],
        );
    },
    ..Hooks::NONE
};

fn access_modes(spec: &Value, errors: &mut Errors) {
    let modes = items(spec, "/accessModes");
    if modes.is_empty() {
        errors.push(FieldError::required("spec.accessModes", "at least 1 access mode is required"));
    }
    for mode in modes.iter().filter_map(Value::as_str).filter(|mode| !MODES.contains(mode)) {
        errors.push(FieldError::not_supported("spec.accessModes", mode, MODES));
    }
}

fn validate_claim(claim: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = claim.get("spec").unwrap_or(&Value::Null);
    access_modes(spec, &mut errors);
    if spec.pointer("/resources/requests/storage").is_none() {
        errors.push(FieldError::required("spec.resources[storage]", ""));
    }
    one_of(spec, "spec", "volumeMode", &["Block", "Filesystem"], &mut errors);
    errors
}

/// A bound claim may only grow; the binder may name the volume of an unbound one.
fn update_claim(new: &Value, old: &Value) -> Errors {
    let mut masked = new.get("spec").cloned().unwrap_or(Value::Null);
    let before = old.get("spec").cloned().unwrap_or(Value::Null);
    if text(&before, "/volumeName").is_empty() {
        keep(&mut masked, &before, "volumeName");
    }
    if before.get("storageClassName").is_none() {
        keep(&mut masked, &before, "storageClassName");
    }
    keep(&mut masked, &before, "volumeAttributesClassName");
    let bound = text(old, "/status/phase") == "Bound";
    if bound && let Some(resources) = before.get("resources") {
        each_mut(&mut masked, "", &mut |spec| set(spec, "resources", resources.clone()));
    }
    if masked == before {
        return Vec::new();
    }
    let detail = "spec is immutable after creation except resources.requests and volumeAttributesClassName for bound \
                  claims";
    vec![FieldError::forbidden("spec", detail)]
}

fn validate_volume(volume: &Value) -> Errors {
    let mut errors = Vec::new();
    let spec = volume.get("spec").unwrap_or(&Value::Null);
    access_modes(spec, &mut errors);
    if spec.pointer("/capacity/storage").is_none() {
        errors.push(FieldError::required("spec.capacity", ""));
    }
    one_of(spec, "spec", "persistentVolumeReclaimPolicy", &["Delete", "Recycle", "Retain"], &mut errors);
    one_of(spec, "spec", "volumeMode", &["Block", "Filesystem"], &mut errors);
    errors
}

fn validate_class(class: &Value) -> Errors {
    let mut errors = Vec::new();
    check::run(
        class,
        &[
            Check::Required("", "provisioner"),
            Check::OneOf("", "reclaimPolicy", &["Delete", "Retain"]),
            Check::OneOf("", "volumeBindingMode", &["Immediate", "WaitForFirstConsumer"]),
        ],
        &mut errors,
    );
    errors
}

fn update_class(new: &Value, old: &Value) -> Errors {
    let mut errors = Vec::new();
    for field in ["parameters", "provisioner", "reclaimPolicy"] {
        if new.get(field) != old.get(field) {
            errors.push(FieldError::forbidden(field, format!("updates to {field} are forbidden.")));
        }
    }
    immutable(new, old, "/volumeBindingMode", &mut errors);
    errors
}
