//! Request bodies to objects, with the field validation and the error texts of the stock server.
//!
//! In: the bytes, their media type, the kind that the path names. Out: an object that has `apiVersion` and `kind`, only known
//! members, no nulls. Unknown and repeated members are dropped, reported as warnings, or refused, as asked.
//! Limits on metadata and values are not checked here but by the kinds.

use std::fmt::Write as _;
use std::str::FromStr;

use serde_json::Value;

pub use super::body::Format;
use super::node::Node;
use super::{Gvk, body, builtin, check};
use crate::error::{ApiError, FieldError, GroupKind};

/// What to do about unknown and repeated members (`fieldValidation`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum FieldValidation {
    Ignore,
    /// What a client that does not ask gets.
    #[default]
    Warn,
    Strict,
}

/// Not one of the words of `fieldValidation`.
#[derive(Debug, thiserror::Error)]
#[error("unknown field validation")]
pub struct UnknownFieldValidation;

impl FromStr for FieldValidation {
    type Err = UnknownFieldValidation;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        match text {
            "" | "Warn" => Ok(FieldValidation::Warn),
            "Ignore" => Ok(FieldValidation::Ignore),
            "Strict" => Ok(FieldValidation::Strict),
            _ => Err(UnknownFieldValidation),
        }
    }
}

/// An object, and what the client should be told about its members (`Warning: 299`).
#[derive(Debug, Clone)]
pub struct Decoded {
    pub object: Value,
    pub warnings: Vec<String>,
}

/// Decodes the body of a create or update. The media type may be a Content-Type or just `json` or `yaml`.
pub fn object<'k>(
    kind: impl Into<Gvk<'k>>,
    body: &[u8],
    content_type: &str,
    validation: FieldValidation,
) -> Result<Decoded, ApiError> {
    let wanted = kind.into();
    let format = Format::of(content_type)
        .ok_or_else(|| ApiError::unsupported_media_type(&["application/json", "application/yaml"]))?;
    let node = body::parse(body, format).map_err(|error| match format {
        Format::Json => unrecognized(wanted, &no_version(&error), body),
        Format::Yaml => unrecognized(wanted, &error, body),
    })?;
    let node = as_object(node, body).map_err(|error| unrecognized(wanted, &no_version(&error), body))?;
    let words = type_words(&node).map_err(|error| unrecognized(wanted, &error, body))?;
    let found = found_kind(wanted, &words).map_err(|error| unrecognized(wanted, &error, body))?;
    require_kind(wanted, found)?;
    checked(node, wanted, validation).map_err(|error| cannot_handle(found, wanted, &error))
}

/// Checks an object that a patch has produced; refusals are 422 and quote the object.
pub fn patched<'k>(
    kind: impl Into<Gvk<'k>>,
    object: Value,
    validation: FieldValidation,
) -> Result<Decoded, ApiError> {
    let quoted = object.to_string();
    checked(Node::from(object), kind.into(), validation).map_err(|error| invalid_patch(&quoted, &error))
}

/// Gives an object the stored form: canonical quantities and times, no unknown members. The error is the type
/// error of the stock decoder.
pub(super) fn normalized(kind: Gvk<'_>, object: Value) -> Result<Value, String> {
    checked(Node::from(object), kind, FieldValidation::Ignore).map(|decoded| decoded.object)
}

/// Decodes a body without looking at its members, as server-side apply does first.
/// The second result is the paths of repeated members.
pub(super) fn unchecked(body: &[u8], format: Format) -> Result<(Value, Vec<String>), String> {
    let node = body::parse(body, format)?;
    let repeated = node.duplicates();
    Ok((node.into_value(), repeated))
}

/// The error is the text after `cannot be handled as a …: `.
fn checked(node: Node, kind: Gvk<'_>, validation: FieldValidation) -> Result<Decoded, String> {
    let Some(ty) = kind.typed() else {
        return Ok(Decoded { object: node.into_value(), warnings: Vec::new() });
    };
    let result = check::check(node, ty);
    if let Some(error) = result.error {
        return Err(error);
    }
    let mut object = result.value;
    set_type(&mut object, kind);
    match validation {
        FieldValidation::Ignore => Ok(Decoded { object, warnings: Vec::new() }),
        FieldValidation::Warn => Ok(Decoded { object, warnings: result.strict }),
        FieldValidation::Strict if result.strict.is_empty() => Ok(Decoded { object, warnings: Vec::new() }),
        FieldValidation::Strict => Err(format!("strict decoding error: {}", result.strict.join(", "))),
    }
}

fn set_type(object: &mut Value, kind: Gvk<'_>) {
    if let Value::Object(members) = object {
        members.insert("apiVersion".into(), kind.api_version().into());
        members.insert("kind".into(), kind.kind.into());
    }
}

fn as_object(node: Node, body: &[u8]) -> Result<Node, String> {
    match node {
        Node::Object(_) => Ok(node),
        // `null` decodes to an empty object, as in the stock server.
        Node::Null if !body.is_empty() => Ok(Node::Object(Vec::new())),
        other => Err(format!(
            "json: cannot unmarshal {} into Go value of type struct {{ APIVersion string \
             \"json:\\\"apiVersion,omitempty\\\"\"; Kind string \"json:\\\"kind,omitempty\\\"\" }}",
            other.go_word()
        )),
    }
}

fn no_version(error: &str) -> String {
    format!("couldn't get version/kind; json parse error: {error}")
}

struct TypeWords {
    api_version: String,
    kind: String,
}

fn type_words(node: &Node) -> Result<TypeWords, String> {
    let word = |name: &str| match node.member(name) {
        None | Some(Node::Null) => Ok(String::new()),
        Some(Node::String(text)) => Ok(text.clone()),
        Some(other) => Err(no_version(&format!(
            "json: cannot unmarshal {} into Go struct field .{name} of type string",
            other.go_word()
        ))),
    };
    Ok(TypeWords { api_version: word("apiVersion")?, kind: word("kind")? })
}

/// What the body says it is; what it leaves out is what the path says.
fn found_kind<'a>(wanted: Gvk<'a>, words: &'a TypeWords) -> Result<Gvk<'a>, String> {
    let mut found = Gvk::parse(&words.api_version, &words.kind)
        .ok_or_else(|| format!("unexpected GroupVersion string: {}", words.api_version))?;
    if words.api_version.is_empty() {
        (found.group, found.version) = (wanted.group, wanted.version);
    }
    if words.kind.is_empty() {
        found.kind = wanted.kind;
    }
    Ok(found)
}

fn require_kind(wanted: Gvk<'_>, found: Gvk<'_>) -> Result<(), ApiError> {
    if found == wanted {
        return Ok(());
    }
    let (said, expected) = (found.api_version(), wanted.api_version());
    if builtin().kind(found.group, found.version, found.kind).is_none() {
        let error = format!(
            "no kind {:?} is registered for version {said:?} in scheme \"pkg/api/legacyscheme/scheme.go:30\"",
            found.kind
        );
        return Err(cannot_handle(found, wanted, &error));
    }
    if found.kind == wanted.kind {
        return Err(ApiError::bad_request(format!(
            "the API version in the data ({said}) does not match the expected API version ({expected})"
        )));
    }
    let package =
        if wanted.group.is_empty() { "core" } else { wanted.group.split('.').next().unwrap_or_default() };
    let error = format!(
        "converting ({}.{}) to ({package}.{}): unknown conversion",
        found.version, found.kind, wanted.kind
    );
    Err(cannot_handle(found, wanted, &error))
}

fn cannot_handle(found: Gvk<'_>, wanted: Gvk<'_>, error: &str) -> ApiError {
    ApiError::bad_request(format!(
        "{} in version {:?} cannot be handled as a {}: {error}",
        found.kind, found.version, wanted.kind
    ))
}

fn unrecognized(wanted: Gvk<'_>, error: &str, body: &[u8]) -> ApiError {
    ApiError::bad_request(format!(
        "the object provided is unrecognized (must be of type {}): {error} ({})",
        wanted.kind,
        summary(body)
    ))
}

/// The first bytes of a body: as text if it looks like JSON, else in hexadecimal.
fn summary(body: &[u8]) -> String {
    const SHOWN_BYTES: usize = 30;
    let shown = &body[..body.len().min(SHOWN_BYTES)];
    let mut text = match body.first() {
        None => return "<empty>".to_owned(),
        Some(b'{') => String::from_utf8_lossy(shown).into_owned(),
        Some(_) => shown.iter().fold(String::new(), |mut text, byte| {
            write!(text, "{byte:02x}").expect("writing to a string");
            text
        }),
    };
    if body.len() > SHOWN_BYTES {
        text.push_str(" ...");
    }
    text
}

pub(super) fn invalid_patch(quoted: &str, error: &str) -> ApiError {
    ApiError::invalid(&GroupKind::new("", ""), "", vec![FieldError::invalid("patch", quoted, error)])
}
