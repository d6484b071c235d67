//! The patch types that compute a new object from the old one and a patch: [`json`], [`merge`], [`strategic`].
//!
//! All three take the object as it is served and give the object as the patch leaves it, *unchecked*: the caller
//! passes the result through [`super::decode::patched`], which reports unknown members and wrong types.
//! Server-side apply is no patch of this sort; it is in [`super::managed_fields`].

mod directives;
mod json;
mod merge;
mod order;
mod strategic;

#[cfg(test)]
mod patch_test;

pub use json::json;
pub use merge::merge;
pub use strategic::strategic;

use serde_json::Value;

use super::json_syntax;
use crate::error::{ApiError, StatusCause, StatusDetails};

/// The patch as a value, if it is of the Go type that the stock server reads it into; else 400 in its words.
fn decoded(patch: &[u8], go_type: &str, is_of_type: fn(&Value) -> bool) -> Result<Value, ApiError> {
    let refused = |why: String| ApiError::bad_request(format!("error decoding patch: {why}"));
    let value: Value = serde_json::from_slice(patch)
        .map_err(|error| refused(json_syntax::first_error(patch).unwrap_or_else(|| error.to_string())))?;
    if is_of_type(&value) {
        return Ok(value);
    }
    let word = match value {
        Value::Null => "null",
        Value::Bool(_) => "bool",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    };
    Err(refused(format!("json: cannot unmarshal {word} into Go value of type {go_type}")))
}

/// 422 for a well-formed patch that cannot be applied; the reason travels as a cause.
fn unprocessable(why: impl Into<String>) -> ApiError {
    let cause =
        StatusCause { reason: "UnexpectedServerResponse".into(), message: why.into(), field: String::new() };
    let details = StatusDetails { causes: vec![cause], ..Default::default() };
    ApiError::new(
        422,
        "Invalid",
        "the server rejected our request due to an error in our request",
        Some(details),
    )
}
