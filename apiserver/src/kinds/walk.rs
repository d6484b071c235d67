//! Reading and addressing JSON objects: pointers for one place, patterns for many.
//!
//! A pattern is a dotted path whose segments may end in `[]`: `spec.containers[].ports[]` addresses every port
//! object. What is absent, or is not of the expected shape, is skipped: types were checked at decode.

use serde_json::{Map, Value};

/// The string at a JSON pointer, `""` if absent.
pub(crate) fn text<'v>(value: &'v Value, pointer: &str) -> &'v str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_default()
}

pub(crate) fn int(value: &Value, pointer: &str) -> Option<i64> {
    value.pointer(pointer).and_then(Value::as_i64)
}

pub(crate) fn flag(value: &Value, pointer: &str) -> bool {
    value.pointer(pointer).and_then(Value::as_bool).unwrap_or(false)
}

/// The array at a JSON pointer, empty if absent.
pub(crate) fn items<'v>(value: &'v Value, pointer: &str) -> &'v [Value] {
    value.pointer(pointer).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

/// The object's entries at a JSON pointer, none if absent.
pub(crate) fn entries<'v>(value: &'v Value, pointer: &str) -> impl Iterator<Item = (&'v String, &'v Value)> {
    value.pointer(pointer).and_then(Value::as_object).into_iter().flatten()
}

/// The member object, created when absent.
pub(crate) fn child<'v>(value: &'v mut Value, key: &str) -> &'v mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    let map = value.as_object_mut().expect("made an object above");
    map.entry(key).or_insert_with(|| Value::Object(Map::new()))
}

/// Sets a member; `value` becomes an object if it was none.
pub(crate) fn set(value: &mut Value, key: &str, member: impl Into<Value>) {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    value.as_object_mut().expect("made an object above").insert(key.to_owned(), member.into());
}

/// Sets a member unless it is there.
pub(crate) fn set_absent(value: &mut Value, key: &str, member: impl Into<Value>) {
    if value.get(key).is_none_or(Value::is_null) {
        set(value, key, member);
    }
}

pub(crate) fn remove(value: &mut Value, key: &str) -> Option<Value> {
    value.as_object_mut().and_then(|map| map.remove(key))
}

/// Makes a member of `new` what it is in `old`, absence included.
pub(crate) fn keep(new: &mut Value, old: &Value, key: &str) {
    match old.get(key) {
        Some(member) => set(new, key, member.clone()),
        None => {
            remove(new, key);
        }
    }
}

/// Visits every object that the pattern addresses.
pub(crate) fn each_mut(value: &mut Value, pattern: &str, visit: &mut dyn FnMut(&mut Value)) {
    if pattern.is_empty() {
        if value.is_object() {
            visit(value);
        }
        return;
    }
    let (segment, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    match segment.strip_suffix("[]") {
        Some(key) => {
            let items = value.get_mut(key).and_then(Value::as_array_mut);
            items.into_iter().flatten().for_each(|item| each_mut(item, rest, visit));
        }
        None => {
            if let Some(member) = value.get_mut(segment) {
                each_mut(member, rest, visit);
            }
        }
    }
}

/// Visits every object that the pattern addresses, with its path (`spec.ports[0]`).
pub(crate) fn each<'v>(value: &'v Value, pattern: &str, visit: &mut dyn FnMut(&str, &'v Value)) {
    descend(value, pattern, String::new(), visit);
}

fn descend<'v>(value: &'v Value, pattern: &str, path: String, visit: &mut dyn FnMut(&str, &'v Value)) {
    if pattern.is_empty() {
        if value.is_object() {
            visit(&path, value);
        }
        return;
    }
    let (segment, rest) = pattern.split_once('.').unwrap_or((pattern, ""));
    let key = segment.strip_suffix("[]").unwrap_or(segment);
    let here = join(&path, key);
    let Some(member) = value.get(key) else { return };
    if key.len() == segment.len() {
        return descend(member, rest, here, visit);
    }
    for (index, item) in member.as_array().into_iter().flatten().enumerate() {
        descend(item, rest, format!("{here}[{index}]"), visit);
    }
}

/// `spec` and `replicas` make `spec.replicas`.
pub(crate) fn join(path: &str, key: &str) -> String {
    if path.is_empty() { key.to_owned() } else { format!("{path}.{key}") }
}
