//! Server-side apply: the fields a manager wants, merged with those of others; creates what is missing.

use serde_json::Value;

use super::{create, update};
use crate::cache::CachedObject;
use crate::error::ApiError;
use crate::limits;
use crate::pipeline::change::{Change, Ownership, manager};
use crate::pipeline::{Api, Target, Writer, Written, meta, new_object};
use crate::schema::managed_fields;

/// What a scale takes instead.
const PLAIN_PATCHES: &[&str] = &[
    "application/json-patch+json",
    "application/merge-patch+json",
    "application/strategic-merge-patch+json",
];

pub struct Apply {
    /// In the target's version: only the fields that the manager wants.
    pub object: Value,
    /// Take fields over from other managers.
    pub force: bool,
}

pub async fn apply(api: &Api, target: &Target, writer: &Writer, apply: Apply) -> Result<Written, ApiError> {
    if target.subresource == "scale" {
        return Err(ApiError::unsupported_media_type(PLAIN_PATCHES));
    }
    let Apply { mut object, force } = apply;
    new_object::settle_namespace(target, &mut object)?;
    if !meta::text(&object, "name").is_empty() && meta::text(&object, "name") != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({}) does not match the name on the URL ({})",
            meta::text(&object, "name"),
            target.name
        )));
    }
    meta::metadata_mut(&mut object).insert("name".into(), target.name.clone().into());
    let may_create = target.subresource.is_empty() && meta::text(&object, "resourceVersion").is_empty();
    let change = Change { target, writer, aspect: update::aspect_of(target), ownership: Ownership::Done };
    for _ in 0..limits::CONFLICT_ATTEMPTS {
        let changed = change.run(api, |base, old| merged(target, writer, &object, force, base, old)).await;
        match changed {
            Err(error) if may_create && error.is_not_found() => {}
            outcome => return outcome.map(|object| Written { object, created: false }),
        }
        match create_applied(api, target, writer, &object, force).await {
            Err(error) if error.is_already_exists() => {}
            outcome => return outcome,
        }
    }
    Err(ApiError::modified(&target.group_resource(), &target.name))
}

async fn create_applied(
    api: &Api,
    target: &Target,
    writer: &Writer,
    object: &Value,
    force: bool,
) -> Result<Written, ApiError> {
    let new = managed_fields::apply(target.kind, None, object, &manager(target, writer, "Apply"), force)?;
    let object = create::make(api, target, writer, new, true).await?;
    Ok(Written { object, created: true })
}

fn merged(
    target: &Target,
    writer: &Writer,
    applied: &Value,
    force: bool,
    base: &CachedObject,
    old: &Value,
) -> Result<Value, ApiError> {
    if let Some(version) = meta::resource_version(applied)?
        && version != base.revision
    {
        return Err(ApiError::modified(&target.group_resource(), &target.name));
    }
    update::check_uid(target, applied, base)?;
    let kind = target.kind;
    let mut live = old.clone();
    kind.from_hub(&mut live);
    let mut new =
        managed_fields::apply(kind, Some(&live), applied, &manager(target, writer, "Apply"), force)?;
    kind.default(&mut new);
    kind.to_hub(&mut new);
    meta::keep_system_fields(&mut new, old);
    Ok(new)
}
