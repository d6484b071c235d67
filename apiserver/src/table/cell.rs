//! Cells that many kinds share.

use jiff::Timestamp;
use serde_json::Value;

use super::duration::human;
use crate::kinds::walk::{entries, int, items, text as string};

pub(super) const NONE: &str = "<none>";
pub(super) const UNSET: &str = "<unset>";
pub(super) const UNKNOWN: &str = "<unknown>";

pub(super) fn name(object: &Value) -> Value {
    text(object, "/metadata/name")
}

pub(super) fn text(object: &Value, pointer: &str) -> Value {
    Value::from(string(object, pointer))
}

/// The string, or a word in its place when it is empty.
pub(super) fn text_or(object: &Value, pointer: &str, fallback: &str) -> Value {
    match string(object, pointer) {
        "" => Value::from(fallback),
        found => Value::from(found),
    }
}

pub(super) fn number(object: &Value, pointer: &str) -> Value {
    Value::from(int(object, pointer).unwrap_or(0))
}

/// A number or a percentage, or a word where there is none.
pub(super) fn amount_or(object: &Value, pointer: &str, fallback: &str) -> Value {
    match object.pointer(pointer) {
        Some(Value::Number(number)) => Value::from(number.to_string()),
        Some(Value::String(text)) => Value::from(text.as_str()),
        _ => Value::from(fallback),
    }
}

pub(super) fn age(object: &Value, now: Timestamp) -> Value {
    since(string(object, "/metadata/creationTimestamp"), now)
}

/// Time since an RFC 3339 instant.
pub(super) fn since(instant: &str, now: Timestamp) -> Value {
    Value::from(instant.parse::<Timestamp>().map_or_else(
        |_| UNKNOWN.to_owned(),
        |then| human((now - then).total(jiff::Unit::Second).map_or(0, |seconds| seconds as i64)),
    ))
}

/// Seconds between two RFC 3339 instants.
pub(super) fn seconds_between(from: &str, to: &str) -> Option<i64> {
    let (from, to) = (from.parse::<Timestamp>().ok()?, to.parse::<Timestamp>().ok()?);
    Some(to.as_second() - from.as_second())
}

/// `a=b,c=d` of a label map, or `<none>`.
pub(super) fn labels(object: &Value, pointer: &str) -> String {
    let mut pairs: Vec<String> = entries(object, pointer)
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    pairs.sort();
    or_none(pairs)
}

/// A LabelSelector in the query form, or `<none>`.
pub(super) fn selector(object: &Value, pointer: &str) -> String {
    let Some(selector) = object.pointer(pointer) else { return NONE.to_owned() };
    let mut parts: Vec<String> = entries(selector, "/matchLabels")
        .map(|(key, value)| format!("{key}={}", value.as_str().unwrap_or_default()))
        .collect();
    parts.extend(items(selector, "/matchExpressions").iter().map(requirement));
    parts.sort();
    or_none(parts)
}

fn requirement(expression: &Value) -> String {
    let key = string(expression, "/key");
    let values = || strings(expression, "/values").join(",");
    match string(expression, "/operator") {
        "In" => format!("{key} in ({})", values()),
        "NotIn" => format!("{key} notin ({})", values()),
        "Exists" => key.to_owned(),
        _ => format!("!{key}"),
    }
}

pub(super) fn strings<'v>(object: &'v Value, pointer: &str) -> Vec<&'v str> {
    items(object, pointer).iter().filter_map(Value::as_str).collect()
}

fn or_none(parts: Vec<String>) -> String {
    if parts.is_empty() { NONE.to_owned() } else { parts.join(",") }
}

/// The list joined with commas, with `+ n more...` beyond `shown` entries.
pub(super) fn more(all: &[String], shown: usize) -> String {
    let head = all[..all.len().min(shown)].join(",");
    if all.len() > shown { format!("{head} + {} more...", all.len() - shown) } else { head }
}

/// Names and images of the containers of a pod spec, comma-separated.
pub(super) fn containers(object: &Value, pod_spec: &str) -> (Value, Value) {
    let list = items(object, &format!("{pod_spec}/containers"));
    let join = |field: &str| list.iter().map(|c| string(c, field)).collect::<Vec<_>>().join(",");
    (Value::from(join("/name")), Value::from(join("/image")))
}

pub(super) fn access_modes(object: &Value, pointer: &str) -> String {
    let short = |mode: &&str| match *mode {
        "ReadWriteOnce" => "RWO",
        "ReadOnlyMany" => "ROX",
        "ReadWriteMany" => "RWX",
        _ => "RWOP",
    };
    strings(object, pointer).iter().map(short).collect::<Vec<_>>().join(",")
}
