//! What every kind shares: status and spec are written apart, generations count, metadata is well-formed.

use jiff::Timestamp;
use serde_json::{Value, json};

use super::bounds::ANNOTATIONS_BYTES;
use super::check::{Errors, immutable, value_named};
use super::walk::{entries, int, items, keep, remove, set, text};
use super::{Kind, Part, names};
use crate::error::FieldError;

/// Finalizers without a prefix that are known by name.
const BARE_FINALIZERS: &[&str] = &["kubernetes", "foregroundDeletion", "orphan"];

/// Needs `metadata.name` and `metadata.uid` set.
pub(super) fn prepare_create(kind: &Kind, object: &mut Value) {
    if kind.traits.status && !kind.traits.status_on_create {
        set(object, "status", json!({}));
    }
    (kind.hooks.prepare_create)(object);
    let generation = kind.traits.generation.then_some(1);
    set_generation(object, generation);
}

pub(super) fn prepare_update(kind: &Kind, new: &mut Value, old: &Value) {
    if kind.traits.status {
        keep(new, old, "status");
    }
    (kind.hooks.prepare_update)(new, old);
    count_generation(kind, new, old);
}

/// All but the part is what it was.
pub(super) fn prepare_part(kind: &Kind, part: &Part, new: &mut Value, old: &Value, now: Timestamp) {
    (part.prepare)(new, old, now);
    count_generation(kind, new, old);
}

fn count_generation(kind: &Kind, new: &mut Value, old: &Value) {
    let before = int(old, "/metadata/generation");
    let grown = kind.traits.generation && differs(new, old);
    set_generation(new, if grown { Some(before.unwrap_or(0) + 1) } else { before });
}

/// All but metadata and status is what it was.
pub(super) fn prepare_status(kind: &Kind, new: &mut Value, old: &Value) {
    let mine = |key: &str| matches!(key, "apiVersion" | "kind" | "metadata" | "status");
    if let Some(map) = new.as_object_mut() {
        map.retain(|key, _| mine(key));
    }
    for (key, member) in old.as_object().into_iter().flatten().filter(|(key, _)| !mine(key)) {
        set(new, key, member.clone());
    }
    if let (Some(metadata), Some(before)) = (new.get_mut("metadata"), old.get("metadata")) {
        keep(metadata, before, "ownerReferences");
    }
    (kind.hooks.prepare_status)(new, old);
    set_generation(new, int(old, "/metadata/generation"));
}

fn set_generation(object: &mut Value, generation: Option<i64>) {
    let Some(metadata) = object.get_mut("metadata") else { return };
    match generation {
        Some(generation) => set(metadata, "generation", generation),
        None => {
            remove(metadata, "generation");
        }
    }
}

/// Anything but metadata and status changed.
fn differs(new: &Value, old: &Value) -> bool {
    let counted = |key: &str| !matches!(key, "apiVersion" | "kind" | "metadata" | "status");
    let misses = |one: &Value, other: &Value| {
        entries(one, "").any(|(key, member)| counted(key) && other.get(key) != Some(member))
    };
    misses(new, old) || misses(old, new)
}

/// Names, labels, annotations, owners and finalizers of an object that is about to be stored.
pub fn validate_metadata(kind: &Kind, object: &Value) -> Errors {
    let mut errors = Vec::new();
    validate_name(kind, object, &mut errors);
    validate_namespace(kind, object, &mut errors);
    labels(object, "/metadata/labels", "metadata.labels", &mut errors);
    annotations(object, &mut errors);
    owners(object, &mut errors);
    for finalizer in items(object, "/metadata/finalizers").iter().filter_map(Value::as_str) {
        validate_finalizer(finalizer, "metadata.finalizers", &mut errors);
    }
    errors
}

fn validate_name(kind: &Kind, object: &Value, errors: &mut Errors) {
    let (name, prefix) = (text(object, "/metadata/name"), text(object, "/metadata/generateName"));
    if !prefix.is_empty() {
        // What is generated ends in letters and digits: a dash at the end of the prefix is fine.
        let whole = prefix.strip_suffix('-').map_or(prefix.to_owned(), |head| format!("{head}a"));
        let complaints = (kind.hooks.name)(&whole);
        errors.extend(
            complaints.into_iter().map(|why| FieldError::invalid("metadata.generateName", prefix, why)),
        );
    }
    if name.is_empty() {
        errors.push(FieldError::required("metadata.name", "name or generateName is required"));
    } else {
        value_named(name, "metadata.name", kind.hooks.name, errors);
    }
}

fn validate_namespace(kind: &Kind, object: &Value, errors: &mut Errors) {
    let namespace = text(object, "/metadata/namespace");
    match (kind.namespaced, namespace) {
        (true, "") => errors.push(FieldError::required("metadata.namespace", "")),
        (true, namespace) => value_named(namespace, "metadata.namespace", names::dns_label, errors),
        (false, "") => {}
        (false, _) => errors.push(FieldError::forbidden("metadata.namespace", "not allowed on this type")),
    }
}

/// Keys and values of a label map; `path` is what the complaints name.
pub(super) fn labels(object: &Value, pointer: &str, path: &str, errors: &mut Errors) {
    for (key, value) in entries(object, pointer) {
        value_named(key, path, names::qualified, errors);
        value_named(value.as_str().unwrap_or_default(), path, names::label_value, errors);
    }
}

fn annotations(object: &Value, errors: &mut Errors) {
    let mut bytes = 0;
    for (key, value) in entries(object, "/metadata/annotations") {
        let lower = key.to_lowercase();
        errors.extend(
            names::qualified(&lower)
                .into_iter()
                .map(|why| FieldError::invalid("metadata.annotations", key.as_str(), why)),
        );
        bytes += key.len() + value.as_str().map_or(0, str::len);
    }
    if bytes > ANNOTATIONS_BYTES {
        errors.push(FieldError::too_long("metadata.annotations", ANNOTATIONS_BYTES));
    }
}

fn owners(object: &Value, errors: &mut Errors) {
    let owners = items(object, "/metadata/ownerReferences");
    let mut controller: Option<String> = None;
    for (index, owner) in owners.iter().enumerate() {
        let path = format!("metadata.ownerReferences[{index}]");
        for field in ["apiVersion", "kind", "name", "uid"] {
            if text(owner, &format!("/{field}")).is_empty() {
                let field_path = format!("{path}.{field}");
                let detail =
                    if field == "apiVersion" { "version must not be empty" } else { "must not be empty" };
                errors.push(FieldError::invalid(field_path, "", detail));
            }
        }
        if owner.get("controller") != Some(&Value::Bool(true)) {
            continue;
        }
        let name = text(owner, "/name").to_owned();
        match &controller {
            None => controller = Some(name),
            Some(first) => errors.push(FieldError::invalid(
                "metadata.ownerReferences",
                Value::Array(owners.to_vec()),
                format!(
                    "Only one reference can have Controller set to true. Found \"true\" in references for {first} and {name}"
                ),
            )),
        }
    }
}

/// Also used for `spec.finalizers` of namespaces.
pub(super) fn validate_finalizer(name: &str, path: &str, errors: &mut Errors) {
    value_named(name, path, names::qualified, errors);
    if !name.contains('/') && !BARE_FINALIZERS.contains(&name) {
        let detail = "name is neither a standard finalizer name nor is it fully qualified";
        errors.push(FieldError::invalid(path, name, detail));
    }
}

/// `(new, old)`: identity never changes, and a deletion that began takes no new finalizers.
pub(super) fn validate_metadata_update(kind: &Kind, new: &Value, old: &Value) -> Errors {
    let mut errors = validate_metadata(kind, new);
    for pointer in ["/metadata/name", "/metadata/namespace", "/metadata/uid", "/metadata/creationTimestamp"] {
        immutable(new, old, pointer, &mut errors);
    }
    if old.pointer("/metadata/deletionTimestamp").is_some() {
        new_finalizers(new, old, &mut errors);
    }
    errors
}

fn new_finalizers(new: &Value, old: &Value, errors: &mut Errors) {
    let before = items(old, "/metadata/finalizers");
    let added: Vec<&str> = items(new, "/metadata/finalizers")
        .iter()
        .filter(|finalizer| !before.contains(finalizer))
        .filter_map(Value::as_str)
        .collect();
    if !added.is_empty() {
        let quoted: Vec<String> = added.iter().map(|name| format!("\"{name}\"")).collect();
        let detail = format!(
            "no new finalizers can be added if the object is being deleted, found new finalizers []string{{{}}}",
            quoted.join(", ")
        );
        errors.push(FieldError::forbidden("metadata.finalizers", detail));
    }
}
