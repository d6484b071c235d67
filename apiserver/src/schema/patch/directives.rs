//! The special members of a strategic merge patch, and the errors about them.
//!
//! `$patch: replace|delete|merge`, `$deleteFromPrimitiveList/<list>`, `$setElementOrder/<list>`, `$retainKeys`.
//! Error texts are those of k8s.io/apimachinery `util/mergepatch`.

use serde_json::{Map, Value};

use crate::error::ApiError;

pub(super) const PATCH: &str = "$patch";
pub(super) const DELETE_FROM_LIST: &str = "$deleteFromPrimitiveList/";
pub(super) const ELEMENT_ORDER: &str = "$setElementOrder/";
pub(super) const RETAIN_KEYS: &str = "$retainKeys";

#[derive(Debug, thiserror::Error)]
pub(super) enum Error {
    #[error("invalid JSON document")]
    BadDocument,
    #[error("invalid patch format of primitive list")]
    BadPrimitiveList,
    #[error("invalid patch format of retainKeys")]
    BadRetainKeys,
    #[error("invalid patch format of setElementOrder list")]
    BadElementOrder,
    #[error("patch content doesn't match retainKeys list")]
    RetainKeysMismatch,
    #[error("lists of lists are not supported")]
    ListOfLists,
    #[error("map: {map} does not contain declared merge key: {key}")]
    NoMergeKey { map: Value, key: String },
    #[error("cannot merge lists without merge key for {0}")]
    NoKeyDeclared(String),
    #[error("merging lists cannot yet be specified in the patch")]
    MergeInList,
    #[error("unknown patch type: {kind} in map: {map}")]
    UnknownDirective { kind: Value, map: Value },
    #[error("The order in patch list:\n{patch}\n doesn't match $setElementOrder list:\n{order}\n")]
    OrderMismatch { patch: Value, order: Value },
}

impl From<Error> for ApiError {
    fn from(error: Error) -> ApiError {
        match error {
            Error::BadDocument | Error::BadPrimitiveList | Error::BadRetainKeys | Error::BadElementOrder => {
                ApiError::bad_request(error.to_string())
            }
            Error::ListOfLists | Error::RetainKeysMismatch => super::unprocessable(error.to_string()),
            // The stock server has no code for these: they surface as 500 without a reason.
            Error::NoMergeKey { .. }
            | Error::NoKeyDeclared(_)
            | Error::MergeInList
            | Error::UnknownDirective { .. }
            | Error::OrderMismatch { .. } => ApiError::new(500, "", error.to_string(), None),
        }
    }
}

/// What an element or object asks for with `$patch`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Directive {
    Replace,
    Delete,
    Merge,
}

/// The `$patch` of a map, if it has one.
pub(super) fn directive(map: &Map<String, Value>) -> Result<Option<Directive>, Error> {
    match map.get(PATCH) {
        None => Ok(None),
        Some(Value::String(word)) if word == "replace" => Ok(Some(Directive::Replace)),
        Some(Value::String(word)) if word == "delete" => Ok(Some(Directive::Delete)),
        Some(Value::String(word)) if word == "merge" => Ok(Some(Directive::Merge)),
        Some(kind) => Err(Error::UnknownDirective { kind: kind.clone(), map: Value::Object(map.clone()) }),
    }
}

/// A part of a patch that meets nothing to merge with: without directives and nulls.
/// None if the part itself asks to be deleted.
pub(super) fn plain(value: Value) -> Option<Value> {
    match value {
        Value::Object(members) => {
            if members.get(PATCH).is_some_and(|word| word == "delete") {
                return None;
            }
            let kept = members.into_iter().filter(|(key, value)| !is_directive(key) && !value.is_null());
            Some(Value::Object(kept.filter_map(|(key, value)| Some((key, plain(value)?))).collect()))
        }
        Value::Array(items) => {
            // An element that only says `$patch: replace` is about the list, not in it.
            let kept = items.into_iter().filter(|item| !only_directive(item));
            Some(Value::Array(kept.filter_map(plain).collect()))
        }
        scalar => Some(scalar),
    }
}

fn only_directive(item: &Value) -> bool {
    item.as_object().is_some_and(|map| map.len() == 1 && map.contains_key(PATCH))
}

fn is_directive(key: &str) -> bool {
    key == PATCH || key == RETAIN_KEYS || key.starts_with(DELETE_FROM_LIST) || key.starts_with(ELEMENT_ORDER)
}
