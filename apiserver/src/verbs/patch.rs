//! Patch: JSON patch, merge patch and strategic merge patch as a read-modify-write; apply has its own file.

use std::sync::Arc;

use serde_json::Value;

use super::update;
use crate::cache::CachedObject;
use crate::error::ApiError;
use crate::kinds::Kind;
use crate::pipeline::change::{Change, Ownership};
use crate::pipeline::{Api, Target, Writer, body, meta};
use crate::schema::{FieldValidation, patch};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PatchType {
    Json,
    Merge,
    Strategic,
}

pub struct Patch<'a> {
    pub patch_type: PatchType,
    pub body: &'a [u8],
    pub validation: FieldValidation,
}

/// Returns the object and the texts of warnings.
pub async fn patch(
    api: &Api,
    target: &Target,
    writer: &Writer,
    patch: &Patch<'_>,
) -> Result<(Arc<CachedObject>, Vec<String>), ApiError> {
    let change = Change { target, writer, aspect: update::aspect_of(target), ownership: Ownership::Track };
    let warnings = parking_lot::Mutex::new(Vec::new());
    let modify = |base: &CachedObject, old: &Value| {
        let (new, texts) = patched(target, patch, base, old)?;
        *warnings.lock() = texts;
        Ok(new)
    };
    let object = change.run(api, modify).await?;
    Ok((object, warnings.into_inner()))
}

/// The patched object in stored version.
fn patched(
    target: &Target,
    patch: &Patch<'_>,
    base: &CachedObject,
    old: &Value,
) -> Result<(Value, Vec<String>), ApiError> {
    let kind = target.kind;
    let mut served = old.clone();
    kind.from_hub(&mut served);
    let raw = apply_to(kind, patch, &served)?;
    let (mut new, warnings) = body::recheck(kind, raw, patch.validation)?;
    refuse_renaming(target, &new)?;
    if let Some(version) = meta::resource_version(&new)?
        && version != base.revision
    {
        return Err(ApiError::modified(&target.group_resource(), &target.name));
    }
    update::check_uid(target, &new, base)?;
    kind.default(&mut new);
    kind.to_hub(&mut new);
    meta::keep_system_fields(&mut new, old);
    Ok((new, warnings))
}

/// On the bare value; also used for scale, which is no stored kind.
pub fn apply_to(kind: &'static Kind, patch: &Patch<'_>, served: &Value) -> Result<Value, ApiError> {
    match patch.patch_type {
        PatchType::Json => patch::json(kind, served, patch.body),
        PatchType::Merge => patch::merge(kind, served, patch.body),
        PatchType::Strategic => patch::strategic(kind, served, patch.body),
    }
}

fn refuse_renaming(target: &Target, new: &Value) -> Result<(), ApiError> {
    let name = meta::text(new, "name");
    if name == target.name {
        return Ok(());
    }
    Err(ApiError::bad_request(format!(
        "the name of the object ({name}) does not match the name on the URL ({})",
        target.name
    )))
}
