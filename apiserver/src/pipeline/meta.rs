//! Object metadata on the write path: small readers and writers over the JSON value.

use jiff::Timestamp;
use serde_json::{Map, Value};

use crate::error::ApiError;

/// `metadata` of an API object, created if missing.
pub fn metadata_mut(object: &mut Value) -> &mut Map<String, Value> {
    let members = object.as_object_mut().expect("an API object is a JSON object");
    let metadata = members.entry("metadata").or_insert_with(|| Value::Object(Map::new()));
    if !metadata.is_object() {
        *metadata = Value::Object(Map::new());
    }
    metadata.as_object_mut().expect("made an object above")
}

/// A string member of `metadata`; empty if missing.
pub fn text<'v>(object: &'v Value, member: &str) -> &'v str {
    object["metadata"][member].as_str().unwrap_or_default()
}

pub fn has_finalizers(object: &Value) -> bool {
    object["metadata"]["finalizers"].as_array().is_some_and(|list| !list.is_empty())
}

pub fn is_deleting(object: &Value) -> bool {
    object["metadata"].get("deletionTimestamp").is_some_and(Value::is_string)
}

/// RFC 3339 in whole seconds, as every Kubernetes time.
pub fn format_time(time: Timestamp) -> String {
    time.strftime("%Y-%m-%dT%H:%M:%SZ").to_string()
}

/// `metadata.resourceVersion` as a number; None if unset or `"0"`… which asks for nothing in particular.
pub fn resource_version(object: &Value) -> Result<Option<u64>, ApiError> {
    match text(object, "resourceVersion") {
        "" | "0" => Ok(None),
        text => match text.parse() {
            Ok(version) => Ok(Some(version)),
            Err(_) => Err(ApiError::bad_request(format!(
                "resourceVersion: Invalid value: \"{text}\": strconv.ParseUint: parsing \"{text}\": invalid syntax"
            ))),
        },
    }
}

/// Keeps what only the server may set as it was.
pub fn keep_system_fields(new: &mut Value, old: &Value) {
    const SYSTEM: &[&str] = &[
        "uid",
        "creationTimestamp",
        "deletionTimestamp",
        "deletionGracePeriodSeconds",
        "generateName",
        "name",
    ];
    let metadata = metadata_mut(new);
    metadata.remove("selfLink");
    for member in SYSTEM {
        match old["metadata"].get(*member) {
            Some(value) => drop(metadata.insert((*member).to_owned(), value.clone())),
            None => drop(metadata.remove(*member)),
        }
    }
    if let Some(namespace) = old["metadata"].get("namespace") {
        metadata.insert("namespace".into(), namespace.clone());
    }
}
