//! Update (PUT): replaces the object or its status.

use serde_json::Value;

use super::create;
use crate::cache::CachedObject;
use crate::error::{ApiError, FieldError};
use crate::pipeline::change::{Aspect, Change, Ownership};
use crate::pipeline::{Api, Target, Writer, Written, meta, new_object};

/// `object` is in the target's version, as decoded.
pub async fn update(
    api: &Api,
    target: &Target,
    writer: &Writer,
    mut object: Value,
) -> Result<Written, ApiError> {
    settle(target, &mut object)?;
    let may_create = target.kind.traits.create_on_update && target.subresource.is_empty();
    if may_create && meta::resource_version(&object)?.is_none() && api.find(target).await?.is_none() {
        let object = create::create(api, target, writer, object).await?;
        return Ok(Written { object, created: true });
    }
    target.kind.default(&mut object);
    target.kind.to_hub(&mut object);
    let change = Change { target, writer, aspect: aspect_of(target), ownership: Ownership::Track };
    let object = change.run(api, |base, old| replacement(target, &object, base, old)).await?;
    Ok(Written { object, created: false })
}

pub fn aspect_of(target: &Target) -> Aspect {
    let part = target.kind.subresource(&target.subresource).and_then(|subresource| subresource.part);
    match (target.subresource.as_str(), part) {
        ("status", _) => Aspect::Status,
        (_, Some(part)) => Aspect::Part(part),
        (_, None) => Aspect::Object,
    }
}

fn settle(target: &Target, object: &mut Value) -> Result<(), ApiError> {
    new_object::settle_namespace(target, object)?;
    let name = meta::text(object, "name");
    if name.is_empty() {
        let errors = vec![FieldError::required("metadata.name", "name must be provided")];
        return Err(ApiError::invalid(&target.group_kind(), "", errors));
    }
    if name != target.name {
        return Err(ApiError::bad_request(format!(
            "the name of the object ({name}) does not match the name on the URL ({})",
            target.name
        )));
    }
    Ok(())
}

/// The wanted object on top of what is there, or why it may not be.
fn replacement(target: &Target, wanted: &Value, base: &CachedObject, old: &Value) -> Result<Value, ApiError> {
    match meta::resource_version(wanted)? {
        Some(version) if version != base.revision => {
            return Err(ApiError::modified(&target.group_resource(), &target.name));
        }
        None if !target.kind.traits.unconditional_update => {
            let error = FieldError::invalid("metadata.resourceVersion", 0, "must be specified for an update");
            return Err(ApiError::invalid(&target.group_kind(), &target.name, vec![error]));
        }
        _ => {}
    }
    check_uid(target, wanted, base)?;
    let mut new = wanted.clone();
    meta::keep_system_fields(&mut new, old);
    Ok(new)
}

/// A uid in the wanted object is a precondition.
pub fn check_uid(target: &Target, wanted: &Value, base: &CachedObject) -> Result<(), ApiError> {
    let uid = meta::text(wanted, "uid");
    if uid.is_empty() || uid == base.uid {
        return Ok(());
    }
    Err(target.conflict(&format!(
        "Precondition failed: UID in precondition: {uid}, UID in object meta: {}",
        base.uid
    )))
}
