//! Create: a new key, made only if it does not exist.

use std::sync::Arc;

use serde_json::Value;

use crate::cache::{CachedObject, encode};
use crate::error::ApiError;
use crate::limits;
use crate::pipeline::{Api, Target, Writer, meta, new_object};
use crate::storage::StoreError;

/// `object` is in the target's version, as decoded.
pub async fn create(
    api: &Api,
    target: &Target,
    writer: &Writer,
    object: Value,
) -> Result<Arc<CachedObject>, ApiError> {
    make(api, target, writer, object, false).await
}

/// As `create`; `applied` says that the managed fields are complete.
pub async fn make(
    api: &Api,
    target: &Target,
    writer: &Writer,
    object: Value,
    applied: bool,
) -> Result<Arc<CachedObject>, ApiError> {
    target.prefix()?;
    let generates = meta::text(&object, "name").is_empty() && !meta::text(&object, "generateName").is_empty();
    let attempts = if generates { limits::GENERATE_NAME_ATTEMPTS } else { 1 };
    let mut last = None;
    for _ in 0..attempts {
        let mut target = target.clone();
        let mut object = object.clone();
        new_object::settle_identity(&mut target, &mut object)?;
        match make_once(api, &target, writer, object, applied).await {
            Err(error) if error.is_already_exists() => last = Some(error),
            outcome => return outcome,
        }
    }
    Err(last.expect("the loop runs at least once and only falls through on an error"))
}

async fn make_once(
    api: &Api,
    target: &Target,
    writer: &Writer,
    mut object: Value,
    applied: bool,
) -> Result<Arc<CachedObject>, ApiError> {
    new_object::make(api, target, writer, &mut object, applied).await?;
    let hub = target.kind.stored();
    let expires = target.kind.traits.ttl_seconds.is_some();
    let key = target.key(&api.store)?;
    for _ in 0..limits::CONFLICT_ATTEMPTS {
        let mut object = object.clone();
        let claims = api.allocator.allocate(hub, &mut object, None)?;
        let bytes = encode::stored(&object);
        if bytes.len() > limits::STORED_OBJECT_BYTES {
            return Err(ApiError::request_entity_too_large(limits::STORED_OBJECT_BYTES));
        }
        let stored = match writer.dry_run {
            true => dry_run(api, target).await?,
            false => api.store.create(&key, bytes.clone(), expires, &claims).await,
        };
        match stored {
            Ok(revision) => {
                let made = CachedObject::with_value(hub, &object, bytes, revision);
                return made.map(Arc::new).map_err(ApiError::internal);
            }
            // Someone else was given the same address in the meantime.
            Err(StoreError::ClaimTaken { key }) => api.allocator.taken(&key),
            Err(error) => return Err(error.into_api(&target.group_resource(), &target.name)),
        }
    }
    Err(ApiError::internal("no free address could be claimed"))
}

/// What a create would meet; revision 0, since nothing is written.
async fn dry_run(api: &Api, target: &Target) -> Result<Result<u64, StoreError>, ApiError> {
    let existing = api.find(target).await?;
    Ok(if existing.is_some() { Err(StoreError::Exists) } else { Ok(0) })
}
