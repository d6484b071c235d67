//! One wrong field of an object, in the words of the stock server's validation.

use std::fmt;

use serde_json::Value;

use super::StatusCause;

/// What is wrong with one field; the stock word of each is in [`FieldErrorKind::title`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum FieldErrorKind {
    NotFound,
    Required,
    Duplicate,
    Invalid,
    NotSupported,
    Forbidden,
    TooLong,
    TooMany,
    Internal,
    TypeInvalid,
}

impl FieldErrorKind {
    fn title(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "Not found",
            FieldErrorKind::Required => "Required value",
            FieldErrorKind::Duplicate => "Duplicate value",
            FieldErrorKind::Invalid => "Invalid value",
            FieldErrorKind::NotSupported => "Unsupported value",
            FieldErrorKind::Forbidden => "Forbidden",
            FieldErrorKind::TooLong => "Too long",
            FieldErrorKind::TooMany => "Too many",
            FieldErrorKind::Internal => "Internal error",
            FieldErrorKind::TypeInvalid => "Invalid value",
        }
    }

    /// The machine-readable `reason` of the cause.
    pub fn reason(self) -> &'static str {
        match self {
            FieldErrorKind::NotFound => "FieldValueNotFound",
            FieldErrorKind::Required => "FieldValueRequired",
            FieldErrorKind::Duplicate => "FieldValueDuplicate",
            FieldErrorKind::Invalid => "FieldValueInvalid",
            FieldErrorKind::NotSupported => "FieldValueNotSupported",
            FieldErrorKind::Forbidden => "FieldValueForbidden",
            FieldErrorKind::TooLong => "FieldValueTooLong",
            FieldErrorKind::TooMany => "FieldValueTooMany",
            FieldErrorKind::Internal => "InternalError",
            FieldErrorKind::TypeInvalid => "FieldValueTypeInvalid",
        }
    }

    fn shows_value(self) -> bool {
        !matches!(
            self,
            FieldErrorKind::Required
                | FieldErrorKind::Forbidden
                | FieldErrorKind::TooLong
                | FieldErrorKind::Internal
        )
    }
}

/// One wrong field. Display is the stock text: `spec.replicas: Invalid value: -1: must be …`.
#[derive(Debug, Clone, PartialEq)]
pub struct FieldError {
    pub kind: FieldErrorKind,
    /// `spec.containers[0].name`
    pub field: String,
    pub bad_value: Option<Value>,
    pub detail: String,
}

impl FieldError {
    pub fn required(field: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError {
            kind: FieldErrorKind::Required,
            field: field.into(),
            bad_value: None,
            detail: detail.into(),
        }
    }

    pub fn invalid(field: impl Into<String>, bad_value: impl Into<Value>, detail: impl Into<String>) -> Self {
        let bad_value = Some(bad_value.into());
        FieldError { kind: FieldErrorKind::Invalid, field: field.into(), bad_value, detail: detail.into() }
    }

    pub fn forbidden(field: impl Into<String>, detail: impl Into<String>) -> Self {
        FieldError {
            kind: FieldErrorKind::Forbidden,
            field: field.into(),
            bad_value: None,
            detail: detail.into(),
        }
    }

    pub fn duplicate(field: impl Into<String>, bad_value: impl Into<Value>) -> Self {
        let bad_value = Some(bad_value.into());
        FieldError { kind: FieldErrorKind::Duplicate, field: field.into(), bad_value, detail: String::new() }
    }

    pub fn not_found(field: impl Into<String>, bad_value: impl Into<Value>) -> Self {
        let bad_value = Some(bad_value.into());
        FieldError { kind: FieldErrorKind::NotFound, field: field.into(), bad_value, detail: String::new() }
    }

    /// `Unsupported value: "x": supported values: "a", "b"`
    pub fn not_supported(field: impl Into<String>, bad_value: impl Into<Value>, supported: &[&str]) -> Self {
        let quoted: Vec<String> = supported.iter().map(|value| format!("\"{value}\"")).collect();
        let detail = format!("supported values: {}", quoted.join(", "));
        let bad_value = Some(bad_value.into());
        FieldError { kind: FieldErrorKind::NotSupported, field: field.into(), bad_value, detail }
    }

    /// `Too long: may not be more than 63 bytes`
    pub fn too_long(field: impl Into<String>, limit_bytes: usize) -> Self {
        let detail = format!("may not be more than {limit_bytes} bytes");
        FieldError { kind: FieldErrorKind::TooLong, field: field.into(), bad_value: None, detail }
    }

    /// The text without the field: the cause's `message`.
    pub fn body(&self) -> String {
        let title = self.kind.title();
        let mut text = match (&self.bad_value, self.kind.shows_value()) {
            (Some(value), true) => format!("{title}: {}", go_value(value)),
            (None, true) if matches!(self.kind, FieldErrorKind::Invalid) => format!("{title}: null"),
            (_, _) => title.to_owned(),
        };
        if !self.detail.is_empty() {
            text.push_str(": ");
            text.push_str(&self.detail);
        }
        text
    }

    pub(super) fn cause(&self) -> StatusCause {
        StatusCause { reason: self.kind.reason().into(), message: self.body(), field: self.field.clone() }
    }
}

impl fmt::Display for FieldError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: {}", self.field, self.body())
    }
}

/// Bad values print as Go prints them: strings quoted, everything else as JSON.
fn go_value(value: &Value) -> String {
    value.to_string()
}
