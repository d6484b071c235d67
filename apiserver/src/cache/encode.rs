//! Objects to stored bytes: `apiVersion, kind, metadata` first, no `metadata.resourceVersion`.
//!
//! The order lets every reader splice the resourceVersion in at a place it finds without parsing.

use bytes::Bytes;
use serde_json::{Map, Value};

/// `object` must be a JSON object; `metadata` is created if it is missing.
pub fn stored(object: &Value) -> Bytes {
    encode(object, false)
}

/// The same order with the resourceVersion kept: objects on the wire that are not copied from the store.
pub fn served(object: &Value) -> Bytes {
    encode(object, true)
}

fn encode(object: &Value, keeps_resource_version: bool) -> Bytes {
    let members = object.as_object().expect("an API object is a JSON object");
    let mut out = Vec::with_capacity(1024);
    out.push(b'{');
    for name in ["apiVersion", "kind"] {
        write_member(&mut out, name, members.get(name).unwrap_or(&Value::String(String::new())));
        out.push(b',');
    }
    out.extend_from_slice(b"\"metadata\":{");
    let empty = Map::new();
    let metadata = members.get("metadata").and_then(Value::as_object).unwrap_or(&empty);
    let mut first = true;
    for (name, value) in
        metadata.iter().filter(|(name, _)| keeps_resource_version || *name != "resourceVersion")
    {
        if !first {
            out.push(b',');
        }
        first = false;
        write_member(&mut out, name, value);
    }
    out.push(b'}');
    for (name, value) in members {
        if !matches!(name.as_str(), "apiVersion" | "kind" | "metadata") {
            out.push(b',');
            write_member(&mut out, name, value);
        }
    }
    out.push(b'}');
    Bytes::from(out)
}

fn write_member(out: &mut Vec<u8>, name: &str, value: &Value) {
    const INFALLIBLE: &str = "a Value always serialises into memory";
    serde_json::to_writer(&mut *out, name).expect(INFALLIBLE);
    out.push(b':');
    serde_json::to_writer(&mut *out, value).expect(INFALLIBLE);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn head_comes_first_and_resource_version_is_dropped() {
        let value = serde_json::json!({
            "data": {"a": "b"}, "kind": "ConfigMap", "apiVersion": "v1",
            "metadata": {"resourceVersion": "5", "name": "x", "annotations": {"k": "v"}}
        });
        assert_eq!(
            stored(&value),
            r#"{"apiVersion":"v1","kind":"ConfigMap","metadata":{"annotations":{"k":"v"},"name":"x"},"data":{"a":"b"}}"#
        );
    }
}
