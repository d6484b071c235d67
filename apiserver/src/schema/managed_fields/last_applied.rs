//! The annotation of client-side apply, where server-side apply by kubectl meets it.
//!
//! An object that kubectl applied client-side carries its last configuration. When kubectl switches to server-side
//! apply, fields that still have the value of that configuration are no conflict, and the annotation is
//! kept current, so that one can switch back.

use serde_json::Value;

use super::compare::compare;
use super::extract::field_set;
use super::set::Set;
use crate::schema::Typed;

pub(super) const KUBECTL: &str = "kubectl";
const ANNOTATION: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// Fields that kubectl may take from others: those unchanged since its last client-side apply.
pub(super) fn takeable(live: &Value, api_version: &str, ty: Typed<'_>) -> Set {
    let Some(last) = annotation(live).and_then(|text| serde_json::from_str::<Value>(text).ok()) else {
        return Set::default();
    };
    if last.get("apiVersion").and_then(Value::as_str) != Some(api_version) {
        return Set::default();
    }
    let change = compare(&last, live, ty);
    field_set(&last, ty).difference(&change.set_now()).difference(&change.removed)
}

/// Updates the annotation of `object` if the live object has one.
pub(super) fn refresh(object: &mut Value, live: &Value, applied: &Value) {
    if annotation(live).is_none() {
        return;
    }
    let mut applied = applied.clone();
    if let Some(annotations) = annotations_mut(&mut applied) {
        annotations.remove(ANNOTATION);
    }
    if let Some(annotations) = annotations_mut(object) {
        annotations.insert(ANNOTATION.into(), Value::String(format!("{applied}\n")));
    }
}

fn annotation(object: &Value) -> Option<&str> {
    object.get("metadata")?.get("annotations")?.get(ANNOTATION)?.as_str()
}

fn annotations_mut(object: &mut Value) -> Option<&mut serde_json::Map<String, Value>> {
    object.get_mut("metadata")?.get_mut("annotations")?.as_object_mut()
}
