//! JSON merge patch (RFC 7386): objects are merged, null deletes, everything else replaces.

use serde_json::{Map, Value};

use super::decoded;
use crate::error::ApiError;
use crate::schema::Gvk;

/// The kind does not matter here; the parameter is there so that all patches are called alike.
pub fn merge<'k>(_kind: impl Into<Gvk<'k>>, old: &Value, patch: &[u8]) -> Result<Value, ApiError> {
    let patch = decoded(patch, "map[string]interface {}", Value::is_object)?;
    let mut new = old.clone();
    merge_into(&mut new, patch);
    Ok(new)
}

fn merge_into(target: &mut Value, patch: Value) {
    let Value::Object(members) = patch else {
        *target = patch;
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let object = target.as_object_mut().expect("made an object above");
    for (key, value) in members {
        if value.is_null() {
            object.remove(&key);
        } else {
            merge_into(object.entry(key).or_insert(Value::Null), value);
        }
    }
}
