//! Every failure that a client of the API can see: a `metav1.Status` with the texts of the stock API server.
//!
//! kubectl, client-go and the e2e suite match on `reason` and on message texts, so this file is the one table
//! of them. Source: k8s.io/apimachinery `api/errors` and `util/validation/field` (behaviour, not code).

mod field;

use std::fmt;

use serde::{Deserialize, Serialize};
use serde_json::Value;

pub use field::{FieldError, FieldErrorKind};

/// Short name of the group and plural, as error texts print it: `pods`, `deployments.apps`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct GroupResource {
    pub group: String,
    pub resource: String,
}

impl GroupResource {
    pub fn new(group: &str, resource: &str) -> Self {
        GroupResource { group: group.to_owned(), resource: resource.to_owned() }
    }
}

impl fmt::Display for GroupResource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.resource)
        } else {
            write!(f, "{}.{}", self.resource, self.group)
        }
    }
}

/// Group and kind, as texts about invalid objects print it: `Pod`, `Deployment.apps`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct GroupKind {
    pub group: String,
    pub kind: String,
}

impl GroupKind {
    pub fn new(group: &str, kind: &str) -> Self {
        GroupKind { group: group.to_owned(), kind: kind.to_owned() }
    }
}

impl fmt::Display for GroupKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.group.is_empty() {
            f.write_str(&self.kind)
        } else {
            write!(f, "{}.{}", self.kind, self.group)
        }
    }
}

/// `metav1.Status` as it goes over the wire; field order is the stock one.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    pub kind: String,
    pub api_version: String,
    pub metadata: Value,
    pub status: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub details: Option<StatusDetails>,
    #[serde(default, skip_serializing_if = "is_zero")]
    pub code: u16,
}

fn is_zero(code: &u16) -> bool {
    *code == 0
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct StatusDetails {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub name: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub group: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub kind: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub uid: String,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub causes: Vec<StatusCause>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_after_seconds: Option<u32>,
}

#[derive(Debug, Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct StatusCause {
    #[serde(skip_serializing_if = "String::is_empty")]
    pub reason: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub message: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub field: String,
}

impl Status {
    /// The `Success` answer of deletes and of connect verbs.
    pub fn success(details: Option<StatusDetails>) -> Status {
        Status {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: Value::Object(serde_json::Map::new()),
            status: "Success".into(),
            message: String::new(),
            reason: String::new(),
            details,
            code: 0,
        }
    }

    pub fn to_json(&self) -> Vec<u8> {
        serde_json::to_vec(self).expect("a Status holds only strings and numbers")
    }
}

/// An error answer; boxed, since it travels in every `Result` of the write path.
#[derive(Debug, Clone)]
pub struct ApiError(Box<Status>);

impl fmt::Display for ApiError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0.message)
    }
}

impl std::error::Error for ApiError {}

impl From<ApiError> for Status {
    fn from(error: ApiError) -> Status {
        *error.0
    }
}

impl From<Status> for ApiError {
    fn from(status: Status) -> ApiError {
        ApiError(Box::new(status))
    }
}

impl ApiError {
    /// The general constructor; prefer the named ones.
    pub fn new(code: u16, reason: &str, message: impl Into<String>, details: Option<StatusDetails>) -> Self {
        ApiError(Box::new(Status {
            kind: "Status".into(),
            api_version: "v1".into(),
            metadata: Value::Object(serde_json::Map::new()),
            status: "Failure".into(),
            message: message.into(),
            reason: reason.into(),
            details,
            code,
        }))
    }

    pub fn status(&self) -> &Status {
        &self.0
    }

    pub fn code(&self) -> u16 {
        self.0.code
    }

    pub fn reason(&self) -> &str {
        &self.0.reason
    }

    pub fn is_not_found(&self) -> bool {
        self.0.reason == "NotFound"
    }

    pub fn is_conflict(&self) -> bool {
        self.0.reason == "Conflict"
    }

    pub fn is_already_exists(&self) -> bool {
        self.0.reason == "AlreadyExists"
    }

    /// Adds causes to `details` (creating it), as apply conflicts and invalid objects need.
    pub fn with_causes(mut self, causes: Vec<StatusCause>) -> Self {
        self.0.details.get_or_insert_default().causes.extend(causes);
        self
    }

    pub fn not_found(resource: &GroupResource, name: &str) -> Self {
        Self::new(404, "NotFound", format!("{resource} \"{name}\" not found"), Some(named(resource, name)))
    }

    /// The kind exists nowhere: what discovery-less clients get for an unknown resource path.
    pub fn unknown_resource() -> Self {
        let message = "the server could not find the requested resource";
        Self::new(404, "NotFound", message, Some(StatusDetails::default()))
    }

    pub fn already_exists(resource: &GroupResource, name: &str) -> Self {
        let message = format!("{resource} \"{name}\" already exists");
        Self::new(409, "AlreadyExists", message, Some(named(resource, name)))
    }

    pub fn conflict(resource: &GroupResource, name: &str, message: &str) -> Self {
        let message = format!("Operation cannot be fulfilled on {resource} \"{name}\": {message}");
        Self::new(409, "Conflict", message, Some(named(resource, name)))
    }

    /// The optimistic lock failed.
    pub fn modified(resource: &GroupResource, name: &str) -> Self {
        let message =
            "the object has been modified; please apply your changes to the latest version and try again";
        Self::conflict(resource, name, message)
    }

    /// Server-side apply met fields owned by others; each cause has reason `FieldManagerConflict`.
    pub fn apply_conflict(message: impl Into<String>, causes: Vec<StatusCause>) -> Self {
        Self::new(409, "Conflict", message, Some(StatusDetails { causes, ..Default::default() }))
    }

    pub fn invalid(kind: &GroupKind, name: &str, errors: Vec<FieldError>) -> Self {
        let message = match errors.as_slice() {
            [] => format!("{kind} \"{name}\" is invalid"),
            [one] => format!("{kind} \"{name}\" is invalid: {one}"),
            many => {
                let texts: Vec<String> = many.iter().map(ToString::to_string).collect();
                format!("{kind} \"{name}\" is invalid: [{}]", texts.join(", "))
            }
        };
        let causes = errors.iter().map(FieldError::cause).collect();
        let details = StatusDetails {
            name: name.into(),
            group: kind.group.clone(),
            kind: kind.kind.clone(),
            causes,
            ..Default::default()
        };
        Self::new(422, "Invalid", message, Some(details))
    }

    pub fn bad_request(message: impl Into<String>) -> Self {
        Self::new(400, "BadRequest", message, None)
    }

    /// `pods "x" is forbidden: <why>`, or `pods is forbidden: <why>` without a name.
    pub fn forbidden(resource: &GroupResource, name: &str, why: &str) -> Self {
        let message = if name.is_empty() {
            format!("{resource} is forbidden: {why}")
        } else {
            format!("{resource} \"{name}\" is forbidden: {why}")
        };
        Self::new(403, "Forbidden", message, Some(named(resource, name)))
    }

    /// A path that is no resource: `forbidden: User "u" cannot get path "/metrics"`.
    pub fn forbidden_path(why: &str) -> Self {
        Self::new(403, "Forbidden", format!("forbidden: {why}"), Some(StatusDetails::default()))
    }

    pub fn unauthorized() -> Self {
        Self::new(401, "Unauthorized", "Unauthorized", None)
    }

    pub fn method_not_allowed() -> Self {
        let message = "the server does not allow this method on the requested resource";
        Self::new(405, "MethodNotAllowed", message, Some(StatusDetails::default()))
    }

    pub fn not_acceptable(accepted: &[&str]) -> Self {
        let message = format!("only the following media types are accepted: {}", accepted.join(", "));
        Self::new(406, "NotAcceptable", message, None)
    }

    pub fn unsupported_media_type(accepted: &[&str]) -> Self {
        let message = format!(
            "the body of the request was in an unknown format - accepted media types include: {}",
            accepted.join(", ")
        );
        Self::new(415, "UnsupportedMediaType", message, None)
    }

    /// The asked history is gone: clients must list again.
    pub fn gone_expired(message: impl Into<String>) -> Self {
        Self::new(410, "Expired", message, None)
    }

    pub fn too_old_resource_version(asked: u64, oldest: u64) -> Self {
        Self::gone_expired(format!("too old resource version: {asked} ({oldest})"))
    }

    pub fn too_large_resource_version(asked: u64, current: u64) -> Self {
        let cause = StatusCause {
            reason: "ResourceVersionTooLarge".into(),
            message: "Too large resource version".into(),
            field: String::new(),
        };
        let details =
            StatusDetails { causes: vec![cause], retry_after_seconds: Some(1), ..Default::default() };
        let message = format!("Timeout: Too large resource version: {asked}, current: {current}");
        Self::new(504, "Timeout", message, Some(details))
    }

    pub fn too_many_requests(message: impl Into<String>, retry_after_seconds: u32) -> Self {
        let details = StatusDetails { retry_after_seconds: Some(retry_after_seconds), ..Default::default() };
        Self::new(429, "TooManyRequests", message, Some(details))
    }

    pub fn request_entity_too_large(limit_bytes: usize) -> Self {
        let message = format!("Request entity too large: limit is {limit_bytes}");
        Self::new(413, "RequestEntityTooLarge", message, None)
    }

    pub fn internal(message: impl fmt::Display) -> Self {
        let message = message.to_string();
        let cause = StatusCause { message: message.clone(), ..Default::default() };
        let details = StatusDetails { causes: vec![cause], ..Default::default() };
        Self::new(500, "InternalError", format!("Internal error occurred: {message}"), Some(details))
    }

    pub fn timeout(message: impl fmt::Display) -> Self {
        Self::new(504, "Timeout", format!("Timeout: {message}"), Some(StatusDetails::default()))
    }

    pub fn service_unavailable(message: impl Into<String>) -> Self {
        Self::new(503, "ServiceUnavailable", message, None)
    }
}

fn named(resource: &GroupResource, name: &str) -> StatusDetails {
    StatusDetails {
        name: name.into(),
        group: resource.group.clone(),
        kind: resource.resource.clone(),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn invalid_lists_every_field_in_the_stock_form() {
        let errors = vec![
            FieldError::invalid("spec.replicas", -1, "must be greater than or equal to 0"),
            FieldError::required("spec.selector", ""),
        ];
        let error = ApiError::invalid(&GroupKind::new("apps", "Deployment"), "web", errors);
        assert_eq!(
            error.to_string(),
            "Deployment.apps \"web\" is invalid: [spec.replicas: Invalid value: -1: must be greater than or \
             equal to 0, spec.selector: Required value]"
        );
        let causes = &error.status().details.as_ref().expect("details").causes;
        assert_eq!(causes[0].message, "Invalid value: -1: must be greater than or equal to 0");
        assert_eq!(causes[1].reason, "FieldValueRequired");
    }

    #[test]
    fn not_found_is_the_stock_body() {
        let error = ApiError::not_found(&GroupResource::new("apps", "deployments"), "web");
        assert_eq!(
            String::from_utf8(error.status().to_json()).expect("utf-8"),
            r#"{"kind":"Status","apiVersion":"v1","metadata":{},"status":"Failure","message":"deployments.apps \"web\" not found","reason":"NotFound","details":{"name":"web","group":"apps","kind":"deployments"},"code":404}"#
        );
    }
}
