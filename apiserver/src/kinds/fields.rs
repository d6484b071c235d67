//! Field selectors: which fields of a kind can be selected on.

use serde_json::Value;

use super::Kind;
use super::walk::text;

/// Kinds whose refusal of an unknown field has the short stock text.
const SHORT_REFUSAL: &[&str] =
    &["pods", "nodes", "replicationcontrollers", "events", "namespaces", "secrets", "services"];

pub(super) fn of(kind: &Kind, object: &Value) -> Vec<(&'static str, String)> {
    let mut fields = vec![("metadata.name", text(object, "/metadata/name").to_owned())];
    if kind.namespaced {
        fields.push(("metadata.namespace", text(object, "/metadata/namespace").to_owned()));
    }
    fields.extend((kind.hooks.fields)(object));
    fields
}

pub(super) fn check_label(kind: &Kind, label: &str) -> Result<(), String> {
    // `metadata.namespace` is accepted everywhere: it selects nothing where there is no namespace.
    let known = matches!(label, "metadata.name" | "metadata.namespace")
        || (kind.hooks.fields)(&Value::Null).iter().any(|(name, _)| *name == label);
    if known {
        return Ok(());
    }
    if kind.group.is_empty() && SHORT_REFUSAL.contains(&kind.plural) {
        return Err(format!("field label not supported: {label}"));
    }
    Err(format!("\"{label}\" is not a known field selector: only \"metadata.name\", \"metadata.namespace\""))
}

/// A field that mirrors one JSON string.
pub(super) fn mirror(object: &Value, name: &'static str, pointer: &str) -> (&'static str, String) {
    (name, text(object, pointer).to_owned())
}
