//! Request bodies to values, by the schema of the kind that the path names.

use bytes::Bytes;
use serde_json::Value;

use crate::error::ApiError;
use crate::http::resource::Request;
use crate::http::writing::content_type;
use crate::kinds::Kind;
use crate::schema::{FieldValidation, Gvk, decode};

pub use crate::schema::Decoded;

pub fn decode(
    kind: &'static Kind,
    body: &[u8],
    content_type: &str,
    validation: FieldValidation,
) -> Result<Decoded, ApiError> {
    decode::object(kind, body, content_type, validation)
}

/// A patched object is checked like a body.
pub fn recheck(
    kind: &'static Kind,
    patched: Value,
    validation: FieldValidation,
) -> Result<(Value, Vec<String>), ApiError> {
    let Decoded { object, warnings } = decode::patched(kind, patched, validation)?;
    Ok((object, warnings))
}

/// The bodies of subresources, which have kinds of their own.
const PLAIN: &[Gvk<'static>] = &[
    Gvk { group: "", version: "v1", kind: "Binding" },
    Gvk { group: "policy", version: "v1", kind: "Eviction" },
    Gvk { group: "authentication.k8s.io", version: "v1", kind: "TokenRequest" },
    Gvk { group: "autoscaling", version: "v1", kind: "Scale" },
];

pub fn decode_plain(request: &Request, kind: &str) -> Result<Value, ApiError> {
    plain(&request.body, content_type(request), kind)
}

pub fn plain(body: &[u8], content_type: &str, kind: &str) -> Result<Value, ApiError> {
    let gvk =
        PLAIN.iter().find(|known| known.kind == kind).copied().ok_or_else(ApiError::unknown_resource)?;
    decode::object(gvk, body, content_type, FieldValidation::Ignore).map(|decoded| decoded.object)
}

/// Options may come as YAML.
pub fn as_json(body: &Bytes, content_type: &str) -> Result<Bytes, ApiError> {
    let gvk = Gvk { group: "", version: "v1", kind: "DeleteOptions" };
    match decode::Format::of(content_type) {
        Some(decode::Format::Json) => Ok(body.clone()),
        Some(decode::Format::Yaml) => {
            let decoded = decode::object(gvk, body, content_type, FieldValidation::Ignore)?;
            Ok(Bytes::from(decoded.object.to_string()))
        }
        None => Err(ApiError::unsupported_media_type(crate::http::negotiate::ACCEPTED)),
    }
}
