//! JSON patch (RFC 6902), with the error texts of the library that the stock server uses.

use serde::Deserialize;
use serde_json::Value;

use super::{decoded, unprocessable};
use crate::error::ApiError;
use crate::schema::Gvk;

/// Operations in one patch; the stock server's bound.
const MAX_OPERATIONS: usize = 10_000;

#[derive(Deserialize)]
struct Operation {
    #[serde(default)]
    op: String,
    #[serde(default)]
    path: String,
    from: Option<String>,
    value: Option<Value>,
}

/// The kind does not matter here; the parameter is there so that all patches are called alike.
pub fn json<'k>(_kind: impl Into<Gvk<'k>>, old: &Value, patch: &[u8]) -> Result<Value, ApiError> {
    let operations = decoded(patch, "jsonpatch.Patch", Value::is_array)?;
    let operations: Vec<Operation> = serde_json::from_value(operations)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if operations.len() > MAX_OPERATIONS {
        return Err(ApiError::new(
            413,
            "RequestEntityTooLarge",
            format!(
                "Request entity too large: The allowed maximum operations in a JSON patch is {MAX_OPERATIONS}, got {}",
                operations.len()
            ),
            None,
        ));
    }
    let mut new = old.clone();
    for operation in operations {
        run(&mut new, operation).map_err(unprocessable)?;
    }
    Ok(new)
}

fn run(document: &mut Value, operation: Operation) -> Result<(), String> {
    let Operation { op, path, from, value } = operation;
    match op.as_str() {
        "add" => add(document, &path, value.unwrap_or(Value::Null)),
        "remove" => remove(document, &path).map(drop),
        "replace" => replace(document, &path, value.unwrap_or(Value::Null)),
        "move" => {
            let value = remove(document, &from.unwrap_or_default())?;
            add(document, &path, value)
        }
        "copy" => {
            let from = from.unwrap_or_default();
            let missing = || {
                format!("copy operation does not apply: doc is missing from path: {from:?}: missing value")
            };
            let value = document.pointer(&from).cloned().ok_or_else(missing)?;
            add(document, &path, value)
        }
        "test" => test(document, &path, value),
        other => Err(format!("Unexpected kind: {other}")),
    }
}

fn add(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((parent, key)) = split(path) else {
        *document = value;
        return Ok(());
    };
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => {
            members.insert(key, value);
            Ok(())
        }
        Some(Value::Array(items)) => {
            let at = if key == "-" { items.len() } else { index(&key, items.len() + 1, path, "add")? };
            items.insert(at, value);
            Ok(())
        }
        _ => Err(format!("add operation does not apply: doc is missing path: {path:?}: missing value")),
    }
}

fn remove(document: &mut Value, path: &str) -> Result<Value, String> {
    let missing = || format!("remove operation does not apply: doc is missing path: {path:?}: missing value");
    let (parent, key) = split(path).ok_or_else(missing)?;
    match document.pointer_mut(parent) {
        Some(Value::Object(members)) => members.remove(&key).ok_or_else(|| {
            format!(
                "error in remove for path: '{path}': unable to remove nonexistent key: {key}: missing value"
            )
        }),
        Some(Value::Array(items)) => {
            let at = index(&key, items.len(), path, "remove")?;
            Ok(items.remove(at))
        }
        _ => Err(missing()),
    }
}

fn replace(document: &mut Value, path: &str, value: Value) -> Result<(), String> {
    let Some((parent, _)) = split(path) else {
        *document = value;
        return Ok(());
    };
    if document.pointer(parent).is_none() {
        return Err(format!("replace operation does not apply: doc is missing path: {path}: missing value"));
    }
    match document.pointer_mut(path) {
        Some(place) => {
            *place = value;
            Ok(())
        }
        None => Err(format!("replace operation does not apply: doc is missing key: {path}: missing value")),
    }
}

/// A missing member equals null.
fn test(document: &Value, path: &str, value: Option<Value>) -> Result<(), String> {
    let expected = value.unwrap_or(Value::Null);
    let found = document.pointer(path).unwrap_or(&Value::Null);
    if same(found, &expected) { Ok(()) } else { Err(format!("testing value {path} failed: test failed")) }
}

/// Equality by value: `1` and `1.0` are the same number.
fn same(a: &Value, b: &Value) -> bool {
    match (a, b) {
        (Value::Number(a), Value::Number(b)) => a == b || a.as_f64() == b.as_f64(),
        (Value::Array(a), Value::Array(b)) => a.len() == b.len() && a.iter().zip(b).all(|(a, b)| same(a, b)),
        (Value::Object(a), Value::Object(b)) => {
            a.len() == b.len() && a.iter().all(|(key, a)| b.get(key).is_some_and(|b| same(a, b)))
        }
        _ => a == b,
    }
}

/// Parent pointer and the unescaped last key; None for the whole document.
fn split(path: &str) -> Option<(&str, String)> {
    let (parent, key) = path.rsplit_once('/')?;
    Some((parent, key.replace("~1", "/").replace("~0", "~")))
}

fn index(key: &str, bound: usize, path: &str, operation: &str) -> Result<usize, String> {
    let invalid = || {
        format!(
            "error in {operation} for path: '{path}': Unable to access invalid index: {key}: invalid index referenced"
        )
    };
    let number: i64 = key.parse().map_err(|_| {
        format!("error in {operation} for path: '{path}': value was not a proper array index: '{key}'")
    })?;
    match usize::try_from(number) {
        Ok(at) if at < bound => Ok(at),
        _ => Err(invalid()),
    }
}
