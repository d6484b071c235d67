//! Server-side apply: a configuration becomes the manager's part of the object, no more and no less.
//!
//! Steps: check the configuration; merge it over the live object; take out what this manager applied before and no longer
//! does; find the fields of others that would change (409 unless forced); move ownership.

use serde_json::{Map, Value};

use super::compare::compare;
use super::entries::{self, Entries, Entry, Id};
use super::extract::field_set;
use super::merge::merge;
use super::ownership::{self, Conflicts};
use super::prune::prune;
use super::set::Set;
use super::update::record;
use super::{Manager, conflict, last_applied, unwritable, validate, without_bookkeeping};
use crate::error::ApiError;
use crate::schema::decode::{self, FieldValidation, Format};
use crate::schema::{Gvk, Typed};

/// Who is recorded as the owner of an untracked object's fields when it is first applied.
const BEFORE_FIRST_APPLY: &str = "before-first-apply";

/// Decodes the body of an apply. Warnings tell of repeated members; unknown members are [`apply`]'s to refuse.
pub fn apply_body(body: &[u8], validation: FieldValidation) -> Result<(Value, Vec<String>), ApiError> {
    let (object, repeated) = decode::unchecked(body, Format::Yaml)
        .map_err(|error| ApiError::bad_request(format!("error decoding patch: {error}")))?;
    if !object.is_object() {
        return Err(ApiError::bad_request("error decoding patch: the patch is not an object"));
    }
    let complaints: Vec<String> =
        repeated.iter().map(|path| format!("key {path:?} already set in map")).collect();
    match validation {
        FieldValidation::Strict if !complaints.is_empty() => {
            let text = format!("error strict decoding patch: {}", complaints.join(", "));
            Err(ApiError::bad_request(text))
        }
        FieldValidation::Warn => Ok((object, complaints)),
        FieldValidation::Strict | FieldValidation::Ignore => Ok((object, Vec::new())),
    }
}

/// The object after the apply, in stored form, with its new managed fields. `live` is None if it does not exist.
/// An apply that changes nothing gives back the live object unchanged.
pub fn apply<'k>(
    kind: impl Into<Gvk<'k>>,
    live: Option<&Value>,
    applied: &Value,
    manager: &Manager,
    force: bool,
) -> Result<Value, ApiError> {
    let kind = kind.into();
    let ty =
        kind.typed().ok_or_else(|| ApiError::unsupported_media_type(&["application/json-patch+json"]))?;
    check(kind, applied, ty)?;
    let (known, live) = known(kind, live, ty, manager)?;
    let mut run = Run { kind, ty, manager, known, live: &live, applied };
    let mut outcome = run.attempt(force);
    if manager.name == last_applied::KUBECTL
        && let Err(Failure::Conflicts(conflicts)) = outcome
    {
        outcome = run.retry_as_kubectl(conflicts);
    }
    let mut object = outcome.map_err(Failure::into_api_error)?;
    if manager.name == last_applied::KUBECTL {
        last_applied::refresh(&mut object, &live, applied);
    }
    Ok(object)
}

fn check(kind: Gvk<'_>, applied: &Value, ty: Typed<'_>) -> Result<(), ApiError> {
    let said = applied.get("apiVersion").and_then(Value::as_str).unwrap_or_default();
    let expected = kind.api_version();
    if said != expected {
        return Err(ApiError::bad_request(format!(
            "Incorrect version specified in apply patch. Specified patch version: {said}, expected: {expected}"
        )));
    }
    if entries::of(applied).is_some_and(|list| !list.is_null()) {
        return Err(ApiError::bad_request("metadata.managedFields must be nil"));
    }
    match validate::complaints(applied, ty) {
        None => Ok(()),
        Some(complaints) => {
            let metadata = |name: &str| applied.pointer(&format!("/metadata/{name}")).and_then(Value::as_str);
            let object = format!(
                "{}/{}; {expected}, Kind={}",
                metadata("namespace").unwrap_or_default(),
                metadata("name").unwrap_or_default(),
                kind.kind
            );
            let text = format!("failed to create typed patch object ({object}): {complaints}");
            Err(ApiError::new(500, "", text, None))
        }
    }
}

/// The managers so far, and the live object in stored form without its list.
fn known(
    kind: Gvk<'_>,
    live: Option<&Value>,
    ty: Typed<'_>,
    manager: &Manager,
) -> Result<(Entries, Value), ApiError> {
    let Some(live) = live else { return Ok((Entries::new(), Value::Object(Map::new()))) };
    let mut known = entries::decode(entries::of(live)).ok_or_else(|| {
        ApiError::new(500, "", "failed to decode managed fields: the list is malformed", None)
    })?;
    let mut bare = live.clone();
    entries::set(&mut bare, None);
    let bare = decode::normalized(kind, bare).map_err(|error| Failure::Decode(error).into_api_error())?;
    if known.is_empty() {
        let before = Manager {
            name: BEFORE_FIRST_APPLY.to_owned(),
            operation: "Update".to_owned(),
            api_version: manager.api_version.clone(),
            subresource: manager.subresource.clone(),
            time: manager.time.clone(),
        };
        record(&mut known, None, &bare, ty, &before);
    }
    Ok((known, bare))
}

enum Failure {
    Conflicts(Conflicts),
    Merge(String),
    /// The merged object does not fit its type.
    Decode(String),
}

impl Failure {
    fn into_api_error(self) -> ApiError {
        match self {
            Failure::Conflicts(conflicts) => conflict::error(&conflicts),
            Failure::Merge(error) => ApiError::new(500, "", format!("failed to merge config: {error}"), None),
            Failure::Decode(error) => ApiError::new(
                500,
                "",
                format!("failed to convert new object to proper version: {error}"),
                None,
            ),
        }
    }
}

struct Run<'a> {
    kind: Gvk<'a>,
    ty: Typed<'a>,
    manager: &'a Manager,
    known: Entries,
    live: &'a Value,
    applied: &'a Value,
}

impl Run<'_> {
    fn attempt(&self, force: bool) -> Result<Value, Failure> {
        let (merged, mut entries) = self.merged()?;
        let merged = decode::normalized(self.kind, merged).map_err(Failure::Decode)?;
        let writer = Id::of(self.manager);
        let mut change = compare(self.live, &merged, self.ty);
        if let Some(field) = unwritable(self.ty, &self.manager.subresource) {
            change.ignore(field);
        }
        let conflicts = ownership::conflicts(&entries, Some(&writer), &change);
        if !force && !conflicts.is_empty() {
            return Err(Failure::Conflicts(conflicts));
        }
        ownership::take_from_others(&mut entries, Some(&writer), &change);
        let changed = merged != *self.live || !same_sets(&entries, &self.known);
        if changed && let Some(entry) = entries.get_mut(&writer) {
            entry.time = self.manager.time();
        }
        let mut object = merged;
        entries::set(&mut object, entries::encode(&entries));
        Ok(object)
    }

    /// The configuration over the live object, and the entries with this manager's new set.
    fn merged(&self) -> Result<(Value, Entries), Failure> {
        let writer = Id::of(self.manager);
        let merged = merge(self.live, self.applied, self.ty).map_err(Failure::Merge)?;
        let mut entries = self.known.clone();
        let last = entries.get(&writer).cloned();
        let mut set = field_set(self.applied, self.ty);
        if let Some(field) = unwritable(self.ty, &self.manager.subresource) {
            set.remove_field(field);
        }
        let entry = Entry {
            api_version: self.manager.api_version.clone(),
            set: without_bookkeeping(&set),
            time: last.as_ref().and_then(|entry| entry.time).or(self.manager.time()),
        };
        if entry.set.is_empty() {
            entries.remove(&writer);
        } else {
            entries.insert(writer, entry);
        }
        let last = last.map(|entry| entry.set).unwrap_or_default();
        Ok((prune(merged, &entries, &last, self.ty), entries))
    }

    /// kubectl may take back what its own client-side apply set, if nobody has changed the value since.
    fn retry_as_kubectl(&mut self, conflicts: Conflicts) -> Result<Value, Failure> {
        let takeable = last_applied::takeable(self.live, &self.manager.api_version, self.ty);
        let left = conflicts.into_iter().map(|(id, set)| (id, left_over(&set, &takeable)));
        let left: Conflicts = left.filter(|(_, set)| !set.is_empty()).collect();
        if left.is_empty() { self.attempt(true) } else { Err(Failure::Conflicts(left)) }
    }
}

fn left_over(conflicts: &Set, takeable: &Set) -> Set {
    conflicts.difference(takeable)
}

/// Times aside.
fn same_sets(a: &Entries, b: &Entries) -> bool {
    let strip = |entries: &Entries| -> Vec<(Id, Set, String)> {
        entries.iter().map(|(id, entry)| (id.clone(), entry.set.clone(), entry.api_version.clone())).collect()
    };
    strip(a) == strip(b)
}
